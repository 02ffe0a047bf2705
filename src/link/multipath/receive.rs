//! What comes from the network: answers to checks, and frames taken apart.

use std::time::{Duration, Instant};

use super::check::Transaction;
use super::lane::{Arrival, Copy};
use super::path::{Inbound, Name, Path};
use super::{Multipath, Taken, unacked};
use crate::link::snapshot::CandidateKind;
use crate::link::transport::Pair;
use crate::wire::{FrameHeader, PathReport, Section, Sections};

/// Paths of the peer's numbering that are known.
const MAX_INBOUND: usize = 256;

impl Multipath {
    /// Takes the answer to a check.
    pub(super) fn handle_answer(
        &mut self,
        pair: Pair,
        transaction: Transaction,
        datagram: &[u8],
        now: Instant,
    ) -> Taken {
        let Some(credentials) = self.credentials.clone() else { return Taken::PassOn };
        let Some(path) = self.path_mut(pair) else { return Taken::PassOn };
        let Some(is_ours) = path.checks.is_awaited(transaction) else { return Taken::PassOn };
        if let Some(answered) = path.checks.handle_success(transaction, datagram, &credentials) {
            let was_validated = path.is_validated;
            path.handle_check_answered(answered, now);
            if !was_validated {
                path.silent_from = now;
                let superseded = path.supersedes.take();
                let (id, interface) = (path.id, path.interface.name.clone());
                log::debug!("path answers: peer={} path={id} interface={interface}", self.peer);
                if let Some(former) = superseded {
                    self.remove_remote(former, Duration::ZERO, now);
                }
                self.decide(now);
            }
        }
        if is_ours { Taken::Here } else { Taken::PassOn }
    }

    pub(super) fn is_frame_of_this_session(&self, datagram: &[u8]) -> bool {
        let Some(keys) = &self.keys else { return false };
        FrameHeader::decode(datagram)
            .is_ok_and(|(header, _)| header.session == keys.incoming.session())
    }

    /// Takes a frame. Nothing changes unless the peer made it and it is new.
    pub(super) fn handle_frame(&mut self, pair: Pair, frame: &[u8], now: Instant) {
        let Some(keys) = &self.keys else { return };
        let Ok((header, sections)) = FrameHeader::decode(frame) else {
            self.counters.rejected += 1;
            return;
        };
        let is_known = self.inbound.contains_key(&header.path) || self.inbound.len() < MAX_INBOUND;
        if !is_known
            || header.session != keys.incoming.session()
            || !keys.incoming.is_genuine(&header, frame)
        {
            self.counters.rejected += 1;
            return;
        }
        let inbound = self.inbound.entry(header.path).or_insert_with(|| Inbound::new(pair, now));
        if !inbound.window.take(header.number) {
            self.counters.rejected += 1;
            return;
        }
        let former = inbound.pair;
        inbound.handle(pair, header.number, header.sent, now);
        let moved = inbound.pair != former;
        self.peer_clock.add(self.clock(now), header.sent, now);
        self.framed_since.get_or_insert(now);
        self.note_received(now);
        if moved {
            self.handle_moved(former, pair, now);
        }
        self.make_path(pair, CandidateKind::PeerReflexive, now);
        self.count_received(pair, frame, now);
        self.handle_sections(pair, sections, now);
        if header.wants_answer {
            self.answer(pair, now);
        }
    }

    /// The peer sends one of its paths from another address: a NAT between us may have changed it,
    /// or someone sends on what he overheard. The former address goes once the new one answers.
    fn handle_moved(&mut self, former: Pair, pair: Pair, now: Instant) {
        if former.0 != pair.0 || self.path(pair).is_some_and(Path::is_usable) {
            return;
        }
        log::debug!(
            "peer sends from another address: peer={} from={} to={}",
            self.peer,
            former.1,
            pair.1
        );
        self.add_remote(pair.1, CandidateKind::PeerReflexive, now);
        if let Some(path) = self.path_mut(pair) {
            path.supersedes = Some(former.1);
            path.check_due = now;
        }
    }

    fn handle_sections(&mut self, pair: Pair, sections: Sections<'_>, now: Instant) {
        let mut is_missing = false;
        let under_way = self.lanes.values().map(|lane| lane.sender.bytes()).sum();
        for section in sections.clone().flatten() {
            match section {
                Section::Ack { lane, next, bits } => {
                    if let Some(lane) = self.lanes.get_mut(&lane) {
                        lane.sender.handle_ack(next, bits);
                    }
                }
                Section::Data { lane: number, sequence, segment } => {
                    // One that has not begun here yet is not acknowledged, and so sent again.
                    let Some(lane) = self.lanes.get_mut(&number) else { continue };
                    self.last_data = Some(now);
                    lane.heard = Some(now);
                    let arrival = lane.receiver.handle(sequence, segment);
                    log::trace!(
                        "segment came: at={:.6} peer={} by={} sequence={sequence} {arrival:?}",
                        now.saturating_duration_since(self.started).as_secs_f64(),
                        self.peer,
                        pair.0
                    );
                    match arrival {
                        Arrival::InOrder => {}
                        Arrival::Early => is_missing = true,
                        Arrival::Duplicate => self.counters.duplicates_received += 1,
                        Arrival::Refused => continue,
                    }
                    self.arrived.extend(lane.arrived(number));
                    self.unacknowledged += 1;
                    is_missing |= lane.receiver.has_gap();
                }
                Section::Report(_) => {}
            }
        }
        if self.unacknowledged > 0 {
            self.plan_ack(is_missing, now);
        }
        // A report means that what it covers and no lane acknowledges is lost: lanes come first.
        let reports = sections.flatten().filter_map(|section| match section {
            Section::Report(report) => Some(report),
            Section::Data { .. } | Section::Ack { .. } => None,
        });
        self.handle_reports(pair, reports, under_way, now);
    }

    fn handle_reports(
        &mut self,
        pair: Pair,
        reports: impl Iterator<Item = PathReport>,
        under_way: usize,
        now: Instant,
    ) {
        let (mut lost, mut is_any) = (Vec::new(), false);
        let left = self.lanes.values().map(|lane| lane.sender.bytes()).sum();
        for report in reports {
            is_any = true;
            let Some(path) = self.paths.get_mut(&report.path) else { continue };
            path.handle_report(&report, path.pair == pair, now, &mut lost);
            if self.selected == Some(path.id) {
                path.window.adjust(&mut path.round_trip, under_way, left, now);
            }
        }
        for (name, copy) in lost {
            self.handle_lost(name, copy);
        }
        if is_any {
            self.decide_unless_well(now);
            self.send_repeats(now);
            self.send_fresh(now);
        }
    }

    /// A frame did not arrive: what it carried is sent again, unless it came otherwise or a later
    /// copy may still be on its way.
    fn handle_lost(&mut self, name: Name, copy: Copy) {
        let newest = unacked(&self.lanes, name).and_then(|entry| entry.copy);
        let Some((newest, _)) = newest else { return };
        let is_hopeful =
            newest != copy && self.paths.get(&newest.path).is_some_and(|path| !path.is_in_doubt());
        if !is_hopeful {
            self.plan_repeat(name, false);
        }
    }
}
