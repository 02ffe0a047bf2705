//! How much of what is not urgent may be under way on a path, and how fast it leaves: a window
//! steered by delay. Loss alone is no congestion; a queue that grows is.

use std::time::{Duration, Instant};

use super::estimate::RoundTrip;

/// Bytes at first, so that a camera that moves to another path goes on, and at least.
const FIRST: f64 = 64.0 * 1024.0;
const LEAST: f64 = 4.0 * 1024.0;

/// Bytes at least on a path whose round trip is shorter than so many seconds: with less than what is
/// acknowledged at once (8 frames) it would wait for acknowledgements, and a receiver that lacks the
/// CPU looks like a queue there.
const LEAST_SHORT: f64 = 16.0 * 1024.0;
const SHORT: f64 = 0.002;

/// Bytes at most: with what SCTP and the lanes hold of them, a session stays below 4 MiB.
const MOST: f64 = 512.0 * 1024.0;

/// Bytes at most on a path that takes no time, what the default socket buffer of a receiver holds
/// (212,992 B, some 90 datagrams as the kernel counts them), and the rate, bytes/s, for which a
/// longer one gets more.
const MOST_SHORT: f64 = 64.0 * 1024.0;
const MOST_RATE: f64 = 6.25e6;

/// Growth per round trip while nothing queues up: while the path is being tried, the same for a very
/// long one, and from a few such round trips in a row on.
const FIRST_GROWTH: f64 = 1.5;
const FIRST_GROWTH_LONG: f64 = 1.2;
const IDLE_ROUNDS: u32 = 4;

/// A round trip from which a path is very long, seconds.
pub(super) const LONG: f64 = 0.2;

/// Queueing that is aimed at: seconds at least and at most, and part of the shortest round trip; on
/// top of it so many times what round trips deviate, seconds at most, and more so many times the part
/// of the shortest that this is.
const QUEUE_LEAST: f64 = 0.000_5;
const QUEUE_MOST: f64 = 0.020;
const QUEUE_PART: f64 = 0.06;
const QUEUE_DEVIATIONS: f64 = 3.4;
const QUEUE_DEVIATION_MOST: f64 = 0.055;
const QUEUE_VARIATION: f64 = 2.0;

/// A queue of more than so many seconds, for so many round trips in a row, though the window is as
/// small as can be: somebody else fills it and does not yield, as TCP does until something is dropped
/// (Copa, NSDI 2018, §2.2, knows it by a queue that never empties).
const RIVAL_QUEUE: f64 = 0.030;
const RIVAL_ROUNDS: u32 = 3;

/// For so many round trips the window does not yield below [`FIRST`] either; then the other has to be
/// noticed anew. It has gone once round trips are shorter than this part of what they were: TCP leaves
/// seven tenths (RFC 9438 §4.6).
const SHARING_ROUNDS: u32 = 60;
const RIVAL_GONE: f64 = 0.5;

/// Round trips that have to be measured before their shortest tells of a queue.
const SAMPLES: u32 = 8;

/// So much of the way to what would give the queue that is aimed at is gone per round trip, up and
/// down: all of it would overshoot, for what an adjustment does is seen a round trip later.
const GAIN: f64 = 0.3;
const GAIN_FALL: f64 = 0.5;

/// A window grows at most to so many times what was acknowledged in the last round trip: a queue that
/// has not been noticed yet must not make it grow without bound.
const MOST_DELIVERED: f64 = 2.0;

/// A window falls to so much of itself per round trip at least.
const MOST_FALL: f64 = 0.4;

/// The window has to be used by so much to grow.
const IN_USE: f64 = 0.7;

/// The pace, as a multiple of what fills the window once per round trip: while the path is being
/// tried, so that no queue builds up on one that is narrow, and after.
const FIRST_PACE: f64 = 1.0;
const PACE: f64 = 1.1;

/// A datagram may leave so much early, so that a timer of a millisecond is good enough.
const SLACK: Duration = Duration::from_millis(1);

/// Window and pace of one path.
#[derive(Debug, Clone)]
pub(super) struct Window {
    bytes: f64,
    is_starting: bool,
    /// Round trips in a row with hardly any queue.
    idle_rounds: u32,
    adjusted: Option<Instant>,
    /// Bytes that were acknowledged since.
    acknowledged: usize,
    rival: Rival,
    /// When the next datagram may leave.
    next: Option<Instant>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            bytes: FIRST,
            is_starting: true,
            idle_rounds: 0,
            adjusted: None,
            acknowledged: 0,
            rival: Rival::default(),
            next: None,
        }
    }
}

impl Window {
    /// Bytes that may be under way.
    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Bytes per second that they make.
    pub(super) fn rate(&self, round_trip: &RoundTrip) -> f64 {
        round_trip.smoothed().map_or(0.0, |smoothed| self.bytes / smoothed.max(1e-6))
    }

    /// Takes what acknowledgements tell; `under_way` bytes were unacknowledged before, `left` are.
    ///
    /// The queue is the shortest round trip of the last half of one less the shortest of long: so
    /// jitter does not look like one (as in Copa, NSDI 2018, §2.1).
    pub(super) fn adjust(
        &mut self,
        round_trip: &mut RoundTrip,
        under_way: usize,
        left: usize,
        now: Instant,
    ) {
        self.acknowledged += under_way.saturating_sub(left);
        let (Some(smoothed), Some((base, _))) = (round_trip.smoothed(), round_trip.extremes())
        else {
            return;
        };
        let pause = Duration::from_secs_f64(smoothed);
        let adjusted = *self.adjusted.get_or_insert(now);
        if now < adjusted + pause / 2 {
            round_trip.take_standing(0);
        }
        if now < adjusted + pause {
            return;
        }
        let Some(standing) = round_trip.take_standing(SAMPLES) else { return };
        let rounds = now.saturating_duration_since(adjusted).as_secs_f64() / smoothed.max(1e-6);
        let delivered = std::mem::take(&mut self.acknowledged) as f64 / rounds;
        self.adjusted = Some(now);
        // The more a path varies, the fewer samples that do not depend on each other a half round has,
        // and the longer is the shortest of them.
        let deviation = round_trip.deviation();
        let variation = 1.0 + QUEUE_VARIATION * deviation / base;
        let deviation = QUEUE_DEVIATIONS * deviation * variation;
        let aim = (QUEUE_PART * base).clamp(QUEUE_LEAST, QUEUE_MOST)
            + deviation.min(QUEUE_DEVIATION_MOST);
        let queue = (standing - base).max(0.0);
        let is_foreign = self.bytes <= LEAST && queue > RIVAL_QUEUE;
        // What was sent in a round trip of `base + queue` would have made the queue aimed at in one
        // of `base + aim`.
        let ideal = (base + aim) / (base + queue);
        let is_used = under_way as f64 >= IN_USE * self.bytes;
        if queue > aim {
            self.is_starting = false;
            self.idle_rounds = 0;
            self.bytes *= (1.0 + GAIN_FALL * (ideal - 1.0)).max(MOST_FALL);
        } else if is_used {
            self.idle_rounds = if queue < aim / 2.0 { self.idle_rounds + 1 } else { 0 };
            let growth = match self.is_starting || self.idle_rounds > IDLE_ROUNDS {
                true if self.is_starting && base < LONG => FIRST_GROWTH,
                true => FIRST_GROWTH_LONG,
                false => 1.0 + GAIN * (ideal - 1.0),
            };
            let most = (MOST_DELIVERED * delivered).max(self.bytes);
            self.bytes = (growth * self.bytes).min(most);
        }
        if self.rival.handle_round(is_foreign, standing) && queue > aim {
            self.bytes = LEAST;
        }
        let least = self.rival.least(delivered / smoothed.max(1e-6));
        let most = (MOST_SHORT + MOST_RATE * base).min(MOST);
        let least = if base < SHORT { least.max(LEAST_SHORT) } else { least };
        self.bytes = self.bytes.clamp(least.min(most), most);
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

/// Somebody else who fills the queue.
#[derive(Debug, Clone, Copy, Default)]
struct Rival {
    /// Round trips in a row with a queue that is not ours.
    noticed: u32,
    /// Round trips that the window still does not yield, and how long they were before.
    rounds_left: u32,
    round_trip: f64,
}

impl Rival {
    /// Takes a round trip. Has the other to be noticed anew now?
    fn handle_round(&mut self, is_foreign: bool, round_trip: f64) -> bool {
        self.noticed = if is_foreign { self.noticed + 1 } else { 0 };
        if self.noticed >= RIVAL_ROUNDS {
            *self = Self { noticed: 0, rounds_left: SHARING_ROUNDS, round_trip };
        } else if round_trip < RIVAL_GONE * self.round_trip {
            self.rounds_left = 0;
        } else if self.rounds_left > 0 {
            self.rounds_left -= 1;
            return self.rounds_left == 0;
        }
        false
    }

    /// Bytes to which the window falls at least, where so many per second are acknowledged. Against
    /// another they come to more when more are sent. On a narrow path that we have for ourselves they
    /// do not, and the window stays small.
    fn least(&self, rate: f64) -> f64 {
        if self.rounds_left == 0 {
            return LEAST;
        }
        (MOST_DELIVERED * rate * self.round_trip).clamp(LEAST, FIRST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(60);

    /// A path and its window after so many round trips, each of this length and with so much of the
    /// window under way, all of which is acknowledged.
    struct Trial {
        window: Window,
        times: RoundTrip,
        now: Instant,
    }

    impl Trial {
        fn new() -> Self {
            let (mut times, now) = (RoundTrip::default(), Instant::now());
            times.add(BASE, now);
            Self { window: Window::default(), times, now }
        }

        fn pass(&mut self, rounds: u64, round_trip: Duration, use_of_window: f64) {
            self.pass_queue(rounds, |_| round_trip, use_of_window);
        }

        /// The same, where the round trip follows from what is under way.
        fn pass_queue(
            &mut self,
            rounds: u64,
            round_trip: impl Fn(usize) -> Duration,
            use_of_window: f64,
        ) {
            for _ in 0..rounds {
                let round_trip = round_trip(self.window.bytes());
                let under_way = (self.window.bytes() as f64 * use_of_window) as usize;
                for step in 0..40 {
                    self.now += Duration::from_secs_f64(self.times.smoothed().unwrap() / 40.0);
                    self.times.add(round_trip, self.now);
                    let left = if step == 0 { 0 } else { under_way };
                    self.window.adjust(&mut self.times, under_way, left, self.now);
                }
            }
        }
    }

    #[test]
    fn a_window_that_is_used_grows_as_far_as_the_round_trip_asks_for() {
        let mut trial = Trial::new();
        trial.pass(50, BASE, 1.0);
        assert_eq!(trial.window.bytes(), (MOST_SHORT + MOST_RATE * 0.06) as usize);
        let mut unused = Trial::new();
        unused.pass(50, BASE, 0.0);
        assert_eq!(unused.window.bytes(), FIRST as usize);
    }

    #[test]
    fn a_window_falls_quickly_while_a_queue_stands_and_not_below_the_least() {
        let mut trial = Trial::new();
        trial.pass(20, BASE, 1.0);
        let grown = trial.window.bytes() as f64;
        trial.pass(4, Duration::from_millis(400), 1.0);
        let fallen = trial.window.bytes() as f64;
        assert!(fallen < grown / 3.0, "from {grown} to {fallen}");
        let windows = (0..10).map(|_| {
            trial.pass(1, Duration::from_millis(400), 1.0);
            trial.window.bytes()
        });
        assert_eq!(windows.min(), Some(LEAST as usize));
    }

    #[test]
    fn a_window_does_not_yield_to_somebody_else_who_keeps_the_queue_full() {
        let mut trial = Trial::new();
        trial.pass(1, BASE, 1.0);
        let windows: Vec<_> = (0..60)
            .map(|_| {
                trial.pass(1, Duration::from_millis(125), 1.0);
                trial.window.bytes() as f64
            })
            .collect();
        assert!(windows.contains(&LEAST), "{windows:?}");
        assert!(windows[35..].iter().all(|bytes| *bytes == FIRST), "{windows:?}");
        // It has gone.
        trial.pass(40, BASE, 1.0);
        assert_eq!(trial.window.rival.rounds_left, 0);
        assert!(trial.window.bytes() as f64 > 2.0 * FIRST, "{}", trial.window.bytes());
    }

    #[test]
    fn somebody_else_has_to_be_noticed_anew_from_time_to_time() {
        let mut rival = Rival::default();
        (0..RIVAL_ROUNDS).for_each(|_| assert!(!rival.handle_round(true, 0.25)));
        (1..SHARING_ROUNDS).for_each(|_| assert!(!rival.handle_round(false, 0.2)));
        assert_eq!(rival.least(1e6), FIRST);
        assert!(rival.handle_round(false, 0.2));
        assert_eq!(rival.least(1e6), LEAST);
    }

    #[test]
    fn a_narrow_path_is_not_taken_for_a_shared_one() {
        let mut trial = Trial::new();
        // 50 kB/s: 4 KiB take longer than the round trip.
        let round_trip = |bytes: usize| BASE.max(Duration::from_micros(20 * bytes as u64));
        trial.pass_queue(20, round_trip, 1.0);
        for _ in 0..200 {
            trial.pass_queue(1, round_trip, 1.0);
            assert!(trial.window.bytes() < 20 * 1024, "{}", trial.window.bytes());
        }
    }

    #[test]
    fn jitter_is_not_taken_for_a_queue() {
        let mut trial = Trial::new();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..4_000 {
            trial.now += Duration::from_millis(3);
            let jitter = Duration::from_micros(random.u64(0..20_000));
            trial.times.add(BASE + jitter, trial.now);
            let bytes = trial.window.bytes();
            trial.window.adjust(&mut trial.times, bytes, bytes - bytes / 20, trial.now);
        }
        assert!(trial.window.bytes() > 128 * 1024, "{}", trial.window.bytes());
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
        let expected = FIRST_PACE * FIRST * 10.0;
        assert!((f64::from(sent) / expected - 1.0).abs() < 0.05, "{sent} of {expected}");
    }
}
