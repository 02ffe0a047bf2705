//! The simulator: scenarios of what happens to a link, played in virtual time, by this project's
//! core and by plain str0m.
//!
//! A [`scenario`] is played by the [`world`], which moves datagrams through the [`network`] (each
//! direction of a radio is a [`link`] with a [`queue`]) between two [`endpoint`]s, beside the [`flow`]s
//! of others. What the [`publisher`]s sent is judged by [`meter`]s; many runs make a [`summary`].

pub(crate) mod endpoint;
pub(crate) mod fleet;
pub(crate) mod flow;
pub(crate) mod fragments;
pub(crate) mod link;
pub(crate) mod meter;
pub(crate) mod metric;
pub(crate) mod network;
pub(crate) mod outcome;
#[path = "../../src/ros/pace.rs"]
mod pace;
pub(crate) mod plain;
pub(crate) mod policy;
pub(crate) mod publisher;
pub(crate) mod queue;
pub(crate) mod release;
#[path = "../routes/mod.rs"]
mod routes;
pub(crate) mod scenario;
pub(crate) mod signaling;
pub(crate) mod stamp;
pub(crate) mod summary;
pub(crate) mod tcp;
pub(crate) mod world;
