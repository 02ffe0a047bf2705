//! The signaling server: the loop that moves bytes and time for the [`Registry`].
//!
//! One task owns the registry; each connection is a task of its own. Between them run bounded
//! queues: a fast talker waits, and a reader that is too slow for its queue is disconnected, so
//! that nobody waits for anybody else.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, stream};
use log::{debug, error, info, warn};
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id as TaskId, JoinError, JoinSet};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::connection::{self, Incoming, Outbox, Outgoing};
use super::ice_offer::IceOffer;
use super::message::{ErrorCode, ServerMessage};
use super::registry::{ConnectionId, HELLO_TIMEOUT, Output, Registry};
use super::token::Token;

/// Where the server listens unless told otherwise.
pub const DEFAULT_BIND: &str = "127.0.0.1:3001";

/// Events that wait for the loop. Each has at most 64 KiB; when they are full, connections wait.
const QUEUE_EVENTS: usize = 256;
/// Events that are handled together. When many members join at once, each of them then gets the
/// news of several in one write, and the work grows less than with their square.
const BATCH_EVENTS: usize = 64;
/// Pause after a connection could not be accepted, as when the process has no file left: time for
/// others to end, and no busy loop meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a stopping server waits for its connections to close; a clean stop takes below 1 s.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// How the server treats its clients.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// What a client must present; with `None` everybody is welcome.
    pub token: Option<Token>,
    /// TURN servers that members are told of.
    pub ice_offer: Option<IceOffer>,
    /// Time for the HTTP request, and again for the hello.
    pub hello_timeout: Duration,
    /// Time between WebSocket pings. Below the 30 s after which the strictest NATs forget a
    /// connection, and short, so that the fleet soon hears of a rover that vanished.
    pub ping_interval: Duration,
    /// Time without a sign of life, or without progress in writing, until a connection is closed.
    /// Three pings, as cellular links stand still for some seconds.
    pub idle_timeout: Duration,
    /// Most connections at once.
    pub max_connections: usize,
    /// Most bytes that may wait for one connection beyond what the kernel buffers. Sixteen of the
    /// largest messages, or the presence of some thousand members that join at once.
    pub queue_bytes: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            token: None,
            ice_offer: None,
            hello_timeout: HELLO_TIMEOUT,
            ping_interval: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            max_connections: 4096,
            queue_bytes: 1024 * 1024,
        }
    }
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Without a token, everybody who reaches the address could join any fleet.
    #[error(
        "no token is configured, so {0} is refused: set a token, or bind a loopback address such \
         as {DEFAULT_BIND}"
    )]
    Unprotected(SocketAddr),
    /// The address is in use, is not of this machine, or needs more rights.
    #[error("cannot bind {address}: {source}")]
    Bind {
        /// What was to be bound.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens on `address` (port 0: any that is free).
///
/// # Errors
/// [`ServerError::Unprotected`] for an address that others can reach when there is no token,
/// [`ServerError::Bind`] when the system does not let it have the address.
pub async fn bind(
    address: SocketAddr,
    options: &ServerOptions,
) -> Result<TcpListener, ServerError> {
    if options.token.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(ServerError::Unprotected(address));
    }
    TcpListener::bind(address).await.map_err(|source| ServerError::Bind { address, source })
}

/// Serves until `shutdown` completes, then closes all connections.
pub async fn run(
    listener: TcpListener,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) {
    let (events, mut arriving) = mpsc::channel(QUEUE_EVENTS);
    let mut server = Server {
        registry: Registry::new(options.hello_timeout, options.ice_offer.clone()),
        options: Arc::new(options),
        events,
        tasks: JoinSet::new(),
        connections: HashMap::new(),
        accepted: 0,
        is_full: false,
    };
    let mut accepting = pin!(accept(listener));
    let mut shutdown = pin!(shutdown);
    let mut batch = Vec::with_capacity(BATCH_EVENTS);
    loop {
        server.carry_out();
        let deadline = server.registry.poll_timeout();
        let wake_up = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(stream) = accepting.next() => server.open(stream),
            _ = arriving.recv_many(&mut batch, BATCH_EVENTS) => {
                for (connection, event) in batch.drain(..) {
                    server.handle_event(connection, event);
                }
            }
            Some(ended) = server.tasks.join_next_with_id() => server.handle_end(ended),
            () = wake_up => server.registry.handle_timeout(Instant::now()),
        }
    }
    drop(arriving);
    server.stop().await;
}

fn accept(listener: TcpListener) -> impl Stream<Item = TcpStream> {
    stream::unfold(listener, |listener| async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, listener)),
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

struct Server {
    registry: Registry,
    options: Arc<ServerOptions>,
    events: mpsc::Sender<(ConnectionId, Incoming)>,
    tasks: JoinSet<()>,
    connections: HashMap<ConnectionId, Connection>,
    accepted: u64,
    is_full: bool,
}

struct Connection {
    outbox: Outbox,
    task: AbortHandle,
}

impl Server {
    fn open(&mut self, stream: TcpStream) {
        let is_full = self.tasks.len() >= self.options.max_connections;
        if is_full && !self.is_full {
            warn!("{} connections: more are refused", self.tasks.len());
        }
        self.is_full = is_full;
        if is_full {
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            debug!("a connection ended at once: {error}");
            return;
        }
        self.accepted += 1;
        let connection = ConnectionId(self.accepted);
        let (outbox, waiting) = connection::outbox(self.options.queue_bytes);
        let (options, events) = (Arc::clone(&self.options), self.events.clone());
        let task = self.tasks.spawn(connection::run(stream, connection, options, events, waiting));
        self.connections.insert(connection, Connection { outbox, task });
    }

    fn handle_event(&mut self, connection: ConnectionId, event: Incoming) {
        let now = Instant::now();
        match event {
            Incoming::Opened => self.registry.handle_open(connection, now),
            Incoming::Text(text) => self.registry.handle_text(connection, &text, now),
            Incoming::Invalid(code, reason) => {
                self.registry.handle_invalid(connection, code, reason, now);
            }
            Incoming::Pong => self.registry.handle_pong(connection, now),
            Incoming::Closed => {
                self.registry.handle_close(connection, now);
                self.connections.remove(&connection);
            }
        }
    }

    /// A task that ended by itself has said so; one that was aborted is forgotten already.
    fn handle_end(&mut self, ended: Result<(TaskId, ()), JoinError>) {
        let Err(error) = ended else { return };
        let task = error.id();
        let found = self.connections.iter().find(|(_, connection)| connection.task.id() == task);
        if let Some((&connection, _)) = found {
            error!("connection {}: {error}", connection.0);
            self.connections.remove(&connection);
            self.registry.handle_close(connection, Instant::now());
        }
    }

    /// Does what the registry wants.
    fn carry_out(&mut self) {
        while let Some(output) = self.registry.poll_output() {
            match output {
                Output::Send { to, message } => {
                    if let Some(text) = encode(&message) {
                        for connection in to {
                            self.push(connection, Outgoing::Text(text.clone()));
                        }
                    }
                }
                Output::Ping(connection) => self.push(connection, Outgoing::Ping),
                Output::Close { connection, code } => {
                    self.push(connection, Outgoing::Close(close_frame(code)));
                    // The queue ends with the close; the task ends when it has written it.
                    self.connections.remove(&connection);
                }
            }
        }
    }

    fn push(&mut self, connection: ConnectionId, outgoing: Outgoing) {
        let Some(Connection { outbox, task }) = self.connections.get(&connection) else { return };
        if outbox.push(outgoing).is_err() {
            warn!("connection {}: disconnected, as it reads too slowly", connection.0);
            task.abort();
            self.connections.remove(&connection);
            self.registry.handle_close(connection, Instant::now());
        }
    }

    async fn stop(mut self) {
        info!("stopping with {} connections", self.tasks.len());
        for (_, Connection { outbox, task }) in self.connections.drain() {
            let reason = "the server stops".into();
            if outbox.push(Outgoing::Close(CloseFrame { code: CloseCode::Away, reason })).is_err() {
                task.abort();
            }
        }
        let closing = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(STOP_TIMEOUT, closing).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

fn encode(message: &ServerMessage<Box<RawValue>>) -> Option<Utf8Bytes> {
    match serde_json::to_string(message) {
        Ok(text) => Some(text.into()),
        Err(error) => {
            error!("a message cannot be written as JSON: {error}");
            None
        }
    }
}

fn close_frame(code: Option<ErrorCode>) -> CloseFrame {
    let close = match code {
        None => CloseCode::Normal,
        Some(ErrorCode::TooLarge) => CloseCode::Size,
        Some(_) => CloseCode::Policy,
    };
    let reason = match code {
        None => "replaced by another connection of this rover".into(),
        Some(code) => code.to_string().into(),
    };
    CloseFrame { code: close, reason }
}
