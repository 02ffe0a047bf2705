//! How far the peer's clock is behind ours, as far as its frames tell: by the shortest way that one
//! of them took lately.

use std::time::{Duration, Instant};

/// How long the shortest way counts at least, twice that at most. Clocks drift by less than a
/// millisecond meanwhile.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The smallest difference of this and of the former [`REMEMBERED`], µs, wrapping.
#[derive(Debug, Clone, Default)]
pub(super) struct PeerClock {
    least: [Option<u32>; 2],
    turned: Option<Instant>,
}

impl PeerClock {
    /// Takes a frame that came at `here` by our clock and left at `there` by the peer's.
    pub(super) fn add(&mut self, here: u32, there: u32, now: Instant) {
        let behind = here.wrapping_sub(there);
        if self.turned.is_none_or(|turned| now > turned + REMEMBERED) {
            self.least = [None, self.least[0]];
            self.turned = Some(now);
        }
        self.least[0] = Some(self.least[0].map_or(behind, |least| lesser(least, behind)));
    }

    /// Our clock less the peer's, with the shortest way between the two, µs, wrapping.
    pub(super) fn behind(&self) -> Option<u32> {
        self.least.iter().flatten().copied().reduce(lesser)
    }
}

fn lesser(a: u32, b: u32) -> u32 {
    if (a.wrapping_sub(b) as i32) < 0 { a } else { b }
}

#[cfg(test)]
mod tests {
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
