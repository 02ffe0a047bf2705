//! What is sent again: because it is lost, because no acknowledgement came, or as a further copy.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::assess::normal_confirmation;
use super::lane::Copy;
use super::path::Name;
use super::send::{COPY_SPACING, SHOWS_LOSS};
use super::window::LONG;
use super::{EXPRESS, Multipath, select, sooner, unacked, unacked_mut};

/// The same on a very long path. There whatever is sent again is sent twice: what is held up for two
/// round trips makes SCTP send again all that is under way.
const COPY_SPACING_LONG: Duration = Duration::from_millis(20);

/// From an urgent datagram that is sent again to its later copies: a run of losses that swallowed the
/// first two may be over by then, and the next try is a round trip away. At first, and from the
/// second time on.
const LATE_COPIES: &[Duration] = &[Duration::from_millis(20)];
const MORE_LATE_COPIES: &[Duration] =
    &[Duration::from_millis(5), Duration::from_millis(10), Duration::from_millis(20)];

/// Beyond the normal confirmation, and longer with each try after the first ones: when a datagram is
/// sent again for want of an acknowledgement.
const PROBE_MARGIN: Duration = Duration::from_millis(30);
/// The same for what is urgent: it is small, and one too many does no harm.
const PROBE_MARGIN_EXPRESS: Duration = Duration::from_millis(10);
const PROBE_GROWTH: f64 = 1.25;
const PROBE_TRIES: u32 = 10;
const PROBE_TRIES_EVEN: u32 = 2;

/// Loss from which what is sent again is sent twice where it is not urgent.
const SHOWS_MUCH_LOSS: f64 = 0.05;

impl Multipath {
    /// Plans to send a segment again: by another path than before if that one gave no answer.
    pub(super) fn plan_repeat(&mut self, name: Name, is_unanswered: bool) {
        let entry = unacked_mut(&mut self.lanes, name).filter(|entry| !entry.is_due);
        let Some(entry) = entry else { return };
        entry.is_due = true;
        self.repeats.push_back((name, is_unanswered));
    }

    /// Plans to send all that is unacknowledged again; on one path's behalf, or all of it.
    pub(super) fn plan_repeats_of(&mut self, path: Option<u16>) {
        let names: Vec<_> = self
            .lanes
            .iter()
            .flat_map(|(lane, state)| {
                state.sender.iter().map(|(sequence, entry)| (*lane, sequence, entry.copy))
            })
            .filter(|(_, _, copy)| {
                path.is_none() || copy.is_none_or(|(copy, _)| Some(copy.path) == path)
            })
            .map(|(lane, sequence, _)| Name { lane, sequence })
            .collect();
        for name in names {
            self.plan_repeat(name, true);
        }
    }

    /// Sends again what is planned: what is urgent at once, the rest in the pace of its path.
    pub(super) fn send_repeats(&mut self, now: Instant) {
        let mut later = VecDeque::new();
        while let Some((name, is_unanswered)) = self.repeats.pop_front() {
            let Some(entry) = unacked(&self.lanes, name) else { continue };
            let (former, tries) = (entry.copy.map(|(copy, _)| copy.path), entry.tries);
            let length = entry.segment.len();
            let path = self.path_for_repeat(former.filter(|_| is_unanswered));
            let Some(path) = path.and_then(|path| self.paths.get_mut(&path)) else {
                later.push_back((name, is_unanswered));
                continue;
            };
            if name.lane != EXPRESS {
                if !path.window.is_open(now) {
                    later.push_back((name, is_unanswered));
                    continue;
                }
                path.window.handle_sent(length, &path.round_trip, now);
            }
            let is_long = path.round_trip.smoothed().is_some_and(|time| time >= LONG);
            let (path, loss) = (path.id, path.loss_sent.ratio());
            if former.is_some() {
                self.counters.repaired += 1;
                self.counters.bytes_duplicated += length as u64;
            }
            if let Some(entry) = unacked_mut(&mut self.lanes, name) {
                entry.tries = (tries + 1).min(PROBE_TRIES);
            }
            self.send_data(path, &[name], now);
            let much = match name.lane {
                EXPRESS => SHOWS_LOSS,
                lane if !lane.is_multiple_of(2) => SHOWS_MUCH_LOSS,
                // What is large can wait; it needs the room.
                _ => 1.0,
            };
            if tries > 0 || is_long || loss.is_some_and(|loss| loss >= much) {
                let other = self.alternative(path).unwrap_or(path);
                let spacing = if is_long { COPY_SPACING_LONG } else { COPY_SPACING };
                self.plan_copy(now + spacing, name, other);
                let late = match name.lane {
                    EXPRESS if tries > 0 => MORE_LATE_COPIES,
                    EXPRESS => LATE_COPIES,
                    _ => &[],
                };
                late.iter().for_each(|spacing| self.plan_copy(now + *spacing, name, other));
            }
        }
        self.repeats = later;
    }

    /// Plans a further copy.
    pub(super) fn plan_copy(&mut self, at: Instant, name: Name, path: u16) {
        let index = self.copies.partition_point(|(earlier, _, _)| *earlier <= at);
        self.copies.insert(index, (at, name, path));
    }

    /// Sends the further copies whose time has come.
    pub(super) fn send_copies(&mut self, now: Instant) {
        while let Some((at, name, path)) = self.copies.front().copied()
            && at <= now
        {
            self.copies.pop_front();
            let Some(entry) = unacked(&self.lanes, name) else { continue };
            self.counters.bytes_duplicated += entry.segment.len() as u64;
            self.send_data(path, &[name], now);
        }
    }

    /// Plans to send again what should have been acknowledged by now.
    pub(super) fn probe_unacknowledged(&mut self, now: Instant) {
        if self.probe_due.is_none_or(|due| due > now) {
            return;
        }
        let (mut next, mut overdue) = (None, Vec::new());
        for (lane, state) in &self.lanes {
            for (sequence, entry) in state.sender.iter().filter(|(_, entry)| !entry.is_due) {
                let Some((copy, at)) = entry.copy else { continue };
                let time = self.probe_time(*lane, copy.path, entry.tries);
                if now < at + time {
                    next = sooner(next, at + time);
                } else if *lane != EXPRESS && self.will_judge(copy) {
                    next = sooner(next, now + time);
                } else {
                    overdue.push(Name { lane: *lane, sequence });
                }
            }
        }
        self.probe_due = next;
        for name in overdue {
            self.plan_repeat(name, true);
        }
    }

    /// Will reports tell what became of a copy? A path that confirms what was sent earlier keeps the
    /// rest in a queue, which to send it again would only make longer.
    fn will_judge(&self, copy: Copy) -> bool {
        let path = self.paths.get(&copy.path).filter(|path| path.state.is_alive());
        path.is_some_and(|path| !path.is_silent && path.confirmed() < copy.number)
    }

    /// After so long without an acknowledgement a segment is sent again that was sent again so many
    /// times.
    pub(super) fn probe_time(&self, lane: u8, path: u16, tries: u32) -> Duration {
        const UNKNOWN: Duration = Duration::from_millis(250);
        let margin = if lane == EXPRESS { PROBE_MARGIN_EXPRESS } else { PROBE_MARGIN };
        grown(self.paths.get(&path).map_or(UNKNOWN, normal_confirmation) + margin, tries)
    }

    /// The best path to send something again, another one than the one to be avoided if there is
    /// any. The best one is not silent if any is not.
    fn path_for_repeat(&self, avoided: Option<u16>) -> Option<u16> {
        let ranked = select::ranked(&self.choosable(), self.settings.max_loss_ratio);
        ranked.iter().find(|id| Some(**id) != avoided).or(ranked.first()).copied()
    }
}

fn grown(time: Duration, tries: u32) -> Duration {
    let tries = tries.min(PROBE_TRIES).saturating_sub(PROBE_TRIES_EVEN);
    if tries == 0 {
        return time;
    }
    time.mul_f64(PROBE_GROWTH.powi(tries as i32))
}
