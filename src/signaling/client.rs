//! A rover's end of the signaling: says hello, passes signals, and comes back by itself whenever
//! the connection breaks.
//!
//! [`spawn`] starts one task. Two bounded queues lead to it and from it; what is said while there is
//! no connection is dropped, as it would be stale by the time of the next welcome. After each
//! [`ClientEvent::Welcome`] the sessions that are not up yet have to be negotiated anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use log::{debug, info, warn};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use uuid::Uuid;

use super::backoff::{Backoff, jittered};
use super::bucket::Bucket;
use super::endpoint::{Endpoint, WebSocket};
use super::id::{Id, IdError};
use super::message::{
    Body, ClientMessage, ErrorCode, Hello, IceServer, MAX_MESSAGE_BYTES, PROTOCOL_VERSION, Peer,
    ServerMessage,
};
use super::registry::MEMBER_RATE;
use super::token::TokenError;

/// Time for TCP, TLS and the upgrade together: some round trips over a bad cellular link.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time without a sign of life after which the server is given up. Four of its pings.
const DEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for an answer where there is reason to doubt that the server still hears us.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// After an attempt that lasted this long, which is longer than connecting may take, delays start
/// from the shortest again: the connection was good, not one that breaks each time.
const GOOD_DURATION: Duration = Duration::from_secs(10);
/// Time to the next attempt after the server has refused: a person has to put that right.
const REFUSED_DELAY: Duration = Duration::from_secs(10);
/// The kernel asks again within so long: an attempt that began just before the network was there
/// succeeds by itself.
const FRESH_DURATION: Duration = Duration::from_secs(1);
/// Between the end of one attempt and the beginning of the next.
const LEAST_DELAY: Duration = Duration::from_millis(100);
/// Signals sent at once before they are spread over time. Half of what the server admits, so that
/// signals that the network has pushed together still pass.
const SEND_BURST: f64 = MEMBER_RATE as f64 / 2.0;
/// Signals that wait to be sent. Enough to greet 30 peers with an offer and candidates each.
const QUEUE_SIGNALS: usize = 256;
/// Events that wait to be taken. When they are full, the server's messages wait in the socket.
const QUEUE_EVENTS: usize = 256;

/// Which server, and as whom.
#[derive(Clone)]
pub struct ClientOptions {
    /// `ws://` or `wss://` address of the server; `wss://` trusts the system's root certificates.
    pub url: String,
    /// The server's bearer token.
    pub token: Option<String>,
    /// The fleet to join.
    pub fleet: String,
    /// The rover's name in it.
    pub rover_id: String,
    /// This start of the program.
    pub instance: Uuid,
    /// What this member can do.
    pub capabilities: Vec<String>,
}

/// What the configuration got wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not an address of a signaling server.
    #[error("`{0}` is no signaling URL; write it as `ws://HOST:PORT` or `wss://HOST`")]
    Url(String),
    /// The `rover_id` is not an id.
    #[error("rover_id: {0}")]
    RoverId(#[source] IdError),
    /// The fleet's name is not an id.
    #[error("fleet: {0}")]
    Fleet(#[source] IdError),
    /// The token cannot be sent.
    #[error("signaling token: {0}")]
    Token(#[from] TokenError),
    /// `wss://` cannot be used on this machine.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// `wss://` cannot be trusted on this machine.
    #[error("no root certificate is installed, so no `wss://` server can be trusted")]
    NoRootCertificates,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The rover is a member now, for the first time or again.
    Welcome {
        /// The other members.
        peers: Vec<Peer>,
        /// STUN and TURN servers that the operator of the signaling server offers.
        ice_servers: Vec<IceServer>,
    },
    /// What the welcome said of STUN and TURN servers no longer holds: this does.
    IceServers(Vec<IceServer>),
    /// Another member came, or came back as another instance.
    PeerJoined(Peer),
    /// Another member went.
    PeerLeft {
        /// Who went.
        rover_id: Id,
    },
    /// Another member says something.
    Signal {
        /// Who says it.
        from: Id,
        /// Which start of its program.
        instance: Uuid,
        /// What it says.
        body: Body,
    },
    /// The connection broke, or could not be made. Reported once until the next change.
    Disconnected {
        /// Why, for people.
        reason: String,
    },
    /// The server does not want this client. It is asked again, slowly; reported once until the
    /// next change.
    Refused {
        /// Why, for programs.
        refusal: Refusal,
        /// Why, for people.
        text: String,
    },
}

/// How the server refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// By an HTTP status; 401 is a wrong or missing token.
    #[error("HTTP status {0}")]
    Http(u16),
    /// By an error of the protocol.
    #[error("{0}")]
    Protocol(ErrorCode),
}

/// The way to the client's task. Dropping it ends the task and the membership.
#[derive(Debug)]
pub struct ClientHandle {
    signals: mpsc::Sender<(Id, Body)>,
    doubt: Arc<Notify>,
    task: AbortHandle,
}

impl ClientHandle {
    /// Says something to another member, without waiting. It is dropped, with a line in the log,
    /// when there is no connection or when too much waits already.
    pub fn send(&self, to: &str, body: Body) {
        match to.parse() {
            Ok(to) => {
                if self.signals.try_send((to, body)).is_err() {
                    warn!("signal dropped, as {QUEUE_SIGNALS} wait already");
                }
            }
            Err(error) => warn!("signal dropped: {error}"),
        }
    }

    /// The network has changed, or the machine was suspended. A connection is given up if the server
    /// does not answer soon; where there is none, the next attempt follows at once.
    pub fn check(&self) {
        self.doubt.notify_one();
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the client on the current tokio runtime.
///
/// # Errors
/// [`ClientError`], when the options cannot work whatever the network does.
///
/// # Panics
/// Outside a tokio runtime.
pub fn spawn(
    options: ClientOptions,
) -> Result<(ClientHandle, mpsc::Receiver<ClientEvent>), ClientError> {
    let server = Endpoint::new(&options.url, options.token.as_deref())?;
    let hello = Hello {
        version: PROTOCOL_VERSION,
        fleet: options.fleet.parse().map_err(ClientError::Fleet)?,
        rover_id: options.rover_id.parse().map_err(ClientError::RoverId)?,
        instance: options.instance,
        capabilities: options.capabilities,
    };
    let (signal_sender, signals) = mpsc::channel(QUEUE_SIGNALS);
    let (events, event_receiver) = mpsc::channel(QUEUE_EVENTS);
    let doubt = Arc::new(Notify::new());
    let status = Status::Starting;
    let client = Client { server, hello, signals, doubt: Arc::clone(&doubt), events, status };
    let task = tokio::spawn(client.run()).abort_handle();
    Ok((ClientHandle { signals: signal_sender, doubt, task }, event_receiver))
}

/// What was reported last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Starting,
    Member,
    Disconnected,
    Refused(Refusal),
}

/// Why a connection ended.
enum End {
    Lost(String),
    Refused(Refusal, String),
    /// Nobody takes the events any more.
    Unwanted,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        // A proxy answers 5xx while the server behind it restarts.
        if let Error::Http(response) = &error
            && !response.status().is_server_error()
        {
            let body = response.body().as_deref().unwrap_or_default();
            let text = String::from_utf8_lossy(body).trim().to_owned();
            return Self::Refused(Refusal::Http(response.status().as_u16()), text);
        }
        Self::Lost(error.to_string())
    }
}

struct Client {
    server: Endpoint,
    hello: Hello,
    signals: mpsc::Receiver<(Id, Body)>,
    doubt: Arc<Notify>,
    events: mpsc::Sender<ClientEvent>,
    status: Status,
}

impl Client {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let started = Instant::now();
            let connecting = timeout(CONNECT_TIMEOUT, self.server.connect());
            let connected = tokio::select! {
                connected = connecting => connected,
                // What began before the network was there waits for longer and longer.
                () = self.hopeless(started) => continue,
            };
            let end = match connected {
                Ok(Ok(socket)) => self.converse(socket).await,
                Ok(Err(error)) => End::from(error),
                Err(_) => End::Lost(String::from("the server does not answer")),
            };
            if started.elapsed() > GOOD_DURATION {
                backoff = Backoff::new();
            }
            let (status, event, delay) = match end {
                End::Lost(reason) => {
                    debug!("{}: not connected: {reason}", self.server);
                    let event = ClientEvent::Disconnected { reason };
                    (Status::Disconnected, event, backoff.delay(fastrand::f64()))
                }
                End::Refused(refusal, text) => {
                    let event = ClientEvent::Refused { refusal, text };
                    (Status::Refused(refusal), event, jittered(REFUSED_DELAY, fastrand::f64()))
                }
                End::Unwanted => return,
            };
            if self.status != status {
                self.status = status;
                if self.events.send(event).await.is_err() {
                    return;
                }
            }
            // Attempts begin so far apart, however long each takes to fail.
            let delay = delay.saturating_sub(started.elapsed()).max(LEAST_DELAY);
            if timeout(delay, self.doubt.notified()).await.is_ok() {
                backoff = Backoff::new();
                sleep(backoff.delay(fastrand::f64())).await;
            }
        }
    }

    /// Returns when the network changes though an attempt is old: a fresh one may do better.
    async fn hopeless(&self, started: Instant) {
        loop {
            self.doubt.notified().await;
            if started.elapsed() > FRESH_DURATION {
                return;
            }
        }
    }

    /// From the hello until the connection ends.
    async fn converse(&mut self, mut socket: WebSocket) -> End {
        if let Err(end) = send(&mut socket, &ClientMessage::Hello(self.hello.clone())).await {
            return end;
        }
        let mut pace = Bucket::new(f64::from(MEMBER_RATE), SEND_BURST, Instant::now());
        let mut patience = DEAD_TIMEOUT;
        loop {
            let progress = tokio::select! {
                frame = timeout(patience, socket.next()) => match frame {
                    Ok(frame) => {
                        patience = DEAD_TIMEOUT;
                        self.handle_frame(frame).await
                    }
                    Err(_) => Err(End::Lost(String::from("the server has fallen silent"))),
                },
                () = self.doubt.notified() => {
                    patience = CHECK_TIMEOUT;
                    write(&mut socket, Message::Ping(Bytes::new())).await
                }
                Some((to, body)) = self.signals.recv(), if self.status == Status::Member => {
                    while let Err(wait) = pace.take(Instant::now()) {
                        sleep(wait).await;
                    }
                    send(&mut socket, &ClientMessage::Signal { to, body }).await
                }
            };
            if let Err(end) = progress {
                return end;
            }
        }
    }

    async fn handle_frame(&mut self, frame: Option<Result<Message, Error>>) -> Result<(), End> {
        match frame {
            Some(Ok(Message::Text(text))) => self.handle_text(&text).await,
            // A ping is a sign of life; the library sends the pong.
            Some(Ok(
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
            )) => Ok(()),
            Some(Ok(Message::Close(Some(frame)))) => {
                Err(End::Lost(format!("closed by the server: {}", frame.reason)))
            }
            Some(Ok(Message::Close(None))) | None => {
                Err(End::Lost(String::from("closed by the server")))
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// What this version does not know is left out: the server may be newer, and so may the peers.
    async fn handle_text(&mut self, text: &str) -> Result<(), End> {
        let message = match serde_json::from_str::<ServerMessage<serde_json::Value>>(text) {
            Ok(message) => message,
            Err(error) => {
                debug!("{}: not understood: {error}", self.server);
                return Ok(());
            }
        };
        let event = match message {
            ServerMessage::Welcome { peers, ice_servers } => {
                info!("{}: connected, {} other members", self.server, peers.len());
                self.status = Status::Member;
                self.drop_stale_signals();
                ClientEvent::Welcome { peers, ice_servers }
            }
            ServerMessage::IceServers { ice_servers } => ClientEvent::IceServers(ice_servers),
            ServerMessage::PeerJoined(peer) => ClientEvent::PeerJoined(peer),
            ServerMessage::PeerLeft { rover_id } => ClientEvent::PeerLeft { rover_id },
            ServerMessage::Signal { from, instance, body } => match serde_json::from_value(body) {
                Ok(body) => ClientEvent::Signal { from, instance, body },
                Err(error) => {
                    debug!("{from}: signal not understood: {error}");
                    return Ok(());
                }
            },
            ServerMessage::Error { code, message } if code.is_fatal() => {
                return Err(End::Refused(Refusal::Protocol(code), message));
            }
            ServerMessage::Error { code, message } => {
                debug!("{}: signal dropped by the server: {code}: {message}", self.server);
                return Ok(());
            }
        };
        self.events.send(event).await.map_err(|_| End::Unwanted)
    }

    fn drop_stale_signals(&mut self) {
        while let Ok((to, _)) = self.signals.try_recv() {
            debug!("{to}: signal dropped, it was said while there was no connection");
        }
    }
}

async fn send(socket: &mut WebSocket, message: &ClientMessage) -> Result<(), End> {
    let text = match serde_json::to_string(message) {
        Ok(text) if text.len() <= MAX_MESSAGE_BYTES => text,
        Ok(text) => {
            warn!("signal dropped: {} bytes, the server takes {MAX_MESSAGE_BYTES}", text.len());
            return Ok(());
        }
        Err(error) => {
            warn!("signal dropped: {error}");
            return Ok(());
        }
    };
    write(socket, Message::text(text)).await
}

async fn write(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match timeout(DEAD_TIMEOUT, socket.send(message)).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(End::Lost(String::from("the server takes no more data"))),
    }
}
