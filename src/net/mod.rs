//! Sockets, the driver, and its exchange with the application. This room moves bytes and time; it
//! never decides about quality.

mod batch;
mod changes;
mod compression;
mod compressor;
mod driver;
mod exchange;
mod identity;
mod interfaces;
#[cfg(test)]
mod namespace;
mod routes;
mod signal;
mod sockets;

pub use compressor::Compressor;
pub use driver::{DriverHandle, StartError, start};
pub use exchange::{ApplicationEnd, DriverEnd, Received, exchange};
pub use identity::{IdentityError, load_or_create};
pub use routes::{Held, Taken};
