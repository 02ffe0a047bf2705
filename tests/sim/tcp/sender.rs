//! The sending end of a transfer, which always has something to send.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::cubic::Cubic;
use super::{Ack, Segment};

/// A segment is lost when so many that were sent later have arrived. Retransmissions count as sent
/// when they were (as in RFC 8985), so that one that gets lost too is noticed.
const OVERTAKEN: u64 = 3;

/// The least that a time-out is longer than the round trip, as in Linux; one before any round trip
/// was measured, and the longest.
const LEAST_MARGIN: f64 = 0.2;
const FIRST_TIMEOUT: f64 = 1.0;
const LONGEST_TIMEOUT: f64 = 60.0;

/// What a sender waits for after losses, up to a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recovery {
    /// The window has fallen once, and stays.
    Fast(u64),
    /// It grows again from one segment.
    Slow(u64),
}

/// The sender.
#[derive(Debug)]
pub(crate) struct Sender {
    cubic: Cubic,
    /// Number of the next new segment.
    next: u64,
    /// Segments under way, and how many had been sent before each.
    under_way: BTreeMap<u64, u64>,
    lost: BTreeSet<u64>,
    /// Segments sent so far, and the newest of them of which it is known that it has arrived.
    sent: u64,
    arrived: u64,
    recovery: Option<Recovery>,
    /// Smoothed, and its variation, seconds.
    round_trip: Option<(f64, f64)>,
    /// Time-outs in a row.
    timeouts: i32,
    timeout: Option<Instant>,
}

impl Sender {
    /// A sender that has not sent anything.
    pub(crate) fn new() -> Self {
        Self {
            cubic: Cubic::new(),
            next: 0,
            under_way: BTreeMap::new(),
            lost: BTreeSet::new(),
            sent: 0,
            arrived: 0,
            recovery: None,
            round_trip: None,
            timeouts: 0,
            timeout: None,
        }
    }

    /// Segments that may be under way.
    pub(super) fn window(&self) -> f64 {
        self.cubic.window()
    }

    /// Smoothed, seconds; zero before any was measured.
    pub(super) fn round_trip(&self) -> f64 {
        self.round_trip.map_or(0.0, |(smoothed, _)| smoothed)
    }

    /// The next segment to send, if there is room for one.
    pub(crate) fn poll_segment(&mut self, now: Instant) -> Option<Segment> {
        if self.under_way.len() as f64 + 1.0 > self.window() {
            return None;
        }
        let number = self.lost.pop_first().unwrap_or(self.next);
        self.next = self.next.max(number + 1);
        self.sent += 1;
        self.under_way.insert(number, self.sent);
        if self.timeout.is_none() {
            self.timeout = Some(now + self.timeout_length());
        }
        Some(Segment { number, sent: now })
    }

    /// Takes an acknowledgement.
    pub(crate) fn handle_ack(&mut self, ack: &Ack, now: Instant) {
        let has = |number: &u64| *number < ack.next || ack.block.contains(number);
        let known = self.under_way.len() + self.lost.len();
        self.under_way.retain(|number, sent| {
            if has(number) {
                self.arrived = self.arrived.max(*sent);
            }
            !has(number)
        });
        self.lost.retain(|number| !has(number));
        let count = known - self.under_way.len() - self.lost.len();
        if count == 0 {
            return;
        }
        self.measure(now.saturating_duration_since(ack.echo).as_secs_f64());
        self.timeouts = 0;
        self.timeout = Some(now + self.timeout_length());
        match self.recovery {
            Some(Recovery::Fast(end) | Recovery::Slow(end)) if ack.next >= end => {
                self.recovery = None;
            }
            Some(Recovery::Fast(_)) => {}
            Some(Recovery::Slow(_)) | None => {
                self.cubic.handle_arrived(count as f64, self.round_trip(), now);
            }
        }
        let lost = self.lost.len();
        self.under_way.retain(|number, sent| {
            let is_overtaken = *sent + OVERTAKEN <= self.arrived;
            if is_overtaken {
                self.lost.insert(*number);
            }
            !is_overtaken
        });
        if self.lost.len() > lost && self.recovery.is_none() {
            self.recovery = Some(Recovery::Fast(self.next));
            self.cubic.handle_loss();
        }
    }

    /// When [`Sender::handle_timeout`] is to be called.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timeout
    }

    /// Takes all for lost if nothing has been heard for too long.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.timeout.take_if(|at| *at <= now).is_none() {
            return;
        }
        self.timeouts += 1;
        self.lost.extend(std::mem::take(&mut self.under_way).into_keys());
        self.recovery = Some(Recovery::Slow(self.next));
        self.cubic.handle_timeout();
    }

    /// RFC 6298 §2.
    fn measure(&mut self, sample: f64) {
        self.round_trip = Some(match self.round_trip {
            None => (sample, sample / 2.0),
            Some((smoothed, variation)) => (
                smoothed + (sample - smoothed) / 8.0,
                variation + ((smoothed - sample).abs() - variation) / 4.0,
            ),
        });
    }

    fn timeout_length(&self) -> Duration {
        let once = self.round_trip.map_or(FIRST_TIMEOUT, |(smoothed, variation)| {
            smoothed + (4.0 * variation).max(LEAST_MARGIN)
        });
        Duration::from_secs_f64((once * 2f64.powi(self.timeouts.min(10))).min(LONGEST_TIMEOUT))
    }
}
