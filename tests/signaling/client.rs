//! The client against the real server: meeting, refusals, and coming back by itself.

use futures::SinkExt;
use rover_link::signaling::client::{
    ClientError, ClientEvent, ClientHandle, ClientOptions, Refusal, spawn,
};
use rover_link::signaling::message::{Body, CAPABILITY_ROVER_LINK, ErrorCode};
use rover_link::signaling::server::ServerOptions;
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use uuid::Uuid;

use crate::stage::{PROTOCOL, TestServer, patiently};

fn options(url: &str, rover_id: &str) -> ClientOptions {
    ClientOptions {
        url: url.to_owned(),
        token: None,
        fleet: String::from("default"),
        rover_id: rover_id.to_owned(),
        instance: Uuid::new_v4(),
        capabilities: vec![CAPABILITY_ROVER_LINK.to_owned()],
    }
}

struct Client {
    handle: ClientHandle,
    instance: Uuid,
    events: Receiver<ClientEvent>,
}

impl Client {
    fn start(options: ClientOptions) -> Self {
        let instance = options.instance;
        let (handle, events) = spawn(options).expect("options that can work");
        Self { handle, instance, events }
    }

    async fn next(&mut self) -> ClientEvent {
        patiently("an event", self.events.recv()).await.expect("a client that runs")
    }

    /// Waits for the welcome and returns who is there.
    async fn welcome(&mut self) -> Vec<String> {
        let event = self.next().await;
        let ClientEvent::Welcome { peers, .. } = event else { panic!("no welcome but {event:?}") };
        peers.into_iter().map(|peer| peer.rover_id.into()).collect()
    }

    /// Waits for a signal, whoever comes and goes meanwhile.
    async fn signal(&mut self) -> Body {
        loop {
            if let ClientEvent::Signal { body, .. } = self.next().await {
                return body;
            }
        }
    }
}

fn offer(sdp: &str) -> Body {
    Body::Offer { sdp: sdp.to_owned() }
}

#[tokio::test]
async fn clients_meet_talk_and_part() {
    let server = TestServer::start(ServerOptions::default()).await;
    let (options_a, options_b) =
        (options(&server.url(), "rover_a"), options(&server.url(), "rover_b"));
    let (instance_a, instance_b) = (options_a.instance, options_b.instance);
    let mut a = Client::start(options_a);
    assert_eq!(a.welcome().await, [""; 0]);
    let mut b = Client::start(options_b);
    assert_eq!(b.welcome().await, ["rover_a"]);
    let ClientEvent::PeerJoined(peer) = a.next().await else { panic!("nobody joined") };
    assert_eq!((peer.rover_id.as_str(), peer.instance), ("rover_b", instance_b));
    assert!(peer.is_rover_link());

    for body in [
        offer("v=0"),
        Body::Candidate { candidate: String::from("candidate:1"), mid: String::from("0") },
        Body::EndOfCandidates,
        Body::Hangup { reason: String::from("done") },
    ] {
        a.handle.send("rover_b", body.clone());
        let from = "rover_a".parse().expect("an id");
        assert_eq!(b.next().await, ClientEvent::Signal { from, instance: instance_a, body });
    }

    drop(b.handle);
    let rover_id = "rover_b".parse().expect("an id");
    assert_eq!(a.next().await, ClientEvent::PeerLeft { rover_id });
    assert_eq!(patiently("the end", b.events.recv()).await, None);
}

#[tokio::test]
async fn a_burst_of_signals_is_spread_so_that_the_server_takes_them_all() {
    let server = TestServer::start(ServerOptions::default()).await;
    let mut a = Client::start(options(&server.url(), "rover_a"));
    a.welcome().await;
    let mut b = Client::start(options(&server.url(), "rover_b"));
    b.welcome().await;
    for number in 0..150 {
        a.handle.send("rover_b", offer(&number.to_string()));
    }
    for number in 0..150 {
        assert_eq!(b.signal().await, offer(&number.to_string()));
    }
}

#[tokio::test]
async fn what_no_server_would_take_is_dropped_and_the_connection_stays() {
    let server = TestServer::start(ServerOptions::default()).await;
    let mut a = Client::start(options(&server.url(), "rover_a"));
    a.welcome().await;
    a.handle.send("rover_a", offer(&"x".repeat(70_000)));
    a.handle.send("Rover A", offer("to nobody"));
    a.handle.send("rover_x", offer("to nobody"));
    a.handle.send("rover_a", offer("to itself"));
    assert_eq!(a.signal().await, offer("to itself"));
}

#[tokio::test]
async fn a_wrong_token_is_reported_and_the_right_one_admitted() {
    let token = Some("s3cret".parse().expect("a token"));
    let server = TestServer::start(ServerOptions { token, ..ServerOptions::default() }).await;
    for token in [None, Some(String::from("wrong"))] {
        let mut refused =
            Client::start(ClientOptions { token, ..options(&server.url(), "rover_a") });
        let ClientEvent::Refused { refusal, text } = refused.next().await else {
            panic!("not refused");
        };
        assert_eq!((refusal, text.as_str()), (Refusal::Http(401), "wrong or missing token"));
    }
    let token = Some(String::from("s3cret"));
    let mut admitted = Client::start(ClientOptions { token, ..options(&server.url(), "rover_a") });
    admitted.welcome().await;
}

#[tokio::test]
async fn a_name_that_another_rover_has_is_reported() {
    let server = TestServer::start(ServerOptions::default()).await;
    let mut first = Client::start(options(&server.url(), "rover_a"));
    first.welcome().await;
    let mut second = Client::start(options(&server.url(), "rover_a"));
    let ClientEvent::Refused { refusal, .. } = second.next().await else { panic!("not refused") };
    assert_eq!(refusal, Refusal::Protocol(ErrorCode::IdInUse));
}

#[tokio::test]
async fn after_a_restart_of_the_server_the_fleet_is_together_again() {
    let server = TestServer::start(ServerOptions::default()).await;
    let (address, url) = (server.address, server.url());
    let mut a = Client::start(options(&url, "rover_a"));
    a.welcome().await;
    server.stop().await;
    assert!(matches!(a.next().await, ClientEvent::Disconnected { .. }));
    a.handle.send("rover_b", offer("stale"));

    let server = TestServer::start_at(address, ServerOptions::default()).await;
    let mut b = Client::start(options(&url, "rover_b"));
    b.welcome().await;
    a.welcome().await;
    a.handle.send("rover_b", offer("fresh"));
    assert_eq!(b.signal().await, offer("fresh"));
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_reported_once_and_found_later() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = reserved.local_addr().expect("the address");
    drop(reserved);
    let mut a = Client::start(options(&format!("ws://{address}"), "rover_a"));
    assert!(matches!(a.next().await, ClientEvent::Disconnected { .. }));
    let _server = TestServer::start_at(address, ServerOptions::default()).await;
    assert_eq!(a.welcome().await, [""; 0]);
}

#[tokio::test]
async fn a_connection_in_doubt_is_given_up_long_before_one_that_is_merely_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("the address"));
    // It welcomes whoever comes, and never says anything again.
    let _server = tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            #[expect(clippy::result_large_err, reason = "the library wants it so")]
            let agree = |_: &Request, mut response: Response| {
                let protocol = PROTOCOL.1.parse().expect("a header");
                response.headers_mut().insert(PROTOCOL.0, protocol);
                Ok(response)
            };
            let mut socket = accept_hdr_async(stream, agree).await.expect("an upgrade");
            let welcome = r#"{"type":"welcome","peers":[],"ice_servers":[]}"#;
            socket.send(Message::text(welcome)).await.expect("a connection");
            silent.push(socket);
        }
    });
    let mut doubted = Client::start(options(&url, "rover_a"));
    let mut trusted = Client::start(options(&url, "rover_b"));
    for client in [&mut doubted, &mut trusted] {
        assert_eq!(client.welcome().await, [""; 0]);
    }
    doubted.handle.check();
    assert!(matches!(doubted.next().await, ClientEvent::Disconnected { .. }));
    assert!(trusted.events.try_recv().is_err(), "it still waits");
}

#[tokio::test]
async fn a_connection_in_doubt_goes_on_if_the_server_answers() {
    let server = TestServer::start(ServerOptions::default()).await;
    let mut a = Client::start(options(&server.url(), "rover_a"));
    a.welcome().await;
    a.handle.check();
    a.handle.send("rover_a", offer("to itself"));
    assert_eq!(a.next().await, {
        let body = offer("to itself");
        let from = "rover_a".parse().expect("an id");
        ClientEvent::Signal { from, instance: a.instance, body }
    });
}

#[tokio::test]
async fn a_change_of_the_network_ends_the_pause_between_attempts() {
    let token = Some("s3cret".parse().expect("a token"));
    let server = TestServer::start(ServerOptions { token, ..ServerOptions::default() }).await;
    let (address, url) = (server.address, server.url());
    // After a refusal the pauses are long.
    let mut told = Client::start(options(&url, "rover_a"));
    let mut left = Client::start(options(&url, "rover_b"));
    for client in [&mut told, &mut left] {
        assert!(matches!(client.next().await, ClientEvent::Refused { .. }));
    }
    server.stop().await;
    let _server = TestServer::start_at(address, ServerOptions::default()).await;
    told.handle.check();
    assert_eq!(told.welcome().await, [""; 0], "the other one still pauses");
}

#[tokio::test]
async fn options_that_can_never_work_are_refused_at_once() {
    let error = |change: fn(&mut ClientOptions)| {
        let mut options = options("ws://127.0.0.1:1", "rover_a");
        change(&mut options);
        spawn(options).map(|_| ()).expect_err("an error")
    };
    for url in ["", "127.0.0.1:3001", "http://127.0.0.1:3001", "ws://", "ws:// x", "ws://:3001"] {
        let result = spawn(options(url, "rover_a")).map(|_| ());
        assert!(matches!(result, Err(ClientError::Url(_))), "{url}: {result:?}");
    }
    assert!(matches!(error(|o| o.rover_id = "Rover A".into()), ClientError::RoverId(_)));
    assert!(matches!(error(|o| o.fleet = String::new()), ClientError::Fleet(_)));
    assert!(matches!(error(|o| o.token = Some(String::new())), ClientError::Token(_)));
    assert!(matches!(error(|o| o.token = Some("a\nb".into())), ClientError::Token(_)));
}
