//! How fast messages from peers are published here. Pure; `now` comes in as an argument.
//!
//! After an outage a whole backlog arrives at once. Published at once, it would overflow the
//! history of each local subscriber (usually 10 samples), and more would be lost here than on the
//! link. So each topic has a token bucket: a full one lets through half of what such a history
//! holds, then messages follow evenly.

use std::time::{Duration, Instant};

/// Messages that may follow each other without a pause: half of the usual depth of a ROS history,
/// which leaves a subscriber 2.5 ms to wake up before the evenly spaced ones fill the rest.
const BURST: u32 = 5;

/// Time per message once the burst is used up: 2 kHz is slow enough for a subscriber to keep up
/// with, and twice as fast as the quickest of usual topics, whose backlog would never end otherwise.
pub(super) const INTERVAL: Duration = Duration::from_micros(500);

/// Token bucket of one topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// When the bucket will be full.
    full_at: Instant,
}

impl Pace {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// When the next message may go; in the past while tokens are left.
    pub(super) fn ready_at(&self) -> Instant {
        // A bucket that is full at `t` had its last token missing for one interval, and so on.
        self.full_at.checked_sub(INTERVAL * (BURST - 1)).unwrap_or(self.full_at)
    }

    /// Counts a message. Spending more than there is makes the next wait longer.
    pub(super) fn spend(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publishes as fast as the pace allows and gives the moments.
    fn publish(count: u32, start: Instant) -> Vec<Duration> {
        let mut pace = Pace::new(start);
        let mut now = start;
        let mut moments = Vec::new();
        for _ in 0..count {
            now = now.max(pace.ready_at());
            pace.spend(now);
            moments.push(now - start);
        }
        moments
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_evenly() {
        let moments = publish(1000, Instant::now());
        let (burst, rest) = moments.split_at(BURST as usize);
        assert!(burst.iter().all(Duration::is_zero));
        for (moment, n) in rest.iter().zip(1..) {
            assert_eq!(*moment, INTERVAL * n);
        }
    }

    #[test]
    fn a_pause_fills_the_bucket_but_never_beyond_a_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let later = start + Duration::from_secs(60);
        for _ in 0..BURST {
            assert!(pace.ready_at() <= later);
            pace.spend(later);
        }
        assert_eq!(pace.ready_at(), later + INTERVAL);
    }
}
