//! One peer: whether it is there, the session with it, and the attempts to get one.
//!
//! The rover with the smaller id offers; the other one asks for an offer when none comes. A new
//! session takes the place of the former only once the peer has proven who it is in it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::channels::PeerKind;
use super::counts::Counts;
use super::event::Event;
use super::identity::Identity;
use super::incoming::Progress;
use super::interface::LocalAddress;
use super::lanes::Lanes;
use super::outbox::{Offered, Outbox, Sample};
use super::output::Output;
use super::retry::Retry;
use super::route::RouteId;
use super::session::{Session, SessionOutput};
use super::signal::Signal;
use super::snapshot::{PeerSnapshot, PeerState};
use super::tally::Tally;
use super::transport::{Pair, Transport, TransportError, candidates};
use crate::config::HandoverSettings;

/// A session that is not proven by then is given up. Four round trips of the slowest satellite
/// link, with a lost datagram in each phase.
const SETUP_TIME: Duration = Duration::from_secs(15);

/// How long a session outlives its last path. A rover in a tunnel comes back to it with all that
/// was under way; one that was switched off would return as another instance anyway.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(300);

/// How long the rover with the larger id waits for an offer before it asks for one, and how often
/// it may be heard when it asks.
const OFFER_PATIENCE: Duration = Duration::from_secs(3);

/// Local addresses, and what is known of them.
pub(super) type Addresses = BTreeMap<SocketAddr, LocalAddress>;

/// What a peer finds at this rover.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) identity: &'a Identity,
    pub(super) settings: &'a HandoverSettings,
    pub(super) addresses: &'a Addresses,
}

/// What the signaling server says of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Presence {
    pub(super) instance: Uuid,
    pub(super) kind: PeerKind,
    pub(super) since: Instant,
}

/// One peer.
pub(super) struct Peer {
    pub(super) id: String,
    pub(super) presence: Option<Presence>,
    /// Proven and in use.
    pub(super) session: Option<Session>,
    /// Being made or proven.
    pending: Option<Session>,
    pub(super) progress: Progress,
    /// What was counted of our topics, while there is no session.
    pub(super) counts: BTreeMap<RouteId, Counts>,
    retry: Retry,
    /// Why there is no session, for people.
    reason: String,
    /// Of the sessions that are over.
    tally: Tally,
}

impl Peer {
    pub(super) fn new(id: &str, seed: u64, outbox: &Outbox, now: Instant) -> Self {
        // It has missed what there was before it was known.
        let missed = |(topic, offered): (RouteId, &Offered)| {
            let counts = Counts { dropped_closed: offered.numbered(), ..Counts::default() };
            offered.route.peers.admits(id).then_some((topic, counts))
        };
        Self {
            id: id.to_owned(),
            presence: None,
            session: None,
            pending: None,
            progress: Progress::default(),
            counts: outbox.topics().filter_map(missed).collect(),
            retry: Retry::new(seed, now),
            reason: "not seen by the signaling server yet".to_owned(),
            tally: Tally::default(),
        }
    }

    /// The signaling server sees the peer, or a new instance of it.
    pub(super) fn handle_joined(&mut self, instance: Uuid, kind: PeerKind, now: Instant) {
        if self.presence.is_some_and(|presence| presence.instance == instance) {
            return;
        }
        self.presence = Some(Presence { instance, kind, since: now });
        self.pending = None;
        self.retry.reset(now);
        if self.session.is_none() {
            self.reason.clear();
        }
    }

    /// The signaling server no longer sees the peer. A session goes on: it does not need signaling.
    pub(super) fn handle_left(&mut self) {
        self.presence = None;
        self.pending = None;
        if self.session.is_none() {
            "not seen by the signaling server".clone_into(&mut self.reason);
        }
    }

    /// Signals can be sent again; those that were sent before may be lost.
    pub(super) fn handle_signaling_back(&mut self, now: Instant) {
        let is_answered = |pending: &Session| pending.lanes.multipath().has_credentials();
        if self.pending.as_ref().is_some_and(|pending| !is_answered(pending)) {
            self.pending = None;
            self.retry.hasten(now);
        }
    }

    /// Takes a signal of the peer's; what is to be put out goes to `out`.
    pub(super) fn handle_signal(
        &mut self,
        instance: Uuid,
        signal: Signal,
        scene: Scene<'_>,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let identity = scene.identity;
        // A signal can overtake the news of the peer's restart.
        let kind = self.presence.map_or(PeerKind::Rover, |presence| presence.kind);
        self.handle_joined(instance, kind, now);
        match signal {
            Signal::Offer(_) if self.offers(identity) => {
                log::debug!("offer passed over: peer={}: this rover offers", self.id);
            }
            Signal::Offer(offer) => {
                if self.answer_restart(&offer, now, out) {
                    return;
                }
                let (certificate, addresses) = (&identity.certificate, scene.addresses);
                let made = Transport::answer(certificate, addresses, kind, &offer, now);
                if let Some(answer) = self.begin(made, instance, scene, now) {
                    out.push_back(self.signal(Signal::Answer(answer)));
                }
            }
            Signal::Answer(answer) => {
                let Some(pending) = &mut self.pending else {
                    self.handle_restart_answer(&answer, scene, now, out);
                    return;
                };
                let taken = pending.lanes.transport_mut().handle_answer(&answer);
                pending.lanes.take_descriptions(now);
                if let Err(error) = taken {
                    self.give_up(error.to_string(), now);
                }
            }
            Signal::Candidate(candidate) => {
                for session in self.pending.iter_mut().chain(&mut self.session) {
                    if session.peer_instance != instance {
                        continue;
                    }
                    if let Err(error) = session.lanes.transport_mut().handle_candidate(&candidate) {
                        log::debug!(
                            "candidate passed over: peer={}: {error}: {candidate}",
                            self.id
                        );
                    }
                    session.lanes.take_descriptions(now);
                }
            }
            Signal::RestartRequest => {
                let recent = |session: &Session| now < session.started + OFFER_PATIENCE;
                let busy = self.pending.as_ref().is_some_and(recent)
                    || self.session.as_ref().is_some_and(recent);
                if self.offers(identity) && !busy && !self.handle_restart_request(scene, now, out) {
                    // What was offered before may not have reached it.
                    self.retry.hasten(now);
                    if now >= self.retry.due() {
                        self.try_to_offer(scene, now, out);
                    }
                }
            }
            Signal::Hangup(reason) => {
                // Whoever carries signals must not end a session, only hinder one from being made:
                // that it can do anyway. The peer may refuse what this rover has just taken up.
                let reason = format!("refused by the peer: {reason}");
                let is_fresh = |session: &Session| now < session.started + OFFER_PATIENCE;
                if self.session.as_ref().is_some_and(is_fresh) {
                    self.end(reason.clone(), out);
                }
                if self.pending.is_some() || self.session.is_none() {
                    self.give_up(reason, now);
                    self.retry.pause_after_refusal(now);
                }
            }
        }
    }

    /// The local addresses, and what is known of them.
    pub(super) fn handle_addresses(
        &mut self,
        addresses: &Addresses,
        former: &Addresses,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let mut told = Vec::new();
        for session in self.pending.iter_mut().chain(&mut self.session) {
            let transport = session.lanes.transport_mut();
            let (new, gone) = (candidates(addresses), candidates(former));
            for gone in gone.iter().filter(|candidate| !new.contains(candidate)) {
                transport.remove_local_candidate(*gone);
            }
            for new in new.iter().filter(|candidate| !gone.contains(candidate)) {
                told.extend(transport.add_local_candidate(*new));
            }
            session.lanes.handle_addresses(addresses, now);
        }
        let is_gained = |(address, known): (&SocketAddr, &LocalAddress)| {
            let was_usable = former.get(address).is_some_and(|former| former.interface.carrier);
            known.interface.carrier && !was_usable
        };
        if addresses.iter().any(is_gained) {
            self.retry.hasten(now);
        }
        told.dedup();
        out.extend(told.into_iter().map(|candidate| self.signal(Signal::Candidate(candidate))));
    }

    /// What could not be reached may be from now on.
    pub(super) fn handle_reachable(&mut self, now: Instant) {
        for session in self.pending.iter_mut().chain(&mut self.session) {
            session.lanes.multipath_mut().try_all(now);
        }
        self.retry.hasten(now);
    }

    /// Gives a datagram to the session it belongs to; `false` if it belongs to none. The newer
    /// session comes first: both can use the same addresses, and only the newer one would not be
    /// told apart by them.
    pub(super) fn handle_datagram(&mut self, pair: Pair, datagram: &[u8], now: Instant) -> bool {
        let mut sessions = [self.pending.as_mut(), self.session.as_mut()];
        let first = |belongs: &dyn Fn(&Session) -> bool| {
            sessions.iter().position(|session| session.as_deref().is_some_and(belongs))
        };
        let index = first(&|session| session.lanes.accepts(pair, datagram, now))
            .or_else(|| first(&|session| session.lanes.may_accept(pair, datagram)));
        let Some(session) = index.and_then(|index| sessions[index].take()) else { return false };
        session.lanes.handle_datagram(pair, datagram, now);
        true
    }

    /// Lets time pass.
    pub(super) fn handle_timeout(
        &mut self,
        scene: Scene<'_>,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let identity = scene.identity;
        for session in self.pending.iter_mut().chain(&mut self.session) {
            session.lanes.handle_timeout(now);
        }
        let outage =
            self.session.as_ref().and_then(|session| session.lanes.multipath().outage_since());
        let absence = self.session.as_ref().map(|session| session.lanes.multipath().absence());
        if outage.is_some_and(|since| now >= since + OUTAGE_PATIENCE) {
            self.end(format!("no path for {} s", OUTAGE_PATIENCE.as_secs()), out);
        } else if let Some(absence) = absence.filter(|absence| *absence >= OUTAGE_PATIENCE) {
            // The peer has given it up meanwhile, and would not answer.
            self.end(format!("suspended for {} s", absence.as_secs()), out);
        }
        self.restart_where_needed(scene, now, out);
        let overdue = |session: &Session| now >= session.started + SETUP_TIME;
        if self.pending.as_ref().is_some_and(overdue) {
            let reason = format!("no session within {} s", SETUP_TIME.as_secs());
            self.give_up(reason, now);
        }
        if self.attempt_due(identity).is_some_and(|due| now >= due) {
            if self.offers(identity) {
                self.try_to_offer(scene, now, out);
            } else {
                out.push_back(self.signal(Signal::RestartRequest));
                self.retry.pause(now, OFFER_PATIENCE);
            }
        }
    }

    /// Takes the next thing to do to `out`; where there is none, returns the moment before which
    /// there will be none.
    pub(super) fn poll(
        &mut self,
        identity: &Identity,
        outbox: &Outbox,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) -> Option<Instant> {
        let (mut pending_due, mut session_due) = (None, None);
        if let Some(mut pending) = self.pending.take() {
            match pending.poll(identity, outbox, &mut self.progress, now) {
                SessionOutput::Timeout(at) => {
                    pending_due = Some(at.min(pending.started + SETUP_TIME));
                    self.pending = Some(pending);
                }
                SessionOutput::PutOut(output) => {
                    self.pending = Some(pending);
                    out.push_back(output);
                    return None;
                }
                SessionOutput::Proven => {
                    self.establish(pending, now, out);
                    return None;
                }
                SessionOutput::Refused(reason) => {
                    out.extend(pending.lanes.close(now).into_iter().map(Output::Transmit));
                    self.refuse(reason, now, out);
                    return None;
                }
                SessionOutput::Ended(reason) => {
                    self.give_up(reason, now);
                    return None;
                }
            }
        }
        if let Some(session) = &mut self.session {
            match session.poll(identity, outbox, &mut self.progress, now) {
                SessionOutput::Timeout(at) => {
                    session_due = Some(session.restart.due().map_or(at, |due| due.min(at)));
                }
                SessionOutput::PutOut(output) => {
                    out.push_back(output);
                    return None;
                }
                SessionOutput::Ended(reason) | SessionOutput::Refused(reason) => {
                    // One that ends as soon as it is made must not be made again and again.
                    if now > session.started + SETUP_TIME {
                        self.retry.reset(now);
                    } else {
                        self.retry.pause(now, Duration::ZERO);
                    }
                    self.end(reason, out);
                    return None;
                }
                SessionOutput::Proven => return None,
            }
        }
        let due = [pending_due, session_due, self.attempt_due(identity)];
        Some(due.into_iter().flatten().min().unwrap_or(now + SETUP_TIME))
    }

    /// The session in use.
    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    /// Takes a message of a topic of ours, if the topic is for this peer.
    pub(super) fn push(&mut self, id: RouteId, offered: &Offered, sample: &Sample) {
        match &mut self.session {
            Some(session) => session.push(id, sample),
            None if offered.route.peers.admits(&self.id) => {
                self.counts.entry(id).or_default().dropped_closed += 1;
            }
            None => {}
        }
    }

    /// Takes a message of a topic of ours that is for this peer alone.
    pub(super) fn push_own(&mut self, id: RouteId, sample: &Sample) {
        match &mut self.session {
            Some(session) => session.push_own(id, sample),
            None => {
                let counts = self.counts.entry(id).or_default();
                counts.taken += 1;
                counts.dropped_closed += 1;
            }
        }
    }

    /// The session in use and what is remembered beyond it.
    pub(super) fn session_and_progress(&mut self) -> (Option<&mut Session>, &mut Progress) {
        (self.session.as_mut(), &mut self.progress)
    }

    /// Ends the session in order, because this rover stops.
    pub(super) fn close(&mut self, now: Instant, out: &mut VecDeque<Output>) {
        self.pending = None;
        self.presence = None;
        if let Some(mut session) = self.session.take() {
            out.extend(session.lanes.close(now).into_iter().map(Output::Transmit));
        }
    }

    pub(super) fn offers(&self, identity: &Identity) -> bool {
        identity.rover_id.as_bytes() < self.id.as_bytes()
    }

    /// When the next attempt is due; `None` while none is wanted.
    fn attempt_due(&self, identity: &Identity) -> Option<Instant> {
        let presence = self.presence?;
        let has_session =
            self.session.as_ref().is_some_and(|session| session.peer_instance == presence.instance);
        if has_session || self.pending.is_some() {
            return None;
        }
        if self.offers(identity) {
            return Some(self.retry.due());
        }
        Some(self.retry.due().max(presence.since + OFFER_PATIENCE))
    }

    pub(super) fn try_to_offer(
        &mut self,
        scene: Scene<'_>,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let Some(presence) = self.presence else { return };
        let (certificate, kind) = (&scene.identity.certificate, presence.kind);
        let made = Transport::offer(certificate, scene.addresses, kind, now);
        if let Some(offer) = self.begin(made, presence.instance, scene, now) {
            self.retry.pause(now, Duration::ZERO);
            out.push_back(self.signal(Signal::Offer(offer)));
        }
    }

    /// Begins a session in place of the one being made; returns the description to be sent.
    fn begin(
        &mut self,
        made: Result<(Transport, String), TransportError>,
        instance: Uuid,
        scene: Scene<'_>,
        now: Instant,
    ) -> Option<String> {
        let (transport, description) = match made {
            Ok(made) => made,
            Err(error) => {
                self.give_up(error.to_string(), now);
                return None;
            }
        };
        log::debug!("session being made: peer={} instance={instance}", self.id);
        let is_offerer = self.offers(scene.identity);
        let lanes = Lanes::new(&self.id, transport, is_offerer, scene, now);
        self.pending = Some(Session::new(&self.id, instance, lanes, now));
        Some(description)
    }

    /// Puts a proven session in the place of the former one.
    fn establish(&mut self, mut session: Session, now: Instant, out: &mut VecDeque<Output>) {
        self.end("replaced by a new session".to_owned(), out);
        log::info!(
            "connected: peer={} authenticated={} setup={:.3}s",
            self.id,
            session.authenticated,
            now.saturating_duration_since(session.started).as_secs_f64(),
        );
        session.outgoing.count_on(std::mem::take(&mut self.counts));
        self.session = Some(session);
        self.reason.clear();
        out.push_back(Output::Event(Event::PeerConnected { peer: self.id.clone() }));
    }

    /// Ends the session in use.
    fn end(&mut self, reason: String, out: &mut VecDeque<Output>) {
        let Some(mut session) = self.session.take() else { return };
        log::warn!("disconnected: peer={}: {reason}", self.id);
        self.counts = session.outgoing.close();
        self.tally = std::mem::take(&mut self.tally).with(&session);
        for (id, _) in session.incoming.topics() {
            out.push_back(Output::Event(Event::RouteClosed { peer: self.id.clone(), id }));
        }
        self.reason.clone_from(&reason);
        out.push_back(Output::Event(Event::PeerDisconnected { peer: self.id.clone(), reason }));
    }

    /// Ends an attempt; the next one follows after a pause.
    fn give_up(&mut self, reason: String, now: Instant) {
        self.pending = None;
        if reason != self.reason {
            log::warn!("no session: peer={}: {reason}", self.id);
        }
        self.reason = reason;
        self.retry.pause(now, Duration::ZERO);
    }

    /// Ends an attempt because the peer may not come in.
    fn refuse(&mut self, reason: String, now: Instant, out: &mut VecDeque<Output>) {
        out.push_back(self.signal(Signal::Hangup(reason.clone())));
        out.push_back(Output::Event(Event::PeerRefused {
            peer: self.id.clone(),
            reason: reason.clone(),
        }));
        self.give_up(format!("refused: {reason}"), now);
        self.retry.pause_after_refusal(now);
    }

    pub(super) fn signal(&self, signal: Signal) -> Output {
        Output::Signal { to: self.id.clone(), signal }
    }

    /// What is known of the peer.
    pub(super) fn snapshot(&self, outbox: &Outbox, now: Instant) -> PeerSnapshot {
        let session = self.session.as_ref();
        let tally = self.tally.clone();
        let tally = session.map_or_else(|| tally.clone(), |session| tally.clone().with(session));
        let (sent, received) = (self.sent(outbox), self.progress.total());
        let state = match (&self.session, &self.pending) {
            (Some(session), _) => session.lanes.multipath().state(),
            (None, Some(_)) => PeerState::Connecting,
            (None, None) => PeerState::Down,
        };
        let multipath = session.map(|session| session.lanes.multipath());
        PeerSnapshot {
            peer: self.id.clone(),
            state,
            authenticated: session.is_some_and(|session| session.authenticated),
            reason: self.reason.clone(),
            connected_since: session.and_then(|session| session.proven_since),
            time_since_received: multipath
                .map_or(f64::NAN, |multipath| multipath.time_since_received(now)),
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            messages_sent: sent.messages,
            messages_received: received.messages,
            messages_dropped: sent.dropped() + received.dropped(),
            datagrams_sent: tally.datagrams_sent,
            datagrams_repaired: tally.datagrams_repaired,
            duplicates_received: tally.duplicates_received,
            frames_rejected: tally.frames_rejected,
            datagrams_refused: tally.datagrams_refused,
            bytes_first: tally.bytes_first,
            bytes_duplicated: tally.bytes_duplicated,
            handovers: tally.handovers,
            buffered_bytes: session.map_or(0, |session| session.outgoing.waiting_bytes() as u64),
            routes: self.routes(outbox),
            paths: multipath.map(|multipath| multipath.snapshot(now)).unwrap_or_default(),
        }
    }
}
