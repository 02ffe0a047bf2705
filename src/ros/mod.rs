//! The ROS 2 node: the only room that knows ROS.
//!
//! Bridged topics go through [`rcl`], since r2r gives neither types at run time nor the publisher
//! of a message; the node's own topics, parameters and services go through r2r.

#[forbid(unsafe_code)]
pub mod bridge;
#[forbid(unsafe_code)]
mod calls;
#[forbid(unsafe_code)]
pub mod doctor;
#[forbid(unsafe_code)]
pub mod handovers;
#[forbid(unsafe_code)]
mod inbound;
mod lateness;
#[forbid(unsafe_code)]
pub mod logging;
#[forbid(unsafe_code)]
mod mismatch;
#[forbid(unsafe_code)]
pub mod node;
#[forbid(unsafe_code)]
mod outbound;
#[forbid(unsafe_code)]
mod pace;
#[forbid(unsafe_code)]
pub mod params;
#[forbid(unsafe_code)]
pub mod qos;
pub mod rcl;
#[forbid(unsafe_code)]
mod received;
#[forbid(unsafe_code)]
pub mod report;
#[forbid(unsafe_code)]
mod route_numbers;
#[forbid(unsafe_code)]
mod sent_topic;
#[forbid(unsafe_code)]
pub mod services;
#[forbid(unsafe_code)]
mod shared;
#[forbid(unsafe_code)]
pub mod signal_strength;
mod stand_ins;
#[forbid(unsafe_code)]
pub mod status;
#[forbid(unsafe_code)]
mod sweep;
#[forbid(unsafe_code)]
mod text;
