//! Scenarios in virtual time: each file of `tests/scenarios` but the hour-long ones, with a few
//! seeds, has to reach its targets. `--example simulate` plays them with many seeds.

#[path = "mod.rs"]
#[expect(dead_code, reason = "the names are for the tables of `--example simulate`")]
mod sim;

mod engine;
mod random;
mod suite;
