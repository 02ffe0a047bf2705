//! What the application (the ROS side) tells the link, and what it is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::report::Handover;
use super::route::{IncomingLimits, OutgoingRoute, Refusal, RouteId, RouteKind, RouteOffer};
use crate::wire;

/// Identity of one publisher of a topic, from its GID. In JSON its 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PublisherId(pub u128);

impl From<PublisherId> for String {
    fn from(id: PublisherId) -> Self {
        format!("{:032x}", id.0)
    }
}

impl TryFrom<String> for PublisherId {
    type Error = std::num::ParseIntError;

    fn try_from(digits: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&digits, 16).map(Self)
    }
}

/// A wish of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "seldom more than one waits")]
pub enum Command {
    /// Offer a topic to the peers it admits, now and whenever one connects. An id that is offered
    /// again replaces the former offer.
    OfferRoute {
        /// Number of the topic.
        id: RouteId,
        /// The topic.
        route: OutgoingRoute,
    },
    /// Take an offer back.
    WithdrawRoute {
        /// Number of the topic.
        id: RouteId,
    },
    /// Which local publishers a topic has now: the kept samples of others go, and peers that keep
    /// such samples are told.
    SetPublishers {
        /// Number of the topic.
        id: RouteId,
        /// All of them.
        publishers: BTreeSet<PublisherId>,
    },
    /// The answer to [`Event::RouteOffered`].
    AnswerRoute {
        /// The peer that offered.
        peer: String,
        /// Its number of the topic.
        id: RouteId,
        /// Accepted with these limits, or refused.
        answer: Result<IncomingLimits, Refusal>,
    },
    /// Another answer to an offer that was answered: what may be received here has changed. It counts
    /// for nothing if the peer has made a newer offer, whose answer is still to come.
    ChangeAnswer {
        /// The peer that offered.
        peer: String,
        /// Its number of the topic.
        id: RouteId,
        /// Accepted with these limits, or refused.
        answer: Result<IncomingLimits, Refusal>,
    },
    /// Send by a path of this interface as long as one is usable; an empty name gives the choice
    /// back.
    SelectPath {
        /// The peer.
        peer: String,
        /// Name of the local interface.
        interface: String,
    },
    /// Start ICE anew.
    RestartIce {
        /// The peer.
        peer: String,
    },
}

/// Something that the application has to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A session with the peer is up and its hello is proven.
    PeerConnected {
        /// The peer.
        peer: String,
    },
    /// The session is gone; the driver goes on trying.
    PeerDisconnected {
        /// The peer.
        peer: String,
        /// For people.
        reason: String,
    },
    /// A peer was not let in.
    PeerRefused {
        /// The peer.
        peer: String,
        /// For people: what is wrong, and what would help.
        reason: String,
    },
    /// A peer offers a topic; to be answered by [`Command::AnswerRoute`].
    RouteOffered {
        /// The peer.
        peer: String,
        /// Its number of the topic.
        id: RouteId,
        /// The topic.
        offer: Box<RouteOffer>,
    },
    /// Which publishers a `transient_local` topic has now at the peer, as far as it keeps track.
    PublishersTold {
        /// The peer.
        peer: String,
        /// Its number of the topic.
        id: RouteId,
        /// All of them.
        publishers: BTreeSet<PublisherId>,
    },
    /// The peer withdrew the topic, or its session is gone.
    RouteClosed {
        /// The peer.
        peer: String,
        /// Its number of the topic.
        id: RouteId,
    },
    /// A peer accepted a topic of ours.
    RouteOpened {
        /// The peer.
        peer: String,
        /// Our number of the topic.
        id: RouteId,
    },
    /// A peer refused a topic of ours.
    RouteRefused {
        /// The peer.
        peer: String,
        /// Our number of the topic.
        id: RouteId,
        /// Why.
        refusal: Refusal,
    },
    /// Data to a peer took another path, or there is none.
    Handover(Box<Handover>),
}

/// A message taken from a local topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// The topic.
    pub id: RouteId,
    /// Who published it here.
    pub publisher: PublisherId,
    /// Its number at that publisher, from 1; 0 where the middleware has none.
    pub number: u64,
    /// CDR, with its encapsulation header.
    pub data: Bytes,
    /// The same as a frame of Zstandard, where that pays: rovers get it instead.
    pub compressed: Option<Bytes>,
}

/// A message that a peer sent, complete and in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingMessage {
    /// The sender.
    pub peer: String,
    /// Its number of the topic.
    pub id: RouteId,
    /// Name of the topic, as it was offered.
    pub topic: Arc<str>,
    /// CDR, with its encapsulation header; or that as a frame of Zstandard.
    pub data: Bytes,
    /// Is it such a frame? Whether it is a sound one is not known yet.
    pub is_compressed: bool,
    /// What its route allows, bytes; larger it must not become when it is decompressed.
    pub max_size: u32,
    /// What it is.
    pub kind: RouteKind,
    /// Who published it at the sender, where the topic is `transient_local`.
    pub origin: Option<Origin>,
    /// When the sender took it from its topic, by our clock; `None` until the offset of the clocks
    /// is known.
    pub taken: Option<Instant>,
}

/// Who published a message of a peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The publisher in the peer's ROS graph.
    pub publisher: PublisherId,
    /// The message's number there, from 1; 0 where the peer's middleware has none.
    pub number: u64,
}

impl From<wire::Origin> for Origin {
    fn from(wire::Origin { publisher, number }: wire::Origin) -> Self {
        Self { publisher: PublisherId(publisher), number }
    }
}
