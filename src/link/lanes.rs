//! What carries a session: one connection for what is urgent, another for the rest, both over the
//! same paths.
//!
//! Below DTLS one cannot see what a datagram is for. With one connection a lost part of an image
//! would hold up the stop command behind it; so *express* (control messages and urgent topics) and
//! *bulk* are two. Signaling knows of express only; bulk begins once express is proven and frames
//! are agreed, and lives within them.

use std::net::SocketAddr;
use std::time::Instant;

use data_encoding::HEXLOWER;
use str0m::Input;
use str0m::net::{Protocol, Receive};

use super::control::Control;
use super::inner::{Inner, InnerOffer, InnerOutput};
use super::multipath::{EXPRESS, FrameKeys, Multipath, MultipathOutput, Ready, Share, Taken};
use super::output::Transmit;
use super::peer::{Interfaces, Scene};
use super::report::Handover;
use super::snapshot::CandidateKind;
use super::transport::{Certificate, Pair, Transport, TransportOutput, is_dtls, may_be_sent_to};
use crate::config::{Delivery, Priority};

/// Which connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Urgent.
    Express,
    /// The rest.
    Bulk,
}

impl Lane {
    /// All of them, the urgent one first.
    pub(super) const ALL: [Self; 2] = [Self::Express, Self::Bulk];

    /// The lane of topics of this priority.
    pub(super) fn of(priority: Priority) -> Self {
        match priority {
            Priority::Critical | Priority::High => Self::Express,
            Priority::Normal | Priority::Low => Self::Bulk,
        }
    }
}

/// What comes out.
#[derive(Debug)]
pub(super) enum LanesOutput {
    /// Nothing more to do before this moment.
    Timeout(Instant),
    /// A datagram for the network.
    Transmit(Transmit),
    /// Control messages can cross.
    Opened,
    /// A control message, as it arrived.
    Control(Vec<u8>),
    /// A fragment, as it arrived.
    Fragment(Vec<u8>),
    /// Data took another path.
    Handover(Box<Handover>),
    /// A control message for the peer.
    Say(Control),
    /// The connection is over, and why.
    Ended(String),
}

/// Bytes that SCTP may hold back beyond what is under way. Its own window grows only while it has
/// something to send; but what it holds can no longer be overtaken.
const MAX_HELD_BY_SCTP: usize = 48 * 1024;

/// What is to be done next.
enum Step {
    Wait(Instant),
    Again,
    PutOut(LanesOutput),
}

/// The connection within frames, and which one it is.
struct Bulk {
    generation: u8,
    inner: Inner,
}

/// Both connections of a session and their paths.
pub(super) struct Lanes {
    transport: Transport,
    multipath: Multipath,
    certificate: Certificate,
    /// The side that offers acts first wherever one has to.
    is_offerer: bool,
    share: [u8; 32],
    /// Does the peer read frames, or will it?
    has_frames: bool,
    bulk: Option<Bulk>,
    said: Vec<Control>,
}

impl Lanes {
    /// Over a connection that is being made.
    pub(super) fn new(
        peer: &str,
        transport: Transport,
        is_offerer: bool,
        scene: Scene<'_>,
        now: Instant,
    ) -> Self {
        let mut share = [0; 32];
        // Without randomness there are no frames, and the session goes on without them.
        let is_random = aws_lc_rs::rand::fill(&mut share).is_ok();
        let mut lanes = Self {
            transport,
            multipath: Multipath::new(peer, *scene.settings, scene.interfaces, now),
            certificate: scene.identity.certificate.clone(),
            is_offerer,
            share,
            has_frames: is_random,
            bulk: None,
            said: Vec::new(),
        };
        lanes.take_descriptions(now);
        lanes
    }

    /// The connection that signaling negotiates.
    pub(super) fn transport_mut(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// The paths.
    pub(super) fn multipath(&self) -> &Multipath {
        &self.multipath
    }

    /// The paths.
    pub(super) fn multipath_mut(&mut self) -> &mut Multipath {
        &mut self.multipath
    }

    /// To be called after the peer's description or candidate was taken.
    pub(super) fn take_descriptions(&mut self, now: Instant) {
        if let Some(credentials) = self.transport.take_credentials() {
            self.multipath.set_credentials(credentials);
        }
        for (address, kind) in self.transport.take_candidates() {
            self.multipath.add_remote(address, kind, now);
        }
    }

    /// What this side adds to the keys of frames, for its hello.
    pub(super) fn share(&self) -> Option<String> {
        self.has_frames.then(|| HEXLOWER.encode(&self.share))
    }

    /// Takes what the peer adds to the keys of frames, from its hello.
    pub(super) fn handle_share(&mut self, peer_share: Option<&str>) {
        let random = peer_share
            .and_then(|text| HEXLOWER.decode(text.as_bytes()).ok())
            .and_then(|bytes| bytes.try_into().ok());
        let local = self.transport.local_fingerprint();
        let remote = self.transport.remote_fingerprint();
        let (Some(random), Some((remote, _)), true) = (random, remote, self.has_frames) else {
            self.has_frames = false;
            return;
        };
        let own = Share { random: self.share, fingerprint: &local };
        let peer = Share { random, fingerprint: &remote };
        match FrameKeys::derive(&own, &peer) {
            Some(keys) => {
                self.multipath.set_keys(keys);
                self.said.push(Control::FramesReady);
            }
            None => self.has_frames = false,
        }
    }

    /// The peer reads frames from now on.
    pub(super) fn handle_frames_ready(&mut self, now: Instant) {
        if self.has_frames && !self.multipath.is_framing() {
            self.transport.set_watched();
            self.multipath.start_framing(now);
            if self.bulk.is_none() {
                self.renew_bulk(1, now);
            }
        }
    }

    /// The peer begins the bulk lane, or begins it anew.
    pub(super) fn handle_lane(&mut self, generation: u8, offer: &InnerOffer, now: Instant) {
        let own = self.bulk.as_ref().map_or(0, |bulk| bulk.generation);
        if !self.has_frames || generation == 0 || generation < own {
            return;
        }
        if generation > own {
            self.renew_bulk(generation, now);
        }
        let Some(bulk) = self.bulk.as_mut().filter(|bulk| !bulk.inner.is_started()) else { return };
        if let Err(error) = bulk.inner.start(offer, self.is_offerer, now) {
            log::warn!("bulk lane not begun: {error}");
        }
    }

    fn renew_bulk(&mut self, generation: u8, now: Instant) {
        if let Some(former) = self.bulk.take() {
            self.multipath.close_lane(former.generation);
        }
        let Some((inner, offer)) = Inner::new(&self.certificate, now) else { return };
        self.multipath.open_lane(generation);
        self.bulk = Some(Bulk { generation, inner });
        self.said.push(Control::Lane { generation, offer });
    }

    /// The local addresses, and what is known of the interfaces behind them.
    pub(super) fn handle_interfaces(&mut self, interfaces: &Interfaces, now: Instant) {
        let before = self.multipath.usable_addresses();
        self.multipath.handle_interfaces(interfaces, now);
        let after = self.multipath.usable_addresses();
        if !self.multipath.is_framing() {
            return;
        }
        for address in before.difference(&after) {
            self.said.push(Control::AddressRemoved { address: *address });
        }
        for address in after.difference(&before) {
            self.said.push(Control::AddressAdded { address: *address });
        }
    }

    /// The peer says that it can be reached at an address, or no longer.
    pub(super) fn handle_peer_address(&mut self, address: SocketAddr, added: bool, now: Instant) {
        if !added {
            self.multipath.remove_remote(address, now);
        } else if may_be_sent_to(address) {
            self.multipath.add_remote(address, CandidateKind::Host, now);
        }
    }

    /// Does this datagram belong here?
    pub(super) fn accepts(&self, pair: Pair, datagram: &[u8], now: Instant) -> bool {
        self.multipath.knows(pair, datagram)
            || Receive::new(Protocol::Udp, pair.1, pair.0, datagram)
                .is_ok_and(|receive| self.transport.accepts(&Input::Receive(now, receive)))
    }

    /// Might it belong here? The peer may begin DTLS on a path that it has checked and this side
    /// not yet. Lost, that datagram would cost a second; and DTLS proves by itself where it belongs.
    pub(super) fn may_accept(&self, pair: Pair, datagram: &[u8]) -> bool {
        is_dtls(datagram) && self.multipath.was_used_by_peer(pair)
    }

    /// Takes a datagram from the network. To be followed by [`Lanes::poll`] until it says
    /// `Timeout`.
    pub(super) fn handle_datagram(&mut self, pair: Pair, datagram: &[u8], now: Instant) {
        if self.multipath.handle_datagram(pair, datagram, now) == Taken::PassOn {
            self.transport.handle_datagram(pair, datagram, now);
        }
    }

    /// Lets time pass. To be followed by [`Lanes::poll`] until it says `Timeout`.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.multipath.handle_timeout(now);
        self.transport.handle_timeout(now);
        if let Some(bulk) = &mut self.bulk {
            bulk.inner.handle_timeout(now);
        }
    }

    /// Hands a fragment to a lane; `false` if it has no room now.
    pub(super) fn write_fragment(
        &mut self,
        lane: Lane,
        delivery: Delivery,
        fragment: &[u8],
    ) -> bool {
        match lane {
            Lane::Bulk if self.has_frames => {
                let Some(bulk) = &mut self.bulk else { return false };
                let (unacknowledged, window) = self.multipath.under_way(bulk.generation);
                let held = bulk.inner.buffered_amount().saturating_sub(unacknowledged);
                unacknowledged < window
                    && held < MAX_HELD_BY_SCTP
                    && bulk.inner.write_fragment(delivery, fragment)
            }
            Lane::Express | Lane::Bulk => self.transport.write_fragment(delivery, fragment),
        }
    }

    /// Ends the connection in order; returns the datagrams that tell the peer.
    pub(super) fn close(&mut self, now: Instant) -> Vec<Transmit> {
        let mut farewell = Vec::new();
        for transmit in self.transport.close(now) {
            self.multipath.handle_transmit(transmit, now);
        }
        while let Some(ready) = self.multipath.take_ready() {
            if let Ready::Transmit(transmit) = ready {
                farewell.push(transmit);
            }
        }
        farewell
    }

    /// The next thing to do.
    pub(super) fn poll(&mut self, now: Instant) -> LanesOutput {
        loop {
            if !self.said.is_empty() {
                return LanesOutput::Say(self.said.remove(0));
            }
            match self.multipath.take_ready() {
                Some(Ready::Transmit(transmit)) => return LanesOutput::Transmit(transmit),
                Some(Ready::Handover(report)) => return LanesOutput::Handover(report),
                None => {}
            }
            let express = match self.transport.poll(now) {
                TransportOutput::Timeout(at) => at,
                TransportOutput::Transmit(transmit) => {
                    self.multipath.handle_transmit(transmit, now);
                    continue;
                }
                TransportOutput::Opened => return LanesOutput::Opened,
                TransportOutput::Control(bytes) => return LanesOutput::Control(bytes),
                TransportOutput::Fragment(bytes) => return LanesOutput::Fragment(bytes),
                TransportOutput::Ended(reason) => return LanesOutput::Ended(reason),
            };
            let bulk = match self.poll_bulk(now) {
                Step::Wait(at) => at,
                Step::PutOut(output) => return output,
                Step::Again => continue,
            };
            match self.multipath.poll(now) {
                MultipathOutput::Timeout(at) => {
                    return LanesOutput::Timeout(at.min(express).min(bulk));
                }
                MultipathOutput::Datagram { lane: EXPRESS, datagram } => {
                    self.transport.handle_unframed(&datagram, now);
                }
                MultipathOutput::Datagram { lane, datagram } => {
                    if let Some(bulk) = self.bulk.as_mut().filter(|bulk| bulk.generation == lane) {
                        bulk.inner.handle_datagram(&datagram, now);
                    }
                }
            }
        }
    }

    fn poll_bulk(&mut self, now: Instant) -> Step {
        const NEVER: std::time::Duration = std::time::Duration::from_secs(60);
        let Some(bulk) = &mut self.bulk else { return Step::Wait(now + NEVER) };
        match bulk.inner.poll(now) {
            InnerOutput::Timeout(at) => Step::Wait(at),
            InnerOutput::Datagram(datagram) => {
                let lane = bulk.generation;
                self.multipath.send(lane, datagram, now);
                Step::Again
            }
            InnerOutput::Opened => Step::Again,
            InnerOutput::Fragment(bytes) => Step::PutOut(LanesOutput::Fragment(bytes)),
            InnerOutput::Ended(reason) => {
                let generation = bulk.generation.checked_add(1).unwrap_or(1);
                log::warn!("bulk lane begins anew: generation={generation}: {reason}");
                self.renew_bulk(generation, now);
                Step::Again
            }
        }
    }
}
