//! The core in virtual time: rovers that meet through a simulated signaling server and network.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sessions;
mod topics;
mod world;
