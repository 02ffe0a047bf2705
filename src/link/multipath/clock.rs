//! How far the peer's clock is behind ours, as far as its frames tell: by the shortest way that one
//! of them took lately.

use std::time::Instant;

use super::recent::Recent;

/// The smallest difference of late, µs, wrapping. Clocks drift by less than a millisecond meanwhile.
#[derive(Debug, Clone)]
pub(super) struct PeerClock {
    least: Recent<u32>,
}

impl Default for PeerClock {
    fn default() -> Self {
        Self { least: Recent::new(lesser) }
    }
}

impl PeerClock {
    /// Takes a frame that came at `here` by our clock and left at `there` by the peer's.
    pub(super) fn add(&mut self, here: u32, there: u32, now: Instant) {
        self.least.add(here.wrapping_sub(there), now);
    }

    /// Our clock less the peer's, with the shortest way between the two, µs, wrapping.
    pub(super) fn behind(&self) -> Option<u32> {
        self.least.get()
    }
}

fn lesser(a: u32, b: u32) -> u32 {
    if (a.wrapping_sub(b) as i32) < 0 { a } else { b }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_shortest_way_of_late_counts_wherever_the_clocks_stand() {
        let (mut clock, now) = (PeerClock::default(), Instant::now());
        for (way, second) in [(5_000, 0), (30_000, 1), (40_000, 2)] {
            let there = u32::MAX - 2_000_000 + second * 1_000_000;
            let here = there.wrapping_add(way).wrapping_add(77);
            clock.add(here, there, now + Duration::from_secs(second.into()));
        }
        assert_eq!(clock.behind(), Some(5_077));
        clock.add(40_000, 0, now + Duration::from_secs(30));
        clock.add(40_000, 0, now + Duration::from_secs(60));
        assert_eq!(clock.behind(), Some(40_000));
    }
}
