//! One bridged topic: what crosses, which way, to whom and how.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::filter::PeerFilter;
use super::interface::InterfaceKind;
use super::names::{MAX_NAME_BYTES, TypeName};
use super::qos::QosOverrides;
use super::topic_pattern::NAME;

/// One entry of `topics`.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// The entry's id in `topic_ids`, or that of the action in `action_ids`.
    pub id: String,
    /// Is it a part of an action?
    pub is_of_action: bool,
    /// ROS name as written; relative names follow the namespace, remaps apply. With `*` in it, it is
    /// a pattern: see [`TopicPattern`](super::TopicPattern).
    pub name: String,
    /// Globs over names that a pattern does not stand for.
    pub exclude: Vec<String>,
    /// Message type, where nobody may publish it yet.
    pub type_name: Option<TypeName>,
    /// Which way the topic crosses.
    pub direction: Direction,
    /// Absolute name that the receiver shall use; `{peer}` is already replaced, and `{name}` stands
    /// for the name that a pattern matches. `None` = the name that the topic has here.
    pub remote_name: Option<String>,
    /// The peers it is shared with.
    pub peers: PeerFilter,
    /// How messages cross; `None` = from the QoS.
    pub delivery: Option<Delivery>,
    /// How urgent the messages are.
    pub priority: Priority,
    /// Older messages are not sent and not delivered; zero for no limit.
    pub lifespan: Duration,
    /// Messages that come sooner after the one before are not sent; zero for no limit.
    pub min_period: Duration,
    /// Kinds of network that messages may cross; empty for all.
    pub interfaces: Vec<InterfaceKind>,
    /// How messages are made smaller on their way.
    pub compression: Compression,
    /// Larger messages are dropped and counted, bytes of CDR.
    pub max_message_size: u32,
    /// Bounds on what waits, per direction and peer.
    pub queue: QueueLimits,
    /// Explicit QoS; `None` = from the publishers found.
    pub qos: QosOverrides,
}

impl Topic {
    /// A topic that is a part of an action here.
    pub(super) fn of_action(
        id: &str,
        name: String,
        remote_name: String,
        peers: PeerFilter,
        priority: Priority,
    ) -> Self {
        Self {
            id: id.to_owned(),
            is_of_action: true,
            name,
            exclude: Vec::new(),
            type_name: None,
            direction: Direction::Send,
            remote_name: Some(remote_name),
            peers,
            delivery: None,
            priority,
            lifespan: Duration::ZERO,
            min_period: Duration::ZERO,
            interfaces: Vec::new(),
            compression: Compression::None,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            queue: QueueLimits::default(),
            qos: QosOverrides::default(),
        }
    }

    /// Its block among the parameters.
    pub fn key(&self) -> String {
        let block = if self.is_of_action { "actions" } else { "topics" };
        format!("{block}.{}", self.id)
    }

    /// The name at the receiver of a topic of this absolute name; `None` if ROS would not take it,
    /// because it is too long.
    pub fn remote_name_of(&self, name: &str) -> Option<String> {
        let remote = match &self.remote_name {
            Some(remote) => remote.replace(NAME, name.trim_start_matches('/')),
            None => name.to_owned(),
        };
        (remote.len() <= MAX_NAME_BYTES).then_some(remote)
    }
}

/// Which way a topic crosses, as this rover sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From here to the peers.
    Send,
    /// From the peers to here.
    Receive,
    /// Each way under the same name.
    Both,
}

impl Direction {
    /// Does the topic leave this rover?
    pub fn sends(self) -> bool {
        matches!(self, Self::Send | Self::Both)
    }

    /// Does the topic arrive at this rover?
    pub fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::Both)
    }
}

/// How messages of a topic cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// In order, kept while the queue holds.
    Reliable,
    /// The newest wins, nothing old is sent.
    Latest,
}

/// How urgent the messages of a topic are. `critical` and `high` share a lane of the link,
/// `normal` and `low` have one each, so that nothing large can hold up what is urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// A stop command.
    Critical,
    /// What a person or a controller waits for.
    High,
    /// Most topics.
    #[default]
    Normal,
    /// A camera.
    Low,
}

/// How messages of a topic are made smaller on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By Zstandard (RFC 8878), as far as it pays.
    Zstd,
}

/// Bounds of one queue of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// At most so many messages.
    pub messages: usize,
    /// At most so many bytes of payload.
    pub bytes: usize,
}

impl Default for QueueLimits {
    /// Deep enough for a burst of 20 s at 1 kHz, and for four of the largest messages.
    fn default() -> Self {
        Self { messages: 20_000, bytes: 64 * 1024 * 1024 }
    }
}

/// Largest message by default, bytes of CDR: an uncompressed 4K image in RGB does not pass, a
/// compressed one and a dense point cloud do.
pub const DEFAULT_MAX_MESSAGE_SIZE: u32 = 16 * 1024 * 1024;
