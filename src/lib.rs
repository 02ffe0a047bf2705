//! `rover_link` bridges chosen ROS 2 topics from rover to rover over WebRTC data channels.
//!
//! The rooms, each of which may use only those to its right: `bin → ros → net → link → wire`.
//!
//! - [`config`]: every setting, parsed once, with its default and unit.
//! - [`wire`]: bytes only: message header, fragments, reassembly.
//! - [`link`]: the core. No I/O, no clock, no ROS: `now` comes in as an argument.
//! - [`signaling`]: the WebSocket protocol that introduces rovers to each other, server and client.
//! - [`net`]: sockets and the driver, the one loop that owns the sessions.
//! - `ros` (feature `ros`): the node; the only place that knows ROS.

#[forbid(unsafe_code)]
pub mod config;
#[forbid(unsafe_code)]
pub mod link;
#[cfg(feature = "net")]
#[forbid(unsafe_code)]
pub mod net;
#[cfg(feature = "ros")]
pub mod ros;
#[forbid(unsafe_code)]
pub mod signaling;
#[forbid(unsafe_code)]
pub mod wire;
