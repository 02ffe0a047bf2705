//! A peer's topics on their way to us, within one session: what the application said to each,
//! and the messages being put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::counts::Counts;
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
    reassembly: Reassembly,
    pub(crate) state: IncomingState,
}

/// What the application said to a topic of the peer's.
#[derive(Debug)]
pub(crate) enum IncomingState {
    Awaited,
    Accepted,
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
    /// Times that the sender has started to count anew.
    runs: u64,
    /// What was counted of each topic in this run.
    counts: BTreeMap<RouteId, Counts>,
    /// What was counted of all topics in the runs before.
    former: Counts,
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
        self.runs += 1;
        self.delivered.clear();
        self.former = self.total();
        self.counts.clear();
    }

    /// Times that the sender has started to count anew.
    pub(crate) fn runs(&self) -> u64 {
        self.runs
    }

    /// What was counted of a topic in this run.
    pub(crate) fn counts(&self, id: RouteId) -> Counts {
        self.counts.get(&id).copied().unwrap_or_default()
    }

    /// What was counted of all topics, in all runs.
    pub(crate) fn total(&self) -> Counts {
        let now = self.counts.values().copied();
        now.chain([self.former]).sum()
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
            && topic.offer.kind.is_topic() == offer.kind.is_topic()
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
            // Nothing is taken before the application has said how large it may be.
            reassembly: Reassembly::new(0, progress.delivered.get(&id).copied().unwrap_or(0)),
            state: IncomingState::Awaited,
        };
        self.topics.insert(id, topic);
        Offer::Ask
    }

    /// Has the peer offered this topic?
    pub(crate) fn has(&self, id: RouteId) -> bool {
        self.topics.contains_key(&id)
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
        self.settle(id, answer, progress)
    }

    /// Notes that the application changed its answer. `None` as for [`Incoming::handle_answer`]; where
    /// an answer is still owed, that one will count.
    pub(crate) fn change_answer(
        &mut self,
        id: RouteId,
        answer: Result<IncomingLimits, Refusal>,
        progress: &mut Progress,
    ) -> Option<(&IncomingTopic, u32)> {
        if progress.owed.contains_key(&id) {
            return None;
        }
        self.settle(id, answer, progress)
    }

    fn settle(
        &mut self,
        id: RouteId,
        answer: Result<IncomingLimits, Refusal>,
        progress: &mut Progress,
    ) -> Option<(&IncomingTopic, u32)> {
        let topic = self.topics.get_mut(&id)?;
        topic.state = match answer {
            Ok(limits) => {
                topic.reassembly.set_max_message_size(limits.max_message_size);
                if limits.again {
                    topic.reassembly.set_delivered(0);
                    progress.delivered.remove(&id);
                }
                IncomingState::Accepted
            }
            Err(refusal) => IncomingState::Refused(refusal),
        };
        Some((topic, topic.revision))
    }

    /// Takes a fragment; returns the message that it completes, and its topic. `age` tells how old a
    /// message is that was taken at a moment of the peer's clock.
    ///
    /// A message counts here when its last fragment has come, as it does at the sender when that
    /// goes: what the sender gives up half sent, it counts itself.
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
        let has_room = begun == 0 || self.incomplete() + begun <= MAX_INCOMPLETE;
        let topic = self.topics.get_mut(&id)?;
        let is_open = matches!(topic.state, IncomingState::Accepted);
        let taken = topic.reassembly.handle_fragment(fragment, is_open && has_room).transpose()?;
        let counts = progress.counts.entry(id).or_default();
        counts.taken += 1;
        match taken {
            Ok(complete) => {
                progress.delivered.insert(id, complete.sequence);
                if !topic.lifespan.is_zero() && age(complete.taken) > topic.lifespan {
                    counts.dropped_expired += 1;
                    return None;
                }
                counts.messages += 1;
                counts.bytes += complete.data.len() as u64;
                return Some((id, topic, complete));
            }
            Err(Discard::Old) => counts.dropped_old += 1,
            Err(Discard::Unwanted) if is_open => counts.dropped_queue += 1,
            Err(Discard::Unwanted) => counts.dropped_closed += 1,
            Err(Discard::Oversize) => {
                counts.dropped_oversize += 1;
                let dropped = counts.dropped_oversize;
                if dropped.is_power_of_two() {
                    log::warn!(
                        "message dropped: peer={peer} topic={} dropped={dropped}; raise max_message_size here to take it",
                        topic.offer.topic,
                    );
                }
            }
        }
        None
    }

    /// The topics, by number.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (RouteId, &IncomingTopic)> {
        self.topics.iter().map(|(id, topic)| (*id, topic))
    }

    fn begins(&self, id: RouteId, fragment: &Fragment<'_>) -> bool {
        self.topics.get(&id).is_some_and(|topic| topic.reassembly.begins(fragment))
    }

    fn incomplete(&self) -> usize {
        self.topics.values().map(|topic| topic.reassembly.bytes()).sum()
    }
}
