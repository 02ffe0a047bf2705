//! A token bucket: how many messages may still pass now.

use std::time::{Duration, Instant};

/// Lets bursts of `capacity` messages pass and `rate` messages per second in the long run.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    capacity: f64,
    tokens: f64,
    updated: Instant,
}

impl Bucket {
    /// A full bucket; `rate` in messages per second, `capacity` in messages.
    pub(super) fn new(rate: f64, capacity: f64, now: Instant) -> Self {
        Self { rate, capacity, tokens: capacity, updated: now }
    }

    /// Takes one message's worth. When there is none, returns how long it takes until there is.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let refill = now.saturating_duration_since(self.updated).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + refill).min(self.capacity);
        self.updated = now;
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_up_to_the_capacity_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(50.0, 10.0, start);
        let passed = (0..20).filter(|_| bucket.take(start).is_ok()).count();
        assert_eq!(passed, 10);

        let mut passed = 0;
        for step in 1..=2000 {
            passed += usize::from(bucket.take(start + Duration::from_millis(step)).is_ok());
        }
        assert!((99..=100).contains(&passed), "{passed} messages in 2 s at 50 per second");
    }

    #[test]
    fn an_empty_bucket_says_when_to_come_back() {
        let start = Instant::now();
        let mut bucket = Bucket::new(50.0, 1.0, start);
        assert_eq!(bucket.take(start), Ok(()));
        let wait = bucket.take(start).expect_err("the bucket is empty");
        assert!(bucket.take(start + wait + Duration::from_micros(1)).is_ok());
    }

    #[test]
    fn a_long_pause_does_not_fill_it_beyond_its_capacity() {
        let start = Instant::now();
        let mut bucket = Bucket::new(50.0, 10.0, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..20).filter(|_| bucket.take(later).is_ok()).count(), 10);
    }
}
