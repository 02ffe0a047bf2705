//! The core: sessions with peers. Deterministic; no I/O, no clock, no ROS: `now` and seeds come in
//! as arguments, datagrams and deadlines go out.

mod event;
mod queue;
mod route;
mod snapshot;

pub use event::{Command, Event, IncomingMessage, OutgoingMessage, PublisherId};
pub use queue::{MessageQueue, Payload};
pub use route::{IncomingLimits, OutgoingRoute, Refusal, RefusalReason, RouteId, RouteOffer};
pub use snapshot::{
    PathSnapshot, PeerSnapshot, PeerState, RouteDirection, RouteSnapshot, SignalingState, Snapshot,
};
