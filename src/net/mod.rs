//! Sockets and the driver. This room moves bytes and time; it never decides about quality.

mod exchange;

pub use exchange::{ApplicationEnd, DriverEnd, Received, Taken, exchange};
