//! How much may be sent a second time beforehand, so that a loss need not be repaired first.

use std::time::{Duration, Instant};

/// So much of what a path carries.
const PART: f64 = 0.25;

/// What is not used is kept for so long.
const KEPT: Duration = Duration::from_millis(100);

/// Bytes that may be used now.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    bytes: f64,
    /// When it was last added to.
    at: Option<Instant>,
}

impl Allowance {
    /// Uses so many bytes, if they are there; the path carries `rate` bytes per second.
    pub(super) fn take(&mut self, bytes: usize, rate: f64, now: Instant) -> bool {
        let since = self.at.replace(now).map_or(KEPT, |at| now.saturating_duration_since(at));
        let most = PART * rate * KEPT.as_secs_f64();
        self.bytes = (self.bytes + PART * rate * since.as_secs_f64()).min(most);
        let is_there = self.bytes >= bytes as f64;
        if is_there {
            self.bytes -= bytes as f64;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_part_of_the_rate_is_used_and_little_of_it_is_kept() {
        let (mut allowance, mut now) = (Allowance::default(), Instant::now());
        let mut used_in = |seconds: u32| {
            let mut used = 0;
            for _ in 0..seconds * 1_000 {
                now += Duration::from_millis(1);
                used += if allowance.take(500, 1e6, now) { 500 } else { 0 };
            }
            now += Duration::from_secs(60);
            used
        };
        let kept = (PART * 1e6 * KEPT.as_secs_f64()) as u32;
        for _ in 0..2 {
            let used = used_in(2);
            assert!((500_000..=500_000 + kept).contains(&used), "{used}");
        }
    }
}
