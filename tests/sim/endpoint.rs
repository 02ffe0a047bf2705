//! What the world drives: one rover's end of the link, whatever keeps it alive.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use rover_link::link::{Handover, LocalAddress, Signal, Transmit};
use uuid::Uuid;

/// Local addresses and what is known of them.
pub(crate) type Addresses = BTreeMap<SocketAddr, LocalAddress>;

/// What an endpoint puts out.
#[derive(Debug)]
pub(crate) enum Polled {
    /// Nothing more to do before this moment.
    Timeout(Instant),
    /// A datagram to send.
    Transmit(Transmit),
    /// Something for the peer, through signaling.
    Signal { to: String, signal: Signal },
    /// The peer is there, and messages can cross.
    Connected,
    /// It no longer is.
    Disconnected,
    /// Data leaves by another path.
    Handover(Handover),
    /// A message of the class of this number arrived.
    Delivered { class: usize, data: Bytes },
}

/// One rover's end of the link. Driven as the core is: one input by a `handle_…`, then
/// [`Endpoint::poll`] until it says `Timeout`.
pub(crate) trait Endpoint {
    /// The local addresses, or what is known of their interfaces, changed.
    fn handle_addresses(&mut self, addresses: &Addresses, now: Instant);
    /// The rovers that the signaling server sees.
    fn handle_present(&mut self, present: &[(String, Uuid)], now: Instant);
    /// The signaling server sees a rover.
    fn handle_joined(&mut self, peer: &str, instance: Uuid, now: Instant);
    /// The signaling server no longer sees a rover.
    fn handle_left(&mut self, peer: &str);
    /// A rover says something through signaling.
    fn handle_signal(&mut self, from: &str, instance: Uuid, signal: Signal, now: Instant);
    /// A datagram arrived.
    fn handle_datagram(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    );
    /// Time passed.
    fn handle_timeout(&mut self, now: Instant);
    /// Publishes a message of the class of this number.
    fn publish(&mut self, class: usize, data: Bytes, now: Instant);
    /// The next thing to do.
    fn poll(&mut self, now: Instant) -> Polled;
    /// Bytes of messages that wait.
    fn waiting(&self, now: Instant) -> u64;
    /// How it fares.
    fn condition(&self, now: Instant) -> Condition;
}

/// How an endpoint fares, as far as it knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Condition {
    /// Local address by which data leaves.
    pub(crate) selected: Option<SocketAddr>,
    /// Does it hold the path in use for suspect, or for dead?
    pub(crate) is_suspect: bool,
    /// Bytes that were sent once.
    pub(crate) bytes_first: u64,
    /// Bytes that were sent again or twice.
    pub(crate) bytes_again: u64,
}

/// Who an endpoint is.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) rover_id: String,
    pub(crate) instance: Uuid,
    /// Draws whatever the endpoint leaves to chance.
    pub(crate) seed: u64,
}
