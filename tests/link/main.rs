//! The core in virtual time: rovers that meet through a simulated signaling server and network.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for some events among many")]

mod calls;
mod counts;
mod hostile;
mod latched;
mod latency;
#[path = "../routes/mod.rs"]
mod routes;
mod sessions;
mod standard_peer;
mod topics;
mod world;
