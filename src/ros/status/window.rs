//! What follows from two snapshots rather than from one: rates over the time between them, and the
//! age of what was last counted.

use std::collections::BTreeMap;
use std::time::Instant;

/// Counters between the last two looks at them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window<const N: usize> {
    /// Increase of each counter per second; NaN at the first look.
    pub(super) rates: [f64; N],
    /// Seconds since the first counter last rose; NaN while it never did.
    pub(super) age: f64,
}

impl<const N: usize> Window<N> {
    /// Of counters that were not looked at.
    pub(super) const UNKNOWN: Self = Self { rates: [f64::NAN; N], age: f64::NAN };
}

/// The last look at the counters of each of many things.
#[derive(Debug)]
pub(super) struct Windows<K, const N: usize> {
    looks: BTreeMap<K, Look<N>>,
}

#[derive(Debug, Clone, Copy)]
struct Look<const N: usize> {
    at: Instant,
    counters: [u64; N],
    rose: Option<Instant>,
}

impl<K: Ord, const N: usize> Default for Windows<K, N> {
    fn default() -> Self {
        Self { looks: BTreeMap::new() }
    }
}

impl<K: Ord, const N: usize> Windows<K, N> {
    /// Looks at the counters of `key`.
    pub(super) fn look(&mut self, key: K, now: Instant, counters: [u64; N]) -> Window<N> {
        let last = self.looks.get(&key).copied();
        let mut rates = [f64::NAN; N];
        let mut rose = (counters[0] > 0).then_some(now);
        if let Some(last) = last {
            let seconds = now.duration_since(last.at).as_secs_f64();
            for (i, rate) in rates.iter_mut().enumerate() {
                // A counter that fell has begun anew, with the session for one.
                let from = if counters[i] < last.counters[i] { 0 } else { last.counters[i] };
                *rate = (counters[i] - from) as f64 / seconds;
            }
            if counters[0] == last.counters[0] || counters[0] == 0 {
                rose = last.rose;
            }
        }
        let age = rose.map_or(f64::NAN, |rose| now.duration_since(rose).as_secs_f64());
        self.looks.insert(key, Look { at: now, counters, rose });
        Window { rates, age }
    }

    /// Forgets what was not looked at this time.
    pub(super) fn forget_all_but(&mut self, now: Instant) {
        self.looks.retain(|_, look| look.at == now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rates_are_differences_over_time_and_nan_at_first() {
        let start = Instant::now();
        let mut windows = Windows::default();
        assert!(windows.look("a", start, [100, 5]).rates[0].is_nan());
        let window = windows.look("a", start + Duration::from_millis(500), [110, 5]);
        assert_eq!(window.rates, [20.0, 0.0]);
        assert!(windows.look("b", start, [0, 0]).age.is_nan());
    }

    #[test]
    fn a_counter_that_begins_anew_gives_no_negative_rate() {
        let start = Instant::now();
        let mut windows = Windows::default();
        windows.look("a", start, [100]);
        assert_eq!(windows.look("a", start + Duration::from_secs(2), [10]).rates, [5.0]);
    }

    #[test]
    fn age_counts_from_the_last_rise() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut windows = Windows::default();
        assert!(windows.look("a", at(0), [0]).age.is_nan());
        assert_eq!(windows.look("a", at(1), [3]).age, 0.0);
        assert_eq!(windows.look("a", at(4), [3]).age, 3.0);
        assert_eq!(windows.look("a", at(5), [0]).age, 4.0, "a new session, nothing sent yet");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let start = Instant::now();
        let mut windows = Windows::default();
        windows.look("a", start, [1]);
        let later = start + Duration::from_secs(1);
        windows.look("b", later, [1]);
        windows.forget_all_but(later);
        assert_eq!(windows.looks.len(), 1);
    }
}
