//! Against a TURN server of another make, on loopback.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::timeout;
use turn_client_proto::stun::types::attribute::XorMappedAddress;
use turn_client_proto::stun::types::message::{Message, MessageWriteVec};
use turn_client_proto::stun::types::prelude::{MessageWrite, MessageWriteExt};
use turn_client_proto::types::{Instant as StunInstant, TransportType};
use turn_server_proto::api::{Transmit as ServerTransmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer as Server;

use super::*;
use crate::config::InterfaceKind;

const PATIENCE: Duration = Duration::from_secs(20);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A TURN server for these users, whose password is their name.
pub(super) async fn turn_server(users: &[&str]) -> SocketAddr {
    let listener = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Server::new(TransportType::Udp, address, "realm".to_owned());
    for user in users {
        server.add_user((*user).to_owned(), (*user).to_owned());
    }
    tokio::spawn(serve(server, listener));
    address
}

async fn serve(mut server: Server, listener: UdpSocket) {
    let started = Instant::now();
    let mut sockets = vec![listener];
    loop {
        let now = StunInstant::from_nanos(started.elapsed().as_nanos() as i64);
        let mut room = [0; 2_000];
        let mut came = None;
        for socket in &sockets {
            if let Ok((length, from)) = socket.try_recv_from(&mut room) {
                came = Some((length, from, socket.local_addr().unwrap()));
            }
        }
        let mut out = Vec::new();
        if let Some((length, from, to)) = came {
            let transmit = ServerTransmit::new(&room[..length], TransportType::Udp, from, to);
            out.extend(server.recv(transmit, now).map(|answer| answer.build()));
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        while let TurnServerPollRet::AllocateSocket {
            transport,
            listen_addr,
            client_addr,
            allocation_transport,
            family,
        } = server.poll(now)
        {
            let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
            let lent = Ok(socket.local_addr().unwrap());
            sockets.push(socket);
            server.allocated_socket(
                transport,
                listen_addr,
                client_addr,
                allocation_transport,
                family,
                lent,
                now,
            );
        }
        out.extend(std::iter::from_fn(|| server.poll_transmit(now)));
        for transmit in out {
            let from = |socket: &&UdpSocket| socket.local_addr().unwrap() == transmit.from;
            let socket = sockets.iter().find(from).unwrap();
            socket.send_to(&transmit.data, transmit.to).await.unwrap();
        }
    }
}

/// The servers' end of a driver.
struct Stage {
    sockets: Sockets,
    servers: Servers,
    own: SocketAddr,
    /// What has come by relays: the address lent, the peer's, and what it said.
    relayed: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// Time that only the test has seen pass.
    ahead: Duration,
}

impl Stage {
    fn new(uris: &[IceServerUri], turn: Option<&(String, String)>) -> Self {
        let interface = NetworkInterface {
            name: "lo".to_owned(),
            kind: InterfaceKind::Loopback,
            preference: 0,
            metered: false,
            carrier: true,
            signal_strength: None,
        };
        let (now, mut sockets) = (Instant::now(), Sockets::default());
        sockets.update(&BTreeMap::from([(LOOPBACK, interface)]));
        let hosts = sockets.addresses();
        let own = *hosts.keys().next().unwrap();
        let mut servers = Servers::new(uris, turn, now);
        servers.set_hosts(&hosts, &mut sockets, now);
        Self { sockets, servers, own, relayed: Vec::new(), ahead: Duration::ZERO }
    }

    fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    /// Does what a driver does until something is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < end, "not in time: {what}");
            let now = self.now();
            self.servers.work(&mut self.sockets, now);
            self.sockets.flush();
            let Self { servers, sockets, relayed, .. } = self;
            let _ = timeout(Duration::from_millis(5), async {
                tokio::select! {
                    () = sockets.wait() => {}
                    () = servers.wait() => {}
                }
            })
            .await;
            let mut deliver = |relay, peer, data: &[u8]| relayed.push((relay, peer, data.to_vec()));
            servers.take(sockets, now, &mut deliver);
            for datagram in sockets.take() {
                servers.handle_datagram(datagram.local, datagram.contents, now, &mut deliver);
            }
        }
    }

    fn lent(&self) -> Vec<SocketAddr> {
        let addresses = self.servers.addresses();
        addresses.iter().filter(|(_, known)| known.is_relayed()).map(|(at, _)| *at).collect()
    }

    fn send(&mut self, source: SocketAddr, destination: SocketAddr, text: &str) {
        let (contents, now) = (text.as_bytes().to_vec(), self.now());
        self.servers.send(Transmit { source, destination, contents }, &mut self.sockets, now);
        self.sockets.flush();
    }
}

fn uri(service: IceService, address: SocketAddr) -> IceServerUri {
    IceServerUri { service, host: address.ip().to_string(), port: address.port() }
}

fn named(user: &str) -> (String, String) {
    (user.to_owned(), user.to_owned())
}

fn offered(address: SocketAddr, user: &str) -> message::IceServer {
    message::IceServer {
        urls: vec![uri(IceService::TurnOverUdp, address).to_string()],
        username: user.to_owned(),
        credential: user.to_owned(),
    }
}

#[tokio::test]
async fn datagrams_cross_an_address_that_is_lent_both_ways() {
    let server = turn_server(&["rover"]).await;
    let uris = [uri(IceService::TurnOverUdp, server)];
    let mut stage = Stage::new(&uris, Some(&named("rover")));
    stage.until("an address is lent", |stage| stage.lent().len() == 1).await;
    let lent = stage.lent()[0];
    let peer = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let at_peer = peer.local_addr().unwrap();
    let mut room = [0; 100];
    let arrived = loop {
        // The first ones are dropped while the server is asked for a channel.
        stage.send(lent, at_peer, "hello");
        let _ = timeout(Duration::from_millis(50), stage.until("", |_| false)).await;
        if let Ok(arrived) = peer.try_recv_from(&mut room) {
            break arrived;
        }
    };
    assert_eq!((&room[..arrived.0], arrived.1), (&b"hello"[..], lent));
    peer.send_to(b"and back", lent).await.unwrap();
    stage.until("the answer comes", |stage| !stage.relayed.is_empty()).await;
    assert_eq!(stage.relayed[0], (lent, at_peer, b"and back".to_vec()));
    // What does not come from an address lent goes as it is.
    stage.send(stage.own, at_peer, "directly");
    let (length, from) = timeout(PATIENCE, async {
        loop {
            let (length, from) = peer.recv_from(&mut room).await.unwrap();
            if from != lent {
                return (length, from);
            }
        }
    })
    .await
    .unwrap();
    assert_eq!((&room[..length], from), (&b"directly"[..], stage.own));
}

#[tokio::test]
async fn a_server_that_does_not_answer_or_refuses_is_followed_by_the_next_one() {
    let silent = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let silent = (uri(IceService::TurnOverUdp, silent.local_addr().unwrap()), silent);
    let refusing = uri(IceService::TurnOverUdp, turn_server(&["other"]).await);
    let good = uri(IceService::TurnOverUdp, turn_server(&["rover"]).await);
    let uris = [silent.0, refusing, good];
    let mut stage = Stage::new(&uris, Some(&named("rover")));
    stage.until("an address is lent", |stage| stage.lent().len() == 1).await;
}

#[tokio::test]
async fn new_credentials_bring_another_address_before_the_former_one_goes() {
    let server = turn_server(&["first", "second"]).await;
    let mut stage = Stage::new(&[], None);
    stage.servers.set_offered(&[offered(server, "first")], stage.now());
    stage.until("an address is lent", |stage| stage.lent().len() == 1).await;
    let first = stage.lent();
    stage.servers.set_offered(&[offered(server, "second")], stage.now());
    stage.until("another one is lent", |stage| stage.lent().len() == 2).await;
    assert!(stage.lent().contains(&first[0]));
    stage.ahead += OVERLAP;
    stage.until("the first one is given back", |stage| stage.lent().len() == 1).await;
    assert_ne!(stage.lent(), first);
    // Told again, nothing happens.
    stage.servers.set_offered(&[offered(server, "second")], stage.now());
    assert!(stage.servers.leases.values().all(|lease| !lease.is_outdated));
}

#[tokio::test]
async fn an_address_goes_with_the_interface_it_was_lent_to() {
    let server = turn_server(&["rover"]).await;
    let uris = [uri(IceService::TurnOverUdp, server)];
    let mut stage = Stage::new(&uris, Some(&named("rover")));
    stage.until("an address is lent", |stage| stage.lent().len() == 1).await;
    let now = stage.now();
    stage.servers.set_hosts(&BTreeMap::new(), &mut stage.sockets, now);
    assert!(stage.servers.addresses().is_empty());
    assert!(stage.servers.take_changed());
}

/// A STUN server that sees all that comes with a port higher by so much, as behind a NAT.
pub(super) async fn stun_server(shift: u16) -> SocketAddr {
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut room = [0; 2_000];
        loop {
            let (length, from) = socket.recv_from(&mut room).await.unwrap();
            let request = Message::from_bytes(&room[..length]).unwrap();
            let seen = SocketAddr::new(from.ip(), from.port().wrapping_add(shift));
            let mut answer = Message::builder_success(&request, MessageWriteVec::new());
            let mapped = XorMappedAddress::new(seen, request.transaction_id());
            answer.add_attribute(&mapped).unwrap();
            socket.send_to(&answer.finish(), from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn an_address_behind_a_nat_is_told_with_the_one_that_others_see() {
    for shift in [0, 1] {
        let mut stage = Stage::new(&[uri(IceService::Stun, stun_server(shift).await)], None);
        let seen = |stage: &Stage| stage.servers.hosts[&stage.own].reflexive.seen();
        stage.until("the server answers", |stage| seen(stage).is_some()).await;
        let outside = SocketAddr::new(stage.own.ip(), stage.own.port().wrapping_add(shift));
        assert!(stage.servers.take_changed());
        let expected = Some(outside).filter(|_| shift > 0);
        assert_eq!(stage.servers.addresses()[&stage.own].reflexive, expected);
    }
}

#[test]
fn turn_servers_without_a_credential_are_not_used() {
    let uris = ["turn:192.0.2.1", "stun:192.0.2.2"].map(|text| IceServerUri::parse(text).unwrap());
    let mut servers = Servers::new(&uris, None, Instant::now());
    assert_eq!(servers.stun_servers(Instant::now()), ["192.0.2.2:3478".parse().unwrap()]);
    assert_eq!(servers.turn_servers(Instant::now()), []);
}
