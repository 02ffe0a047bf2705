//! What carries a session: one connection for what is urgent, one for most topics, one for what is
//! large and can wait, all over the same paths.
//!
//! Below DTLS one cannot see what a datagram is for, and SCTP sends in order. With one connection a
//! lost part of an image would hold up the stop command behind it, and a camera would use up the
//! window that odometry needs. Signaling knows of the *express* connection only; the others begin
//! once that is proven and frames are agreed, and live within them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use str0m::Input;
use str0m::net::{Protocol, Receive};

use super::channels::PeerKind;
use super::control::Control;
use super::fleet::MAX_DATAGRAMS_AT_ONCE;
use super::inner::{self, Inner, InnerOffer, InnerOutput};
use super::multipath::{EXPRESS, FrameKeys, Multipath, Ready, Share, Taken};
use super::output::Transmit;
use super::peer::{Addresses, Scene};
use super::report::Handover;
use super::snapshot::CandidateKind;
use super::transport::{
    Certificate, Pair, Transport, TransportOutput, candidates, is_dtls, may_be_sent_to,
};
use crate::config::{Delivery, Priority};
use crate::wire::FRAGMENT_LEN;

/// Which connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Control messages and urgent topics.
    Express,
    /// Most topics.
    Normal,
    /// What is large and can wait.
    Low,
}

impl Lane {
    /// All of them, the urgent one first.
    pub(super) const ALL: [Self; 3] = [Self::Express, Self::Normal, Self::Low];

    /// Those within frames.
    const INNER: [Self; 2] = [Self::Normal, Self::Low];

    /// The lane of topics of this priority.
    pub(super) fn of(priority: Priority) -> Self {
        match priority {
            Priority::Critical | Priority::High => Self::Express,
            Priority::Normal => Self::Normal,
            Priority::Low => Self::Low,
        }
    }
}

/// What comes out.
#[derive(Debug)]
pub(super) enum LanesOutput {
    /// There is nothing to take. The connections have nothing to do before this moment, and
    /// [`Lanes::poll_timeout`] tells when the paths have.
    Idle(Instant),
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
    Say(Box<Control>),
    /// The connection is over, and why.
    Ended(String),
}

/// Bytes that SCTP may hold back. Its own window grows only while it has something to send; but what
/// it holds can no longer be overtaken.
const MAX_UNSENT_BY_SCTP: usize = 48 * 1024;

/// What is to be done next.
enum Step {
    Wait(Instant),
    Again,
    PutOut(LanesOutput),
}

/// A connection within frames.
struct InnerLane {
    /// Its number in frames: odd for [`Lane::Normal`], even for [`Lane::Low`], and a higher one
    /// each time that it begins anew.
    number: u8,
    inner: Inner,
}

/// All connections of a session and their paths.
pub(super) struct Lanes {
    transport: Transport,
    multipath: Multipath,
    certificate: Certificate,
    /// The side that offers acts first wherever one has to.
    is_offerer: bool,
    share: [u8; 32],
    /// Does the peer read frames, or will it?
    has_frames: bool,
    /// [`Lane::Normal`] and [`Lane::Low`].
    inner: [Option<InnerLane>; 2],
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
        let has_frames = is_random && transport.kind() == PeerKind::Rover;
        let mut lanes = Self {
            transport,
            multipath: Multipath::new(peer, *scene.settings, scene.addresses, now),
            certificate: scene.identity.certificate.clone(),
            is_offerer,
            share,
            has_frames,
            inner: [None, None],
            said: Vec::new(),
        };
        lanes.take_descriptions(now);
        lanes
    }

    /// What is at the other end.
    pub(super) fn kind(&self) -> PeerKind {
        self.transport.kind()
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
            self.multipath.set_credentials(credentials, now);
        }
        for (address, kind) in self.transport.take_candidates() {
            self.multipath.add_remote(address, kind, now);
        }
    }

    /// To be called after ICE was restarted.
    pub(super) fn handle_restarted(&mut self, now: Instant) {
        self.take_descriptions(now);
        self.multipath.forget_where_peer_sends();
    }

    /// What this side adds to the keys of frames, for its hello.
    pub(super) fn share(&self) -> Option<String> {
        self.has_frames.then(|| HEXLOWER.encode(&self.share))
    }

    /// Takes what the peer adds to the keys of frames, from its hello.
    pub(super) fn handle_share(&mut self, peer_share: Option<&str>, now: Instant) {
        let random = peer_share
            .and_then(|text| HEXLOWER.decode(text.as_bytes()).ok())
            .and_then(|bytes| bytes.try_into().ok());
        let local = self.transport.local_fingerprint();
        let remote = self.transport.remote_fingerprint();
        let (Some(random), Some((remote, _)), true) = (random, remote, self.has_frames) else {
            self.go_bare(now);
            return;
        };
        let own = Share { random: self.share, fingerprint: &local };
        let peer = Share { random, fingerprint: &remote };
        match FrameKeys::derive(&own, &peer) {
            Some(keys) => {
                self.multipath.set_keys(keys);
                self.said.push(Control::FramesReady);
            }
            None => self.go_bare(now),
        }
    }

    /// There are no frames in this session; its paths are chosen here all the same.
    pub(super) fn go_bare(&mut self, now: Instant) {
        self.has_frames = false;
        self.transport.set_watched();
        self.multipath.start_bare(now);
    }

    /// The peer reads frames from now on.
    pub(super) fn handle_frames_ready(&mut self, now: Instant) {
        if self.has_frames && !self.multipath.is_framing() {
            self.transport.set_watched();
            self.multipath.start_framing(now);
            for lane in Lane::INNER {
                if self.inner[index(lane as u8)].is_none() {
                    self.begin_lane(lane as u8, now);
                }
            }
        }
    }

    /// The peer begins a lane, or begins it anew.
    pub(super) fn handle_lane(&mut self, number: u8, offer: &InnerOffer, now: Instant) {
        if !self.has_frames || number == EXPRESS {
            return;
        }
        let own = self.inner[index(number)].as_ref().map_or(0, |lane| lane.number);
        if number > own {
            self.begin_lane(number, now);
        }
        let lane = self.inner[index(number)].as_mut();
        let Some(lane) = lane.filter(|lane| lane.number == number && !lane.inner.is_started())
        else {
            return;
        };
        match lane.inner.start(offer, self.is_offerer, now) {
            Ok(()) => self.multipath.release_lane(number),
            Err(error) => log::warn!("lane not begun: lane={number}: {error}"),
        }
    }

    fn begin_lane(&mut self, number: u8, now: Instant) {
        if let Some(former) = self.inner[index(number)].take() {
            self.multipath.close_lane(former.number);
        }
        let Some((inner, offer)) = Inner::new(&self.certificate, now) else { return };
        self.multipath.open_lane(number);
        self.inner[index(number)] = Some(InnerLane { number, inner });
        self.said.push(Control::Lane { lane: number, offer });
    }

    /// The local addresses, and what is known of them.
    pub(super) fn handle_addresses(&mut self, addresses: &Addresses, now: Instant) {
        let before = candidates(&self.multipath.usable_addresses());
        self.multipath.handle_addresses(addresses, now);
        let after = candidates(&self.multipath.usable_addresses());
        if !self.multipath.is_framing() {
            return;
        }
        for gone in before.iter().filter(|candidate| !after.contains(candidate)) {
            let at = Some(self.multipath.clock(now));
            self.said.push(Control::AddressRemoved { address: gone.address, at });
        }
        for new in after.iter().filter(|candidate| !before.contains(candidate)) {
            self.said.push(Control::AddressAdded { address: new.address, kind: new.kind });
        }
    }

    /// The peer says that it can be reached at an address.
    pub(super) fn add_peer_address(
        &mut self,
        address: SocketAddr,
        kind: CandidateKind,
        now: Instant,
    ) {
        if may_be_sent_to(address) {
            self.multipath.add_remote(address, kind, now);
        }
    }

    /// The peer says that it can no longer be reached at an address, since a moment of its clock.
    pub(super) fn remove_peer_address(
        &mut self,
        address: SocketAddr,
        at: Option<u32>,
        now: Instant,
    ) {
        let age = at.map_or(Duration::ZERO, |at| self.multipath.age(at, now));
        self.multipath.remove_remote(address, age, now);
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
        for lane in self.inner.iter_mut().flatten() {
            lane.inner.handle_timeout(now);
        }
    }

    /// Hands a fragment to a lane; `false` if it has no room now.
    pub(super) fn write_fragment(
        &mut self,
        lane: Lane,
        delivery: Delivery,
        fragment: &[u8],
        now: Instant,
    ) -> bool {
        if lane == Lane::Express || !self.has_frames {
            return self.transport.write_fragment(delivery, fragment, now);
        }
        let Some(lane) = &mut self.inner[index(lane as u8)] else { return false };
        self.multipath.has_room(lane.number)
            && lane.inner.unsent() < MAX_UNSENT_BY_SCTP
            && lane.inner.write_fragment(delivery, fragment, now)
    }

    /// Bytes of a fragment at most.
    pub(super) fn fragment_len(&self, lane: Lane) -> usize {
        let is_inner = lane != Lane::Express && self.has_frames;
        if is_inner { inner::FRAGMENT_LEN } else { FRAGMENT_LEN }
    }

    /// Sends what waits for company, but for lanes that have more (`is_stalled`, by [`Lane::ALL`]) and
    /// get it as soon as what is under way is acknowledged. Where SCTP is what holds them back, it may
    /// wait for just that company. Returns whether there is something to take.
    pub(super) fn flush(&mut self, is_stalled: [bool; 3], now: Instant) -> bool {
        let mut is_backlogged = [false; Lane::INNER.len()];
        for lane in Lane::INNER {
            if let Some(InnerLane { number, .. }) = self.inner[index(lane as u8)] {
                is_backlogged[index(number)] =
                    is_stalled[lane as usize] && !self.multipath.has_room(number);
            }
        }
        self.multipath.flush(|number| is_backlogged[index(number)], now)
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
                return LanesOutput::Say(Box::new(self.said.remove(0)));
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
            let wake = match self.poll_inner(express, now) {
                Step::Wait(at) => at,
                Step::PutOut(output) => return output,
                Step::Again => continue,
            };
            if !self.take_arrived(now) {
                return LanesOutput::Idle(wake);
            }
        }
    }

    /// Gives the connections what has arrived, if there is anything: several datagrams in a row, for
    /// which SCTP makes fewer acknowledgements, and which cost it less.
    fn take_arrived(&mut self, now: Instant) -> bool {
        let arrived = std::iter::from_fn(|| self.multipath.take_datagram());
        let mut is_any = false;
        for (number, datagram) in arrived.take(MAX_DATAGRAMS_AT_ONCE) {
            is_any = true;
            if number == EXPRESS {
                self.transport.handle_unframed(&datagram, now);
            } else if let Some(lane) = &mut self.inner[index(number)]
                && lane.number == number
            {
                lane.inner.handle_datagram(&datagram, now);
            }
        }
        is_any
    }

    /// When the paths will have something to do.
    pub(super) fn poll_timeout(&mut self, now: Instant) -> Instant {
        self.multipath.poll_timeout(now)
    }

    /// `wake` is when the express connection has something to do.
    fn poll_inner(&mut self, mut wake: Instant, now: Instant) -> Step {
        for lane in self.inner.iter_mut().flatten() {
            let number = lane.number;
            match lane.inner.poll(now) {
                InnerOutput::Timeout(at) => wake = wake.min(at),
                InnerOutput::Datagram(datagram) => {
                    self.multipath.send(number, datagram, now);
                    return Step::Again;
                }
                InnerOutput::Opened => return Step::Again,
                InnerOutput::Fragment(bytes) => {
                    return Step::PutOut(LanesOutput::Fragment(bytes));
                }
                InnerOutput::Ended(reason) => {
                    log::warn!("lane begins anew: lane={number}: {reason}");
                    let Some(next) = number.checked_add(2) else {
                        return Step::PutOut(LanesOutput::Ended(reason));
                    };
                    self.begin_lane(next, now);
                    return Step::Again;
                }
            }
        }
        Step::Wait(wake)
    }
}

/// Where the lane of this number is kept.
fn index(number: u8) -> usize {
    usize::from(number.is_multiple_of(2))
}
