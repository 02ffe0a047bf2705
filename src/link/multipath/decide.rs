//! What time brings: how the paths fare now, where data shall go, and what is due.

use std::time::{Duration, Instant};

use super::assess::{self, Fault};
use super::path::Path;
use super::select::{self, ADVANTAGE_TIME, Wish};
use super::{Multipath, Pending, Ready};
use crate::link::report::{Handover, HandoverPath, HandoverPhase, HandoverReason};
use crate::link::snapshot::PathState;

/// Paths answer one after the other when a session begins: that is no handover.
const SETTLING_TIME: Duration = Duration::from_secs(2);

/// While all is well, what reports tell is looked at so often, and the path in use compared with the
/// others.
const CHOICE_INTERVAL: Duration = Duration::from_millis(10);

/// A path that fails within so long after data returned to it is flapping.
const FLAP_TIME: Duration = Duration::from_secs(60);

/// Between frames that are to be answered: on the path in use, on one that is suspect …
const PROBE_FAST: Duration = Duration::from_millis(20);
/// … on a standby path, and on the path in use while nothing crosses …
const PROBE_STANDBY: Duration = Duration::from_millis(100);
/// … and where each byte is paid for, or passes a TURN server.
const PROBE_METERED: Duration = Duration::from_secs(5);
/// A metered path that has to prove itself.
const PROBE_METERED_PROBATION: Duration = Duration::from_millis(500);

/// The path in use is probed fast for so long after the last data: all the time from 17 messages per
/// second on. To notice in 30 ms that it is silent helps none that come more rarely.
const BUSY_TIME: Duration = Duration::from_millis(60);

/// A path that has just died or come back is probed fast for so long, and so are all while none
/// carries anything.
const FRESH_TIME: Duration = Duration::from_secs(2);
const OUTAGE_FAST_TIME: Duration = Duration::from_secs(120);

/// Pauses between checks of a path that has not answered yet: first, and longest.
const CHECK_FIRST: Duration = Duration::from_millis(50);
const CHECK_LONGEST: Duration = Duration::from_secs(3);

/// Between two looks at a path that is overdue but may not be judged yet.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long the caller may wait where nothing is due.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl Multipath {
    /// Sends the checks that are due on paths that have not answered.
    pub(super) fn check(&mut self, now: Instant) {
        let due: Vec<_> = self
            .paths
            .values()
            .filter(|path| path.is_up && !path.is_validated && path.check_due <= now)
            .map(|path| path.id)
            .collect();
        for id in due {
            let Some(credentials) = &self.credentials else { return };
            let Some(path) = self.paths.get_mut(&id) else { continue };
            let pause = CHECK_FIRST.saturating_mul(1 << path.checks_sent.min(10));
            path.check_due = now + pause.min(CHECK_LONGEST);
            path.checks_sent += 1;
            if let Some(request) = path.checks.request(credentials, now) {
                self.transmit(id, request);
            }
        }
    }

    /// Tries at once whatever does not answer: it may be within reach again.
    pub(in crate::link) fn try_all(&mut self, now: Instant) {
        for path in self.paths.values_mut().filter(|path| !path.is_validated) {
            path.check_due = now;
            path.checks_sent = 0;
        }
        self.check(now);
        if !self.is_steering() {
            return;
        }
        let silent = self.paths.values().filter(|path| path.is_usable() && !path.state.is_alive());
        for id in silent.map(|path| path.id).collect::<Vec<_>>() {
            self.probe(id, self.outage_since.is_some(), now);
        }
    }

    /// Looks at all paths, unless that was done just now and all was well.
    pub(super) fn decide_unless_well(&mut self, now: Instant) {
        if self.pending.is_some() || !self.is_well() || now >= self.decided + CHOICE_INTERVAL {
            self.decide(now);
        }
    }

    /// Looks at all paths, and moves data if need be.
    pub(super) fn decide(&mut self, now: Instant) {
        if !self.is_steering() {
            return;
        }
        self.decided = now;
        self.assess_paths(now);
        self.notice_outage(now);
        self.choose_path(now);
        self.conclude_handover(now);
    }

    fn assess_paths(&mut self, now: Instant) {
        let mut failed = Vec::new();
        let settings = self.settings;
        for path in self.paths.values_mut() {
            let fault = assess::fault(path, &settings, now);
            let state = assess::next_state(path, fault, &settings, now);
            let is_silent = matches!(fault, Some(Fault::Silent(_)));
            if is_silent && !path.is_silent {
                failed.push(path.id);
            }
            path.is_silent = is_silent;
            let is_contradicted =
                fault.is_some() && matches!(state, PathState::Suspect | PathState::Probation);
            if state == path.state {
                if is_contradicted {
                    path.since = now;
                }
                continue;
            }
            log::debug!(
                "path: peer={} path={} interface={} state={state:?} fault={fault:?}",
                self.peer,
                path.id,
                path.interface.name,
            );
            let was_alive = path.state.is_alive();
            path.state = state;
            path.since = now;
            if was_alive && !state.is_alive() {
                failed.push(path.id);
                if path.returned.is_some_and(|returned| now < returned + FLAP_TIME) {
                    path.flaps += 1;
                } else {
                    path.flaps = 0;
                }
            }
        }
        for id in failed {
            self.plan_repeats_of(Some(id));
        }
    }

    fn notice_outage(&mut self, now: Instant) {
        let is_any_alive = self.paths.values().any(|path| path.state.is_alive());
        match (is_any_alive, self.outage_since) {
            (false, None) if self.selected.is_some() => {
                self.outage_since = Some(now);
                let reason = self.reason_of_selected();
                let report = self.report(HandoverPhase::PathLost, reason, None, now);
                self.put_out(report);
            }
            (true, Some(since)) => {
                self.outage_since = None;
                let outage = now.saturating_duration_since(since).as_secs_f64();
                let mut report =
                    self.report(HandoverPhase::PathRecovered, self.reason_of_selected(), None, now);
                report.outage_duration = report.outage_duration.max(outage);
                self.put_out(report);
                self.plan_repeats_of(None);
            }
            (true, None) | (false, None | Some(_)) => {}
        }
    }

    fn reason_of_selected(&self) -> HandoverReason {
        match self.selected_path().map(|path| path.state) {
            Some(PathState::Down) => HandoverReason::InterfaceDown,
            Some(PathState::Dead) => HandoverReason::Silence,
            Some(_) | None => HandoverReason::Unknown,
        }
    }

    fn choose_path(&mut self, now: Instant) {
        if self.is_well() && now < self.chosen + CHOICE_INTERVAL {
            return;
        }
        self.chosen = now;
        let wish = select::choose(self.selected, &self.choosable(), self.settings.max_loss_ratio);
        let Some(wish) = wish else {
            self.advantage = None;
            return;
        };
        if self.selected.is_none() || now < self.framing_since + SETTLING_TIME {
            self.selected = Some(wish.path);
            return;
        }
        if !wish.is_urgent {
            let since = match self.advantage {
                Some((path, _, since)) if path == wish.path => since,
                Some(_) | None => now,
            };
            self.advantage = Some((wish.path, wish.reason, since));
            if now < since + ADVANTAGE_TIME {
                return;
            }
        }
        self.switch(wish, now);
    }

    fn is_well(&self) -> bool {
        self.selected_path().is_some_and(|path| path.state == PathState::Good)
    }

    fn switch(&mut self, wish: Wish, now: Instant) {
        self.advantage = None;
        let mut reason = wish.reason;
        // The address went, and one of the same interface is here.
        if reason == HandoverReason::InterfaceDown && self.is_same_interface(wish.path) {
            reason = HandoverReason::AddressChanged;
        }
        let report = self.report(HandoverPhase::Started, reason, Some(wish.path), now);
        log::info!("handover: peer={} {}", self.peer, report.reason_text);
        self.handovers += 1;
        self.repeated_at_handover = self.counters.repaired;
        let former = self.selected.filter(|id| self.is_alive(*id));
        if let Some(path) = self.paths.get_mut(&wish.path) {
            if path.was_left {
                path.returned = Some(now);
            }
            let number = path.last_number + 1;
            self.pending =
                Some(Pending { report: report.clone(), started: now, path: wish.path, number });
        }
        if let Some(path) = self.selected.and_then(|id| self.paths.get_mut(&id)) {
            path.was_left = true;
        }
        self.put_out(Handover { make_before_break: former.is_some(), ..report });
        self.longest_gap = Duration::ZERO;
        if former.is_none() {
            self.plan_repeats_of(self.selected);
        }
        self.selected = Some(wish.path);
        if former.is_none() {
            self.repeat_bare(now);
        }
        self.probe(wish.path, false, now);
    }

    fn is_same_interface(&self, path: u16) -> bool {
        let name = |id: u16| self.paths.get(&id).map(|path| &path.interface.name);
        self.selected.is_some_and(|selected| name(selected) == name(path))
    }

    fn conclude_handover(&mut self, now: Instant) {
        let Some(pending) = &self.pending else { return };
        let Some(path) = self.paths.get(&pending.path) else { return };
        let phase = if path.confirmed() >= pending.number {
            HandoverPhase::Completed
        } else if !path.state.is_alive() {
            HandoverPhase::Failed
        } else {
            return;
        };
        let Some(pending) = self.pending.take() else { return };
        let mut report = pending.report;
        report.phase = phase;
        report.switch_duration = now.saturating_duration_since(pending.started).as_secs_f64();
        report.outage_duration = self.longest_gap.as_secs_f64();
        report.datagrams_repeated =
            u32::try_from(self.counters.repaired - self.repeated_at_handover).unwrap_or(u32::MAX);
        self.put_out(report);
    }

    fn put_out(&mut self, report: Handover) {
        self.out.push_back(Ready::Handover(Box::new(report)));
    }

    fn report(
        &self,
        phase: HandoverPhase,
        reason: HandoverReason,
        to: Option<u16>,
        now: Instant,
    ) -> Handover {
        let from = self.selected_path();
        let to = to.and_then(|id| self.paths.get(&id));
        let detection = from.and_then(|path| path.last_confirmed);
        Handover {
            id: self.handovers + u32::from(phase == HandoverPhase::Started),
            peer: self.peer.clone(),
            phase,
            reason,
            reason_text: reason_text(reason, from, to, now),
            from: from.map(handover_path),
            to: to.map(handover_path),
            make_before_break: false,
            ice_restart: self.restarted.is_some_and(|at| now < at + SETTLING_TIME),
            session_preserved: true,
            detection_duration: detection.map_or(f64::NAN, |confirmed| {
                now.saturating_duration_since(confirmed).as_secs_f64()
            }),
            switch_duration: f64::NAN,
            outage_duration: self.longest_gap.as_secs_f64(),
            messages_lost: 0,
            datagrams_repeated: 0,
        }
    }

    /// Sends all that is due.
    pub(super) fn send_what_is_due(&mut self, now: Instant) {
        self.probe_unacknowledged(now);
        self.send_repeats(now);
        self.send_fresh(now);
        self.send_copies(now);
        if self.ack_due.is_some_and(|due| due <= now) {
            self.acknowledge(now);
        }
        if !self.is_steering() {
            return;
        }
        let due: Vec<_> = self
            .paths
            .values()
            .filter(|path| self.probe_at(path, now).is_some_and(|at| at <= now))
            .map(|path| path.id)
            .collect();
        for id in due {
            self.probe(id, self.outage_since.is_some(), now);
        }
    }

    /// When a path is to be probed.
    fn probe_at(&self, path: &Path, now: Instant) -> Option<Instant> {
        if !path.is_usable() {
            return None;
        }
        let is_selected = self.selected == Some(path.id);
        let is_busy = self.last_data.is_some_and(|at| now < at + BUSY_TIME);
        let is_fresh = now < path.since + FRESH_TIME;
        let is_costly = path.interface.metered || path.relays() > 0;
        let standby = if is_costly { PROBE_METERED } else { PROBE_STANDBY };
        let pause = match path.state {
            _ if self.outage_since.is_some_and(|since| now < since + OUTAGE_FAST_TIME) => {
                PROBE_FAST
            }
            PathState::Suspect => PROBE_FAST,
            PathState::Good | PathState::Probation if is_selected && is_busy => PROBE_FAST,
            PathState::Good | PathState::Probation if is_selected => PROBE_STANDBY,
            PathState::Dead if is_fresh => PROBE_FAST,
            PathState::Probation if is_costly => PROBE_METERED_PROBATION,
            PathState::Good
            | PathState::Probation
            | PathState::Dead
            | PathState::Down
            | PathState::Checking => standby,
        };
        Some(path.last_sent.map_or(now, |sent| sent + pause))
    }

    /// When something will be due.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        let mut earliest = now + LONGEST_WAIT;
        let mut take = |at: Instant| earliest = earliest.min(at);
        for path in self.paths.values() {
            if self.credentials.is_some() && path.is_up && !path.is_validated {
                take(path.check_due);
            }
            if !self.is_steering() {
                continue;
            }
            if let Some(at) = self.probe_at(path, now) {
                take(at);
            }
            if path.state.is_alive()
                && let Some((suspect, dead)) = assess::silence_deadlines(path, &self.settings)
            {
                let at = if path.is_silent { dead } else { suspect };
                take(if at > now { at } else { now + LOOK_AGAIN });
            }
            if let Some(rest) = assess::rest_of(path, &self.settings) {
                let at = path.since + rest;
                take(if at > now { at } else { now + LOOK_AGAIN });
            }
        }
        if let Some((_, _, since)) = self.advantage {
            take((since + ADVANTAGE_TIME).max(now + LOOK_AGAIN));
        }
        if self.outage_since.is_none() {
            let paced = self.paths.values().filter_map(|path| path.window.opens());
            if !self.repeats.is_empty() || self.next_to_leave().is_some() {
                paced.filter(|at| *at > now).for_each(&mut take);
            }
        }
        self.probe_due.into_iter().for_each(&mut take);
        self.ack_due.into_iter().for_each(&mut take);
        self.copies.front().into_iter().for_each(|(at, _, _)| take(*at));
        earliest
    }
}

fn handover_path(path: &Path) -> HandoverPath {
    HandoverPath {
        interface: path.interface.name.clone(),
        remote_address: path.pair.1,
        round_trip_time: path.round_trip.smoothed().unwrap_or(f64::NAN),
        loss_ratio: path.loss_sent.ratio().unwrap_or(f64::NAN),
    }
}

/// The reason with the figures that led to it.
fn reason_text(
    reason: HandoverReason,
    from: Option<&Path>,
    to: Option<&Path>,
    now: Instant,
) -> String {
    let name =
        |path: Option<&Path>| path.map_or("nowhere".to_owned(), |path| path.interface.name.clone());
    let milliseconds = |path: Option<&Path>| {
        path.and_then(|path| path.round_trip.smoothed()).map_or(f64::NAN, |time| time * 1e3)
    };
    let percent = |path: Option<&Path>| {
        path.and_then(|path| path.loss_sent.ratio()).map_or(f64::NAN, |loss| loss * 1e2)
    };
    let why = match reason {
        HandoverReason::Silence => {
            let confirmed = from.and_then(|path| path.last_confirmed);
            let silence = confirmed
                .map_or(f64::NAN, |at| now.saturating_duration_since(at).as_secs_f64() * 1e3);
            format!("nothing confirmed for {silence:.0} ms")
        }
        HandoverReason::Loss => {
            format!("loss of {:.1} % there, {:.1} % here", percent(from), percent(to))
        }
        HandoverReason::Delay | HandoverReason::Preference => {
            format!(
                "round trip {:.1} ms there, {:.1} ms here",
                milliseconds(from),
                milliseconds(to)
            )
        }
        HandoverReason::InterfaceDown => "interface, carrier or address gone".to_owned(),
        HandoverReason::InterfaceUp => "a path is there".to_owned(),
        HandoverReason::AddressChanged => "address changed".to_owned(),
        HandoverReason::Manual => "asked for".to_owned(),
        HandoverReason::PeerRequest => "asked for by the peer".to_owned(),
        HandoverReason::PeerRestarted => "the peer has started anew".to_owned(),
        HandoverReason::Unknown => "unknown".to_owned(),
    };
    format!("{} -> {}: {why}", name(from), name(to))
}
