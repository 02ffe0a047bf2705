//! What a handover was, for people and programs; the numbers are those of `HandoverEvent.msg`.

use std::net::SocketAddr;

/// Where a handover stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandoverPhase {
    /// Data now leaves by another path.
    Started = 0,
    /// The first datagram on the new path is confirmed.
    Completed = 1,
    /// The new path died before that.
    Failed = 2,
    /// No path is left.
    PathLost = 3,
    /// A path is back after none was left.
    PathRecovered = 4,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandoverReason {
    /// Not known.
    Unknown = 0,
    /// The interface, its carrier or its address has gone.
    InterfaceDown = 1,
    /// An interface has come.
    InterfaceUp = 2,
    /// The path fell silent.
    Silence = 3,
    /// The path loses too much.
    Loss = 4,
    /// Another path is faster.
    Delay = 5,
    /// Another path is to be preferred.
    Preference = 6,
    /// The peer asked for it.
    PeerRequest = 7,
    /// A person asked for it.
    Manual = 8,
    /// An address has changed.
    AddressChanged = 9,
    /// The peer has started anew.
    PeerRestarted = 10,
}

/// One end of a handover.
#[derive(Debug, Clone, PartialEq)]
pub struct HandoverPath {
    /// Local interface.
    pub interface: String,
    /// The peer's address.
    pub remote_address: SocketAddr,
    /// Smoothed round trip, seconds; NaN if not measured.
    pub round_trip_time: f64,
    /// Part of our datagrams that got lost, 0..1; NaN if not measured.
    pub loss_ratio: f64,
}

/// One phase of a handover of the data that leaves this rover.
#[derive(Debug, Clone, PartialEq)]
pub struct Handover {
    /// Joins the phases of one handover.
    pub id: u32,
    /// The peer.
    pub peer: String,
    /// Where it stands.
    pub phase: HandoverPhase,
    /// Why.
    pub reason: HandoverReason,
    /// The same, with figures, for people.
    pub reason_text: String,
    /// The path before; `None` where there was none.
    pub from: Option<HandoverPath>,
    /// The path after; `None` where there is none.
    pub to: Option<HandoverPath>,
    /// Did the former path still carry data?
    pub make_before_break: bool,
    /// Did ICE start anew?
    pub ice_restart: bool,
    /// Did the session live on?
    pub session_preserved: bool,
    /// From the last datagram known to have arrived to the decision, seconds.
    pub detection_duration: f64,
    /// From the decision to the first confirmed datagram on the new path, seconds; NaN before.
    pub switch_duration: f64,
    /// Longest time without anything from the peer since the last handover, seconds.
    pub outage_duration: f64,
    /// Messages that were given up.
    pub messages_lost: u32,
    /// Datagrams that were sent again.
    pub datagrams_repeated: u32,
}
