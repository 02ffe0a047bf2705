//! Extremes of late.

use std::time::{Duration, Instant};

/// How long a value counts at least, twice that at most.
const REMEMBERED: Duration = Duration::from_secs(10);

/// What all values of late come to, if two of them come to one by `merge`: their least, their most.
#[derive(Debug, Clone)]
pub(super) struct Recent<T> {
    merge: fn(T, T) -> T,
    /// Of this and of the former [`REMEMBERED`].
    halves: [Option<T>; 2],
    turned: Option<Instant>,
}

impl<T: Copy> Recent<T> {
    pub(super) fn new(merge: fn(T, T) -> T) -> Self {
        Self { merge, halves: [None, None], turned: None }
    }

    /// Takes a value.
    pub(super) fn add(&mut self, value: T, now: Instant) {
        if self.turned.is_none_or(|turned| now > turned + REMEMBERED) {
            self.halves = [None, self.halves[0]];
            self.turned = Some(now);
        }
        self.halves[0] = Some(self.halves[0].map_or(value, |known| (self.merge)(known, value)));
    }

    /// What the values of the last 10 to 20 s come to.
    pub(super) fn get(&self) -> Option<T> {
        self.halves.iter().flatten().copied().reduce(self.merge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_forgotten_after_a_while() {
        let (mut least, start) = (Recent::new(f64::min), Instant::now());
        for (second, value) in [(0, 1.0), (5, 3.0), (12, 2.0)] {
            least.add(value, start + Duration::from_secs(second));
            assert_eq!(least.get(), Some(1.0));
        }
        least.add(4.0, start + Duration::from_secs(30));
        assert_eq!(least.get(), Some(2.0));
    }
}
