//! When to try again to get a session with a peer.

use std::time::{Duration, Instant};

/// First pause between two attempts, doubled each time, each ± 25 % so that a fleet that lost its
/// signaling server does not return to it in step.
const FIRST: Duration = Duration::from_millis(500);

/// Longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(15);

/// Pause after a refusal: what is wrong has to be put right by a person.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);

/// The attempts made, and when the next one may follow.
#[derive(Debug)]
pub(super) struct Retry {
    attempts: u32,
    due: Instant,
    random: fastrand::Rng,
}

impl Retry {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        Self { attempts: 0, due: now, random: fastrand::Rng::with_seed(seed) }
    }

    /// When the next attempt may be made.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Starts anew: nothing of what failed before counts.
    pub(super) fn reset(&mut self, now: Instant) {
        self.attempts = 0;
        self.due = now;
    }

    /// An attempt was made or has failed: the next one follows after a pause of `least` or more.
    pub(super) fn pause(&mut self, now: Instant, least: Duration) {
        let doubled = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        self.due = now + doubled.mul_f64(0.75 + 0.5 * self.random.f64()).max(least);
    }

    /// The peer was refused, or has refused.
    pub(super) fn pause_after_refusal(&mut self, now: Instant) {
        self.due = now + AFTER_REFUSAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_anew_after_a_reset() {
        let now = Instant::now();
        let mut retry = Retry::new(1, now);
        let mut pause = || {
            retry.pause(now, Duration::ZERO);
            (retry.due() - now).as_secs_f64()
        };
        let pauses: Vec<f64> = (0..8).map(|_| pause()).collect();
        for (pause, expected) in pauses.iter().zip([0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]) {
            assert!((expected * 0.75..=expected * 1.25).contains(pause), "{pauses:?}");
        }
        retry.reset(now);
        assert_eq!(retry.due(), now);
        retry.pause(now, Duration::from_secs(3));
        assert_eq!(retry.due(), now + Duration::from_secs(3));
    }
}
