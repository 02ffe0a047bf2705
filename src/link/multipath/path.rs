//! One path: a pair of addresses, what was sent and confirmed on it, and how it fares.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::check::{Answered, Checks};
use super::estimate::{Jitter, Loss, RoundTrip};
use super::lane::Copy;
use super::seal::ReplayWindow;
use super::window::Window;
use crate::link::interface::NetworkInterface;
use crate::link::snapshot::{CandidateKind, PathState};
use crate::link::transport::Pair;
use crate::wire::PathReport;

/// Frames of one path that are remembered until they are judged, the newest: what is in flight, and
/// 40 s of probes on a path that answers nothing.
const MAX_REMEMBERED: usize = 2_048;

/// Segments that one frame can carry: one, and what was sent just before it.
pub(super) const MAX_CARRIED: usize = 3;

/// A segment of a lane, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) lane: u8,
    pub(super) sequence: u32,
}

/// A frame or a check that left.
#[derive(Debug, Clone)]
struct Sent {
    number: u64,
    at: Instant,
    /// Does the peer confirm it soon?
    is_eliciting: bool,
    carried: [Option<Name>; MAX_CARRIED],
}

/// One path.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) id: u16,
    pub(super) pair: Pair,
    pub(super) interface: NetworkInterface,
    pub(super) local_candidate: CandidateKind,
    pub(super) remote_candidate: CandidateKind,
    /// Has it both its ends, and a carrier here?
    pub(super) is_up: bool,
    /// Has the peer answered a check of ours on it?
    pub(super) is_validated: bool,
    pub(super) state: PathState,
    /// The address of the peer's in whose place this one is seen; it goes when this one answers.
    pub(super) supersedes: Option<SocketAddr>,
    /// When `state` last changed, or was last contradicted.
    pub(super) since: Instant,
    /// Does it confirm nothing though it should?
    pub(super) is_silent: bool,
    /// Has data left it before?
    pub(super) was_left: bool,
    /// Times that the path failed soon after data had returned to it.
    pub(super) flaps: u32,
    /// When data last returned to it.
    pub(super) returned: Option<Instant>,

    pub(super) checks: Checks,
    pub(super) check_due: Instant,
    pub(super) checks_sent: u32,
    /// Of those that are counted as frames.
    checks_answered: u64,

    pub(super) last_number: u64,
    /// The last frame that the peer confirms soon.
    pub(super) last_sent: Option<Instant>,
    sent: VecDeque<Sent>,
    /// When the first frame left that should be confirmed and has left after all that are.
    unconfirmed_from: Option<Instant>,
    /// Highest number that the peer reported.
    confirmed: u64,
    pub(super) last_confirmed: Option<Instant>,
    /// The confirmed frame with the highest number left then.
    confirmed_sent: Option<Instant>,
    /// Silence before this moment was our own.
    pub(super) silent_from: Instant,
    pub(super) round_trip: RoundTrip,
    /// How much longer reports take that come by another path, seconds.
    pub(super) detour: f64,
    pub(super) loss_sent: Loss,
    pub(super) window: Window,
    /// By how much a frame may come later than a higher one.
    reordering: Duration,

    pub(super) last_heard: Option<Instant>,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

impl Path {
    pub(super) fn new(id: u16, pair: Pair, interface: NetworkInterface, now: Instant) -> Self {
        Self {
            id,
            pair,
            interface,
            local_candidate: CandidateKind::Host,
            remote_candidate: CandidateKind::Unknown,
            is_up: true,
            is_validated: false,
            state: PathState::Checking,
            supersedes: None,
            since: now,
            is_silent: false,
            was_left: false,
            flaps: 0,
            returned: None,
            checks: Checks::default(),
            check_due: now,
            checks_sent: 0,
            checks_answered: 0,
            last_number: 0,
            last_sent: None,
            sent: VecDeque::new(),
            unconfirmed_from: None,
            confirmed: 0,
            last_confirmed: None,
            confirmed_sent: None,
            silent_from: now,
            round_trip: RoundTrip::default(),
            detour: 0.0,
            loss_sent: Loss::default(),
            window: Window::default(),
            reordering: Duration::ZERO,
            last_heard: None,
            bytes_sent: 0,
            bytes_received: 0,
        }
    }

    /// TURN servers that all that crosses it passes: ours, the peer's, or both.
    pub(super) fn relays(&self) -> u8 {
        let ends = [self.local_candidate, self.remote_candidate];
        ends.iter().map(|end| u8::from(*end == CandidateKind::Relay)).sum()
    }

    /// May data be sent on it?
    pub(super) fn is_usable(&self) -> bool {
        self.is_up && self.is_validated
    }

    /// Is what was sent on it likely lost?
    pub(super) fn is_in_doubt(&self) -> bool {
        match self.state {
            PathState::Dead => true,
            PathState::Suspect => self.is_silent,
            PathState::Down | PathState::Checking | PathState::Good | PathState::Probation => false,
        }
    }

    /// Numbers the next frame.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Notes a frame that leaves.
    pub(super) fn handle_sent(
        &mut self,
        number: u64,
        is_eliciting: bool,
        carried: [Option<Name>; MAX_CARRIED],
        now: Instant,
    ) {
        if is_eliciting {
            self.last_sent = Some(now);
            self.unconfirmed_from.get_or_insert(now);
        }
        if self.sent.len() >= MAX_REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { number, at: now, is_eliciting, carried });
    }

    /// Takes a report of the peer's about this path. `is_same_path` tells whether it came by it.
    /// What was carried by frames that must be lost goes to `lost`.
    pub(super) fn handle_report(
        &mut self,
        report: &PathReport,
        is_same_path: bool,
        now: Instant,
        lost: &mut Vec<(Name, Copy)>,
    ) {
        if report.highest > self.last_number {
            return;
        }
        let age = Duration::from_micros(report.age.into());
        self.reordering = Duration::from_micros(report.reordering.into()).mul_f64(1.25);
        if report.highest > self.confirmed {
            self.confirmed = report.highest;
            self.unconfirmed_from = self.first_unconfirmed();
            // A report by another path may tell late of what arrived long ago.
            let sent = self.sent_at(report.highest);
            self.last_confirmed = Some(sent.map_or(now, |sent| self.arrival_of(sent).min(now)));
            if let Some(sent) = sent {
                self.confirmed_sent = Some(sent);
                self.handle_confirmed(now.saturating_duration_since(sent), age, is_same_path, now);
            }
        }
        // A report that was overtaken tells an older count.
        if report.highest == self.confirmed {
            self.loss_sent.add(now, report.highest, u64::from(report.received));
        }
        let Some(confirmed_sent) = self.confirmed_sent else { return };
        while let Some(first) = self.sent.front()
            && first.number <= self.confirmed
            && (first.number == self.confirmed || first.at + self.reordering <= confirmed_sent)
            && let Some(first) = self.sent.pop_front()
        {
            if first.number == self.confirmed {
                break;
            }
            let copy = Copy { path: self.id, number: first.number };
            lost.extend(first.carried.into_iter().flatten().map(|name| (name, copy)));
        }
    }

    /// When a frame that left then was over there, if all was well.
    fn arrival_of(&self, sent: Instant) -> Instant {
        sent + Duration::from_secs_f64(self.round_trip.smoothed().unwrap_or(0.0) / 2.0)
    }

    fn handle_confirmed(
        &mut self,
        elapsed: Duration,
        age: Duration,
        is_same_path: bool,
        now: Instant,
    ) {
        let elapsed = elapsed.saturating_sub(age);
        if is_same_path {
            self.detour *= 0.9;
            self.round_trip.add(elapsed, now);
        } else if let Some(smoothed) = self.round_trip.smoothed() {
            self.detour = self.detour.max(elapsed.as_secs_f64() - smoothed);
        }
    }

    /// Takes the answer to a check.
    pub(super) fn handle_check_answered(&mut self, answered: Answered, now: Instant) {
        self.is_validated = true;
        self.last_heard = Some(now);
        self.last_confirmed = Some(now);
        self.round_trip.add(now.saturating_duration_since(answered.sent), now);
        let Some(number) = answered.number else { return };
        self.checks_answered += 1;
        self.confirmed = self.confirmed.max(number);
        self.unconfirmed_from = self.first_unconfirmed();
        self.loss_sent.add(now, self.confirmed, self.checks_answered);
        let judged = self.sent.partition_point(|sent| sent.number <= self.confirmed);
        self.sent.drain(..judged);
    }

    /// Since when something is unconfirmed that has left after all that is confirmed.
    pub(super) fn unconfirmed_since(&self) -> Option<Instant> {
        self.unconfirmed_from.map(|at| at.max(self.silent_from))
    }

    /// How many are unconfirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed_frames().count()
    }

    fn first_unconfirmed(&self) -> Option<Instant> {
        self.unconfirmed_frames().next().map(|sent| sent.at)
    }

    fn unconfirmed_frames(&self) -> impl Iterator<Item = &Sent> {
        let index = self.sent.partition_point(|sent| sent.number <= self.confirmed);
        self.sent.range(index..).filter(|sent| sent.is_eliciting)
    }

    /// Highest number that the peer has reported.
    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    fn sent_at(&self, number: u64) -> Option<Instant> {
        let index = self.sent.partition_point(|sent| sent.number < number);
        self.sent.get(index).filter(|sent| sent.number == number).map(|sent| sent.at)
    }
}

/// What came by one path of the peer's numbering.
#[derive(Debug)]
pub(super) struct Inbound {
    /// The pair by which the newest frame came.
    pub(super) pair: Pair,
    pub(super) window: ReplayWindow,
    highest: u64,
    pub(super) highest_at: Instant,
    received: u64,
    /// How late one was that came after a higher one: the most of late.
    reordering: Duration,
    pub(super) jitter: Jitter,
    pub(super) loss: Loss,
}

impl Inbound {
    pub(super) fn new(pair: Pair, now: Instant) -> Self {
        Self {
            pair,
            window: ReplayWindow::default(),
            highest: 0,
            highest_at: now,
            received: 0,
            reordering: Duration::ZERO,
            jitter: Jitter::default(),
            loss: Loss::default(),
        }
    }

    /// Counts a frame that is genuine and new.
    pub(super) fn handle(&mut self, pair: Pair, number: u64, sent: u32, now: Instant) {
        self.received += 1;
        self.jitter.add(now, sent);
        if number > self.highest {
            self.highest = number;
            self.highest_at = now;
            self.pair = pair;
            // Falls to a half within some hundred frames without any that was late.
            self.reordering = self.reordering.mul_f64(0.995);
        } else {
            self.reordering = self.reordering.max(now.saturating_duration_since(self.highest_at));
        }
        self.loss.add(now, self.highest, self.received);
    }

    /// What the peer is told of it.
    pub(super) fn report(&self, path: u16, now: Instant) -> PathReport {
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        PathReport {
            path,
            highest: self.highest,
            age: micros(now.saturating_duration_since(self.highest_at)),
            received: self.received as u32,
            reordering: micros(self.reordering),
        }
    }
}
