//! All peers of this rover: the door of the core.
//!
//! The run loop is that of str0m: give it one input by a `handle_…`, then take outputs with
//! [`Fleet::poll_output`] until it says `Timeout`, then wait for the next input or that moment.
//! Datagrams may come several at once, see [`MAX_DATAGRAMS_AT_ONCE`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::channels::PeerKind;
use super::event::{Command, Event, OutgoingMessage};
use super::identity::Identity;
use super::incoming::Progress;
use super::interface::LocalAddress;
use super::outbox::Outbox;
use super::output::Output;
use super::peer::{Peer, Scene};
use super::route::{IncomingLimits, Refusal, RouteId};
use super::session::Session;
use super::signal::Signal;
use super::snapshot::PeerSnapshot;
use crate::config::{Delivery, HandoverSettings, PeerFilter};

/// Peers that are told of when they knock without being listed; the signaling server may invent
/// any number of them.
const MAX_STRANGERS: usize = 256;

/// Peers that are remembered: as many as a signaling server serves.
const MAX_PEERS: usize = 4_096;

/// Datagrams that may be given to [`Fleet::handle_datagram`] in a row before outputs are taken, which is
/// cheaper than one by one. DTLS holds 30 at most.
pub const MAX_DATAGRAMS_AT_ONCE: usize = 16;

/// How long the driver may wait where nothing is due.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What the application says to a topic of a peer.
type Answer = Result<IncomingLimits, Refusal>;

/// All peers of this rover.
pub struct Fleet {
    identity: Identity,
    settings: HandoverSettings,
    addresses: BTreeMap<SocketAddr, LocalAddress>,
    outbox: Outbox,
    peers: BTreeMap<String, Peer>,
    strangers: BTreeSet<String>,
    /// In the order of their making; the first goes out first.
    ready: VecDeque<Output>,
    seeds: fastrand::Rng,
}

impl Fleet {
    /// A fleet of peers that are still to be met. `seed` spreads the attempts of many rovers.
    pub fn new(identity: Identity, settings: HandoverSettings, seed: u64, now: Instant) -> Self {
        let mut fleet = Self {
            identity,
            settings,
            addresses: BTreeMap::new(),
            outbox: Outbox::default(),
            peers: BTreeMap::new(),
            strangers: BTreeSet::new(),
            ready: VecDeque::new(),
            seeds: fastrand::Rng::with_seed(seed),
        };
        // Listed peers are shown as missing from the start.
        if let PeerFilter::Only(ids) = fleet.identity.peers.clone() {
            for id in ids {
                fleet.peer(&id, now);
            }
        }
        fleet
    }

    /// Sets the local addresses, each that of a socket or a relay with its port, and what is known of
    /// them. To be called whenever either changes.
    pub fn handle_addresses(
        &mut self,
        addresses: BTreeMap<SocketAddr, LocalAddress>,
        now: Instant,
    ) {
        if addresses == self.addresses {
            return;
        }
        let former = std::mem::replace(&mut self.addresses, addresses);
        for peer in self.peers.values_mut() {
            peer.handle_addresses(&self.addresses, &former, now, &mut self.ready);
        }
    }

    /// What could not be reached may be from now on: there is a new route, or the machine was
    /// suspended and radios are about to come back. It is tried at once, not when its turn comes.
    pub fn handle_reachable(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.handle_reachable(now);
        }
    }

    /// The signaling server sees a rover, or a new instance of it.
    pub fn handle_joined(&mut self, rover_id: &str, instance: Uuid, kind: PeerKind, now: Instant) {
        if let Some(peer) = self.peer(rover_id, now) {
            peer.handle_joined(instance, kind, now);
        }
    }

    /// The signaling server no longer sees a rover.
    pub fn handle_left(&mut self, rover_id: &str) {
        if let Some(peer) = self.peers.get_mut(rover_id) {
            peer.handle_left();
        }
    }

    /// The rovers that the signaling server sees, after it was out of reach.
    pub fn handle_present(&mut self, present: &[(String, Uuid, PeerKind)], now: Instant) {
        let gone: Vec<String> = self
            .peers
            .keys()
            .filter(|id| present.iter().all(|(seen, ..)| seen != *id))
            .cloned()
            .collect();
        for id in gone {
            self.handle_left(&id);
        }
        for (id, instance, kind) in present {
            self.handle_joined(id, *instance, *kind, now);
            if let Some(peer) = self.peers.get_mut(id) {
                peer.handle_signaling_back(now);
            }
        }
    }

    /// A rover says something through signaling.
    pub fn handle_signal(&mut self, from: &str, instance: Uuid, signal: Signal, now: Instant) {
        if self.peer(from, now).is_none() {
            // Each is how an attempt begins, the one from a smaller id, the other from a larger one.
            if matches!(signal, Signal::Offer(_) | Signal::RestartRequest) {
                self.turn_away(from);
            }
            return;
        }
        if let Some(peer) = self.peers.get_mut(from) {
            let scene = Scene {
                identity: &self.identity,
                settings: &self.settings,
                addresses: &self.addresses,
            };
            peer.handle_signal(instance, signal, scene, now, &mut self.ready);
        }
    }

    /// A datagram from the network. Anything may arrive here.
    pub fn handle_datagram(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) {
        let pair = (local, remote);
        if !self.peers.values_mut().any(|peer| peer.handle_datagram(pair, datagram, now)) {
            log::trace!("datagram passed over: remote={remote} bytes={}", datagram.len());
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        let scene = Scene {
            identity: &self.identity,
            settings: &self.settings,
            addresses: &self.addresses,
        };
        for peer in self.peers.values_mut() {
            peer.handle_timeout(scene, now, &mut self.ready);
        }
    }

    /// A wish of the application.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::OfferRoute { id, route } => {
                self.outbox.offer(id, route);
                self.offer_again(id);
            }
            Command::WithdrawRoute { id } => {
                self.outbox.withdraw(id);
                self.offer_again(id);
            }
            Command::SetPublishers { id, publishers } => {
                self.outbox.set_publishers(id, publishers);
                let Some(offered) = self.outbox.get(id) else { return };
                for session in self.peers.values_mut().filter_map(Peer::session_mut) {
                    session.tell_publishers(id, offered);
                }
            }
            Command::SelectPath { peer, interface } => {
                let session = self.peers.get_mut(&peer).and_then(Peer::session_mut);
                if let Some(session) = session {
                    let interface = Some(interface).filter(|name| !name.is_empty());
                    session.lanes.multipath_mut().want(interface, now);
                }
            }
            Command::RestartIce { peer } => {
                let scene = Scene {
                    identity: &self.identity,
                    settings: &self.settings,
                    addresses: &self.addresses,
                };
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.restart_ice(scene, now, &mut self.ready);
                }
            }
            Command::AnswerRoute { peer, id, answer } => {
                self.answer(peer, id, answer, |session, answer, progress| {
                    session.handle_answer(id, answer, progress)
                });
            }
            Command::ChangeAnswer { peer, id, answer } => {
                self.answer(peer, id, answer, |session, answer, progress| {
                    session.change_answer(id, answer, progress)
                });
            }
        }
    }

    /// A message of a local topic, and when it was taken.
    pub fn handle_message(&mut self, message: OutgoingMessage, taken: Instant) {
        let id = message.id;
        let Some(sample) = self.outbox.add(message, taken) else { return };
        let Some(offered) = self.outbox.get(id) else { return };
        for peer in self.peers.values_mut() {
            peer.push(id, offered, &sample);
        }
    }

    /// A message that is for one peer alone, and when it was taken: a response.
    pub fn handle_message_for(&mut self, peer: &str, message: OutgoingMessage, taken: Instant) {
        let id = message.id;
        let Some(peer) = self.peers.get_mut(peer) else { return };
        if let Some(sample) = self.outbox.add_own(message, taken) {
            peer.push_own(id, &sample);
        }
    }

    /// Ends all sessions in order, because this rover stops.
    pub fn close(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.close(now, &mut self.ready);
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self, now: Instant) -> Output {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return output;
            }
            let (identity, outbox, ready) = (&self.identity, &self.outbox, &mut self.ready);
            let mut polled =
                self.peers.values_mut().map(|peer| peer.poll(identity, outbox, now, ready));
            let idle = polled.try_fold(now + LONGEST_WAIT, |earliest, at| Some(earliest.min(at?)));
            if let Some(deadline) = idle.filter(|_| self.ready.is_empty()) {
                return Output::Timeout(deadline);
            }
        }
    }

    /// What is known of each peer.
    pub fn snapshot(&self, now: Instant) -> Vec<PeerSnapshot> {
        self.peers.values().map(|peer| peer.snapshot(&self.outbox, now)).collect()
    }

    /// The peer of this id, if it may connect; remembered from its first mention on.
    fn peer(&mut self, id: &str, now: Instant) -> Option<&mut Peer> {
        if id == self.identity.rover_id || !self.identity.peers.admits(id) {
            return None;
        }
        if !self.peers.contains_key(id) {
            if self.peers.len() >= MAX_PEERS {
                return None;
            }
            self.peers.insert(id.to_owned(), Peer::new(id, self.seeds.u64(..), &self.outbox, now));
        }
        self.peers.get_mut(id)
    }

    /// Tells a rover that is not listed, and the application, once.
    fn turn_away(&mut self, id: &str) {
        let reason = "it is not listed in `peers`".to_owned();
        let signal = Signal::Hangup(reason.clone());
        self.ready.push_back(Output::Signal { to: id.to_owned(), signal });
        if self.strangers.len() < MAX_STRANGERS && self.strangers.insert(id.to_owned()) {
            log::warn!("refused: peer={id}: {reason}");
            self.ready.push_back(Output::Event(Event::PeerRefused { peer: id.to_owned(), reason }));
        }
    }

    /// Passes on what the application said to a topic of a peer, and makes room for what will come.
    fn answer(
        &mut self,
        peer: String,
        id: RouteId,
        answer: Answer,
        pass_on: impl FnOnce(&mut Session, Answer, &mut Progress) -> Option<Delivery>,
    ) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let (session, progress) = known.session_and_progress();
        let Some(session) = session else { return };
        let opened = pass_on(session, answer.clone(), progress);
        let run = progress.runs();
        if let (Some(delivery), Ok(limits)) = (opened, answer) {
            let opened = Output::IncomingOpened { peer, id, delivery, limits, run };
            self.ready.push_back(opened);
        }
    }

    /// Tells all peers where a topic stands now.
    fn offer_again(&mut self, id: RouteId) {
        let Some(offered) = self.outbox.get(id) else { return };
        for session in self.peers.values_mut().filter_map(Peer::session_mut) {
            session.offer_route(id, offered);
        }
    }
}
