//! How rovers find each other: a small WebSocket protocol, its server and its client.
//!
//! The server introduces the members of a fleet and relays what they say to each other until they have a path of their
//! own. It keeps nothing, looks inside nothing, and is not needed once the paths are up.
//!
//! - [`message`]: what is said, as types.
//! - [`registry`]: who is there, as a state machine without sockets and without a clock.
//! - [`ice_offer`]: the TURN servers that members are told of.
//! - `server`: the loop that moves bytes and time for the registry, and `connection`, one member's socket.
//! - `client`: a rover's end, which reconnects by itself.
//!
//! Not here: SDP, candidates and everything else that a message body means; that belongs to [`link`](crate::link).

#[cfg(feature = "net")]
mod backoff;
mod bucket;
#[cfg(feature = "net")]
pub mod client;
#[cfg(feature = "net")]
mod connection;
#[cfg(feature = "net")]
mod endpoint;
pub mod ice_offer;
pub mod id;
pub mod message;
pub mod registry;
#[cfg(feature = "net")]
pub mod server;
pub mod token;
#[cfg(feature = "net")]
mod upgrade;
