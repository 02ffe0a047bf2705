//! What the application (the ROS side) tells the link, and what it is told.

use std::sync::Arc;

use bytes::Bytes;

use super::report::Handover;
use super::route::{IncomingLimits, OutgoingRoute, Refusal, RouteId, RouteKind, RouteOffer};

/// Identity of one local publisher of a topic, from its GID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublisherId(pub u128);

/// A wish of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// A local publisher has gone: its kept samples go too.
    ForgetPublisher {
        /// Number of the topic.
        id: RouteId,
        /// The publisher.
        publisher: PublisherId,
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
}
