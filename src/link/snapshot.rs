//! What the link knows of itself at one moment, for status topics. What is not measured is NaN.

use std::net::SocketAddr;
use std::time::Instant;

use super::route::RouteId;

/// All peers that the node knows of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Is the signaling server reached? `Err` says why not.
    pub signaling: SignalingState,
    /// The peers, by rover id.
    pub peers: Vec<PeerSnapshot>,
}

/// The connection with the signaling server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SignalingState {
    /// Not reached yet.
    #[default]
    Connecting,
    /// Registered.
    Connected,
    /// Lost or refused, and why; tried again.
    Failed(String),
}

/// State of the session with a peer; the numbers are those of `LinkQuality.msg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// No session, none being made.
    Down = 0,
    /// A session is being made or proven.
    Connecting = 1,
    /// Up.
    Connected = 2,
}

/// One peer. Counters start with the node and never fall.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerSnapshot {
    /// Its rover id.
    pub peer: String,
    /// State of the session.
    pub state: PeerState,
    /// Did it prove the fleet key?
    pub authenticated: bool,
    /// Why it is not connected, when that is known; empty otherwise.
    pub reason: String,
    /// Since when the session is up.
    pub connected_since: Option<Instant>,
    /// Seconds since anything was received, NaN before.
    pub time_since_received: f64,
    /// UDP payload, bytes.
    pub bytes_sent: u64,
    /// UDP payload, bytes.
    pub bytes_received: u64,
    /// Messages handed to the data channels, complete.
    pub messages_sent: u64,
    /// Messages handed to the application.
    pub messages_received: u64,
    /// Messages dropped on the way to this peer or from it.
    pub messages_dropped: u64,
    /// Bytes that wait for this peer.
    pub buffered_bytes: u64,
    /// Topics of ours and of the peer's.
    pub routes: Vec<RouteSnapshot>,
    /// All paths in use, the selected one among them.
    pub paths: Vec<PathSnapshot>,
}

impl PeerSnapshot {
    /// The path by which data leaves, while there is one.
    pub fn selected(&self) -> Option<&PathSnapshot> {
        self.paths.iter().find(|path| path.selected)
    }
}

/// One path: a local and a remote address. Counters as in [`PeerSnapshot`].
#[derive(Debug, Clone, PartialEq)]
pub struct PathSnapshot {
    /// Number of the path within its session.
    pub id: u32,
    /// Name of the local network interface.
    pub interface: String,
    /// Local address.
    pub local_address: SocketAddr,
    /// The peer's address.
    pub remote_address: SocketAddr,
    /// Does data leave by it?
    pub selected: bool,
    /// Last round trip, seconds.
    pub round_trip_time: f64,
    /// Shortest round trip of the session, seconds.
    pub round_trip_time_min: f64,
    /// Seconds since anything was received, NaN before.
    pub time_since_received: f64,
    /// UDP payload, bytes.
    pub bytes_sent: u64,
    /// UDP payload, bytes.
    pub bytes_received: u64,
}

/// Which way a route goes; the numbers are those of `TopicStatistics.msg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteDirection {
    /// To the peer.
    Send = 0,
    /// From the peer.
    Receive = 1,
}

/// One route. Counters start with the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSnapshot {
    /// The sender's number of the topic.
    pub id: RouteId,
    /// Which way.
    pub direction: RouteDirection,
    /// Absolute name at the receiver.
    pub topic: String,
    /// Is it open: accepted and not closed?
    pub open: bool,
    /// Why it is not, for people; empty otherwise.
    pub remark: String,
    /// Complete messages that crossed.
    pub messages: u64,
    /// Their payload, bytes.
    pub bytes: u64,
    /// Dropped because a queue was full.
    pub dropped_queue: u64,
    /// Dropped because larger than the limit.
    pub dropped_oversize: u64,
}
