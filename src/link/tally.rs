//! What is counted of a peer, and how it is shown.

use super::incoming::{Incoming, IncomingState};
use super::outbox::Outbox;
use super::outgoing::{Answer, Outgoing};
use super::session::Session;
use super::snapshot::{RouteDirection, RouteSnapshot};

/// Counters of one peer over all its sessions.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) messages_sent: u64,
    pub(super) messages_received: u64,
    pub(super) messages_dropped: u64,
    pub(super) datagrams_sent: u64,
    pub(super) datagrams_repaired: u64,
    pub(super) duplicates_received: u64,
    pub(super) frames_rejected: u64,
    pub(super) datagrams_refused: u64,
    pub(super) bytes_first: u64,
    pub(super) bytes_duplicated: u64,
    pub(super) handovers: u32,
}

impl Tally {
    /// With the counters of a session added.
    pub(super) fn with(mut self, session: &Session) -> Self {
        let (sent, received) = session.lanes.multipath().bytes();
        self.bytes_sent += sent;
        self.bytes_received += received;
        let multipath = session.lanes.multipath();
        let counters = multipath.counters();
        self.datagrams_sent += counters.datagrams;
        self.datagrams_repaired += counters.repaired;
        self.duplicates_received += counters.duplicates_received;
        self.frames_rejected += counters.rejected;
        self.datagrams_refused += counters.refused;
        self.bytes_first += counters.bytes_first;
        self.bytes_duplicated += counters.bytes_duplicated;
        self.handovers += multipath.handovers();
        for (_, topic) in session.outgoing.topics() {
            self.messages_sent += topic.messages;
            self.messages_dropped +=
                topic.dropped() + topic.dropped_expired + topic.dropped_interface;
        }
        for (_, topic) in session.incoming.topics() {
            self.messages_received += topic.messages;
            self.messages_dropped +=
                topic.dropped_queue + topic.dropped_oversize + topic.dropped_expired;
        }
        self
    }
}

/// The routes of a session: ours, then the peer's.
pub(super) fn routes(session: &Session, outbox: &Outbox) -> Vec<RouteSnapshot> {
    sent(&session.outgoing, outbox).chain(received(&session.incoming)).collect()
}

fn sent(outgoing: &Outgoing, outbox: &Outbox) -> impl Iterator<Item = RouteSnapshot> {
    outgoing.topics().map(|(id, topic)| {
        let (open, remark) = match &topic.answer {
            Answer::Accepted => (true, String::new()),
            Answer::Awaited => (false, "not answered by the peer yet".to_owned()),
            Answer::Refused(refusal) => (false, refusal.text.clone()),
        };
        RouteSnapshot {
            id,
            direction: RouteDirection::Send,
            topic: topic.offer.topic.clone(),
            open,
            remark,
            messages: topic.messages,
            bytes: topic.bytes,
            dropped_expired: topic.dropped_expired,
            dropped_queue: topic.dropped(),
            dropped_oversize: outbox.get(id).map_or(0, |offered| offered.dropped_oversize),
            dropped_rate: outbox.get(id).map_or(0, |offered| offered.dropped_rate),
            dropped_interface: topic.dropped_interface,
        }
    })
}

fn received(incoming: &Incoming) -> impl Iterator<Item = RouteSnapshot> {
    incoming.topics().map(|(id, topic)| {
        let (open, remark) = match &topic.state {
            IncomingState::Accepted(_) => (true, String::new()),
            IncomingState::Awaited => (false, "not answered yet".to_owned()),
            IncomingState::Refused(refusal) => (false, refusal.text.clone()),
        };
        RouteSnapshot {
            id,
            direction: RouteDirection::Receive,
            topic: topic.offer.topic.clone(),
            open,
            remark,
            messages: topic.messages,
            bytes: topic.bytes,
            dropped_expired: topic.dropped_expired,
            dropped_queue: topic.dropped_queue,
            dropped_oversize: topic.dropped_oversize,
            dropped_rate: 0,
            dropped_interface: 0,
        }
    })
}
