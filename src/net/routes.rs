//! What waits of each route between ROS and the driver, and what became of the rest.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{Compression, Delivery, QueueLimits};
use crate::link::{Counts, IncomingMessage, MessageQueue, OutgoingMessage, OutgoingRoute, Payload};

/// Messages of a `latest` topic that are kept from a peer: those that one was waited for come
/// together, and are new all the same.
const CLUMP: usize = 10;

/// What is known here of the messages of a route: those that wait here, and what was counted of
/// those that did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Of ours, those count that the driver has not taken; of a peer's, all that came.
    pub counts: Counts,
    /// Messages that wait.
    pub waiting: u64,
    /// The same, bytes.
    pub waiting_bytes: u64,
}

impl Held {
    fn add(&mut self, messages: usize, bytes: usize) {
        self.waiting += messages as u64;
        self.waiting_bytes += bytes as u64;
    }

    fn add_queue<T: Payload>(&mut self, queue: &MessageQueue<T>) {
        self.add(queue.len(), queue.bytes());
        self.counts.dropped_queue += queue.dropped();
    }
}

/// A message on its way from ROS to the driver, with the moment it was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The message.
    pub message: OutgoingMessage,
    /// When it was taken; its age counts from here.
    pub at: Instant,
    /// The only peer that gets it; `None` for all.
    pub to: Option<String>,
}

impl Payload for Taken {
    fn size(&self) -> usize {
        self.message.data.len() + self.message.compressed.as_ref().map_or(0, Bytes::len)
    }
}

impl Payload for IncomingMessage {
    fn size(&self) -> usize {
        self.data.len()
    }
}

/// A message that is being compressed.
pub(super) struct InWork {
    pub(super) taken: Taken,
    offer: u64,
}

/// Where a message of ours waits now.
pub(super) enum Stage {
    /// To be compressed.
    Plain,
    /// For the driver.
    Ready,
    /// Nowhere: its route is closed.
    Dropped,
}

/// What waits of a route of ours.
///
/// Both queues have the bounds of the route, and the oldest goes where one is full: messages that
/// were left with ROS instead would get lost there without being counted, or hold up the publisher.
pub(super) struct Outgoing {
    /// The offer that the route began with.
    offer: u64,
    /// Messages to be compressed; `None` where they go as they are.
    plain: Option<MessageQueue<Taken>>,
    /// Messages for the driver.
    ready: MessageQueue<Taken>,
    /// Bytes of the message that is being compressed.
    in_work: Option<usize>,
    /// Besides what the queues count.
    counts: Counts,
    /// The counts of a closed one are kept for the next offer.
    is_open: bool,
}

impl Outgoing {
    pub(super) fn new(offer: u64, route: &OutgoingRoute) -> Self {
        let queue = || MessageQueue::new(route.offer.delivery, route.queue);
        let plain = match route.compression {
            Compression::None => None,
            Compression::Zstd => Some(queue()),
        };
        let (in_work, counts) = (None, Counts::default());
        Self { offer, plain, ready: queue(), in_work, counts, is_open: true }
    }

    /// Goes on with what waits of a former offer, and with what was counted.
    pub(super) fn take_over(&mut self, mut former: Self) {
        if former.is_open {
            self.offer = former.offer;
        }
        self.in_work = former.in_work;
        self.counts = former.counts;
        self.ready.take_over(&mut former.ready);
        if let Some(plain) = &mut former.plain {
            self.plain.as_mut().unwrap_or(&mut self.ready).take_over(plain);
        }
    }

    /// Takes a message from the application.
    pub(super) fn push(&mut self, taken: Taken) -> Stage {
        self.counts.taken += 1;
        if !self.is_open {
            self.counts.dropped_closed += 1;
            return Stage::Dropped;
        }
        match &mut self.plain {
            Some(plain) => {
                plain.push(taken);
                Stage::Plain
            }
            None => {
                self.ready.push(taken);
                Stage::Ready
            }
        }
    }

    /// Takes the next message that is to be compressed.
    pub(super) fn take_plain(&mut self) -> Option<InWork> {
        let taken = self.plain.as_mut()?.pop()?;
        self.in_work = Some(taken.size());
        Some(InWork { taken, offer: self.offer })
    }

    /// Takes a message back that was to be compressed, unless its route was withdrawn meanwhile: it
    /// was counted then, and the same number may stand for another type by now.
    pub(super) fn take_back(&mut self, InWork { taken, offer }: InWork) -> Stage {
        if !self.is_open || self.offer != offer {
            return Stage::Dropped;
        }
        self.in_work = None;
        self.ready.push(taken);
        Stage::Ready
    }

    pub(super) fn has_plain(&self) -> bool {
        self.plain.as_ref().is_some_and(|plain| !plain.is_empty())
    }

    /// Takes the next message for the driver, which counts it from here on.
    pub(super) fn pass_on(&mut self) -> Option<Taken> {
        let taken = self.ready.pop()?;
        self.counts.taken -= 1;
        Some(taken)
    }

    /// Drops what waits.
    pub(super) fn close(&mut self) {
        self.counts.dropped_closed += self.held().waiting;
        self.in_work = None;
        for queue in self.plain.iter_mut().chain([&mut self.ready]) {
            while queue.pop().is_some() {}
        }
        self.is_open = false;
    }

    pub(super) fn held(&self) -> Held {
        let mut held = Held { counts: self.counts, ..Held::default() };
        held.add_queue(&self.ready);
        if let Some(plain) = &self.plain {
            held.add_queue(plain);
        }
        if let Some(bytes) = self.in_work {
            held.add(1, bytes);
        }
        held
    }
}

/// What became of a message that the application took.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// It was published.
    Published,
    /// It cannot be made whole within the limit of its route.
    Refused,
    /// It was published before.
    Old,
    /// There is no publisher for it, or ROS refuses it.
    Closed,
}

/// How long messages of a route took, from when they were taken from the topic at the sender until
/// they were published here.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Latency {
    /// Messages of which it is known.
    messages: u32,
    /// Of all of them, s.
    sum: f64,
    /// Of the slowest, s.
    max: f64,
}

impl Latency {
    /// Takes that of one more message.
    pub fn add(&mut self, latency: Duration) {
        let latency = latency.as_secs_f64();
        self.messages += 1;
        self.sum += latency;
        self.max = self.max.max(latency);
    }

    /// The mean, s; NaN of no message.
    pub fn mean(&self) -> f64 {
        self.sum / f64::from(self.messages)
    }

    /// The highest, s; NaN of no message.
    pub fn max(&self) -> f64 {
        if self.messages == 0 { f64::NAN } else { self.max }
    }
}

/// What waits of a route of a peer's.
pub(super) struct Incoming {
    queue: MessageQueue<IncomingMessage>,
    /// Messages and bytes that were taken and are not settled.
    in_hand: (usize, usize),
    /// Besides what the queue counts.
    counts: Counts,
    /// Since it was last taken.
    latency: Latency,
    /// That of the peer whose messages these are; see [`crate::link::Output::IncomingOpened`].
    run: u64,
    is_open: bool,
}

impl Incoming {
    pub(super) fn new(delivery: Delivery, limits: QueueLimits, run: u64) -> Self {
        let limits = match delivery {
            Delivery::Reliable => limits,
            Delivery::Latest => QueueLimits { messages: limits.messages.min(CLUMP), ..limits },
        };
        let queue = MessageQueue::new(Delivery::Reliable, limits);
        let (counts, latency) = (Counts::default(), Latency::default());
        Self { queue, in_hand: (0, 0), counts, latency, run, is_open: true }
    }

    /// Goes on with what waits of a former one, and in the same run with what was counted.
    pub(super) fn take_over(&mut self, mut former: Self) {
        if former.run == self.run {
            self.counts = former.counts;
        } else {
            former.queue.forget_dropped();
            self.counts.taken = (former.queue.len() + former.in_hand.0) as u64;
        }
        self.in_hand = former.in_hand;
        self.queue.take_over(&mut former.queue);
    }

    /// Takes a message from the driver.
    pub(super) fn push(&mut self, message: IncomingMessage) {
        if self.is_open {
            self.queue.push(message);
        } else {
            self.counts.dropped_closed += 1;
        }
    }

    /// Takes the next message for the application, which is to settle it.
    pub(super) fn take(&mut self) -> Option<IncomingMessage> {
        let message = self.queue.pop()?;
        self.in_hand = (self.in_hand.0 + 1, self.in_hand.1 + message.size());
        Some(message)
    }

    /// Counts a message that the application has taken.
    pub(super) fn settle(
        &mut self,
        message: &IncomingMessage,
        outcome: Outcome,
        now: Instant,
    ) -> &Counts {
        let (messages, held) = self.in_hand;
        self.in_hand = (messages.saturating_sub(1), held.saturating_sub(message.size()));
        match outcome {
            Outcome::Published => {
                self.counts.messages += 1;
                if let Some(taken) = message.taken {
                    self.latency.add(now.saturating_duration_since(taken));
                }
            }
            Outcome::Refused => self.counts.dropped_oversize += 1,
            Outcome::Old => self.counts.dropped_old += 1,
            Outcome::Closed => self.counts.dropped_closed += 1,
        }
        &self.counts
    }

    /// How long messages took since this was last asked.
    pub(super) fn take_latency(&mut self) -> Latency {
        std::mem::take(&mut self.latency)
    }

    /// Nothing more comes; what has arrived can still be taken.
    pub(super) fn close(&mut self) {
        self.is_open = false;
    }

    pub(super) fn held(&self) -> Held {
        let mut held = Held { counts: self.counts, ..Held::default() };
        held.add_queue(&self.queue);
        held.add(self.in_hand.0, self.in_hand.1);
        held
    }

    /// Is there a message of a topic that can be taken?
    pub(super) fn is_ready(&self, is_busy: impl Fn(&str) -> bool) -> bool {
        let can_go =
            |message: &IncomingMessage| message.kind.is_topic() && !is_busy(&message.topic);
        self.queue.front().is_some_and(can_go)
    }

    /// Is there a request or a response that can be taken?
    pub(super) fn has_call(&self, is_busy: impl Fn(&IncomingMessage) -> bool) -> bool {
        let can_go = |message: &IncomingMessage| !message.kind.is_topic() && !is_busy(message);
        self.queue.front().is_some_and(can_go)
    }
}
