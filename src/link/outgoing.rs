//! Our topics on their way to one peer, within one session: what the peer said to each, what
//! waits, and which fragment goes next.

use std::collections::BTreeMap;
use std::time::Instant;

use super::outbox::{Numbered, Offered};
use super::queue::MessageQueue;
use super::route::{Refusal, RouteId, RouteOffer};
use crate::config::Delivery;
use crate::wire::{FRAGMENT_PAYLOAD, Fragment, Header};

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
    pub(crate) answer: Answer,
    revision: u32,
    queue: MessageQueue<Numbered>,
    /// The message being sent, and the offset of its next fragment.
    current: Option<(Numbered, u32)>,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl OutgoingTopic {
    /// Messages that had to go because the queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Complete messages that wait, bytes.
    fn waiting(&self) -> usize {
        let current = self.current.as_ref().map_or(0, |(message, _)| message.data.len());
        self.queue.bytes() + current
    }
}

/// All topics of ours in one session.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    topics: BTreeMap<RouteId, OutgoingTopic>,
    /// The topic that sent last: the next one in number comes first.
    last: Option<RouteId>,
}

impl Outgoing {
    /// Notes that a topic was offered to the peer; what waits of a former offer goes.
    pub(crate) fn offer(&mut self, id: RouteId, offered: &Offered) {
        let route = &offered.route;
        let topic = OutgoingTopic {
            offer: route.offer.clone(),
            answer: Answer::Awaited,
            revision: offered.revision,
            queue: MessageQueue::new(route.offer.delivery, route.queue),
            current: None,
            messages: 0,
            bytes: 0,
        };
        self.topics.insert(id, topic);
    }

    /// Drops a topic; was it offered?
    pub(crate) fn withdraw(&mut self, id: RouteId) -> bool {
        self.topics.remove(&id).is_some()
    }

    /// Notes what the peer said; `None` if it speaks of an offer that does not stand, or again of
    /// one that it has answered.
    pub(crate) fn handle_answer(
        &mut self,
        id: RouteId,
        revision: u32,
        answer: Answer,
    ) -> Option<&OutgoingTopic> {
        let topic = self.topics.get_mut(&id)?;
        if topic.revision != revision || topic.answer != Answer::Awaited {
            return None;
        }
        topic.answer = answer;
        Some(topic)
    }

    /// Queues a message, if the peer accepted its topic.
    pub(crate) fn push(&mut self, id: RouteId, message: Numbered) {
        if let Some(topic) = self.topics.get_mut(&id)
            && topic.answer == Answer::Accepted
        {
            topic.queue.push(message);
        }
    }

    /// The next fragment, encoded, and how it crosses. The topics take turns, fragment by
    /// fragment: a large message delays the small ones by one datagram each.
    pub(crate) fn next_fragment(
        &mut self,
        epoch: u32,
        now: Instant,
    ) -> Option<(Delivery, Vec<u8>)> {
        let id = self.next_in_turn()?;
        self.last = Some(id);
        let topic = self.topics.get_mut(&id)?;
        let (message, offset) = match topic.current.take() {
            Some(current) => current,
            None => (topic.queue.pop()?, 0),
        };
        let header = Header {
            route: id.0,
            epoch,
            sequence: message.sequence,
            age: now.saturating_duration_since(message.taken),
            // Bounded by the topic's `max_message_size`, which is 32 bits wide.
            length: u32::try_from(message.data.len()).unwrap_or(u32::MAX),
        };
        let fragment = Fragment::of(&message.data, offset, header);
        let mut encoded = Vec::with_capacity(crate::wire::HEADER_LEN + fragment.payload.len());
        fragment.encode(&mut encoded);
        let next = offset as usize + FRAGMENT_PAYLOAD;
        if next < message.data.len() {
            topic.current = Some((message, offset + FRAGMENT_PAYLOAD as u32));
        } else {
            topic.messages += 1;
            topic.bytes += message.data.len() as u64;
        }
        Some((topic.offer.delivery, encoded))
    }

    fn next_in_turn(&self) -> Option<RouteId> {
        let ready = |(id, topic): (&RouteId, &OutgoingTopic)| {
            (topic.current.is_some() || !topic.queue.is_empty()).then_some(*id)
        };
        let after = self.last.map_or(RouteId(0), |last| RouteId(last.0.wrapping_add(1)));
        self.topics
            .range(after..)
            .find_map(ready)
            .or_else(|| self.topics.range(..after).find_map(ready))
    }

    /// The topics, by number.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (RouteId, &OutgoingTopic)> {
        self.topics.iter().map(|(id, topic)| (*id, topic))
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.topics.values().map(OutgoingTopic::waiting).sum()
    }
}
