//! A server on a free port, and a member that says exactly what a test wants it to say.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use rover_link::signaling::message::SUBPROTOCOL;
use rover_link::signaling::server::{self, ServerOptions};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use uuid::Uuid;

/// For everything that has to happen, on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start(options: ServerOptions) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), options).await
    }

    pub(crate) async fn start_at(address: SocketAddr, options: ServerOptions) -> Self {
        let listener = server::bind(address, &options).await.expect("an address that is free");
        let address = listener.local_addr().expect("the address");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server::run(listener, options, async {
            // A dropped sender stops the server too.
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        patiently("the server to stop", self.task).await.expect("no panic in the server");
    }

    pub(crate) async fn connect(&self) -> Member {
        connect(&self.url()).await
    }

    /// A new instance of a rover that has been welcomed.
    pub(crate) async fn join(&self, rover_id: &str) -> Member {
        let mut member = self.connect().await;
        member.say(hello(rover_id, Uuid::new_v4())).await;
        assert_eq!(member.hear().await["type"], "welcome");
        member
    }

    /// The answer to a plain HTTP request.
    pub(crate) async fn http(&self, request: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("the request is sent");
        let mut response = String::new();
        patiently("the response", stream.read_to_string(&mut response)).await.expect("a response");
        response
    }
}

pub(crate) const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", SUBPROTOCOL);

pub(crate) async fn connect(url: &str) -> Member {
    connect_with(url, &[PROTOCOL]).await.expect("a connection")
}

/// Connects with just these headers beside what makes a WebSocket handshake.
pub(crate) async fn connect_with(
    url: &str,
    headers: &[(&'static str, &str)],
) -> Result<Member, Error> {
    let mut request = url.into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().expect("a header"));
    }
    let address = request.uri().authority().expect("an address").as_str();
    let stream = TcpStream::connect(address).await?;
    let (socket, response) = patiently("the upgrade", client_async(request, stream)).await?;
    let agreed = response.headers().get(PROTOCOL.0).map(|agreed| agreed.as_bytes());
    assert_eq!(agreed, Some(SUBPROTOCOL.as_bytes()));
    Ok(Member { socket })
}

pub(crate) fn hello(rover_id: &str, instance: Uuid) -> Value {
    json!({"type": "hello", "version": 1, "fleet": "default", "rover_id": rover_id,
        "instance": instance, "capabilities": ["rover_link"]})
}

pub(crate) fn signal(to: &str, body: Value) -> Value {
    json!({"type": "signal", "to": to, "body": body})
}

pub(crate) struct Member {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Member {
    pub(crate) async fn say(&mut self, message: Value) {
        self.say_raw(Message::text(message.to_string())).await;
    }

    pub(crate) async fn say_raw(&mut self, message: Message) {
        patiently("a message to be taken", self.socket.send(message)).await.expect("a connection");
    }

    /// The next message; pings are answered on the way.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match patiently("a message", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).expect("JSON");
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no message but {other:?}"),
            }
        }
    }

    /// Expects an error and then the end.
    pub(crate) async fn hear_refusal(mut self) -> String {
        let error = self.hear().await;
        assert_eq!(error["type"], "error", "{error}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        self.hear_end().await;
        error["code"].as_str().expect("a code").to_owned()
    }

    /// Expects nothing but the end; whether the close is polite does not matter.
    pub(crate) async fn hear_end(mut self) {
        loop {
            match patiently("the end", self.socket.next()).await {
                None | Some(Err(_)) => return,
                Some(Ok(Message::Close(_) | Message::Ping(_))) => {}
                Some(Ok(other)) => panic!("not the end but {other:?}"),
            }
        }
    }
}
