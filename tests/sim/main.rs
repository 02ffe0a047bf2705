//! Scenarios in virtual time.

#[path = "mod.rs"]
mod sim;

mod engine;
