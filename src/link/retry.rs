//! When to try again to get a session with a peer.

use std::time::{Duration, Instant};

/// First pause between two attempts, doubled each time, each ± 25 % so that a fleet that lost its
/// signaling server does not return to it in step.
const FIRST: Duration = Duration::from_millis(500);

/// Longest pause between two attempts. An attempt itself may take 15 s.
const LONGEST: Duration = Duration::from_millis(1_500);

/// Pause after a refusal: what is wrong has to be put right by a person.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);

/// Between two pauses that are cut short: what is a reason for one comes in bursts, and a peer may
/// bring it about.
const CUT_PAUSE: Duration = Duration::from_secs(1);

/// The attempts made, and when the next one may follow.
#[derive(Debug)]
pub(super) struct Retry {
    attempts: u32,
    due: Instant,
    is_after_refusal: bool,
    hastened: Option<Instant>,
    random: fastrand::Rng,
}

impl Retry {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { attempts: 0, due: now, is_after_refusal: false, hastened: None, random }
    }

    /// When the next attempt may be made.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Starts anew: nothing of what failed before counts.
    pub(super) fn reset(&mut self, now: Instant) {
        self.attempts = 0;
        self.due = now;
        self.is_after_refusal = false;
    }

    /// What failed may work now: the network has changed, or the peer asks. A refusal still holds.
    pub(super) fn hasten(&mut self, now: Instant) {
        let is_too_soon = self.hastened.is_some_and(|at| now < at + CUT_PAUSE);
        if !self.is_after_refusal && !is_too_soon {
            self.hastened = Some(now);
            self.attempts = 0;
            self.due = self.due.min(now);
        }
    }

    /// An attempt was made or has failed: the next one follows after a pause of `least` or more.
    pub(super) fn pause(&mut self, now: Instant, least: Duration) {
        let doubled = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        self.due = now + doubled.mul_f64(0.75 + 0.5 * self.random.f64()).max(least);
        self.is_after_refusal = false;
    }

    /// The peer was refused, or has refused.
    pub(super) fn pause_after_refusal(&mut self, now: Instant) {
        self.due = now + AFTER_REFUSAL;
        self.is_after_refusal = true;
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
        for (pause, expected) in pauses.iter().zip([0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]) {
            assert!((expected * 0.75..=expected * 1.25).contains(pause), "{pauses:?}");
        }
        retry.reset(now);
        assert_eq!(retry.due(), now);
        retry.pause(now, Duration::from_secs(3));
        assert_eq!(retry.due(), now + Duration::from_secs(3));
    }

    #[test]
    fn a_change_of_the_network_ends_a_pause_but_not_that_after_a_refusal() {
        let now = Instant::now();
        let mut retry = Retry::new(1, now);
        retry.pause(now, Duration::from_secs(3));
        retry.hasten(now);
        assert_eq!(retry.due(), now);
        retry.pause(now, Duration::from_secs(3));
        retry.hasten(now + CUT_PAUSE / 2);
        assert_eq!(retry.due(), now + Duration::from_secs(3), "not again and again");
        retry.hasten(now + CUT_PAUSE);
        assert_eq!(retry.due(), now + CUT_PAUSE);
        retry.pause_after_refusal(now);
        retry.hasten(now + 2 * CUT_PAUSE);
        assert_eq!(retry.due(), now + AFTER_REFUSAL);
    }
}
