//! ICE restart (RFC 8445 §2.4), the last resort: new credentials and candidates by signaling, on the
//! same connection. DTLS, the data channels and what is under way survive.
//!
//! The side that offers restarts; the other one asks it to. A peer tells such an offer from one for a
//! new session by the session id in it (RFC 8866 §5.2). Two rovers need it only where a person asks
//! for it: frames find their way without ICE.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::output::Output;
use super::peer::{Peer, Scene};
use super::session::Session;
use super::signal::Signal;

/// How long no path carries anything before ICE is restarted: radios come back sooner by themselves.
const OUTAGE_TIME: Duration = Duration::from_secs(3);

/// How long the peer may send by a path that is dead before it is made to look for another: what it
/// does on its own, it does within a round trip.
const ASTRAY_TIME: Duration = Duration::from_millis(200);

/// Pauses between restarts: the first, doubled each time, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Restarts that the peer asks for are this far apart at least.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// The restarts of one session.
#[derive(Debug, Default)]
pub(super) struct Restart {
    attempts: u32,
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Restart {
    /// Is one due, with trouble since then that may last for so long?
    fn take_due(&mut self, trouble: Option<(Instant, Duration)>, now: Instant) -> bool {
        let Some((since, patience)) = trouble else {
            (self.attempts, self.due) = (0, None);
            return false;
        };
        let due = *self.due.get_or_insert(since + patience);
        if now < due {
            return false;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(10)).min(LONGEST_PAUSE);
        self.attempts = self.attempts.saturating_add(1);
        self.due = Some(now + pause);
        true
    }

    /// When the next one may be due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Peer {
    /// Restarts ICE if the session needs it.
    pub(super) fn restart_where_needed(
        &mut self,
        scene: Scene<'_>,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let Some(session) = &mut self.session else { return };
        let multipath = session.lanes.multipath();
        let outage = multipath.outage_since().map(|since| (since, OUTAGE_TIME));
        let astray = multipath.astray_since().map(|since| (since, ASTRAY_TIME));
        let trouble = outage.or(astray).filter(|_| !multipath.is_framing());
        if session.restart.take_due(trouble, now) {
            self.restart_ice(scene, now, out);
        }
    }

    /// Restarts ICE, or asks the side that can.
    pub(super) fn restart_ice(
        &mut self,
        scene: Scene<'_>,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let is_offerer = self.offers(scene.identity);
        let Some(session) = &mut self.session else { return };
        log::info!("ICE restart: peer={}", self.id);
        if !is_offerer {
            out.push_back(self.signal(Signal::RestartRequest));
            return;
        }
        session.restart.last = Some(now);
        match session.lanes.transport_mut().restart_ice() {
            Some(offer) => out.push_back(self.signal(Signal::Offer(offer))),
            None => log::debug!("no ICE restart now: peer={}", self.id),
        }
    }

    /// The peer asks for a restart; `false` if there is no session to be kept.
    pub(super) fn handle_restart_request(
        &mut self,
        scene: Scene<'_>,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) -> bool {
        let Some(session) = self.current_session() else { return false };
        if session.restart.last.is_none_or(|last| now >= last + LEAST_PAUSE) {
            self.restart_ice(scene, now, out);
        }
        true
    }

    /// Answers an offer that restarts ICE; `false` if it is for a new session.
    pub(super) fn answer_restart(
        &mut self,
        offer: &str,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) -> bool {
        let Some(session) = self.current_session() else { return false };
        if !session.lanes.transport_mut().is_same_session(offer) {
            return false;
        }
        match session.lanes.transport_mut().handle_restart_offer(offer) {
            Ok(answer) => {
                session.lanes.handle_restarted(now);
                out.push_back(self.signal(Signal::Answer(answer)));
            }
            Err(error) => log::warn!("ICE restart passed over: peer={}: {error}", self.id),
        }
        true
    }

    /// Takes the answer to an offer that restarts ICE. A peer that has lost the session meanwhile
    /// takes the offer for a new one: it gets a new one.
    pub(super) fn handle_restart_answer(
        &mut self,
        answer: &str,
        scene: Scene<'_>,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let Some(session) = self.current_session() else { return };
        let transport = session.lanes.transport_mut();
        if !transport.awaits_answer() {
            return;
        }
        if !transport.is_same_session(answer) {
            transport.forget_offer();
            self.try_to_offer(scene, now, out);
            return;
        }
        match transport.handle_answer(answer) {
            Ok(()) => session.lanes.handle_restarted(now),
            Err(error) => log::warn!("ICE restart passed over: peer={}: {error}", self.id),
        }
    }

    /// The session in use, if it is with the instance that signaling sees.
    fn current_session(&mut self) -> Option<&mut Session> {
        let instance = self.presence?.instance;
        self.session.as_mut().filter(|session| session.peer_instance == instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_come_at_3_6_12_and_24_seconds_while_the_trouble_lasts() {
        let (start, mut restart) = (Instant::now(), Restart::default());
        let trouble = Some((start, OUTAGE_TIME));
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let due: Vec<u64> =
            (0..100).filter(|seconds| restart.take_due(trouble, at(*seconds))).collect();
        assert_eq!(due, [3, 6, 12, 24, 48, 78]);
        assert!(!restart.take_due(None, at(100)));
        assert!(!restart.take_due(Some((at(101), OUTAGE_TIME)), at(101)), "it counts anew");
    }
}
