//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// First delay: a server that restarts is back soon.
const MIN_DELAY: Duration = Duration::from_millis(250);
/// Longest delay: two seconds after the server has come back all rovers have found it. What knocks
/// in vain costs a machine next to nothing, and a fleet of 1,000 makes 800 attempts per second.
pub(super) const MAX_DELAY: Duration = Duration::from_millis(1_250);
/// Part of a delay that is random, so that a fleet does not come back all at once.
const JITTER: f64 = 0.25;

/// Delays that double from attempt to attempt.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: MIN_DELAY }
    }

    /// The delay before the next attempt; `random` is a number in 0..1.
    pub(super) fn delay(&mut self, random: f64) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(MAX_DELAY);
        jittered(delay, random)
    }
}

/// `delay` ± 25 %; `random` is a number in 0..1.
pub(super) fn jittered(delay: Duration, random: f64) -> Duration {
    delay.mul_f64(1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut backoff = Backoff::new();
        let delays: Vec<_> = (0..8).map(|_| backoff.delay(0.5).as_millis()).collect();
        assert_eq!(delays, [250, 500, 1000, 1250, 1250, 1250, 1250, 1250]);
    }

    #[test]
    fn jitter_takes_or_adds_at_most_a_quarter() {
        assert_eq!(jittered(MAX_DELAY, 0.0), MAX_DELAY * 3 / 4);
        assert_eq!(jittered(MAX_DELAY, 1.0), MAX_DELAY * 5 / 4);
    }
}
