//! Sockets, the driver, and its exchange with the application. This room moves bytes and time; it
//! never decides about quality.

mod addresses;
mod batch;
mod changes;
pub mod clock;
mod compression;
mod compressor;
mod driver;
pub mod examine;
mod exchange;
mod identity;
mod interfaces;
#[cfg(test)]
mod namespace;
#[cfg(test)]
mod reaction;
mod routes;
mod servers;
mod signal;
mod signal_strength;
mod sockets;

pub use compressor::Compressor;
pub use driver::{DriverHandle, StartError, start};
pub use exchange::{ApplicationEnd, DriverEnd, Received, exchange};
pub use identity::{IdentityError, load_or_create};
pub use routes::{Held, Latency, Outcome, Taken};
pub use signal_strength::SignalStrengthError;
