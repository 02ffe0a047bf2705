//! What the core puts out, for the driver to carry out.

use std::net::SocketAddr;
use std::time::Instant;

use super::event::{Event, IncomingMessage};
use super::route::{IncomingLimits, RouteId};
use super::signal::Signal;
use crate::config::Delivery;

/// What the core puts out.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Nothing more to do before this moment, unless something is handed in.
    Timeout(Instant),
    /// A datagram to send.
    Transmit(Transmit),
    /// A signal to send through the signaling server.
    Signal {
        /// The peer.
        to: String,
        /// What it is told.
        signal: Signal,
    },
    /// Something for the application.
    Event(Event),
    /// A topic of a peer's is open: make room for its messages.
    IncomingOpened {
        /// The peer.
        peer: String,
        /// Its number of the topic.
        id: RouteId,
        /// How its messages cross.
        delivery: Delivery,
        /// What the application granted.
        limits: IncomingLimits,
        /// It rises when the peer has started to count anew.
        run: u64,
    },
    /// A complete message for the application.
    Deliver(IncomingMessage),
}

/// A datagram to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Local address whose socket sends it.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// UDP payload.
    pub contents: Vec<u8>,
}
