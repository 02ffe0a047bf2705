//! What the peer is told: which segments came, and how its paths fare.

use std::time::{Duration, Instant};

use super::assess::ACK_DELAY;
use super::{Multipath, sooner};
use crate::link::snapshot::PathState;
use crate::link::transport::Pair;
use crate::wire::{ACK_OVERHEAD, MAX_FRAME_LEN, REPORT_LEN, Section, TAG_LEN};

/// What came longer ago is not told again along with data: of lanes, longer than the slowest path
/// takes, so that no report overtakes what belongs to it; of paths.
const TELL_TIME_LANE: Duration = Duration::from_secs(1);
const TELL_TIME_PATH: Duration = Duration::from_millis(20);

/// Segments after which the peer is told what came, even if nothing is missing.
const ACK_EVERY: u32 = 8;

/// Least time between two acknowledgements, unless a frame is sent for nothing else: this part of a
/// round trip, so that none is spent on waiting, and so much at most.
const ACK_SPACING_PART: u32 = 4;
const ACK_SPACING_MOST: Duration = Duration::from_millis(1);

impl Multipath {
    /// From when on the peer may be told again what came.
    pub(super) fn next_ack(&self) -> Instant {
        let round_trip = self.selected_path().and_then(|path| path.round_trip.smoothed());
        let spacing = round_trip.map(|seconds| Duration::from_secs_f64(seconds) / ACK_SPACING_PART);
        self.last_ack + spacing.unwrap_or(ACK_SPACING_MOST).min(ACK_SPACING_MOST)
    }

    /// Adds what came, of late or all of it, as far as there is room: first the lanes, for a report
    /// means that what it covers and no lane acknowledges is lost.
    pub(super) fn add_acknowledgements(&mut self, frame: &mut Vec<u8>, is_all: bool, now: Instant) {
        let room = MAX_FRAME_LEN - TAG_LEN;
        let has_room = frame.len() + ACK_OVERHEAD <= room;
        if !is_all && (now < self.next_ack() || !has_room) {
            return;
        }
        let length = frame.len();
        for (lane, state) in &self.lanes {
            if state.heard.is_some_and(|at| is_all || now < at + TELL_TIME_LANE) {
                let (next, bits) = state.receiver.ack();
                Section::Ack { lane: *lane, next, bits: &bits }.encode(frame);
            }
        }
        if frame.len() > room {
            frame.truncate(length);
            return;
        }
        // Those for which there is no room come first in the next frame.
        let from = self.next_report;
        let inbound = self.inbound.range(from..).chain(self.inbound.range(..from));
        for (path, inbound) in inbound {
            if !is_all && now >= inbound.highest_at + TELL_TIME_PATH {
                continue;
            }
            if frame.len() + REPORT_LEN > room {
                self.next_report = *path;
                return;
            }
            Section::Report(inbound.report(*path, now)).encode(frame);
        }
        self.ack_due = None;
        self.unacknowledged = 0;
        self.last_ack = now;
    }

    /// Answers a frame that asks for it, on the path by which it came.
    pub(super) fn answer(&mut self, pair: Pair, now: Instant) {
        let same = self.path(pair).filter(|path| path.is_usable()).map(|path| path.id);
        if let Some(path) = same.or(self.selected)
            && self.is_framing
        {
            self.send_frame(path, &[], false, now);
        }
    }

    /// Plans when the peer is told what came: soon if something `is_missing`.
    pub(super) fn plan_ack(&mut self, is_missing: bool, now: Instant) {
        let due = if is_missing || self.unacknowledged >= ACK_EVERY {
            self.next_ack().max(now)
        } else {
            now + ACK_DELAY
        };
        self.ack_due = sooner(self.ack_due, due);
    }

    /// Tells the peer what came: by the selected path, and by all while that one is in doubt.
    pub(super) fn acknowledge(&mut self, now: Instant) {
        self.ack_due = None;
        self.unacknowledged = 0;
        if !self.is_framing {
            return;
        }
        if let Some(path) = self.selected_path().filter(|path| path.state == PathState::Good) {
            self.send_frame(path.id, &[], false, now);
            return;
        }
        let all: Vec<_> =
            self.paths.values().filter(|path| path.is_usable()).map(|path| path.id).collect();
        for path in all {
            self.send_frame(path, &[], false, now);
        }
    }
}
