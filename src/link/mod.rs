//! The core: sessions with peers. Deterministic; no I/O, no clock, no ROS: `now` and seeds come in
//! as arguments, datagrams and deadlines go out.
//!
//! From the door inwards: [`Fleet`] knows all peers, `peer` makes sessions and makes them again,
//! `session` proves who is at the other end and carries topics, `lanes` are the WebRTC connections
//! below it (`transport` and `inner`, on str0m), and `multipath` is what lies between them and the
//! sockets: paths, repair, and where the next datagram goes.

mod channels;
mod connection;
mod control;
mod counts;
mod event;
mod fleet;
mod identity;
mod incoming;
mod inner;
mod interface;
mod lanes;
mod multipath;
mod outbox;
mod outgoing;
mod output;
mod peer;
mod proof;
mod queue;
mod report;
mod restart;
mod retry;
mod route;
mod session;
mod signal;
mod snapshot;
mod standard;
mod tally;
mod transport;

pub use channels::PeerKind;
pub use counts::Counts;
pub use event::{Command, Event, IncomingMessage, Origin, OutgoingMessage, PublisherId};
pub use fleet::{Fleet, MAX_DATAGRAMS_AT_ONCE};
pub use identity::Identity;
pub use interface::{LocalAddress, NetworkInterface};
#[cfg(all(test, feature = "net"))]
pub(crate) use outbox::tests::route as route_of_a_test;
pub use output::{Output, Transmit};
pub use proof::FleetKey;
pub use queue::{MessageQueue, Payload};
pub use report::{Handover, HandoverPath, HandoverPhase, HandoverReason};
pub use route::{
    CallTerms, IncomingLimits, OutgoingRoute, Refusal, RefusalReason, RouteId, RouteKind,
    RouteOffer,
};
pub use signal::Signal;
pub use snapshot::{
    CandidateKind, PathSnapshot, PathState, PeerSnapshot, PeerState, RouteDirection, RouteSnapshot,
    SignalingState, Snapshot,
};
pub use transport::{Certificate, fingerprint, generate_certificate};
