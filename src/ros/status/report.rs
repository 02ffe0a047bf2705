//! What the ROS side knows of its topics beside what the link knows of its routes.

use std::collections::BTreeMap;

use crate::link::RouteId;

/// The bridge's own view, kept by its threads and read for the status topics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeReport {
    /// Our topics that leave, by their number.
    pub outgoing: BTreeMap<RouteId, TopicReport>,
    /// Peers' topics that arrive, by peer and its number.
    pub incoming: BTreeMap<(String, RouteId), TopicReport>,
}

/// One topic as the ROS graph here shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicReport {
    /// Its resolved name here.
    pub topic: String,
    /// Its type, as in `std_msgs/msg/String`; empty while unknown.
    pub type_name: String,
    /// Do the sides, or the publishers here, differ in its type?
    pub type_mismatch: bool,
    /// Is there a publisher or subscription here that the QoS in use does not suit?
    pub qos_mismatch: bool,
    /// For people: what is wrong, and what would help; empty when all is well.
    pub remark: String,
}
