//! The axes of a QoS profile that a bridge has to carry.

use std::time::Duration;

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
    /// Deadline, lifespan and liveliness.
    #[serde(flatten)]
    pub timing: Timing,
}

/// What a publisher offers, or a subscription requests, about time. On the wire what is not limited is
/// left out, and times are in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// A message comes at least so often; `None` for no promise.
    #[serde(with = "microseconds", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// A message is worth nothing once it is older; `None` for no limit.
    #[serde(with = "microseconds", skip_serializing_if = "Option::is_none")]
    pub lifespan: Option<Duration>,
    /// Who says that the publisher is alive.
    #[serde(skip_serializing_if = "is_automatic")]
    pub liveliness: Liveliness,
    /// The publisher counts as dead when that was not said for so long; `None` for no limit.
    #[serde(with = "microseconds", skip_serializing_if = "Option::is_none")]
    pub lease: Option<Duration>,
}

impl Timing {
    /// Nothing is promised.
    pub const NONE: Self =
        Self { deadline: None, lifespan: None, liveliness: Liveliness::Automatic, lease: None };
}

/// DDS liveliness, the weaker first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveliness {
    /// The middleware, as long as the process lives.
    #[default]
    Automatic,
    /// The publisher itself, with each message among others.
    ManualByTopic,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_automatic(liveliness: &Liveliness) -> bool {
    *liveliness == Liveliness::Automatic
}

mod microseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let whole = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        time.map(whole).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let time: Option<u64> = Option::deserialize(deserializer)?;
        // No time at all is no limit either, as in ROS.
        Ok(time.filter(|time| *time > 0).map(Duration::from_micros))
    }
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
