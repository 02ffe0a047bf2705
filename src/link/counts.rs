//! What became of the messages of a route.

use std::iter::Sum;
use std::ops::AddAssign;

/// Counters of one route. Each message that it took either waits or is in exactly one of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages of ours for the peer, samples kept for late joiners each time that it gets them; or
    /// messages that the peer has sent to their end.
    pub taken: u64,
    /// Messages that crossed: handed to the session to their end, or to the application.
    pub messages: u64,
    /// Their payload as it crossed, bytes.
    pub bytes: u64,
    /// Dropped because a queue was full.
    pub dropped_queue: u64,
    /// Dropped because older than the topic's lifespan.
    pub dropped_expired: u64,
    /// Dropped to keep the topic's highest rate.
    pub dropped_rate: u64,
    /// Dropped because larger than the limit, or compressed and not to be decompressed within it.
    pub dropped_oversize: u64,
    /// Dropped because a queue was full while no interface that the topic may use was there.
    pub dropped_interface: u64,
    /// Dropped because it, or a newer one, had been delivered before.
    pub dropped_old: u64,
    /// Dropped because there was no session, or the topic was not taken at the other end.
    pub dropped_closed: u64,
}

impl Counts {
    /// All that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped_queue
            + self.dropped_expired
            + self.dropped_rate
            + self.dropped_oversize
            + self.dropped_interface
            + self.dropped_old
            + self.dropped_closed
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.taken += other.taken;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.dropped_queue += other.dropped_queue;
        self.dropped_expired += other.dropped_expired;
        self.dropped_rate += other.dropped_rate;
        self.dropped_oversize += other.dropped_oversize;
        self.dropped_interface += other.dropped_interface;
        self.dropped_old += other.dropped_old;
        self.dropped_closed += other.dropped_closed;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        let mut sum = Self::default();
        counts.for_each(|more| sum += more);
        sum
    }
}
