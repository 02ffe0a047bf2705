//! Who publishes the messages of one class on one rover, and when.

use std::time::{Duration, Instant};

use super::scenario::Traffic;

/// As fast as it goes means: this much waits, bytes. It is looked at in this interval.
const BACKLOG: u64 = 256 * 1024;
const BACKLOG_INTERVAL: Duration = Duration::from_millis(1);

/// Publishes the messages of one class on one rover.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// Number of the class in the scenario.
    pub(crate) class: usize,
    /// The rover.
    pub(crate) from: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
    rate: f64,
    due: Instant,
    sequence: u64,
}

impl Publisher {
    /// A publisher that begins at this part (0..1) of its period after `start`.
    pub(crate) fn new(
        class: usize,
        from: usize,
        traffic: &Traffic,
        phase: f64,
        start: Instant,
    ) -> Self {
        let (size, rate) = (traffic.size, traffic.rate);
        let start = start + traffic.start;
        let publisher = Self { class, from, size, rate, due: start, sequence: 0 };
        Self { due: start + publisher.period().mul_f64(phase), ..publisher }
    }

    /// Time between two messages; zero where they go as fast as they can.
    pub(crate) fn period(&self) -> Duration {
        if self.rate > 0.0 { Duration::from_secs_f64(1.0 / self.rate) } else { Duration::ZERO }
    }

    /// When there is something to do next.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// How many messages are to be published now; none from `end` on. `waiting` tells how many
    /// bytes wait at the rover.
    pub(crate) fn advance(&mut self, now: Instant, end: Instant, waiting: impl Fn() -> u64) -> u64 {
        let is_bulk = self.rate <= 0.0;
        self.due += if is_bulk { BACKLOG_INTERVAL } else { self.period() };
        if now >= end {
            self.due += NEVER;
            return 0;
        }
        if !is_bulk {
            return 1;
        }
        BACKLOG.saturating_sub(waiting()).div_ceil(self.size as u64)
    }

    /// Sequence of the next message.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence - 1
    }
}

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(1 << 32);
