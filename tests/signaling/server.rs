//! What one client can see the server do: admission, presence, relay, refusals, limits.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use rover_link::signaling::message::MAX_MESSAGE_BYTES;
use rover_link::signaling::registry::MEMBER_RATE;
use rover_link::signaling::server::{self, ServerError, ServerOptions};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;

use crate::stage::{Member, PROTOCOL, TestServer, connect_with, hello, patiently, signal};

fn with_token() -> ServerOptions {
    ServerOptions { token: Some("s3cret".parse().expect("a token")), ..ServerOptions::default() }
}

fn status(refused: Result<Member, Error>) -> u16 {
    match refused.map(|_| ()) {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("not refused by HTTP: {other:?}"),
    }
}

#[tokio::test]
async fn members_meet_talk_and_part() {
    let server = TestServer::start(ServerOptions::default()).await;
    let (instance_a, instance_b) = (Uuid::new_v4(), Uuid::new_v4());
    let mut a = server.connect().await;
    a.say(hello("rover_a", instance_a)).await;
    assert_eq!(a.hear().await, json!({"type": "welcome", "peers": [], "ice_servers": []}));

    let mut b = server.connect().await;
    b.say(hello("rover_b", instance_b)).await;
    let peer =
        json!({"rover_id": "rover_a", "instance": instance_a, "capabilities": ["rover_link"]});
    assert_eq!(b.hear().await, json!({"type": "welcome", "peers": [peer], "ice_servers": []}));
    assert_eq!(
        a.hear().await,
        json!({"type": "peer_joined", "rover_id": "rover_b", "instance": instance_b,
            "capabilities": ["rover_link"]})
    );

    let offer = json!({"kind": "offer", "sdp": "v=0\r\n"});
    a.say(signal("rover_b", offer.clone())).await;
    assert_eq!(
        b.hear().await,
        json!({"type": "signal", "from": "rover_a", "instance": instance_a, "body": offer})
    );

    b.socket.close(None).await.expect("a polite end");
    let answer = patiently("the answer", b.socket.next()).await;
    assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
    assert_eq!(a.hear().await, json!({"type": "peer_left", "rover_id": "rover_b"}));
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_no_rover_would_understand_are_relayed_as_they_are() {
    let server = TestServer::start(ServerOptions::default()).await;
    let (mut a, mut b) = (server.join("rover_a").await, server.join("rover_b").await);
    a.hear().await;
    for body in
        [json!(null), json!("text"), json!([1, {"kind": 7}]), json!({"future": {"é": "\u{0}"}})]
    {
        a.say(signal("rover_b", body.clone())).await;
        assert_eq!(b.hear().await["body"], body);
    }
}

#[tokio::test]
async fn a_signal_to_nobody_is_answered_and_the_member_stays() {
    let server = TestServer::start(ServerOptions::default()).await;
    let mut a = server.join("rover_a").await;
    a.say(signal("rover_x", json!({}))).await;
    let error = a.hear().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unknown_peer")));
    server.join("rover_b").await;
    assert_eq!(a.hear().await["type"], "peer_joined");
}

#[tokio::test]
async fn only_the_right_token_is_admitted() {
    let server = TestServer::start(with_token()).await;
    assert_eq!(status(connect_with(&server.url(), &[PROTOCOL]).await), 401);
    for wrong in ["Bearer s3cre", "Bearer ", "Basic s3cret", "s3cret"] {
        assert_eq!(
            status(connect_with(&server.url(), &[PROTOCOL, ("authorization", wrong)]).await),
            401
        );
    }
    let right = [PROTOCOL, ("authorization", "Bearer s3cret")];
    let mut member = connect_with(&server.url(), &right).await.expect("admitted");
    member.say(hello("rover_a", Uuid::new_v4())).await;
    assert_eq!(member.hear().await["type"], "welcome");
}

#[tokio::test]
async fn without_a_token_only_loopback_addresses_are_bound() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let address = address.parse().expect("an address");
        let refused = server::bind(address, &ServerOptions::default()).await;
        assert!(matches!(refused, Err(ServerError::Unprotected(at)) if at == address));
    }
    let any = "0.0.0.0:0".parse().expect("an address");
    assert!(server::bind(any, &with_token()).await.is_ok());
}

#[tokio::test]
async fn a_client_that_does_not_offer_the_subprotocol_is_refused() {
    let server = TestServer::start(ServerOptions::default()).await;
    assert_eq!(status(connect_with(&server.url(), &[]).await), 400);
    let another = ("sec-websocket-protocol", "rover-link.v2");
    assert_eq!(status(connect_with(&server.url(), &[another]).await), 400);
    let among_others = ("sec-websocket-protocol", "chat, rover-link.v1");
    assert!(connect_with(&server.url(), &[among_others]).await.is_ok());
}

#[tokio::test]
async fn plain_http_gets_health_and_honest_statuses() {
    let server = TestServer::start(with_token()).await;
    let health = server.http("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    assert!(health.ends_with("\r\n\r\nok\n"), "{health}");
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "426"),
        ("GET /admin HTTP/1.1\r\n\r\n", "404"),
        ("DELETE / HTTP/1.1\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let response = server.http(request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {response}");
    }
}

#[tokio::test]
async fn what_is_not_the_protocol_is_refused_and_the_server_lives() {
    let server = TestServer::start(ServerOptions::default()).await;
    let refusal = async |message: Message| {
        let mut member = server.connect().await;
        member.say_raw(message).await;
        member.hear_refusal().await
    };
    let id = Uuid::new_v4();
    for text in
        ["", "hello", "{", "[]", "{\"type\":\"howdy\"}", &signal("rover_b", json!({})).to_string()]
    {
        assert_eq!(refusal(Message::text(text)).await, "bad_message", "{text}");
    }
    assert_eq!(refusal(Message::text(hello("Rover A", id).to_string())).await, "bad_message");
    assert_eq!(refusal(Message::binary(hello("rover_a", id).to_string())).await, "bad_message");
    let mut future = hello("rover_a", id);
    future["version"] = json!(2);
    assert_eq!(refusal(Message::text(future.to_string())).await, "version");

    let mut member = server.join("rover_a").await;
    member.say(hello("rover_a", id)).await;
    assert_eq!(member.hear_refusal().await, "bad_message");
    server.join("rover_a").await;
}

#[tokio::test]
async fn a_message_may_be_as_long_as_the_limit_and_not_a_byte_longer() {
    let server = TestServer::start(ServerOptions::default()).await;
    let (mut a, mut b) = (server.join("rover_a").await, server.join("rover_b").await);
    a.hear().await;
    let around = signal("rover_b", json!("")).to_string().len();
    a.say(signal("rover_b", json!("x".repeat(MAX_MESSAGE_BYTES - around)))).await;
    assert_eq!(b.hear().await["type"], "signal");
    a.say(signal("rover_b", json!("x".repeat(MAX_MESSAGE_BYTES - around + 1)))).await;
    assert_eq!(a.hear_refusal().await, "too_large");
    assert_eq!(b.hear().await, json!({"type": "peer_left", "rover_id": "rover_a"}));
}

#[tokio::test]
async fn a_message_of_many_megabytes_is_refused_before_it_is_there() {
    let server = TestServer::start(ServerOptions::default()).await;
    let (mut sink, mut stream) = server.join("rover_a").await.socket.split();
    let sending = tokio::spawn(async move {
        // The server stops reading at some point; what becomes of the rest does not matter.
        let _ = sink.send(Message::text("x".repeat(64 * 1024 * 1024))).await;
    });
    let Some(Ok(Message::Text(text))) = patiently("the refusal", stream.next()).await else {
        panic!("no refusal");
    };
    let error: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(error["code"], "too_large");
    patiently("the end of the sending", sending).await.expect("no panic");
    server.join("rover_a").await;
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_closed_before_and_after_the_upgrade() {
    let hello_timeout = Duration::from_millis(200);
    let options = ServerOptions { hello_timeout, ..ServerOptions::default() };
    let server = TestServer::start(options).await;
    let upgraded = server.connect().await;
    let mut raw = TcpStream::connect(server.address).await.expect("a connection");
    assert_eq!(upgraded.hear_refusal().await, "bad_message");
    let read = patiently("the end", raw.read_u8()).await;
    assert!(read.is_err(), "the server said something: {read:?}");
}

#[tokio::test]
async fn a_member_that_answers_no_ping_is_taken_for_gone() {
    let options = ServerOptions {
        ping_interval: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(200),
        ..ServerOptions::default()
    };
    let server = TestServer::start(options).await;
    let mut a = server.join("rover_a").await;
    // Nobody reads this socket, so nothing answers its pings.
    let _frozen = server.join("rover_b").await;
    assert_eq!(a.hear().await["type"], "peer_joined");
    assert_eq!(a.hear().await, json!({"type": "peer_left", "rover_id": "rover_b"}));
}

#[tokio::test]
async fn too_many_messages_are_dropped_with_an_error_and_the_member_stays() {
    let server = TestServer::start(ServerOptions::default()).await;
    let (mut a, mut b) = (server.join("rover_a").await, server.join("rover_b").await);
    a.hear().await;
    let total = 4 * MEMBER_RATE;
    for number in 0..total {
        a.say(signal("rover_b", json!(number))).await;
    }
    // A signal to nobody marks the end of the answers, once the rate lets it pass.
    let mut dropped = 0;
    loop {
        a.say(signal("rover_x", json!({}))).await;
        let error = a.hear().await;
        match error["code"].as_str() {
            Some("rate_limited") => dropped += 1,
            Some("unknown_peer") => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(dropped > MEMBER_RATE, "only {dropped} of {total} were dropped");
    // The first ones, up to the limit, have all passed.
    for number in 0..MEMBER_RATE {
        assert_eq!(b.hear().await["body"], number);
    }
}

#[tokio::test]
async fn a_slow_reader_is_disconnected_and_nobody_waits_for_it() {
    let options = ServerOptions {
        queue_bytes: 256 * 1024,
        // Only the queue may end it here.
        ping_interval: Duration::from_secs(600),
        idle_timeout: Duration::from_secs(600),
        ..ServerOptions::default()
    };
    let server = TestServer::start(options).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let stream = socket.connect(server.address).await.expect("a connection");
    let mut request = server.url().into_client_request().expect("a request");
    request.headers_mut().insert(PROTOCOL.0, PROTOCOL.1.parse().expect("a header"));
    let (socket, _) = client_async(request, stream).await.expect("an upgrade");
    let mut slow = Member { socket };
    slow.say(hello("slow", Uuid::new_v4())).await;
    assert_eq!(slow.hear().await["type"], "welcome");

    let mut healthy = server.join("healthy").await;
    let body = json!("x".repeat(60_000));
    let mut talkers = Vec::new();
    for number in 0..8 {
        let mut talker = server.join(&format!("talker_{number}")).await;
        for _ in 0..MEMBER_RATE - 2 {
            talker.say(signal("slow", body.clone())).await;
        }
        talker.say(signal("healthy", json!(number))).await;
        talkers.push(talker);
    }
    let (mut heard, mut has_left) = (0, false);
    while heard < 8 || !has_left {
        let message = healthy.hear().await;
        match message["type"].as_str() {
            Some("signal") => heard += 1,
            Some("peer_left") => has_left = message["rover_id"] == "slow",
            _ => assert_eq!(message["type"], "peer_joined"),
        }
    }
}

#[tokio::test]
async fn a_restarted_rover_takes_the_place_of_its_dead_instance() {
    let server = TestServer::start(ServerOptions::default()).await;
    let mut b = server.join("rover_b").await;
    // Nobody reads this socket, so nothing answers the ping that decides.
    let _dead = server.join("rover_a").await;
    assert_eq!(b.hear().await["type"], "peer_joined");

    let instance = Uuid::new_v4();
    let mut restarted = server.connect().await;
    restarted.say(hello("rover_a", instance)).await;
    assert_eq!(restarted.hear().await["type"], "welcome");
    assert_eq!(b.hear().await, json!({"type": "peer_left", "rover_id": "rover_a"}));
    assert_eq!(b.hear().await["instance"], json!(instance));
}

#[tokio::test]
async fn a_second_rover_of_the_same_name_is_refused_while_the_first_lives() {
    let server = TestServer::start(ServerOptions::default()).await;
    let mut first = server.join("rover_a").await;
    let mut second = server.connect().await;
    second.say(hello("rover_a", Uuid::new_v4())).await;
    let first = tokio::spawn(async move {
        let message = first.hear().await;
        (first, message)
    });
    assert_eq!(second.hear_refusal().await, "id_in_use");

    // The first has noticed nothing: the next that it hears is somebody else.
    server.join("rover_b").await;
    let (_first, message) = patiently("the first", first).await.expect("no panic");
    assert_eq!(
        (&message["type"], &message["rover_id"]),
        (&json!("peer_joined"), &json!("rover_b"))
    );
}

#[tokio::test]
async fn a_rover_that_reconnects_replaces_its_old_connection_at_once() {
    let server = TestServer::start(ServerOptions::default()).await;
    let mut b = server.join("rover_b").await;
    let instance = Uuid::new_v4();
    let mut old = server.connect().await;
    old.say(hello("rover_a", instance)).await;
    assert_eq!(old.hear().await["type"], "welcome");
    assert_eq!(b.hear().await["type"], "peer_joined");

    let mut new = server.connect().await;
    new.say(hello("rover_a", instance)).await;
    assert_eq!(new.hear().await["type"], "welcome");
    old.hear_end().await;

    b.say(signal("rover_a", json!("still there?"))).await;
    assert_eq!(new.hear().await["body"], "still there?");
    new.say(signal("rover_b", json!("yes"))).await;
    let answer = b.hear().await;
    assert_eq!((&answer["type"], &answer["instance"]), (&json!("signal"), &json!(instance)));
}

#[tokio::test]
async fn more_connections_than_the_limit_are_refused_until_one_ends() {
    let options = ServerOptions { max_connections: 2, ..ServerOptions::default() };
    let server = TestServer::start(options).await;
    let mut a = server.join("rover_a").await;
    let b = server.join("rover_b").await;
    a.hear().await;
    assert!(connect_with(&server.url(), &[PROTOCOL]).await.is_err());
    drop(b);
    assert_eq!(a.hear().await["type"], "peer_left");
    patiently("a free place", async {
        while connect_with(&server.url(), &[PROTOCOL]).await.is_err() {}
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye() {
    let server = TestServer::start(ServerOptions::default()).await;
    let mut a = server.join("rover_a").await;
    let stopping = tokio::spawn(server.stop());
    let Some(Ok(Message::Close(Some(frame)))) = patiently("the close", a.socket.next()).await
    else {
        panic!("no close");
    };
    assert_eq!(u16::from(frame.code), 1001);
    drop(a);
    patiently("the server", stopping).await.expect("no panic");
}
