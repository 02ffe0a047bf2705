//! Every setting, with its default and its unit. Settings are parsed once, into types that cannot
//! hold a wrong value; nothing is validated later.
//!
//! What may be written in a parameter file, with units and defaults, is documented in
//! `config/rover.yaml`; a test holds that file against the parser.

mod names;

pub use names::NameError;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that one node was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This rover's id, unique in the fleet: `[a-z][a-z0-9_]*`.
    pub rover_id: String,
    /// The fleet whose members can see each other.
    pub fleet: String,
    /// `ws://` or `wss://` address of the signaling server.
    pub signaling_url: String,
    /// File with the DTLS certificate and key.
    pub identity_file: PathBuf,
    /// Who may connect.
    pub peers: PeerFilter,
    /// DTLS fingerprints that pin a peer's identity, by rover id: `sha-256 AB:CD:…`.
    pub peer_fingerprints: BTreeMap<String, String>,
    /// Names that peers may publish here besides the topics below.
    pub accept: Vec<NameGlob>,
    /// The bridged topics, in the order of `topic_ids`.
    pub topics: Vec<Topic>,
    /// Which network interfaces carry the link.
    pub interfaces: InterfaceFilter,
    /// How often link quality is published, Hz.
    pub link_quality_publish_rate: f64,
}

/// Which peers something applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerFilter {
    /// The whole fleet: written `["*"]`.
    All,
    /// These rover ids; an empty list admits nobody.
    Only(Vec<String>),
}

impl PeerFilter {
    /// Does the filter admit this rover id?
    pub fn admits(&self, rover_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.iter().any(|id| id == rover_id),
        }
    }
}

/// A pattern over absolute ROS names: `*` stands for any run of characters but `/`, `**` for any
/// run of characters, `{peer}` for the sender's rover id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameGlob(pub(crate) String);

/// Which network interfaces are used; globs over their names. `deny` wins; `lo` is used only when
/// `allow` writes it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceFilter {
    /// Interfaces that may be used.
    pub allow: Vec<String>,
    /// Interfaces that are never used.
    pub deny: Vec<String>,
}

/// One entry of `topics`.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// The entry's id in `topic_ids`.
    pub id: String,
    /// ROS name as written; relative names follow the namespace, remaps apply.
    pub name: String,
    /// Message type, where nobody may publish it yet.
    pub type_name: Option<TypeName>,
    /// Which way the topic crosses.
    pub direction: Direction,
    /// Absolute name that the receiver shall use; `{peer}` is already replaced.
    pub remote_name: Option<String>,
    /// The peers it is shared with.
    pub peers: PeerFilter,
    /// How messages cross; `None` = from the QoS.
    pub delivery: Option<Delivery>,
    /// Larger messages are dropped and counted, bytes of CDR.
    pub max_message_size: u32,
    /// Bounds on what waits, per direction and peer.
    pub queue: QueueLimits,
    /// Explicit QoS; `None` = from the publishers found.
    pub qos: QosOverrides,
}

/// A message type written `package/msg/Name`, each part an identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypeName {
    pub(crate) package: String,
    pub(crate) name: String,
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
