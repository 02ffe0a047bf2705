//! Sockets and the driver. This room moves bytes and time; it never decides about quality.

mod batch;
mod changes;
mod driver;
mod exchange;
mod identity;
mod interfaces;
#[cfg(test)]
mod namespace;
mod signal;
mod sockets;

pub use driver::{DriverHandle, StartError, start};
pub use exchange::{ApplicationEnd, DriverEnd, Received, Taken, exchange};
pub use identity::{IdentityError, load_or_create};
