//! What is measured of a path: round trip, loss, jitter. All from what happened; nothing here
//! decides.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::recent::Recent;

/// Part of a new difference that counts in the steady deviation, and samples after which that says
/// something.
const STEADY_GAIN: f64 = 1.0 / 32.0;
const STEADY_SAMPLES: u32 = 32;

/// Smoothed round trip (RFC 6298 §2).
#[derive(Debug, Clone)]
pub(super) struct RoundTrip {
    smoothed: Option<f64>,
    variation: f64,
    /// Shortest and longest of late.
    extremes: Recent<(f64, f64)>,
    /// Mean deviation over many samples, of how many, and the least that it was of late.
    steady: f64,
    samples: u32,
    least_steady: Recent<f64>,
    /// Shortest since it was last taken, of so many.
    standing: Option<(f64, u32)>,
}

impl Default for RoundTrip {
    fn default() -> Self {
        Self {
            smoothed: None,
            variation: 0.0,
            extremes: Recent::new(|a, b| (a.0.min(b.0), a.1.max(b.1))),
            steady: 0.0,
            samples: 0,
            least_steady: Recent::new(f64::min),
            standing: None,
        }
    }
}

impl RoundTrip {
    /// Takes a sample.
    pub(super) fn add(&mut self, sample: Duration, now: Instant) {
        let sample = sample.as_secs_f64();
        let (least, count) = self.standing.unwrap_or((sample, 0));
        self.standing = Some((least.min(sample), count + 1));
        self.extremes.add((sample, sample), now);
        let Some(smoothed) = self.smoothed else {
            self.smoothed = Some(sample);
            self.variation = sample / 2.0;
            return;
        };
        let difference = f64::abs(smoothed - sample);
        self.variation += (difference - self.variation) / 4.0;
        self.smoothed = Some(smoothed + (sample - smoothed) / 8.0);
        self.samples = self.samples.saturating_add(1);
        let gain = STEADY_GAIN.max(1.0 / f64::from(self.samples));
        self.steady += (difference - self.steady) * gain;
        if self.samples >= STEADY_SAMPLES {
            self.least_steady.add(self.steady, now);
        }
    }

    /// Smoothed, seconds.
    pub(super) fn smoothed(&self) -> Option<f64> {
        self.smoothed
    }

    /// Mean deviation, seconds: what the path does by itself, for a queue that comes and goes has
    /// not done so all the time.
    pub(super) fn deviation(&self) -> f64 {
        self.least_steady.get().unwrap_or(self.variation)
    }

    /// Four times the mean deviation, seconds: all but rare samples lie within it.
    pub(super) fn spread(&self) -> f64 {
        4.0 * self.variation
    }

    /// The shortest since this was last taken, seconds; `None` while there are fewer than `samples`.
    pub(super) fn take_standing(&mut self, samples: u32) -> Option<f64> {
        self.standing.take_if(|(_, count)| *count >= samples).map(|(least, _)| least)
    }

    /// Shortest and longest of the last 10 to 20 s, seconds.
    pub(super) fn extremes(&self) -> Option<(f64, f64)> {
        self.extremes.get()
    }
}

/// How far apart counts are kept: close enough for the shortest window.
const LOSS_STEP: Duration = Duration::from_millis(20);
/// Loss of the last moment, if that is enough to tell.
const LOSS_SHORTEST: Duration = Duration::from_millis(200);
/// Loss of longer ago does not count.
const LOSS_LONGEST: Duration = Duration::from_secs(2);
/// Datagrams that tell a ratio of a few percent.
const LOSS_DATAGRAMS: u64 = 100;
/// Steps with losses: one alone is a pause of the radio, not a lossy path.
const LOSS_STEPS: usize = 3;
/// Losses of one step that count, so that one pause does not look like a lossy path.
const LOSS_MOST: u64 = 8;

/// Loss ratio from running counts of what was sent and what came.
#[derive(Debug, Clone, Default)]
pub(super) struct Loss {
    /// Oldest first: when, and the counts then.
    counts: VecDeque<(Instant, u64, u64)>,
    ratio: Option<f64>,
    is_certain: bool,
}

impl Loss {
    /// Takes the counts as they are now; both only rise.
    pub(super) fn add(&mut self, now: Instant, sent: u64, received: u64) {
        match self.counts.back_mut() {
            Some((at, _, _)) if now < *at + LOSS_STEP => return,
            Some((_, earlier, _)) if *earlier == sent => return,
            Some(_) | None => self.counts.push_back((now, sent, received)),
        }
        while self.counts.front().is_some_and(|(at, _, _)| now > *at + LOSS_LONGEST) {
            self.counts.pop_front();
        }
        self.measure(now);
    }

    fn measure(&mut self, now: Instant) {
        let (mut sent, mut lost, mut steps) = (0, 0, 0);
        self.is_certain = false;
        let newer = self.counts.iter().rev();
        for (newer, older) in newer.zip(self.counts.iter().rev().skip(1)) {
            let step_sent = newer.1.saturating_sub(older.1);
            let step_lost = step_sent.saturating_sub(newer.2.saturating_sub(older.2));
            sent += step_sent;
            lost += step_lost.min(LOSS_MOST);
            steps += usize::from(step_lost > 0);
            if now >= older.0 + LOSS_SHORTEST && sent >= LOSS_DATAGRAMS && steps >= LOSS_STEPS {
                self.is_certain = true;
                break;
            }
        }
        self.ratio = (sent > 0).then(|| lost as f64 / sent as f64);
    }

    /// Lost part of the last 0.2 to 2 s, 0..1; `None` before anything was counted.
    pub(super) fn ratio(&self) -> Option<f64> {
        self.ratio
    }

    /// The same, if enough was lost to tell it from chance; else 0.
    pub(super) fn certain(&self, now: Instant) -> f64 {
        let is_recent = self.counts.back().is_some_and(|(at, _, _)| now <= *at + LOSS_LONGEST);
        if self.is_certain && is_recent { self.ratio.unwrap_or(0.0) } else { 0.0 }
    }
}

/// Interarrival jitter (RFC 3550 §6.4.1), from a sender's clock that need not be ours.
#[derive(Debug, Clone, Default)]
pub(super) struct Jitter {
    /// The last arrival: by our clock, and by the sender's, µs.
    last: Option<(Instant, u32)>,
    seconds: Option<f64>,
}

impl Jitter {
    /// Takes an arrival.
    pub(super) fn add(&mut self, now: Instant, sent: u32) {
        if let Some((at, earlier)) = self.last {
            let by_sender = f64::from(sent.wrapping_sub(earlier) as i32) * 1e-6;
            let difference = (now.saturating_duration_since(at).as_secs_f64() - by_sender).abs();
            let jitter = self.seconds.unwrap_or(0.0);
            self.seconds = Some(jitter + (difference - jitter) / 16.0);
        }
        self.last = Some((now, sent));
    }

    /// Seconds.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_that_stays_the_same_has_no_spread() {
        let (mut round_trip, now) = (RoundTrip::default(), Instant::now());
        for _ in 0..100 {
            round_trip.add(Duration::from_millis(10), now);
        }
        assert!((round_trip.smoothed().unwrap() - 0.010).abs() < 1e-9);
        assert!(round_trip.spread() < 1e-6);
    }

    #[test]
    fn extremes_are_forgotten_after_a_while() {
        let (mut round_trip, now) = (RoundTrip::default(), Instant::now());
        round_trip.add(Duration::from_millis(500), now);
        for second in 1..60 {
            round_trip.add(Duration::from_millis(10), now + Duration::from_secs(second));
        }
        assert_eq!(round_trip.extremes(), Some((0.010, 0.010)));
    }

    fn run(loss: &mut Loss, start: Instant, is_lost: impl Fn(u64) -> bool) -> Instant {
        let (mut received, mut now) = (0, start);
        for sent in 1..1_000 {
            now = start + Duration::from_millis(2 * sent);
            received += u64::from(!is_lost(sent));
            loss.add(now, sent, received);
        }
        now
    }

    #[test]
    fn random_loss_is_measured() {
        let mut loss = Loss::default();
        let now = run(&mut loss, Instant::now(), |sent| sent % 20 == 0);
        assert!((loss.certain(now) - 0.05).abs() < 0.02, "{}", loss.certain(now));
    }

    #[test]
    fn a_pause_is_no_loss() {
        let (mut loss, start) = (Loss::default(), Instant::now());
        let (mut received, mut now) = (0, start);
        // Counts come with what arrives, so that the pause is one step.
        for sent in (1..900).chain(945..1_000) {
            received += 1;
            now = start + Duration::from_millis(2 * sent);
            loss.add(now, sent, received);
        }
        assert_eq!(loss.certain(now), 0.0);
        assert!(loss.ratio().unwrap() > 0.0);
    }

    #[test]
    fn jitter_follows_the_variation_of_the_delay_whatever_the_clocks_say() {
        let (mut jitter, start) = (Jitter::default(), Instant::now());
        for step in 0..500u32 {
            let late = if step % 2 == 0 { 0 } else { 4_000 };
            let now = start + Duration::from_micros(u64::from(step) * 10_000 + late);
            jitter.add(now, (step * 10_000).wrapping_sub(7_000_000));
        }
        assert!((jitter.seconds().unwrap() - 0.004).abs() < 1e-4);
    }
}
