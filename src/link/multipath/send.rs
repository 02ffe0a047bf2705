//! What leaves: datagrams in frames, twice where that is worth it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::check::{Stun, stun};
use super::lane::Copy;
use super::path::{MAX_CARRIED, Name};
use super::select::{self, Choosable};
use super::{EXPRESS, Multipath, Ready, sooner, unacked, unacked_mut};
use crate::config::Duplicate;
use crate::link::output::Transmit;
use crate::link::snapshot::{CandidateKind, PathState};
use crate::link::transport::is_application_data;
use crate::wire::{
    ACK_OVERHEAD, DATA_OVERHEAD, FRAME_HEADER_LEN, FrameHeader, MAX_FRAME_LEN, REPORT_LEN, Section,
    TAG_LEN,
};

/// Between the two copies of a segment on one path: a burst of losses on a radio is shorter.
pub(super) const COPY_SPACING: Duration = Duration::from_millis(2);

/// Loss from which what is urgent or small is sent a second time beforehand, and from which what is
/// sent again is sent twice. It is measured by a few losses: where it is 1 %, one sample in twenty
/// says less than half of that, and hardly any less than a quarter.
pub(super) const SHOWS_LOSS: f64 = 0.002_5;

/// A probe that carries segments along has so many bytes at most: they are to cost little.
const MAX_ALONG: usize = 700;

/// Bytes of a segment that fits into one frame together with another such.
const MAX_SMALL: usize = (MAX_FRAME_LEN - FRAME_HEADER_LEN - TAG_LEN) / 2 - DATA_OVERHEAD;

/// Datagrams that are sent again in frames when these begin: the hello and the topics offered after
/// it. One that got lost before would be sent again by SCTP after 3 s only.
const MAX_UNFRAMED: usize = 16;

/// Bytes of a frame besides what it carries, as a rule: header, tag, acknowledgements of two lanes
/// and reports about two paths.
const USUAL_OVERHEAD: usize = FRAME_HEADER_LEN + TAG_LEN + 2 * (ACK_OVERHEAD + 8) + 2 * REPORT_LEN;

/// Bytes of a segment at most: it fills a frame, or leaves room for acknowledgements of three lanes
/// and reports about two paths.
pub(super) const MAX_SEGMENT_LEN: usize =
    MAX_FRAME_LEN - FRAME_HEADER_LEN - DATA_OVERHEAD - TAG_LEN;
const ACK_ROOM: usize = 3 * ACK_OVERHEAD + 2 * REPORT_LEN;

impl Multipath {
    /// Takes a datagram of the express session, as it comes from ICE and DTLS.
    pub(in crate::link) fn handle_transmit(&mut self, transmit: Transmit, now: Instant) {
        let pair = (transmit.source, transmit.destination);
        if let Some(message) = stun(&transmit.contents) {
            match message {
                Stun::Request(transaction) => {
                    self.make_path(pair, CandidateKind::Unknown, now);
                    if let Some(path) = self.path_mut(pair) {
                        path.checks.handle_request_of_ice(transaction, now);
                    }
                }
                // ICE answers what the peer has signed: the peer is there.
                Stun::Success(_) if !self.remotes.contains_key(&pair.1) => {
                    self.add_remote(pair.1, CandidateKind::PeerReflexive, now);
                }
                Stun::Success(_) | Stun::Other => {}
            }
            self.transmit_raw(transmit);
            return;
        }
        if self.is_framing {
            self.send(EXPRESS, transmit.contents, now);
        } else if self.bare.is_some() {
            self.send_bare(transmit, now);
        } else {
            self.selected = self.by_pair.get(&pair).copied();
            if is_application_data(&transmit.contents) {
                if self.unframed.len() == MAX_UNFRAMED {
                    self.unframed.pop_front();
                }
                self.unframed.push_back(transmit.contents.clone());
            }
            self.transmit_raw(transmit);
        }
    }

    pub(super) fn transmit_raw(&mut self, transmit: Transmit) {
        if let Some(path) = self.path_mut((transmit.source, transmit.destination)) {
            path.bytes_sent += transmit.contents.len() as u64;
        }
        self.out.push_back(Ready::Transmit(transmit));
    }

    /// Sends a datagram of a lane, now or when a path carries again.
    pub(in crate::link) fn send(&mut self, lane: u8, datagram: Vec<u8>, now: Instant) {
        let Some(state) = self.lanes.get_mut(&lane) else { return };
        self.last_data = Some(now);
        if lane != EXPRESS {
            if !state.sender.queue(&datagram) {
                self.counters.refused += 1;
            }
            // Until it is told that nothing follows.
            state.is_backlogged = true;
            self.send_fresh(now);
            return;
        }
        let length = datagram.len() as u64;
        let Some(sequence) = state.sender.push(Bytes::from(datagram)) else {
            self.counters.refused += 1;
            return;
        };
        self.counters.datagrams += 1;
        self.counters.bytes_first += length;
        let name = Name { lane, sequence };
        let Some(path) = self.selected.filter(|path| self.is_alive(*path)) else { return };
        self.send_with_earlier(path, name, now);
        let other = if self.is_duplicating() { self.alternative(path) } else { None };
        if let Some(other) = other {
            self.counters.bytes_duplicated += length;
            self.send_with_earlier(other, name, now);
            // The copy on the selected path tells sooner what became of it.
            self.note_copy(name, path, now);
            return;
        }
        // What is large does not go along with the next one.
        let length = length as usize;
        if self.settings.duplicate == Duplicate::Always
            || (length > MAX_SMALL && self.may_double(name, path, length, now))
        {
            self.plan_copy(now + COPY_SPACING, name, path);
        }
    }

    /// Sends what is not urgent, in the pace of the selected path; on another one too while that is
    /// silent, for what does not arrive holds up all behind it.
    pub(super) fn send_fresh(&mut self, now: Instant) {
        let Some(id) = self.selected.filter(|path| self.is_alive(*path)) else { return };
        while let Some(lane) = self.next_to_leave() {
            let is_silent = self.paths.get(&id).is_some_and(|path| path.is_silent);
            let other = if is_silent { self.alternative(id) } else { None };
            let pacing = other.unwrap_or(id);
            let tells = self.ack_due.is_some() && now >= self.next_ack();
            let Some(path) = self.paths.get_mut(&pacing) else { return };
            if !path.window.is_open(now) {
                return;
            }
            let most = if tells { MAX_SEGMENT_LEN - ACK_ROOM } else { MAX_SEGMENT_LEN };
            let sender = self.lanes.get_mut(&lane).map(|lane| &mut lane.sender);
            let Some((sender, sequence)) = sender.and_then(|sender| {
                let sequence = sender.cut(most)?;
                Some((sender, sequence))
            }) else {
                return;
            };
            let name = Name { lane, sequence };
            let length = sender.get(sequence).map_or(0, |entry| entry.segment.len());
            self.counters.datagrams += 1;
            self.counters.bytes_first += length as u64;
            path.window.handle_sent(length, &path.round_trip, now);
            if lane.is_multiple_of(2) {
                // What is large can wait; it needs the room.
                self.send_data(id, &[name], now);
            } else {
                self.send_with_earlier(id, name, now);
            }
            if let Some(other) = other {
                self.counters.bytes_duplicated += length as u64;
                self.send_data(other, &[name], now);
            }
        }
    }

    /// The lane that is not urgent whose next segment may leave as soon as the path allows; those of
    /// odd numbers first.
    pub(super) fn next_to_leave(&self) -> Option<u8> {
        let mut least_urgent = None;
        for (number, lane) in &self.lanes {
            let least = if lane.is_backlogged { MAX_SEGMENT_LEN } else { 1 };
            if *number != EXPRESS && lane.sender.waiting() >= least {
                if !number.is_multiple_of(2) {
                    return Some(*number);
                }
                least_urgent = least_urgent.or(Some(*number));
            }
        }
        least_urgent
    }

    /// Sends what waits in lanes that are not urgent, but for a rest in those that have more to come
    /// (`is_backlogged`): frames that are not full would cost room. Returns whether anything is ready.
    pub(in crate::link) fn flush(
        &mut self,
        is_backlogged: impl Fn(u8) -> bool,
        now: Instant,
    ) -> bool {
        for (number, lane) in &mut self.lanes {
            lane.is_backlogged = is_backlogged(*number);
        }
        self.send_fresh(now);
        !self.out.is_empty()
    }

    /// Sends a segment, and the one of its lane before it along with it if that fits and is worth it:
    /// then two losses in a row are needed to delay anything.
    fn send_with_earlier(&mut self, path: u16, name: Name, now: Instant) {
        let earlier = Name { sequence: name.sequence.wrapping_sub(1), ..name };
        let length_of = |name| unacked(&self.lanes, name).map(|entry| entry.segment.len());
        if let (Some(own), Some(length)) = (length_of(name), length_of(earlier))
            && own.max(length) <= MAX_SMALL
            && self.may_double(name, path, length, now)
        {
            self.counters.bytes_duplicated += length as u64;
            self.send_data(path, &[name, earlier], now);
        } else {
            self.send_data(path, &[name], now);
        }
    }

    /// May so many bytes be sent a second time by this path, so that a loss need not be repaired?
    fn may_double(&mut self, name: Name, path: u16, length: usize, now: Instant) -> bool {
        let Some(path) = self.paths.get(&path) else { return false };
        let has_loss = path.loss_sent.ratio().is_some_and(|loss| loss >= SHOWS_LOSS);
        match self.settings.duplicate {
            Duplicate::Off => false,
            Duplicate::Always if name.lane == EXPRESS => true,
            Duplicate::Always | Duplicate::OnSuspect => {
                has_loss && self.allowance.take(length, path.window.rate(&path.round_trip), now)
            }
        }
    }

    /// Puts segments into a frame and sends it; what is acknowledged already is left out.
    pub(super) fn send_data(&mut self, path: u16, names: &[Name], now: Instant) {
        let frame_number = self.send_frame(path, names, false, now);
        let (Some(number), Some(first)) = (frame_number, names.first()) else { return };
        self.note_copy_as(*first, Copy { path, number }, now);
    }

    fn note_copy(&mut self, name: Name, path: u16, now: Instant) {
        let Some(number) = self.paths.get(&path).map(|path| path.last_number) else { return };
        self.note_copy_as(name, Copy { path, number }, now);
    }

    fn note_copy_as(&mut self, name: Name, copy: Copy, now: Instant) {
        let Some(entry) = unacked_mut(&mut self.lanes, name) else { return };
        entry.copy = Some((copy, now));
        entry.is_due = false;
        let tries = entry.tries;
        let due = now + self.probe_time(name.lane, copy.path, tries);
        self.probe_due = sooner(self.probe_due, due);
    }

    /// Builds a frame, seals it and sends it; returns its number.
    pub(super) fn send_frame(
        &mut self,
        path_id: u16,
        names: &[Name],
        wants_answer: bool,
        now: Instant,
    ) -> Option<u64> {
        let sent = self.clock(now);
        let path = self.paths.get_mut(&path_id)?;
        let keys = self.keys.as_ref()?;
        let number = path.next_number();
        let header = FrameHeader {
            wants_answer,
            session: keys.outgoing.session(),
            path: path_id,
            number,
            sent,
        };
        let carried_len = |name: &Name| {
            unacked(&self.lanes, *name).map_or(0, |entry| DATA_OVERHEAD + entry.segment.len())
        };
        let length = names.iter().map(carried_len).sum::<usize>() + USUAL_OVERHEAD;
        let mut frame = Vec::with_capacity(length.min(MAX_FRAME_LEN));
        header.encode(&mut frame);
        let mut carried = [None; MAX_CARRIED];
        for (slot, name) in carried.iter_mut().zip(names) {
            let Some(entry) = unacked(&self.lanes, *name) else { continue };
            let section =
                Section::Data { lane: name.lane, sequence: name.sequence, segment: &entry.segment };
            section.encode(&mut frame);
            *slot = Some(*name);
        }
        let is_eliciting = wants_answer || carried[0].is_some();
        path.handle_sent(number, is_eliciting, carried, now);
        self.add_acknowledgements(&mut frame, names.is_empty(), now);
        let keys = self.keys.as_ref()?;
        keys.outgoing.seal(&header, &mut frame);
        log::trace!(
            "frame sent: at={:.6} peer={} path={path_id} number={number} carried={carried:?}",
            now.saturating_duration_since(self.started).as_secs_f64(),
            self.peer,
        );
        self.transmit(path_id, frame);
        Some(number)
    }

    /// Sends a frame that the peer answers at once, with what is oldest if nothing else carries it.
    pub(super) fn probe(&mut self, path: u16, with_oldest: bool, now: Instant) {
        if self.bare.is_some() {
            self.check_path(path, now);
            return;
        }
        let mut carried = Vec::new();
        if with_oldest {
            let oldest = self.lanes.iter().filter_map(|(lane, state)| {
                let (sequence, entry) = state.sender.iter().next()?;
                Some((Name { lane: *lane, sequence }, entry.segment.len()))
            });
            let mut size = 0;
            for (name, length) in oldest {
                size += DATA_OVERHEAD + length;
                if size <= MAX_ALONG && carried.len() < MAX_CARRIED {
                    carried.push(name);
                    self.counters.bytes_duplicated += length as u64;
                }
            }
        }
        self.send_frame(path, &carried, true, now);
    }

    /// The best path besides one.
    pub(super) fn alternative(&self, path: u16) -> Option<u16> {
        let ranked = select::ranked(&self.choosable(), self.settings.max_loss_ratio);
        ranked.into_iter().find(|id| *id != path)
    }

    /// Is the express lane sent twice now?
    pub(super) fn is_duplicating(&self) -> bool {
        match self.settings.duplicate {
            Duplicate::Off => false,
            Duplicate::Always => true,
            Duplicate::OnSuspect => {
                let selected = self.selected_path();
                self.pending.is_some() || selected.is_some_and(|path| path.state != PathState::Good)
            }
        }
    }

    pub(super) fn is_alive(&self, path: u16) -> bool {
        self.paths.get(&path).is_some_and(|path| path.state.is_alive())
    }

    /// The paths as the choice sees them.
    pub(super) fn choosable(&self) -> Vec<Choosable> {
        let now = self.asked_for;
        self.paths
            .values()
            .filter(|path| path.is_usable() || Some(path.id) == self.selected)
            .map(|path| Choosable {
                id: path.id,
                state: path.state,
                is_silent: path.is_silent,
                is_wanted: self.wanted.as_ref() == Some(&path.interface.name),
                loss: path.loss_sent.certain(now),
                relays: path.relays(),
                preference: path.interface.preference,
                is_metered: path.interface.metered,
                round_trip: path.round_trip.smoothed().unwrap_or(f64::INFINITY),
            })
            .collect()
    }
}
