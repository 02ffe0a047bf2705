//! The ROS 2 node: the only room that knows ROS.

#[forbid(unsafe_code)]
pub mod logging;
#[forbid(unsafe_code)]
pub mod params;
#[forbid(unsafe_code)]
pub mod status;
#[forbid(unsafe_code)]
mod text;
