//! The signaling server.
fn main() {}
