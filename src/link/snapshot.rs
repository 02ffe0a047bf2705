//! What the link knows of itself at one moment, for status topics. What is not measured is NaN.

use std::net::SocketAddr;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::route::{RefusalReason, RouteId};
use crate::config::InterfaceKind;

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
    /// Up, but the path in use is suspect.
    Degraded = 3,
    /// Up, but no path carries anything now.
    Outage = 4,
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
    /// Datagrams of data channels, counted once each however often they were sent.
    pub datagrams_sent: u64,
    /// Datagrams that were sent again because they were not acknowledged.
    pub datagrams_repaired: u64,
    /// Copies of datagrams that came after the first.
    pub duplicates_received: u64,
    /// Link frames that were not the peer's, or not new.
    pub frames_rejected: u64,
    /// Datagrams that were not sent because too many were unacknowledged.
    pub datagrams_refused: u64,
    /// Bytes of datagrams on their first way.
    pub bytes_first: u64,
    /// Bytes of datagrams sent again or twice.
    pub bytes_duplicated: u64,
    /// Times that data took another path.
    pub handovers: u32,
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

/// State of a path; the numbers are those of `PathQuality.msg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathState {
    /// Its interface or address has gone.
    Down = 0,
    /// It has not answered yet.
    Checking = 1,
    /// It carries what it is given.
    Good = 2,
    /// Something is wrong with it.
    Suspect = 3,
    /// It carries nothing.
    Dead = 4,
    /// It carries again, but not for long enough to be trusted.
    Probation = 5,
}

impl PathState {
    /// Does it carry data, well or badly?
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Good | Self::Suspect | Self::Probation)
    }
}

/// Where an address is known from (RFC 8445 §4); the numbers are those of `PathQuality.msg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CandidateKind {
    /// It is that of an interface.
    Host = 1,
    /// A STUN server saw it.
    ServerReflexive = 2,
    /// The other side saw it in a check.
    PeerReflexive = 3,
    /// That of a TURN server.
    Relay = 4,
    /// Not known.
    #[serde(other)]
    Unknown = 0,
}

/// One path: a local and a remote address. Counters as in [`PeerSnapshot`].
#[derive(Debug, Clone, PartialEq)]
pub struct PathSnapshot {
    /// Number of the path within its session.
    pub id: u32,
    /// Name of the local network interface.
    pub interface: String,
    /// What it leads to.
    pub interface_kind: InterfaceKind,
    /// How it fares.
    pub state: PathState,
    /// Where our address is known from.
    pub local_candidate: CandidateKind,
    /// Where the peer's address is known from.
    pub remote_candidate: CandidateKind,
    /// Local address.
    pub local_address: SocketAddr,
    /// The peer's address.
    pub remote_address: SocketAddr,
    /// Does data leave by it?
    pub selected: bool,
    /// Smoothed round trip, seconds.
    pub round_trip_time: f64,
    /// Shortest round trip of the session, seconds.
    pub round_trip_time_min: f64,
    /// Longest round trip of the last seconds, seconds.
    pub round_trip_time_max: f64,
    /// Variation of the one-way delay (RFC 3550 §6.4.1), seconds.
    pub jitter: f64,
    /// Part of our datagrams that got lost lately, 0..1.
    pub loss_ratio_sent: f64,
    /// Part of the peer's datagrams that got lost lately, 0..1.
    pub loss_ratio_received: f64,
    /// Strength of the radio signal, dBm.
    pub signal_strength: f64,
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

/// One route. Counters start with the node, those of a route that arrives with the peer's if that
/// started later.
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
    /// The reason of a refusal, for programs.
    pub refusal: Option<RefusalReason>,
    /// What became of its messages.
    pub counts: Counts,
    /// Messages that wait.
    pub waiting: u64,
    /// The same, bytes.
    pub waiting_bytes: u64,
}
