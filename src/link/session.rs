//! The session with one peer: a connection, the proof of who is at its other end, and the topics
//! that cross it.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::channels::PeerKind;
use super::control::{Control, Hello, PROTOCOL_VERSION};
use super::event::{Event, IncomingMessage};
use super::identity::Identity;
use super::incoming::{Incoming, Offer, Progress};
use super::lanes::{Lane, Lanes, LanesOutput};
use super::outbox::{MAX_PUBLISHERS, Offered, Outbox, Sample};
use super::outgoing::Outgoing;
use super::output::Output;
use super::proof::{self, Party};
use super::restart::Restart;
use super::route::{IncomingLimits, Refusal, RefusalReason, RouteId, RouteOffer};
use crate::config::Delivery;
use crate::wire::Fragment;

/// Of each lane, so many fragments go to SCTP together at most.
const MAX_ROUNDS: usize = 8;

/// What a session puts out.
#[derive(Debug)]
pub(super) enum SessionOutput {
    /// Nothing more to do before this moment.
    Timeout(Instant),
    /// Something for the network or the application.
    PutOut(Output),
    /// The peer is who it says.
    Proven,
    /// The peer may not come in, and why.
    Refused(String),
    /// The session is over, and why.
    Ended(String),
}

/// A session with a peer.
pub(super) struct Session {
    pub(super) peer: String,
    /// The peer's instance, as signaling named it; its hello has to name the same.
    pub(super) peer_instance: Uuid,
    pub(super) lanes: Lanes,
    pub(super) started: Instant,
    pub(super) proven_since: Option<Instant>,
    /// Did the peer prove the fleet key, or by a pinned certificate what a standard peer cannot?
    /// `false` too where no key is configured.
    pub(super) authenticated: bool,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    pub(super) restart: Restart,
    /// A fragment that SCTP had no room for, by lane.
    stalled: [Option<(Delivery, Vec<u8>)>; Lane::ALL.len()],
}

impl Session {
    pub(super) fn new(peer: &str, peer_instance: Uuid, lanes: Lanes, now: Instant) -> Self {
        Self {
            peer: peer.to_owned(),
            peer_instance,
            lanes,
            started: now,
            proven_since: None,
            authenticated: false,
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            restart: Restart::default(),
            stalled: [None, None, None],
        }
    }

    /// Offers a topic to the peer, if it admits the peer; else takes it back.
    pub(super) fn offer_route(&mut self, id: RouteId, offered: &Offered) {
        if self.proven_since.is_none() {
            return;
        }
        if !self.may_have(offered) {
            if self.outgoing.withdraw(id) {
                self.send(&Control::RouteWithdrawn { id });
            }
            return;
        }
        self.outgoing.offer(id, offered);
        self.send(&Control::Route {
            id,
            revision: offered.revision,
            lifespan: u64::try_from(offered.route.lifespan.as_micros()).unwrap_or(u64::MAX),
            offer: offered.route.offer.clone(),
        });
        self.tell_publishers(id, offered);
    }

    /// Tells the peer which publishers a topic has that it was offered, if it has to know.
    pub(super) fn tell_publishers(&mut self, id: RouteId, offered: &Offered) {
        let is_told = self.lanes.kind() == PeerKind::Rover && self.outgoing.get(id).is_some();
        if let Some(publishers) = offered.publishers().filter(|_| is_told) {
            self.send(&Control::Publishers { id, publishers: publishers.clone() });
        }
    }

    /// Queues a message of a topic of ours.
    pub(super) fn push(&mut self, id: RouteId, sample: &Sample) {
        self.outgoing.push(id, sample.for_peer(self.lanes.kind()));
    }

    /// Queues a message that is for this peer alone.
    pub(super) fn push_own(&mut self, id: RouteId, sample: &Sample) {
        self.outgoing.count_own(id);
        self.push(id, sample);
    }

    /// Passes on what the application said to an offered topic. Returns how messages of the topic
    /// will come, if it is now open.
    pub(super) fn handle_answer(
        &mut self,
        id: RouteId,
        answer: Result<IncomingLimits, Refusal>,
        progress: &mut Progress,
    ) -> Option<Delivery> {
        let (topic, revision) = self.incoming.handle_answer(id, answer.clone(), progress)?;
        let delivery = topic.offer.delivery;
        self.tell_answer(id, revision, answer, delivery)
    }

    /// The same for an answer that the application has changed.
    pub(super) fn change_answer(
        &mut self,
        id: RouteId,
        answer: Result<IncomingLimits, Refusal>,
        progress: &mut Progress,
    ) -> Option<Delivery> {
        let (topic, revision) = self.incoming.change_answer(id, answer.clone(), progress)?;
        let delivery = topic.offer.delivery;
        self.tell_answer(id, revision, answer, delivery)
    }

    fn tell_answer(
        &mut self,
        id: RouteId,
        revision: u32,
        answer: Result<IncomingLimits, Refusal>,
        delivery: Delivery,
    ) -> Option<Delivery> {
        match answer {
            Ok(_) => {
                self.send(&Control::RouteAccepted { id, revision });
                Some(delivery)
            }
            Err(refusal) => {
                self.send(&Control::RouteRefused { id, revision, refusal });
                None
            }
        }
    }

    /// The next thing to do.
    pub(super) fn poll(
        &mut self,
        identity: &Identity,
        outbox: &Outbox,
        progress: &mut Progress,
        now: Instant,
    ) -> SessionOutput {
        loop {
            match self.lanes.poll(now) {
                LanesOutput::Idle(at) => {
                    if self.write_some(identity.epoch, now) {
                        continue;
                    }
                    let is_stalled = self.stalled.each_ref().map(Option::is_some);
                    if !self.lanes.flush(is_stalled, now) {
                        return SessionOutput::Timeout(at.min(self.lanes.poll_timeout(now)));
                    }
                }
                LanesOutput::Transmit(transmit) => {
                    return SessionOutput::PutOut(Output::Transmit(transmit));
                }
                LanesOutput::Opened if self.lanes.kind() == PeerKind::Standard => {
                    return self.admit_standard(identity, outbox, progress, now);
                }
                LanesOutput::Opened => self.send_hello(identity),
                LanesOutput::Control(bytes) => {
                    if let Some(output) =
                        self.handle_control(&bytes, identity, outbox, progress, now)
                    {
                        return output;
                    }
                }
                LanesOutput::Fragment(bytes) => {
                    if let Some(message) = self.handle_fragment(&bytes, progress, now) {
                        return SessionOutput::PutOut(Output::Deliver(message));
                    }
                }
                LanesOutput::Handover(report) => return put_out(Event::Handover(report)),
                LanesOutput::Say(control) => self.send(&control),
                LanesOutput::Ended(reason) => return SessionOutput::Ended(reason),
            }
        }
    }

    /// Hands some fragments of each lane to SCTP; `false` if there are none or no room for any.
    ///
    /// Each time that SCTP is asked what to send, it walks through all that is under way. So it gets
    /// as many fragments before as the window has room for, within reason.
    fn write_some(&mut self, epoch: u32, now: Instant) -> bool {
        self.outgoing.set_interface(self.lanes.multipath().selected_kind());
        if !self.has_more() {
            return false;
        }
        let room = self.lanes.multipath().room() / self.lanes.fragment_len(Lane::Normal);
        let rounds = room.clamp(1, MAX_ROUNDS);
        (0..rounds).take_while(|_| self.has_more() && self.write_next(epoch, now)).count() > 0
    }

    /// Is there a fragment that may leave?
    fn has_more(&self) -> bool {
        self.outgoing.is_any_ready() || self.stalled.iter().any(Option::is_some)
    }

    /// Hands the next fragment of each lane to SCTP; `false` if there is none or no room for any.
    fn write_next(&mut self, epoch: u32, now: Instant) -> bool {
        let mut is_any_written = false;
        for lane in Lane::ALL {
            let stalled = &mut self.stalled[lane as usize];
            let taken = |at| self.lanes.multipath().clock(at);
            let length = self.lanes.fragment_len(lane);
            let next = stalled
                .take()
                .or_else(|| self.outgoing.next_fragment(lane, length, epoch, taken, now));
            let Some((delivery, fragment)) = next else { continue };
            if self.lanes.write_fragment(lane, delivery, &fragment, now) {
                is_any_written = true;
            } else {
                *stalled = Some((delivery, fragment));
            }
        }
        is_any_written
    }

    fn send(&mut self, control: &Control) {
        match serde_json::to_string(control) {
            Ok(text) => self.lanes.transport_mut().send_control(text),
            Err(error) => log::error!("control message not sent: peer={}: {error}", self.peer),
        }
    }

    fn send_hello(&mut self, identity: &Identity) {
        let proof = identity.fleet_key.as_ref().and_then(|key| {
            let transport = self.lanes.transport_mut();
            let (local, (remote, _)) =
                (transport.local_fingerprint(), transport.remote_fingerprint()?);
            let (own, peer) = self.parties(identity, &local, &remote);
            Some(proof::prove(key, &own, &peer))
        });
        self.send(&Control::Hello(Hello {
            version: PROTOCOL_VERSION,
            rover_id: identity.rover_id.clone(),
            instance: identity.instance,
            epoch: identity.epoch,
            proof,
            frames: self.lanes.share(),
        }));
    }

    /// The two sides of this session: this rover, and the peer.
    fn parties<'a>(
        &'a self,
        identity: &'a Identity,
        local_fingerprint: &'a [u8],
        remote_fingerprint: &'a [u8],
    ) -> (Party<'a>, Party<'a>) {
        let own = Party {
            rover_id: &identity.rover_id,
            instance: identity.instance,
            fingerprint: local_fingerprint,
        };
        let peer = Party {
            rover_id: &self.peer,
            instance: self.peer_instance,
            fingerprint: remote_fingerprint,
        };
        (own, peer)
    }

    fn handle_control(
        &mut self,
        bytes: &[u8],
        identity: &Identity,
        outbox: &Outbox,
        progress: &mut Progress,
        now: Instant,
    ) -> Option<SessionOutput> {
        let control = match serde_json::from_slice(bytes) {
            Ok(control) => control,
            Err(error) => {
                log::warn!("control message passed over: peer={}: {error}", self.peer);
                return None;
            }
        };
        if let Control::Hello(hello) = control {
            return self.handle_hello(&hello, identity, outbox, progress, now);
        }
        if self.proven_since.is_none() {
            return Some(SessionOutput::Refused("it spoke before its hello".to_owned()));
        }
        match control {
            Control::Route { id, revision, lifespan, offer } => {
                let lifespan = Duration::from_micros(lifespan);
                self.handle_route(id, revision, lifespan, offer, progress)
            }
            Control::RouteAccepted { id, revision } => {
                let kind = self.lanes.kind();
                let history = outbox.get(id).map(|offered| offered.history(kind));
                let history = history.unwrap_or_default();
                let is_to_be_told = self.outgoing.accept(id, revision, history);
                is_to_be_told.then(|| put_out(Event::RouteOpened { peer: self.peer.clone(), id }))
            }
            Control::RouteRefused { id, revision, refusal } => {
                let is_to_be_told = self.outgoing.refuse(id, revision, refusal.clone());
                let peer = self.peer.clone();
                is_to_be_told.then(|| put_out(Event::RouteRefused { peer, id, refusal }))
            }
            Control::RouteWithdrawn { id } => self
                .incoming
                .withdraw(id)
                .then(|| put_out(Event::RouteClosed { peer: self.peer.clone(), id })),
            Control::Publishers { id, publishers } => {
                let peer = self.peer.clone();
                let is_kept = publishers.len() <= MAX_PUBLISHERS && self.incoming.has(id);
                is_kept.then(|| put_out(Event::PublishersTold { peer, id, publishers }))
            }
            Control::FramesReady => {
                self.lanes.handle_frames_ready(now);
                None
            }
            Control::Lane { lane, offer } => {
                self.lanes.handle_lane(lane, &offer, now);
                None
            }
            Control::AddressAdded { address, kind } => {
                self.lanes.add_peer_address(address, kind, now);
                None
            }
            Control::AddressRemoved { address, at } => {
                self.lanes.remove_peer_address(address, at, now);
                None
            }
            Control::Hello(_) | Control::Unknown => None,
        }
    }

    fn handle_hello(
        &mut self,
        hello: &Hello,
        identity: &Identity,
        outbox: &Outbox,
        progress: &mut Progress,
        now: Instant,
    ) -> Option<SessionOutput> {
        if self.proven_since.is_some() {
            return None;
        }
        if let Err(reason) = self.check_hello(hello, identity) {
            return Some(SessionOutput::Refused(reason));
        }
        self.lanes.handle_share(hello.frames.as_deref(), now);
        progress.enter(hello.epoch);
        self.set_proven(identity.fleet_key.is_some(), outbox, now);
        Some(SessionOutput::Proven)
    }

    /// The peer may come in: topics are offered to it.
    pub(super) fn set_proven(&mut self, authenticated: bool, outbox: &Outbox, now: Instant) {
        self.proven_since = Some(now);
        self.authenticated = authenticated;
        for (id, offered) in outbox.topics() {
            if self.may_have(offered) {
                self.offer_route(id, offered);
            }
        }
    }

    /// Is a route of ours for the peer? A standard one does not know what a call is.
    fn may_have(&self, offered: &Offered) -> bool {
        let is_known = self.lanes.kind() == PeerKind::Rover || offered.route.offer.kind.is_topic();
        is_known && offered.route.peers.admits(&self.peer)
    }

    /// The certificate that the peer shows, digest and text, if it is the one that is pinned or
    /// none is.
    pub(super) fn check_certificate(
        &mut self,
        identity: &Identity,
    ) -> Result<(Vec<u8>, String), String> {
        let Some((digest, shown)) = self.lanes.transport_mut().remote_fingerprint() else {
            return Err("it has no certificate".to_owned());
        };
        if let Some(pinned) = identity.peer_fingerprints.get(&self.peer)
            && !pinned.eq_ignore_ascii_case(&shown)
        {
            return Err(format!(
                "its certificate is not the one pinned in peer_fingerprints; it shows {shown}"
            ));
        }
        Ok((digest, shown))
    }

    fn check_hello(&mut self, hello: &Hello, identity: &Identity) -> Result<(), String> {
        if hello.version != PROTOCOL_VERSION {
            return Err(format!(
                "it speaks version {} of the protocol, this rover version {PROTOCOL_VERSION}; \
                 install the same rover_link on both",
                hello.version
            ));
        }
        if hello.rover_id != self.peer || hello.instance != self.peer_instance {
            return Err(format!("it says it is {}, which signaling did not", hello.rover_id));
        }
        let local = self.lanes.transport_mut().local_fingerprint();
        let (remote, _) = self.check_certificate(identity)?;
        let Some(key) = &identity.fleet_key else { return Ok(()) };
        let Some(proof) = &hello.proof else {
            return Err("it has no fleet key; set ROVER_LINK_FLEET_KEY there".to_owned());
        };
        let (own, peer) = self.parties(identity, &local, &remote);
        if proof::is_proven(key, &peer, &own, proof) {
            return Ok(());
        }
        Err("its proof of the fleet key does not hold: ROVER_LINK_FLEET_KEY differs there, or \
             somebody between the two rovers has exchanged their certificates"
            .to_owned())
    }

    fn handle_route(
        &mut self,
        id: RouteId,
        revision: u32,
        lifespan: Duration,
        offer: RouteOffer,
        progress: &mut Progress,
    ) -> Option<SessionOutput> {
        if self.lanes.kind() == PeerKind::Standard && !offer.kind.is_topic() {
            let text = "services cross between rovers only".to_owned();
            let refusal = Refusal::new(RefusalReason::NotAccepted, text);
            self.send(&Control::RouteRefused { id, revision, refusal });
            return None;
        }
        match self.incoming.handle_offer(id, revision, lifespan, offer.clone(), progress) {
            Offer::Ask => {
                let peer = self.peer.clone();
                Some(put_out(Event::RouteOffered { peer, id, offer: Box::new(offer) }))
            }
            Offer::Refuse(refusal) => {
                self.send(&Control::RouteRefused { id, revision, refusal });
                None
            }
        }
    }

    fn handle_fragment(
        &mut self,
        bytes: &[u8],
        progress: &mut Progress,
        now: Instant,
    ) -> Option<IncomingMessage> {
        self.proven_since?;
        let fragment = match Fragment::decode(bytes) {
            Ok(fragment) => fragment,
            Err(error) => {
                log::debug!("fragment passed over: peer={}: {error}", self.peer);
                return None;
            }
        };
        let multipath = self.lanes.multipath();
        let age = |taken| multipath.age(taken, now);
        let (id, topic, complete) =
            self.incoming.handle_fragment(&self.peer, fragment, age, progress)?;
        Some(IncomingMessage {
            peer: self.peer.clone(),
            id,
            topic: topic.name.clone(),
            data: complete.data.into(),
            is_compressed: complete.is_compressed,
            max_size: complete.max_size,
            kind: topic.offer.kind,
            origin: complete.origin.map(Into::into),
            taken: self.lanes.multipath().taken_at(complete.taken, now),
        })
    }
}

fn put_out(event: Event) -> SessionOutput {
    SessionOutput::PutOut(Output::Event(event))
}
