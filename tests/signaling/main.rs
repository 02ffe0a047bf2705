//! The signaling protocol as its clients see it: real sockets on a free port of the loopback
//! interface, and the registry in virtual time.

mod registry;

#[cfg(feature = "net")]
mod client;
#[cfg(feature = "net")]
mod members;
#[cfg(feature = "net")]
mod program;
#[cfg(feature = "net")]
mod server;
#[cfg(feature = "net")]
mod stage;
