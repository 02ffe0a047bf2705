//! What is counted of a peer, and how it is shown.

use super::counts::Counts;
use super::incoming::{IncomingState, IncomingTopic};
use super::outbox::{Offered, Outbox};
use super::outgoing::{Answer, OutgoingTopic};
use super::peer::Peer;
use super::route::RouteId;
use super::session::Session;
use super::snapshot::{RouteDirection, RouteSnapshot};

/// Counters of one peer over all its sessions, besides those of messages.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
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
        self
    }
}

impl Peer {
    /// What was counted of all our topics together.
    pub(super) fn sent(&self, outbox: &Outbox) -> Counts {
        outbox.topics().filter_map(|(id, offered)| self.sent_of(id, offered)).sum()
    }

    /// All routes: ours, whether there is a session or not, then the peer's.
    pub(super) fn routes(&self, outbox: &Outbox) -> Vec<RouteSnapshot> {
        let ours = outbox.topics().filter_map(|(id, offered)| {
            let topic = self.session.as_ref().and_then(|session| session.outgoing.get(id));
            Some(sent(id, offered, topic, self.sent_of(id, offered)?))
        });
        let theirs = self.session.iter().flat_map(|session| session.incoming.topics());
        let theirs = theirs.map(|(id, topic)| received(id, topic, self.progress.counts(id)));
        ours.chain(theirs).collect()
    }

    /// What was counted of a topic of ours. `None` if it is not for this peer.
    fn sent_of(&self, id: RouteId, offered: &Offered) -> Option<Counts> {
        let counted = match &self.session {
            Some(session) => session.outgoing.counts(id),
            None => self.counts.get(&id).copied(),
        };
        let is_meant = counted.is_some() || offered.route.peers.admits(&self.id);
        is_meant.then(|| [offered.counts, counted.unwrap_or_default()].into_iter().sum())
    }
}

fn sent(
    id: RouteId,
    offered: &Offered,
    topic: Option<&OutgoingTopic>,
    counts: Counts,
) -> RouteSnapshot {
    let (open, remark, refusal) = match topic.map(|topic| &topic.answer) {
        Some(Answer::Accepted) => (true, String::new(), None),
        Some(Answer::Awaited) => (false, "not answered by the peer yet".to_owned(), None),
        Some(Answer::Refused(refusal)) => (false, refusal.text.clone(), Some(refusal.reason)),
        None => (false, String::new(), None),
    };
    RouteSnapshot {
        id,
        direction: RouteDirection::Send,
        topic: offered.route.offer.topic.clone(),
        open,
        remark,
        refusal,
        counts,
        waiting: topic.map_or(0, |topic| topic.waiting() as u64),
        waiting_bytes: topic.map_or(0, |topic| topic.waiting_bytes() as u64),
    }
}

fn received(id: RouteId, topic: &IncomingTopic, counts: Counts) -> RouteSnapshot {
    let (open, remark, refusal) = match &topic.state {
        IncomingState::Accepted => (true, String::new(), None),
        IncomingState::Awaited => (false, "not answered yet".to_owned(), None),
        IncomingState::Refused(refusal) => (false, refusal.text.clone(), Some(refusal.reason)),
    };
    RouteSnapshot {
        id,
        direction: RouteDirection::Receive,
        topic: topic.offer.topic.clone(),
        open,
        remark,
        refusal,
        counts,
        // What is complete is the application's at once.
        waiting: 0,
        waiting_bytes: 0,
    }
}
