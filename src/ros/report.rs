//! What the ROS side of the bridge knows of each topic, for the status topics: the local name and
//! type, and what is wrong. The link adds the numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::PeerFilter;
use crate::link::RouteId;

/// All topics, those that leave this rover and those that arrive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeReport {
    /// Our topics that are sent, by their number.
    pub outgoing: BTreeMap<RouteId, TopicReport>,
    /// Where these are meant to go.
    pub destinations: BTreeMap<RouteId, Destination>,
    /// Topics that a pattern matches and for which there is no room.
    pub left_out: usize,
    /// Topics that peers offer, refused ones too, by peer and its number of the topic.
    pub incoming: BTreeMap<(String, RouteId), TopicReport>,
}

/// Where a topic of ours is meant to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The peers that it is shared with.
    pub peers: PeerFilter,
    /// Its absolute name there.
    pub remote_topic: String,
}

/// One topic as ROS has it here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicReport {
    /// Absolute name.
    pub topic: String,
    /// Message type, empty while it is not known.
    pub type_name: String,
    /// Do publishers, subscribers or the peer use another type or another definition of it?
    pub type_mismatch: bool,
    /// Are there publishers or subscribers here whose QoS does not fit ours?
    pub qos_mismatch: bool,
    /// Did publishers break a promise about time lately: their deadline, or to be alive?
    pub is_late: bool,
    /// What is wrong and what would help, for people; empty when all is well.
    pub remark: String,
}

impl TopicReport {
    /// Adds to the remark.
    pub(super) fn remark(&mut self, text: String) {
        if !self.remark.is_empty() {
            self.remark.push_str("; ");
        }
        self.remark.push_str(&text);
    }
}

/// The report as the threads of the bridge share it.
#[derive(Debug, Clone, Default)]
pub struct SharedReport(Arc<Mutex<BridgeReport>>);

impl SharedReport {
    /// The report, locked: for a short look or a small change.
    pub fn lock(&self) -> MutexGuard<'_, BridgeReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
