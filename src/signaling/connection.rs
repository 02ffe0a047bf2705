//! One connection to the signaling server: moves messages between a socket and the server's loop,
//! and notices when the other end is gone. It decides nothing about members.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use log::debug;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::bucket::Bucket;
use super::message::{ErrorCode, MAX_MESSAGE_BYTES};
use super::registry::ConnectionId;
use super::server::ServerOptions;
use super::upgrade::upgrade;

/// Buffer for what arrives and for what leaves, in bytes each. Most messages are smaller than
/// this; every connection has both, so that larger ones would cost 1,000 members dearly.
const BUFFER_BYTES: usize = 4 * 1024;
/// WebSocket frames per second that are read of one connection; the rest waits in the sender's
/// socket. Ten times what a member may send, so that it only ever slows a flood.
const FRAME_RATE: f64 = 500.0;
/// How long a closed connection is read on, so that the reason for the close is not lost in a
/// reset. A few round trips over a bad cellular link.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// Messages that may wait for one slow connection. What really bounds them is their bytes.
const QUEUE_MESSAGES: usize = 4096;
/// Messages that are written together.
const BATCH_MESSAGES: usize = 64;

type WebSocket = WebSocketStream<TcpStream>;

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum Incoming {
    /// It has become a WebSocket.
    Opened,
    Text(Utf8Bytes),
    Invalid(ErrorCode, &'static str),
    Pong,
    /// The last that is said of it.
    Closed,
}

/// What to do on a connection.
#[derive(Debug)]
pub(super) enum Outgoing {
    Text(Utf8Bytes),
    Ping,
    Close(CloseFrame),
}

impl Outgoing {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Ping | Self::Close(_) => 0,
        }
    }
}

/// More waits for a connection than it may.
#[derive(Debug)]
pub(super) struct Overflow;

/// The bounded queue to a connection: the end that is filled.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    waiting_bytes: Arc<AtomicUsize>,
    limit_bytes: usize,
}

/// The bounded queue to a connection: the end that is emptied.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: mpsc::Receiver<Outgoing>,
    bytes: Arc<AtomicUsize>,
}

/// A queue that takes `limit_bytes`, and one message of any size when it is empty.
pub(super) fn outbox(limit_bytes: usize) -> (Outbox, Waiting) {
    let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES);
    let bytes = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox { queue: sender, waiting_bytes: Arc::clone(&bytes), limit_bytes };
    (outbox, Waiting { queue: receiver, bytes })
}

impl Outbox {
    /// Queues without waiting. A connection that has ended meanwhile takes and loses everything.
    pub(super) fn push(&self, outgoing: Outgoing) -> Result<(), Overflow> {
        let bytes = outgoing.bytes();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > self.limit_bytes {
            return Err(Overflow);
        }
        match self.queue.try_send(outgoing) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Overflow),
        }
    }
}

/// Serves a connection from its first byte to its last.
pub(super) async fn run(
    mut stream: TcpStream,
    connection: ConnectionId,
    options: Arc<ServerOptions>,
    events: mpsc::Sender<(ConnectionId, Incoming)>,
    waiting: Waiting,
) {
    let request = upgrade(&mut stream, options.token.as_ref());
    match timeout(options.hello_timeout, request).await {
        Ok(Ok(Some(received))) => {
            let config = WebSocketConfig::default()
                .read_buffer_size(BUFFER_BYTES)
                .write_buffer_size(BUFFER_BYTES)
                .max_message_size(Some(MAX_MESSAGE_BYTES))
                .max_frame_size(Some(MAX_MESSAGE_BYTES));
            let socket =
                WebSocket::from_partially_read(stream, received, Role::Server, Some(config)).await;
            let mut line = Line { socket, connection, events: &events, waiting, options };
            line.serve().await;
            stream = line.socket.into_inner();
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => debug!("connection {}: {error}", connection.0),
        Err(_) => debug!("connection {}: no complete HTTP request in time", connection.0),
    }
    // Fails only when the server's loop has ended; then it needs to know nothing more.
    let _ = events.send((connection, Incoming::Closed)).await;
    linger(stream).await;
}

/// A connection that has become a WebSocket.
struct Line<'a> {
    socket: WebSocket,
    connection: ConnectionId,
    events: &'a mpsc::Sender<(ConnectionId, Incoming)>,
    waiting: Waiting,
    options: Arc<ServerOptions>,
}

/// Whether the connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Goes,
    Ends,
}

impl Line<'_> {
    async fn serve(&mut self) {
        self.report(Incoming::Opened).await;
        let period = self.options.ping_interval;
        let mut ping = interval_at(tokio::time::Instant::now() + period, period);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pace = Bucket::new(FRAME_RATE, FRAME_RATE, Instant::now());
        let mut heard = Instant::now();
        let mut is_readable = true;
        let mut batch = Vec::with_capacity(BATCH_MESSAGES);
        loop {
            let progress = tokio::select! {
                frame = self.socket.next(), if is_readable => {
                    heard = Instant::now();
                    while let Err(wait) = pace.take(Instant::now()) {
                        sleep(wait).await;
                    }
                    is_readable = matches!(frame, Some(Ok(_)));
                    self.handle_frame(frame).await
                }
                _ = self.waiting.queue.recv_many(&mut batch, BATCH_MESSAGES) => {
                    self.write(&mut batch).await
                }
                _ = ping.tick() => {
                    if heard.elapsed() > self.options.idle_timeout {
                        debug!("connection {}: silent for too long", self.connection.0);
                        return;
                    }
                    self.write(&mut vec![Outgoing::Ping]).await
                }
            };
            if progress == Progress::Ends {
                return;
            }
        }
    }

    /// After a message that is refused, nothing more is read; the server's loop answers with an
    /// error and a close.
    async fn handle_frame(&mut self, frame: Option<Result<Message, Error>>) -> Progress {
        let event = match frame {
            Some(Ok(Message::Text(text))) => Incoming::Text(text),
            Some(Ok(Message::Pong(_))) => Incoming::Pong,
            // The library answers pings and closes by itself when it is asked for the next frame.
            Some(Ok(Message::Ping(_) | Message::Close(_) | Message::Frame(_))) => {
                return Progress::Goes;
            }
            Some(Ok(Message::Binary(_))) => {
                Incoming::Invalid(ErrorCode::BadMessage, "messages are text, not binary")
            }
            Some(Err(Error::Capacity(_))) => {
                Incoming::Invalid(ErrorCode::TooLarge, "messages have at most 64 KiB")
            }
            Some(Err(Error::Utf8(_))) => Incoming::Invalid(ErrorCode::BadMessage, "not UTF-8"),
            Some(Err(error)) => {
                debug!("connection {}: {error}", self.connection.0);
                return Progress::Ends;
            }
            None => return Progress::Ends,
        };
        self.report(event).await;
        Progress::Goes
    }

    /// Writes what waits. An empty batch says that the server's loop has let the connection go.
    async fn write(&mut self, batch: &mut Vec<Outgoing>) -> Progress {
        let Self { socket, waiting, options, .. } = self;
        let is_last = batch.is_empty();
        let writing = async {
            for outgoing in batch.drain(..) {
                let bytes = outgoing.bytes();
                match outgoing {
                    Outgoing::Text(text) => socket.feed(Message::Text(text)).await?,
                    Outgoing::Ping => socket.feed(Message::Ping(Bytes::new())).await?,
                    Outgoing::Close(frame) => {
                        socket.close(Some(frame)).await?;
                        return Ok(Progress::Ends);
                    }
                }
                waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
            socket.flush().await?;
            Ok::<_, Error>(if is_last { Progress::Ends } else { Progress::Goes })
        };
        match timeout(options.idle_timeout, writing).await {
            Ok(Ok(progress)) => progress,
            Ok(Err(_)) | Err(_) => Progress::Ends,
        }
    }

    async fn report(&self, event: Incoming) {
        // Fails only when the server's loop has ended; the empty queue then ends this loop too.
        let _ = self.events.send((self.connection, event)).await;
    }
}

/// Ends a TCP connection gracefully: a socket that is dropped while bytes wait in it resets the
/// connection, and the other end may never read why it was closed.
async fn linger(mut stream: TcpStream) {
    let draining = async {
        stream.shutdown().await?;
        let mut sink = [0; BUFFER_BYTES];
        while stream.read(&mut sink).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Whether the other end is still there does not matter any more.
    let _ = timeout(LINGER_TIMEOUT, draining).await;
}
