//! Against a TURN server of another make, on loopback.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use turn_client_proto::stun::types::attribute::ErrorCode;
use turn_client_proto::stun::types::message::MessageWriteVec;
use turn_client_proto::stun::types::prelude::{MessageWrite, MessageWriteExt};

use super::super::tests::{stun_server, turn_server};
use super::*;
use crate::config::InterfaceKind;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Time that nothing here needs.
const PATIENCE: Duration = Duration::from_secs(60);

fn sockets(carrier: bool) -> Sockets {
    let interface = NetworkInterface {
        name: "lo".to_owned(),
        kind: InterfaceKind::Loopback,
        preference: 0,
        metered: false,
        carrier,
        signal_strength: None,
    };
    let mut sockets = Sockets::default();
    sockets.update(&BTreeMap::from([(LOOPBACK, interface)]));
    sockets
}

/// A server at its only address; `user` is username and credential.
fn server(
    service: IceService,
    address: SocketAddr,
    user: Option<&str>,
) -> (Server, Vec<SocketAddr>) {
    let uri = IceServerUri { service, host: address.ip().to_string(), port: address.port() };
    let credentials = user.map(|user| (user.to_owned(), user.to_owned()));
    (Server { uri, credentials }, vec![address])
}

async fn asked(servers: &[(Server, Vec<SocketAddr>)], patience: Duration) -> Answers {
    ask(servers, &mut sockets(true), Instant::now() + patience).await
}

#[tokio::test]
async fn a_server_tells_how_it_sees_the_address_and_how_long_that_takes() {
    let servers = [
        server(IceService::Stun, stun_server(0).await, None),
        server(IceService::TurnOverUdp, stun_server(1).await, None),
    ];
    let answers = asked(&servers, PATIENCE).await;
    assert_eq!(answers.stun.len(), 2);
    for (shift, answer) in (0..).zip(answers.stun) {
        let outside = SocketAddr::new(LOOPBACK, answer.local.port().wrapping_add(shift));
        assert_eq!(answer.seen, Some(outside));
        let time = answer.round_trip_time.unwrap();
        assert!(time > 0.0 && time < PATIENCE.as_secs_f64(), "{time}");
    }
    assert_eq!(answers.turn, [], "without a credential there is nothing to ask for");
}

#[tokio::test]
async fn each_relay_lends_an_address_or_says_why_not() {
    let silent = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let closed = {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let rover = Some("rover");
    let servers = [
        server(IceService::TurnOverUdp, turn_server(&["rover"]).await, rover),
        server(IceService::TurnOverUdp, turn_server(&["other"]).await, rover),
        server(IceService::TurnOverUdp, silent.local_addr().unwrap(), rover),
        server(IceService::TurnOverTcp, closed, rover),
    ];
    let answers = asked(&servers, PATIENCE).await;
    let outcomes: Vec<_> = answers.turn.iter().map(|answer| &answer.outcome).collect();
    let [good, wrong, silent, closed] = outcomes[..] else { panic!("{outcomes:?}") };
    assert!(matches!(good, TurnOutcome::Lent { relayed } if relayed.ip() == LOOPBACK));
    assert_eq!(wrong, &TurnOutcome::CredentialRefused);
    assert_eq!(silent, &TurnOutcome::Silent);
    assert!(matches!(closed, TurnOutcome::NotConnected { reason } if reason.contains("refused")));
    assert_eq!(answers.stun.len(), 3, "who relays over UDP is asked as a STUN server too");
}

#[tokio::test]
async fn it_ends_in_time_though_nobody_answers() {
    let silent = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let deaf = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let (udp, tcp) = (silent.local_addr().unwrap(), deaf.local_addr().unwrap());
    let servers = [
        server(IceService::TurnOverUdp, udp, Some("rover")),
        server(IceService::TurnOverTcp, tcp, Some("rover")),
    ];
    let answers = asked(&servers, Duration::from_millis(300)).await;
    assert!(answers.stun.iter().all(|answer| answer.seen.is_none()));
    let outcomes: Vec<_> = answers.turn.into_iter().map(|answer| answer.outcome).collect();
    assert_eq!(outcomes, [TurnOutcome::Silent, TurnOutcome::Silent]);
}

#[tokio::test]
async fn without_a_carrier_or_an_address_of_their_family_nobody_is_asked() {
    let address = turn_server(&["rover"]).await;
    let servers = [server(IceService::TurnOverUdp, address, Some("rover"))];
    let answers = ask(&servers, &mut sockets(false), Instant::now() + PATIENCE).await;
    assert_eq!(answers, Answers::default());
    let elsewhere = "[2001:db8::1]:3478".parse().unwrap();
    let servers = [server(IceService::TurnOverUdp, elsewhere, Some("rover"))];
    assert_eq!(asked(&servers, PATIENCE).await, Answers::default());
}

#[tokio::test]
async fn what_a_server_says_without_a_signature_is_told_once_it_has_lent_nothing() {
    let server = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let servers = [self::server(IceService::TurnOverUdp, server.local_addr().unwrap(), Some("me"))];
    let refuse = async {
        let mut room = [0; 2_000];
        loop {
            let (length, from) = server.recv_from(&mut room).await.unwrap();
            let request = Message::from_bytes(&room[..length]).unwrap();
            let mut answer = Message::builder_error(&request, MessageWriteVec::new());
            let error = ErrorCode::new(486, "quota").unwrap();
            answer.add_attribute(&error).unwrap();
            server.send_to(&answer.finish(), from).await.unwrap();
        }
    };
    let answers = tokio::select! {
        answers = asked(&servers, Duration::from_secs(1)) => answers,
        () = refuse => unreachable!("it never ends"),
    };
    let expected = TurnOutcome::Refused { code: 486, reason: "quota".to_owned() };
    assert_eq!(answers.turn[0].outcome, expected);
}
