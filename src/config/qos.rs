//! The axes of a QoS profile that a bridge has to carry.

use serde::{Deserialize, Serialize};

/// QoS axes of the configuration; `None` = `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QosOverrides {
    /// Reliability.
    pub reliability: Option<Reliability>,
    /// Durability.
    pub durability: Option<Durability>,
    /// History.
    pub history: Option<History>,
    /// Depth of the history, messages.
    pub depth: Option<u32>,
}

/// QoS profile of a topic, the axes that a bridge has to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QosProfile {
    /// Reliability.
    pub reliability: Reliability,
    /// Durability.
    pub durability: Durability,
    /// History.
    pub history: History,
    /// Depth of the history, messages.
    pub depth: u32,
}

/// DDS reliability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reliability {
    /// A lost sample stays lost.
    BestEffort,
    /// Lost samples are sent again.
    Reliable,
}

/// DDS durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// A late joiner gets nothing old.
    Volatile,
    /// A late joiner gets the last samples.
    TransientLocal,
}

/// DDS history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// The last `depth` samples.
    KeepLast,
    /// All samples.
    KeepAll,
}
