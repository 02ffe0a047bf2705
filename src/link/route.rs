//! Routes: one topic of ours on its way to one peer, or one of the peer's on its way to us. The
//! requests and the responses of a service are routes as well.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{
    Compression, Delivery, InterfaceKind, PeerFilter, Priority, QosProfile, QueueLimits, TypeName,
};

/// Number of a topic at its sender; unique for the life of the sending node, the same for each
/// peer. It is the route id on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouteId(pub u16);

/// What a sender tells a peer about a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteOffer {
    /// Absolute name that the receiver shall publish under.
    pub topic: String,
    /// Message type.
    #[serde(rename = "ros_type")]
    pub type_name: TypeName,
    /// Hash of the type's definition, `RIHS01_…` (REP-2016).
    pub type_hash: String,
    /// How messages cross.
    pub delivery: Delivery,
    /// QoS that the receiver shall offer.
    pub qos: QosProfile,
    /// What its messages are.
    #[serde(default, skip_serializing_if = "RouteKind::is_topic")]
    pub kind: RouteKind,
}

/// What the messages of a route are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RouteKind {
    /// Those of a topic.
    #[default]
    Topic,
    /// Responses of a service that the receiver may call, each for the peer that called.
    Service(CallTerms),
    /// Requests to a service that the receiver has offered.
    Call,
}

impl RouteKind {
    /// Is it a topic?
    pub fn is_topic(&self) -> bool {
        *self == Self::Topic
    }
}

/// How a service is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallTerms {
    /// A call that is not answered for so long is given up; zero for no limit.
    #[serde(serialize_with = "to_micros", deserialize_with = "from_micros")]
    pub timeout: Duration,
    /// How urgent requests are.
    pub priority: Priority,
}

fn to_micros<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

fn from_micros<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_micros)
}

/// A topic of ours, offered to each admitted peer for as long as it is not withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRoute {
    /// What the peers are told.
    pub offer: RouteOffer,
    /// Who is told.
    pub peers: PeerFilter,
    /// How urgent its messages are.
    pub priority: Priority,
    /// Older messages are not sent and not delivered; zero for no limit.
    pub lifespan: Duration,
    /// Messages that come sooner after the one before are not sent; zero for no limit.
    pub min_period: Duration,
    /// Kinds of network that messages may cross; empty for all.
    pub interfaces: Vec<InterfaceKind>,
    /// How messages are made smaller, before the link gets them. It stays for the life of the id.
    pub compression: Compression,
    /// Bounds on what waits for each peer.
    pub queue: QueueLimits,
    /// Messages that are larger before they are compressed are dropped and counted, bytes.
    pub max_message_size: u32,
    /// Samples kept per publisher for peers that connect late, which get them while the topic is
    /// offered as `transient_local`; 0 where no publisher latches any.
    pub history: usize,
}

/// What a receiver grants an offered route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncomingLimits {
    /// Bounds on what waits to be published.
    pub queue: QueueLimits,
    /// Larger messages, compressed or not, are dropped and counted, bytes.
    pub max_message_size: u32,
    /// Is what was delivered before to be delivered again, as far as the sender still has it? So it
    /// is where the receiver no longer has a place for it.
    pub again: bool,
}

/// Why a receiver refused a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub reason: RefusalReason,
    /// For people: what is wrong, and what would help.
    pub text: String,
}

impl Refusal {
    /// For this reason, in these words.
    pub fn new(reason: RefusalReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

/// Why a receiver refused a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalReason {
    /// Neither a `receive`/`both` entry nor `accept` admits the name from this peer.
    NotAccepted,
    /// The type is not installed at the receiver.
    TypeUnknown,
    /// The type has another definition at the receiver.
    TypeMismatch,
    /// The publisher could not be made.
    Failed,
    /// The peer has more routes than a session may have.
    TooMany,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}
