//! The publishers of one topic here that stand for those of peers.
//!
//! A volatile topic has one of them, whoever sends. A `transient_local` one has one for each
//! publisher of each peer: so ROS keeps the last samples of each for late joiners, as it would beside
//! the publishers themselves, and one that speaks often pushes out nothing of the others. A message
//! that a restarted peer sends once more is known by its number at its publisher, and not published
//! again.
//!
//! Such a publisher keeps no more samples than late joiners are to get. What comes faster, as after
//! an outage, would push out samples that a subscriber has not confirmed yet; so the next one waits
//! until they all are.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::lateness::{Late, Lateness};
use super::rcl::{Publisher, RclError};
use super::received::MAX_PUBLISHERS;
use super::shared::OwnPublishers;
use crate::config::{Durability, QosProfile, Reliability};
use crate::link::{IncomingMessage, Origin, PublisherId};

/// Stand-ins of one topic; beyond it, or beyond [`MAX_PUBLISHERS`] of all topics, the one that was
/// silent longest goes. As many as a sender keeps samples of.
const MAX_STAND_INS: usize = 256;

/// A publisher that the peer no longer names is given up after this time. A peer that has just
/// started does not see all of its publishers at once.
const GONE: Duration = Duration::from_secs(5);

/// Longest that a message waits for those before it to be confirmed: twice what it takes where
/// subscribers are well. One that confirms nothing is not waited for again until it does.
const CONFIRMATION: Duration = Duration::from_millis(20);

/// How many stand-ins there are on all topics.
pub(super) type Total = Rc<Cell<usize>>;

/// All stand-ins of one topic.
pub(super) struct StandIns {
    make: Box<dyn Fn() -> Result<Publisher, RclError>>,
    own: OwnPublishers,
    qos: QosProfile,
    total: Total,
    /// The one that published last at the end. Never empty.
    all: VecDeque<StandIn>,
    /// Until when the next message waits for those before it to be confirmed.
    confirmed_by: Option<Instant>,
}

struct StandIn {
    publisher: Publisher,
    /// For whom; `None` until somebody is known, always so on volatile topics.
    of: Option<Source>,
    /// Number at the source of the newest message.
    number: u64,
    /// Since when the peer does not name it.
    missing: Option<Instant>,
    /// Messages since all were confirmed.
    unconfirmed: u32,
    lateness: Lateness,
    /// Did a subscriber leave messages unconfirmed for longer than is waited for?
    is_waited_for_in_vain: bool,
}

/// A publisher of a peer's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    peer: String,
    publisher: PublisherId,
}

impl StandIns {
    /// Those of a topic on which nobody has published yet: one that can be seen.
    pub(super) fn new(
        own: OwnPublishers,
        total: Total,
        qos: QosProfile,
        make: impl Fn() -> Result<Publisher, RclError> + 'static,
    ) -> Result<Self, RclError> {
        let (make, all) = (Box::new(make), VecDeque::new());
        let mut made = Self { make, own, qos, total, all, confirmed_by: None };
        made.add(None)?;
        Ok(made)
    }

    /// Publishes a message; `false` if it was published before.
    pub(super) fn publish(
        &mut self,
        message: &IncomingMessage,
        data: &[u8],
        now: Instant,
    ) -> Result<bool, RclError> {
        let stand_in = match message.origin {
            Some(Origin { publisher, number }) if self.is_latched() => {
                let source = Source { peer: message.peer.clone(), publisher };
                let stand_in = self.stand_in(source)?;
                if number != 0 && number <= stand_in.number {
                    return Ok(false);
                }
                stand_in.number = number;
                stand_in
            }
            _ => self.last()?,
        };
        stand_in.missing = None;
        stand_in.publisher.publish(data)?;
        if self.is_latched() && self.qos.reliability == Reliability::Reliable {
            self.note_unconfirmed(now);
        }
        Ok(true)
    }

    /// Notes which publishers the topic has at a peer. Those that are new to it get a stand-in before
    /// they publish, so that subscribers have found it by then.
    pub(super) fn follow(
        &mut self,
        peer: &str,
        publishers: &BTreeSet<PublisherId>,
        now: Instant,
    ) -> Result<(), RclError> {
        if !self.is_latched() {
            return Ok(());
        }
        for publisher in publishers {
            self.stand_in(Source { peer: peer.to_owned(), publisher: *publisher })?;
        }
        for stand_in in &mut self.all {
            if let Some(source) = stand_in.of.as_ref().filter(|source| source.peer == peer) {
                let is_there = publishers.contains(&source.publisher);
                stand_in.missing = if is_there { None } else { stand_in.missing.or(Some(now)) };
            }
        }
        Ok(())
    }

    /// Gives up those whose publishers are gone, and sees whether subscribers confirm again.
    pub(super) fn check(&mut self, now: Instant) -> Result<(), RclError> {
        let is_gone =
            |one: &StandIn| one.missing.is_some_and(|since| now.duration_since(since) > GONE);
        if self.all.iter().all(is_gone) {
            self.add(None)?;
        }
        let (gone, left): (Vec<_>, Vec<_>) = self.all.drain(..).partition(is_gone);
        self.all = left.into();
        self.give_up(gone);
        for stand_in in self.all.iter_mut().filter(|one| one.is_waited_for_in_vain) {
            stand_in.confirm();
        }
        Ok(())
    }

    /// What is late of what the peers' publishers promised.
    pub(super) fn late(&mut self, now: Instant) -> Late {
        let mut late = Late::default();
        for stand_in in &mut self.all {
            stand_in.lateness.of_publisher(stand_in.publisher.events(), now);
            let Late { deadline, lease } = stand_in.lateness.late(self.qos.timing, now);
            late = Late { deadline: late.deadline.or(deadline), lease: late.lease.or(lease) };
        }
        late
    }

    /// Until when the next message has to wait, `None` if not at all.
    pub(super) fn confirmed_by(&self) -> Option<Instant> {
        self.confirmed_by
    }

    /// Looks whether the next message still has to wait.
    pub(super) fn confirm(&mut self, now: Instant) {
        let Some(by) = self.confirmed_by else { return };
        let depth = self.qos.depth;
        let mut waiting = self.all.iter_mut().filter(|one| one.is_full(depth));
        let all = waiting.by_ref().all(StandIn::confirm);
        if all {
            self.confirmed_by = None;
        } else if now >= by {
            self.confirmed_by = None;
            for stand_in in self.all.iter_mut().filter(|one| one.is_full(depth)) {
                stand_in.is_waited_for_in_vain = !stand_in.confirm();
            }
        }
    }

    fn note_unconfirmed(&mut self, now: Instant) {
        let depth = self.qos.depth;
        if let Some(stand_in) = self.all.back_mut() {
            stand_in.unconfirmed = stand_in.unconfirmed.saturating_add(1);
            if stand_in.is_full(depth) {
                self.confirmed_by = Some(now + CONFIRMATION);
            }
        }
    }

    fn is_latched(&self) -> bool {
        self.qos.durability == Durability::TransientLocal
    }

    /// The last one, for whomever it is.
    fn last(&mut self) -> Result<&mut StandIn, RclError> {
        if self.all.is_empty() {
            self.add(None)?;
        }
        let last = self.all.len() - 1;
        Ok(&mut self.all[last])
    }

    /// The one of a source, which becomes the last.
    fn stand_in(&mut self, source: Source) -> Result<&mut StandIn, RclError> {
        let known = self.all.iter().position(|one| one.of.as_ref() == Some(&source));
        let free = || self.all.iter().position(|one| one.of.is_none());
        if let Some(mut stand_in) = known.or_else(free).and_then(|at| self.all.remove(at)) {
            stand_in.of = Some(source);
            self.all.push_back(stand_in);
        } else {
            if (self.all.len() >= MAX_STAND_INS || self.total.get() >= MAX_PUBLISHERS)
                && let Some(silent) = self.all.pop_front()
            {
                self.give_up(vec![silent]);
            }
            self.add(Some(source))?;
        }
        self.last()
    }

    fn add(&mut self, of: Option<Source>) -> Result<(), RclError> {
        let publisher = self.own.make(&self.make)?;
        self.total.set(self.total.get() + 1);
        self.all.push_back(StandIn {
            publisher,
            of,
            number: 0,
            missing: None,
            unconfirmed: 0,
            lateness: Lateness::default(),
            is_waited_for_in_vain: false,
        });
        Ok(())
    }

    fn give_up(&self, gone: Vec<StandIn>) {
        for StandIn { publisher, .. } in gone {
            let id = publisher.id();
            drop(publisher);
            self.own.forget(id);
            self.total.set(self.total.get() - 1);
        }
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        let all = self.all.drain(..).collect();
        self.give_up(all);
    }
}

impl StandIn {
    /// Would one more message push out one that a subscriber may not have?
    fn is_full(&self, depth: u32) -> bool {
        self.unconfirmed >= depth && !self.is_waited_for_in_vain
    }

    /// Looks whether all is confirmed.
    fn confirm(&mut self) -> bool {
        let is_confirmed = self.publisher.is_confirmed();
        if is_confirmed {
            self.unconfirmed = 0;
            self.is_waited_for_in_vain = false;
        }
        is_confirmed
    }
}
