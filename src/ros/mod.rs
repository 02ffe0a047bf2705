//! The ROS 2 node: the only room that knows ROS.
//!
//! Bridged topics go through [`rcl`], since r2r gives neither types at run time nor the publisher
//! of a message; the node's own topics, parameters and services go through r2r.

#[forbid(unsafe_code)]
pub mod qos;
pub mod rcl;
