//! A peer's topics on their way to us, within one session: what the application said to each,
//! and the messages being put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::route::{IncomingLimits, Refusal, RefusalReason, RouteId, RouteOffer};
use crate::wire::{Complete, Discard, Fragment, Place, Reassembly};

/// Topics that one peer may offer.
pub(crate) const MAX_ROUTES: usize = 2_048;

/// Bytes that the incomplete messages of one peer may hold together: eight of the largest by
/// default. Beyond it a message is dropped and counted when its first fragment arrives.
const MAX_INCOMPLETE: usize = 128 * 1024 * 1024;

/// A topic of the peer's.
#[derive(Debug)]
pub(crate) struct IncomingTopic {
    /// The name in `offer`, to be shared by all its messages.
    pub(crate) name: Arc<str>,
    pub(crate) offer: RouteOffer,
    revision: u32,
    /// Older messages are not delivered; zero for no limit.
    lifespan: Duration,
    pub(crate) state: IncomingState,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) dropped_queue: u64,
    pub(crate) dropped_oversize: u64,
    pub(crate) dropped_expired: u64,
}

/// What the application said to a topic of the peer's.
#[derive(Debug)]
pub(crate) enum IncomingState {
    Awaited,
    Accepted(Reassembly),
    Refused(Refusal),
}

/// What is remembered of a peer's topics beyond one session.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    epoch: u32,
    /// Newest sequence delivered of each topic, so that what is sent again after a reconnect is
    /// not delivered again.
    delivered: BTreeMap<RouteId, u64>,
    /// Answers that the application owes, by topic. It answers in order, so only the last of
    /// several belongs to the offer that stands.
    owed: BTreeMap<RouteId, usize>,
}

impl Progress {
    /// Forgets what was delivered where the sender has started anew.
    pub(crate) fn enter(&mut self, epoch: u32) {
        if self.epoch != epoch {
            self.enter_anew(epoch);
        }
    }

    /// Forgets what was delivered: the sender counts from the start.
    pub(crate) fn enter_anew(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.delivered.clear();
    }
}

/// All topics of a peer in one session.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    topics: BTreeMap<RouteId, IncomingTopic>,
}

/// What an offer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// The application has to be asked.
    Ask,
    /// The peer is told no.
    Refuse(Refusal),
}

impl Incoming {
    /// Notes an offer of the peer.
    pub(crate) fn handle_offer(
        &mut self,
        id: RouteId,
        revision: u32,
        lifespan: Duration,
        offer: RouteOffer,
        progress: &mut Progress,
    ) -> Offer {
        // What the application still owes counts too: a peer that offers and withdraws faster
        // than it is answered must not fill the event queue.
        let owed: usize = progress.owed.values().sum();
        let full = self.topics.len() >= MAX_ROUTES && !self.topics.contains_key(&id);
        if full || owed >= MAX_ROUTES {
            return Offer::Refuse(Refusal {
                reason: RefusalReason::TooMany,
                text: format!("a peer may offer {MAX_ROUTES} topics at most"),
            });
        }
        *progress.owed.entry(id).or_default() += 1;
        if let Some(topic) = self.topics.get_mut(&id)
            && topic.offer.topic == offer.topic
            && topic.offer.type_name == offer.type_name
        {
            // What is on its way under the former offer is taken until the new one is answered.
            topic.offer = offer;
            topic.revision = revision;
            topic.lifespan = lifespan;
            return Offer::Ask;
        }
        let topic = IncomingTopic {
            name: Arc::from(offer.topic.as_str()),
            offer,
            revision,
            lifespan,
            state: IncomingState::Awaited,
            messages: 0,
            bytes: 0,
            dropped_queue: 0,
            dropped_oversize: 0,
            dropped_expired: 0,
        };
        self.topics.insert(id, topic);
        Offer::Ask
    }

    /// Notes that the peer takes a topic back; was it offered?
    pub(crate) fn withdraw(&mut self, id: RouteId) -> bool {
        self.topics.remove(&id).is_some()
    }

    /// Notes what the application said. Returns the topic and the revision that the peer is to be
    /// told of, or `None` where the offer no longer stands.
    pub(crate) fn handle_answer(
        &mut self,
        id: RouteId,
        answer: Result<IncomingLimits, Refusal>,
        progress: &mut Progress,
    ) -> Option<(&IncomingTopic, u32)> {
        let owed = progress.owed.get_mut(&id)?;
        *owed -= 1;
        if *owed > 0 {
            return None;
        }
        progress.owed.remove(&id);
        let topic = self.topics.get_mut(&id)?;
        match (answer, &mut topic.state) {
            (Ok(limits), IncomingState::Accepted(reassembly)) => {
                reassembly.set_max_message_size(limits.max_message_size);
            }
            (Ok(limits), state) => {
                let delivered = progress.delivered.get(&id).copied().unwrap_or(0);
                let reassembly = Reassembly::new(limits.max_message_size, delivered);
                *state = IncomingState::Accepted(reassembly);
            }
            (Err(refusal), state) => *state = IncomingState::Refused(refusal),
        }
        Some((topic, topic.revision))
    }

    /// Takes a fragment; returns the message that it completes, and its topic. `age` tells how old a
    /// message is that was taken at a moment of the peer's clock.
    pub(crate) fn handle_fragment(
        &mut self,
        peer: &str,
        fragment: Fragment<'_>,
        age: impl Fn(u32) -> Duration,
        progress: &mut Progress,
    ) -> Option<(RouteId, &IncomingTopic, Complete)> {
        let id = RouteId(fragment.route);
        let begun = match fragment.place {
            Place::First(header) if header.epoch != progress.epoch => return None,
            Place::First(header) if self.begins(id, &fragment) => header.length as usize,
            Place::First(_) | Place::Rest { .. } => 0,
        };
        let no_room = begun > 0 && self.incomplete() + begun > MAX_INCOMPLETE;
        let topic = self.topics.get_mut(&id)?;
        if no_room {
            topic.dropped_queue += 1;
            return None;
        }
        let IncomingState::Accepted(reassembly) = &mut topic.state else { return None };
        match reassembly.handle_fragment(fragment) {
            Ok(Some(complete)) => {
                progress.delivered.insert(id, complete.sequence);
                if !topic.lifespan.is_zero() && age(complete.taken) > topic.lifespan {
                    topic.dropped_expired += 1;
                    return None;
                }
                topic.messages += 1;
                topic.bytes += complete.data.len() as u64;
                Some((id, topic, complete))
            }
            Ok(None) | Err(Discard::Old | Discard::Stray) => None,
            Err(Discard::Oversize) => {
                topic.dropped_oversize += 1;
                if topic.dropped_oversize.is_power_of_two() {
                    log::warn!(
                        "message dropped: peer={peer} topic={} dropped={}; raise max_message_size here to take it",
                        topic.offer.topic,
                        topic.dropped_oversize,
                    );
                }
                None
            }
        }
    }

    /// The topics, by number.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (RouteId, &IncomingTopic)> {
        self.topics.iter().map(|(id, topic)| (*id, topic))
    }

    fn begins(&self, id: RouteId, fragment: &Fragment<'_>) -> bool {
        match self.topics.get(&id).map(|topic| &topic.state) {
            Some(IncomingState::Accepted(reassembly)) => reassembly.begins(fragment),
            Some(IncomingState::Awaited | IncomingState::Refused(_)) | None => false,
        }
    }

    fn incomplete(&self) -> usize {
        self.topics
            .values()
            .map(|topic| match &topic.state {
                IncomingState::Accepted(reassembly) => reassembly.bytes(),
                IncomingState::Awaited | IncomingState::Refused(_) => 0,
            })
            .sum()
    }
}
