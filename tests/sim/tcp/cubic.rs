//! The window of a TCP sender: CUBIC, RFC 9438. Segments and seconds.

use std::time::Instant;

/// Window at first (RFC 6928).
const FIRST: f64 = 10.0;

/// Part of the window that is left after a loss, and how steeply it grows (RFC 9438 §5).
const LEFT: f64 = 0.7;
const STEEPNESS: f64 = 0.4;

/// Growth per round trip of a Reno sender that loses as seldom (RFC 9438 §4.3).
const RENO_GROWTH: f64 = 3.0 * (1.0 - LEFT) / (1.0 + LEFT);

/// Growth per round trip at most (RFC 9438 §4.2).
const MOST_GROWTH: f64 = 1.5;

/// A congestion window.
#[derive(Debug)]
pub(crate) struct Cubic {
    window: f64,
    /// Below it, the window doubles each round trip.
    threshold: f64,
    /// The plateau of the curve, and the window before it last fell.
    most: f64,
    before: f64,
    epoch: Option<Epoch>,
}

/// Growth since the window last fell.
#[derive(Debug)]
struct Epoch {
    since: Instant,
    /// When the plateau is reached, seconds.
    plateau: f64,
    /// What a Reno sender would have.
    reno: f64,
}

impl Cubic {
    /// The window of a sender that knows nothing yet.
    pub(crate) fn new() -> Self {
        Self { window: FIRST, threshold: f64::INFINITY, most: 0.0, before: 0.0, epoch: None }
    }

    /// Segments that may be under way.
    pub(crate) fn window(&self) -> f64 {
        self.window
    }

    /// So many segments have arrived.
    pub(crate) fn handle_arrived(&mut self, count: f64, round_trip: f64, now: Instant) {
        if self.window < self.threshold {
            self.window += count;
            return;
        }
        let window = self.window;
        let epoch = self.epoch.get_or_insert_with(|| {
            self.most = self.most.max(window);
            let plateau = ((self.most - window) / STEEPNESS).cbrt();
            Epoch { since: now, plateau, reno: window }
        });
        let time = now.saturating_duration_since(epoch.since).as_secs_f64();
        let curve = |time: f64| STEEPNESS * (time - epoch.plateau).powi(3) + self.most;
        let growth = if epoch.reno < self.before { RENO_GROWTH } else { 1.0 };
        epoch.reno += growth * count / window;
        if curve(time) < epoch.reno {
            self.window = epoch.reno.max(window);
        } else {
            let target = curve(time + round_trip).clamp(window, MOST_GROWTH * window);
            self.window += count * (target - window) / window;
        }
    }

    /// Something got lost, for the first time in a round trip.
    pub(crate) fn handle_loss(&mut self) {
        // Fast convergence (RFC 9438 §4.7): a window that falls again leaves room for others.
        let part = if self.window < self.most { (1.0 + LEFT) / 2.0 } else { 1.0 };
        self.most = self.window * part;
        self.before = self.window;
        self.threshold = (LEFT * self.window).max(2.0);
        self.window = self.threshold;
        self.epoch = None;
    }

    /// Nothing was heard for long.
    pub(crate) fn handle_timeout(&mut self) {
        self.handle_loss();
        self.window = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_window_doubles_until_something_is_lost_and_then_seven_tenths_are_left() {
        let (mut cubic, now) = (Cubic::new(), Instant::now());
        for _ in 0..4 {
            cubic.handle_arrived(cubic.window(), 0.06, now);
        }
        assert_eq!(cubic.window(), 160.0);
        cubic.handle_loss();
        assert!((cubic.window() - 112.0).abs() < 1e-9);
        cubic.handle_timeout();
        assert_eq!(cubic.window(), 1.0);
    }

    #[test]
    fn the_curve_is_flat_where_the_window_was_before() {
        let (mut cubic, mut now) = (Cubic::new(), Instant::now());
        cubic.window = 1_000.0;
        cubic.handle_loss();
        // RFC 9438 §4.2: K is the cube root of 300 / 0.4, 9.09 s.
        let mut windows = Vec::new();
        for _ in 0..150 {
            now += Duration::from_millis(100);
            cubic.handle_arrived(cubic.window(), 0.1, now);
            windows.push(cubic.window());
        }
        assert!((windows[90] / 1_000.0 - 1.0).abs() < 0.01, "after 9 s {}", windows[90]);
        assert!((windows[60] / 990.0 - 1.0).abs() < 0.02, "after 6 s {}", windows[60]);
        assert!(windows[149] > 1_060.0, "after 15 s {}", windows[149]);
    }
}
