//! The ROS side of the bridge against a real middleware, with a link that needs no network.
//!
//! Run with a `ROS_DOMAIN_ID` of its own and `ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST`.

#![cfg(feature = "ros")]

mod fake_link;
mod graph;
mod messages;
mod routes;
mod services;
mod wrapper;
