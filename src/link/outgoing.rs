//! Our topics on their way to one peer, within one session: what the peer said to each, what
//! waits, and which fragment goes next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::lanes::Lane;
use super::outbox::{Numbered, Offered};
use super::queue::MessageQueue;
use super::route::{Refusal, RouteId, RouteOffer};
use crate::config::{Delivery, InterfaceKind, Priority};
use crate::wire::{Fragment, Header};

/// One fragment in so many is of the least urgent topics that wait, so that none starves for ever.
const FLOOR: u32 = 8;

/// Answers of a peer to one offer that the application is told of: it may change its mind, but must
/// not fill the event queue.
const MAX_TOLD: u32 = 16;

/// What the peer said to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Awaited,
    Accepted,
    Refused(Refusal),
}

/// One topic of ours.
#[derive(Debug)]
pub(crate) struct OutgoingTopic {
    pub(crate) offer: RouteOffer,
    priority: Priority,
    lifespan: Duration,
    interfaces: Vec<InterfaceKind>,
    pub(crate) answer: Answer,
    revision: u32,
    /// Answers to this offer so far.
    answers: u32,
    queue: MessageQueue<Numbered>,
    /// The message being sent, and the offset of its next fragment.
    current: Option<(Numbered, u32)>,
    pub(crate) counts: Counts,
}

impl OutgoingTopic {
    /// May it use an interface of this kind?
    fn may_use(&self, interface: Option<InterfaceKind>) -> bool {
        self.interfaces.is_empty()
            || interface.is_some_and(|interface| self.interfaces.contains(&interface))
    }

    /// Messages that wait, the one that is partly sent among them.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.current.is_some())
    }

    /// The same, bytes.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let current = self.current.as_ref().map_or(0, |(message, _)| message.data.len());
        self.queue.bytes() + current
    }

    /// Queues a message, at the cost of the oldest ones where there is no room.
    fn push(&mut self, message: Numbered, interface: Option<InterfaceKind>) {
        let before = self.queue.dropped();
        self.queue.push(message);
        let gone = self.queue.dropped() - before;
        if self.may_use(interface) {
            self.counts.dropped_queue += gone;
        } else {
            self.counts.dropped_interface += gone;
        }
    }

    /// Goes on with an empty queue, whose bounds may be others, and with what waits.
    fn bound(&mut self, queue: MessageQueue<Numbered>) {
        let mut former = std::mem::replace(&mut self.queue, queue);
        let before = former.dropped();
        self.queue.take_over(&mut former);
        self.counts.dropped_queue += self.queue.dropped() - before;
    }

    /// Drops all that waits: the peer is not to have it.
    fn close(&mut self) {
        self.counts.dropped_closed += self.waiting() as u64;
        self.current = None;
        while self.queue.pop().is_some() {}
    }

    /// Counts an answer; is the application to be told of it?
    fn tell(&mut self) -> bool {
        self.answers = self.answers.saturating_add(1);
        self.answers <= MAX_TOLD
    }

    /// Is there something that may go by this interface?
    fn is_ready(&self, interface: Option<InterfaceKind>) -> bool {
        let waits = self.current.is_some() || !self.queue.is_empty();
        waits && self.answer == Answer::Accepted && self.may_use(interface)
    }

    /// Drops what is older than the topic allows, partly sent or not.
    fn expire(&mut self, now: Instant) {
        let lifespan = self.lifespan;
        let is_old = |message: &Numbered| now.saturating_duration_since(message.taken) > lifespan;
        if self.current.as_ref().is_some_and(|(message, _)| is_old(message)) {
            self.current = None;
            self.counts.dropped_expired += 1;
        }
        while self.queue.front().is_some_and(is_old) {
            self.queue.pop();
            self.counts.dropped_expired += 1;
        }
    }
}

/// All topics of ours in one session.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    topics: BTreeMap<RouteId, OutgoingTopic>,
    /// What was counted of topics that are not offered now.
    closed: BTreeMap<RouteId, Counts>,
    /// Those that are ready, so that the many that are not cost nothing.
    ready: BTreeSet<(Priority, RouteId)>,
    /// Kind of the interface by which data leaves.
    interface: Option<InterfaceKind>,
    /// The topic that sent last: the next one in number comes first.
    last: Option<RouteId>,
    /// Fragments sent.
    turns: u32,
}

impl Outgoing {
    /// Notes that a topic was offered to the peer. What waits of a former offer goes on waiting,
    /// if it is to cross in the same way.
    pub(crate) fn offer(&mut self, id: RouteId, offered: &Offered) {
        let route = &offered.route;
        if let Some(topic) = self.topics.get_mut(&id)
            && topic.offer.delivery == route.offer.delivery
            && topic.offer.type_name == route.offer.type_name
        {
            topic.offer = route.offer.clone();
            self.ready.remove(&(topic.priority, id));
            topic.priority = route.priority;
            topic.lifespan = route.lifespan;
            topic.interfaces.clone_from(&route.interfaces);
            topic.bound(MessageQueue::new(route.offer.delivery, route.queue));
            topic.revision = offered.revision;
            topic.answers = 0;
            topic.answer = Answer::Awaited;
            return;
        }
        self.withdraw(id);
        let topic = OutgoingTopic {
            offer: route.offer.clone(),
            priority: route.priority,
            lifespan: route.lifespan,
            interfaces: route.interfaces.clone(),
            answer: Answer::Awaited,
            revision: offered.revision,
            answers: 0,
            queue: MessageQueue::new(route.offer.delivery, route.queue),
            current: None,
            counts: self.closed.remove(&id).unwrap_or_default(),
        };
        self.topics.insert(id, topic);
    }

    /// Counts on from what was counted before this session.
    pub(crate) fn count_on(&mut self, counts: BTreeMap<RouteId, Counts>) {
        for (id, former) in counts {
            match self.topics.get_mut(&id) {
                Some(topic) => topic.counts += former,
                None => *self.closed.entry(id).or_default() += former,
            }
        }
    }

    /// Drops all topics, because the session is over; returns what was counted.
    pub(crate) fn close(&mut self) -> BTreeMap<RouteId, Counts> {
        let ids: Vec<_> = self.topics.keys().copied().collect();
        for id in ids {
            self.withdraw(id);
        }
        std::mem::take(&mut self.closed)
    }

    /// Drops a topic; was it offered?
    pub(crate) fn withdraw(&mut self, id: RouteId) -> bool {
        let Some(mut topic) = self.topics.remove(&id) else { return false };
        self.ready.remove(&(topic.priority, id));
        topic.close();
        self.closed.insert(id, topic.counts);
        true
    }

    /// Notes that the peer accepted an offer, be it one that it refused before; the kept samples
    /// that came before what waits go first. Is the application to be told? Not if the peer speaks of
    /// an offer that does not stand, or that it has accepted.
    pub(crate) fn accept(&mut self, id: RouteId, revision: u32, history: Vec<Numbered>) -> bool {
        let interface = self.interface;
        let Some(topic) = self.standing(id, revision) else { return false };
        if topic.answer == Answer::Accepted {
            return false;
        }
        topic.answer = Answer::Accepted;
        let waiting: Vec<_> = std::iter::from_fn(|| topic.queue.pop()).collect();
        let first = waiting.first().map_or(u64::MAX, |message| message.sequence);
        let mut earlier = history;
        earlier.retain(|sample| sample.sequence < first);
        topic.counts.taken += earlier.len() as u64;
        for message in earlier.into_iter().chain(waiting) {
            topic.push(message, interface);
        }
        let is_to_be_told = topic.tell();
        self.update_ready(id);
        is_to_be_told
    }

    /// Notes that the peer refused an offer, be it one that it accepted before; what waits goes. Is
    /// the application to be told? As for [`Outgoing::accept`].
    pub(crate) fn refuse(&mut self, id: RouteId, revision: u32, refusal: Refusal) -> bool {
        let Some(topic) = self.standing(id, revision) else { return false };
        let answer = Answer::Refused(refusal);
        if topic.answer == answer {
            return false;
        }
        topic.answer = answer;
        topic.close();
        let is_to_be_told = topic.tell();
        self.update_ready(id);
        is_to_be_told
    }

    /// The topic, if this is the offer of it that stands.
    fn standing(&mut self, id: RouteId, revision: u32) -> Option<&mut OutgoingTopic> {
        self.topics.get_mut(&id).filter(|topic| topic.revision == revision)
    }

    /// Queues a message, unless the peer refused its topic. It waits for the peer's answer.
    pub(crate) fn push(&mut self, id: RouteId, message: Numbered) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        if matches!(topic.answer, Answer::Refused(_)) {
            topic.counts.dropped_closed += 1;
            return;
        }
        topic.push(message, self.interface);
        self.update_ready(id);
    }

    /// Counts a message that is for this peer alone; one for all is counted before.
    pub(crate) fn count_own(&mut self, id: RouteId) {
        if let Some(topic) = self.topics.get_mut(&id) {
            topic.counts.taken += 1;
        }
    }

    /// Data leaves by an interface of this kind from now on: topics that may not use it wait.
    pub(crate) fn set_interface(&mut self, interface: Option<InterfaceKind>) {
        if self.interface != interface {
            self.interface = interface;
            let ids: Vec<_> = self.topics.keys().copied().collect();
            ids.into_iter().for_each(|id| self.update_ready(id));
        }
    }

    /// Notes whether a topic is ready.
    fn update_ready(&mut self, id: RouteId) {
        let Some(topic) = self.topics.get(&id) else { return };
        let entry = (topic.priority, id);
        if topic.is_ready(self.interface) {
            self.ready.insert(entry);
        } else {
            self.ready.remove(&entry);
        }
    }

    /// Is there a topic with something that may go?
    pub(crate) fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next fragment of a lane, encoded, of at most `length` bytes, and how it crosses. `clock` is
    /// that by which the peer tells how old a message is. More urgent topics go first, but
    /// every [`FLOOR`]th fragment is of the less urgent ones. Topics of one priority take turns,
    /// fragment by fragment: a large message delays the small ones by one datagram each.
    pub(crate) fn next_fragment(
        &mut self,
        lane: Lane,
        length: usize,
        epoch: u32,
        clock: impl Fn(Instant) -> u32,
        now: Instant,
    ) -> Option<(Delivery, Vec<u8>)> {
        self.expire(lane, now);
        let id = self.next_in_turn(lane)?;
        self.last = Some(id);
        self.turns = self.turns.wrapping_add(1);
        let topic = self.topics.get_mut(&id)?;
        let (message, offset) = match topic.current.take() {
            Some(current) => current,
            None => (topic.queue.pop()?, 0),
        };
        let header = Header {
            epoch,
            sequence: message.sequence,
            taken: clock(message.taken),
            // Bounded by the topic's `max_message_size`, which is 32 bits wide.
            length: u32::try_from(message.data.len()).unwrap_or(u32::MAX),
            is_compressed: message.is_compressed,
            origin: message.origin,
        };
        let fragment = Fragment::of(&message.data, offset, id.0, header, length);
        let mut encoded = Vec::with_capacity(fragment.encoded_len());
        fragment.encode(&mut encoded);
        let next = offset as usize + fragment.payload.len();
        if next < message.data.len() {
            topic.current = Some((message, next as u32));
        } else {
            topic.counts.messages += 1;
            topic.counts.bytes += message.data.len() as u64;
        }
        let delivery = topic.offer.delivery;
        self.update_ready(id);
        Some((delivery, encoded))
    }

    /// Drops what is older than its topic allows.
    fn expire(&mut self, lane: Lane, now: Instant) {
        let mut emptied = Vec::new();
        for (priority, id) in &self.ready {
            if Lane::of(*priority) == lane
                && let Some(topic) = self.topics.get_mut(id)
                && !topic.lifespan.is_zero()
            {
                topic.expire(now);
                if !topic.is_ready(self.interface) {
                    emptied.push(*id);
                }
            }
        }
        emptied.into_iter().for_each(|id| self.update_ready(id));
    }

    fn next_in_turn(&self, lane: Lane) -> Option<RouteId> {
        let mut of_lane = self.ready.iter().filter(|(priority, _)| Lane::of(*priority) == lane);
        let is_floor = self.turns.is_multiple_of(FLOOR);
        let (priority, _) = *if is_floor { of_lane.next_back() } else { of_lane.next() }?;
        let of_priority = self.ready.range((priority, RouteId(0))..=(priority, RouteId(u16::MAX)));
        let after = of_priority.clone().find(|(_, id)| self.last.is_none_or(|last| *id > last));
        after.or_else(|| of_priority.clone().next()).map(|(_, id)| *id)
    }

    /// A topic that is offered.
    pub(crate) fn get(&self, id: RouteId) -> Option<&OutgoingTopic> {
        self.topics.get(&id)
    }

    /// What was counted of a topic, offered or not.
    pub(crate) fn counts(&self, id: RouteId) -> Option<Counts> {
        let offered = self.topics.get(&id).map(|topic| topic.counts);
        offered.or_else(|| self.closed.get(&id).copied())
    }

    /// Bytes that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.topics.values().map(OutgoingTopic::waiting_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::outbox::{Outbox, tests::route};
    use super::super::route::{OutgoingRoute, RefusalReason};
    use super::*;
    use crate::wire::{FRAGMENT_LEN, Place};

    const ID: RouteId = RouteId(1);

    fn accepted(route: OutgoingRoute) -> Outgoing {
        let (mut outbox, mut outgoing) = (Outbox::default(), Outgoing::default());
        let offered = outbox.offer(ID, route);
        outgoing.offer(ID, offered);
        outgoing.accept(ID, offered.revision, Vec::new());
        outgoing
    }

    fn push(outgoing: &mut Outgoing, sequence: u64) {
        let data = Bytes::from_static(b"x");
        let (is_compressed, taken, origin) = (false, Instant::now(), None);
        outgoing.push(ID, Numbered { sequence, data, is_compressed, taken, origin });
    }

    fn next(outgoing: &mut Outgoing) -> Option<u64> {
        let (_, encoded) =
            outgoing.next_fragment(Lane::Normal, FRAGMENT_LEN, 0, |_| 0, Instant::now())?;
        match Fragment::decode(&encoded).ok()?.place {
            Place::First(header) => Some(header.sequence),
            Place::Rest { .. } => None,
        }
    }

    #[test]
    fn a_topic_waits_while_data_leaves_by_a_kind_of_network_that_it_may_not_use() {
        let mut limited = route(0);
        limited.interfaces = vec![InterfaceKind::Wifi];
        limited.queue.messages = 2;
        let mut outgoing = accepted(limited);
        outgoing.set_interface(Some(InterfaceKind::Cellular));
        for sequence in 1..=5 {
            push(&mut outgoing, sequence);
        }
        assert_eq!(next(&mut outgoing), None);
        let counts = |outgoing: &Outgoing| {
            outgoing.counts(ID).map(|counts| (counts.dropped_interface, counts.dropped_queue))
        };
        assert_eq!(counts(&outgoing), Some((3, 0)));
        outgoing.set_interface(Some(InterfaceKind::Wifi));
        assert_eq!((next(&mut outgoing), next(&mut outgoing)), (Some(4), Some(5)));
        for sequence in 6..=8 {
            push(&mut outgoing, sequence);
        }
        assert_eq!(counts(&outgoing), Some((3, 1)), "that one for want of room alone");
    }

    fn refusal() -> Refusal {
        Refusal { reason: RefusalReason::NotAccepted, text: "no".to_owned() }
    }

    #[test]
    fn an_answer_may_be_changed_and_nothing_is_kept_for_a_peer_that_refuses() {
        let mut outgoing = accepted(route(0));
        assert!(!outgoing.accept(ID, 1, Vec::new()), "said before");
        push(&mut outgoing, 1);
        assert!(outgoing.refuse(ID, 1, refusal()));
        assert!(!outgoing.refuse(ID, 1, refusal()), "said before");
        push(&mut outgoing, 2);
        assert!(!outgoing.is_any_ready());
        assert_eq!(next(&mut outgoing), None);
        assert!(!outgoing.accept(ID, 7, Vec::new()), "another offer");
        assert!(outgoing.accept(ID, 1, Vec::new()));
        push(&mut outgoing, 3);
        assert_eq!((next(&mut outgoing), next(&mut outgoing)), (Some(3), None));
        assert_eq!(outgoing.counts(ID).map(|counts| counts.dropped_closed), Some(2));
    }

    #[test]
    fn what_waits_survives_a_new_offer_within_its_bounds() {
        let (mut outbox, mut outgoing) = (Outbox::default(), accepted(route(0)));
        for sequence in 1..=4 {
            push(&mut outgoing, sequence);
        }
        let mut smaller = route(0);
        smaller.queue.messages = 2;
        smaller.priority = Priority::High;
        outbox.offer(ID, route(0));
        let offered = outbox.offer(ID, smaller);
        outgoing.offer(ID, offered);
        assert!(!outgoing.is_any_ready(), "the peer has to accept it again");
        push(&mut outgoing, 5);
        outgoing.accept(ID, offered.revision, Vec::new());
        assert_eq!((next(&mut outgoing), next(&mut outgoing)), (None, None), "another lane");
        let mut next = || {
            let now = Instant::now();
            let (_, encoded) =
                outgoing.next_fragment(Lane::Express, FRAGMENT_LEN, 0, |_| 0, now)?;
            let Ok(Fragment { place: Place::First(header), .. }) = Fragment::decode(&encoded)
            else {
                return None;
            };
            Some(header.sequence)
        };
        assert_eq!((next(), next(), next()), (Some(4), Some(5), None));
        assert_eq!(outgoing.counts(ID).map(|counts| counts.dropped_queue), Some(3));
    }

    #[test]
    fn a_topic_that_is_not_limited_uses_any_network() {
        let mut outgoing = accepted(route(0));
        for (sequence, interface) in [(1, None), (2, Some(InterfaceKind::Satellite))] {
            outgoing.set_interface(interface);
            push(&mut outgoing, sequence);
            assert_eq!(next(&mut outgoing), Some(sequence));
        }
    }
}
