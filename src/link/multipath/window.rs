//! How much of what is not urgent may be under way on a path, and how fast it leaves: a window
//! steered by delay. Loss alone is no congestion; a queue that grows is.

use std::time::{Duration, Instant};

use super::estimate::RoundTrip;

/// Bytes at first and at least: what the default socket buffer of a receiver holds (212,992 B,
/// some 90 datagrams as the kernel counts them), with room to spare.
const LEAST: f64 = 64.0 * 1024.0;

/// Bytes at most: with what SCTP and the lanes hold of them, a session stays below 4 MiB.
const MOST: f64 = 512.0 * 1024.0;

/// More than `LEAST` only as far as the round trip asks for it at this rate, bytes/s: on a short
/// path a large window would fill nothing but the receiver's socket buffer.
const MOST_RATE: f64 = 6.25e6;

/// Growth per round trip: while the path is being tried, the same for a very long one, and after.
const FIRST_GROWTH: f64 = 1.5;
const FIRST_GROWTH_LONG: f64 = 1.25;
const GROWTH: f64 = 1.05;

/// A round trip from which a path is very long, seconds.
const LONG: f64 = 0.2;

/// Queueing that is tolerated: seconds at least and at most, and part of the shortest round trip.
const QUEUE_LEAST: f64 = 0.004;
const QUEUE_MOST: f64 = 0.020;
const QUEUE_PART: f64 = 0.25;

/// A window falls by so much per round trip at least and at most.
const FALL: (f64, f64) = (0.8, 0.98);

/// The window has to be used by so much to grow.
const IN_USE: f64 = 0.7;

/// The pace, as a multiple of what fills the window once per round trip: while the path is being
/// tried, so that no queue builds up on one that is narrow, and after.
const FIRST_PACE: f64 = 1.0;
const PACE: f64 = 1.25;

/// A datagram may leave so much early, so that a timer of a millisecond is good enough.
const SLACK: Duration = Duration::from_millis(1);

/// Window and pace of one path.
#[derive(Debug, Clone)]
pub(super) struct Window {
    bytes: f64,
    is_starting: bool,
    adjusted: Option<Instant>,
    /// When the next datagram may leave.
    next: Option<Instant>,
}

impl Default for Window {
    fn default() -> Self {
        Self { bytes: LEAST, is_starting: true, adjusted: None, next: None }
    }
}

impl Window {
    /// Bytes that may be under way.
    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Takes what acknowledgements tell; `under_way` is what was unacknowledged before.
    pub(super) fn adjust(&mut self, round_trip: &RoundTrip, under_way: usize, now: Instant) {
        let (Some(smoothed), Some((base, _))) = (round_trip.smoothed(), round_trip.extremes())
        else {
            return;
        };
        let pause = Duration::from_secs_f64(smoothed);
        if self.adjusted.is_some_and(|adjusted| now < adjusted + pause) {
            return;
        }
        self.adjusted = Some(now);
        let queue = smoothed - base;
        let tolerated = (QUEUE_PART * base).clamp(QUEUE_LEAST, QUEUE_MOST).max(round_trip.spread());
        if queue > tolerated {
            self.is_starting = false;
            self.bytes *= (tolerated / queue).clamp(FALL.0, FALL.1);
        } else if under_way as f64 >= IN_USE * self.bytes {
            self.bytes *= match self.is_starting {
                true if base > LONG => FIRST_GROWTH_LONG,
                true => FIRST_GROWTH,
                false => GROWTH,
            };
        }
        self.bytes = self.bytes.clamp(LEAST, (LEAST + MOST_RATE * base).min(MOST));
    }

    /// When the next datagram may leave.
    pub(super) fn opens(&self) -> Option<Instant> {
        self.next.and_then(|next| next.checked_sub(SLACK))
    }

    /// May a datagram leave now?
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.opens().is_none_or(|opens| opens <= now)
    }

    /// Notes a datagram that leaves.
    pub(super) fn handle_sent(&mut self, length: usize, round_trip: &RoundTrip, now: Instant) {
        let Some(smoothed) = round_trip.smoothed() else { return };
        let pace = if self.is_starting { FIRST_PACE } else { PACE };
        let time = Duration::from_secs_f64(length as f64 * smoothed / (pace * self.bytes));
        self.next = Some(self.next.map_or(now, |next| next.max(now)) + time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(60);

    /// A path of a round trip of 60 ms after so many round trips of another one.
    fn after(rounds: u64, round_trip: Duration, under_way: impl Fn(usize) -> usize) -> Window {
        let (mut window, mut times, start) =
            (Window::default(), RoundTrip::default(), Instant::now());
        times.add(BASE, start);
        for round in 1..=rounds {
            let now = start + Duration::from_millis(200 * round);
            for _ in 0..20 {
                times.add(round_trip, now);
            }
            let under_way = under_way(window.bytes());
            window.adjust(&times, under_way, now);
        }
        window
    }

    #[test]
    fn a_window_that_is_used_grows_as_far_as_the_round_trip_asks_for() {
        let window = after(50, BASE, |bytes| bytes);
        assert_eq!(window.bytes(), (LEAST + MOST_RATE * 0.06) as usize);
        assert_eq!(after(50, BASE, |_| 0).bytes(), LEAST as usize);
    }

    #[test]
    fn a_window_falls_while_a_queue_stands() {
        let grown = after(5, BASE, |bytes| bytes).bytes();
        let (mut window, mut times, now) = (
            Window { bytes: grown as f64, ..Window::default() },
            RoundTrip::default(),
            Instant::now(),
        );
        times.add(BASE, now);
        for _ in 0..100 {
            times.add(Duration::from_millis(160), now);
        }
        window.adjust(&times, grown, now);
        assert_eq!(window.bytes(), (grown as f64 * FALL.0) as usize);
    }

    #[test]
    fn datagrams_leave_evenly() {
        let (mut window, mut times, start) =
            (Window::default(), RoundTrip::default(), Instant::now());
        times.add(BASE, start);
        let mut sent = 0;
        for millisecond in 0..600 {
            let now = start + Duration::from_millis(millisecond);
            while window.is_open(now) {
                window.handle_sent(1_024, &times, now);
                sent += 1_024;
            }
        }
        let expected = FIRST_PACE * LEAST * 10.0;
        assert!((f64::from(sent) / expected - 1.0).abs() < 0.02, "{sent} of {expected}");
    }
}
