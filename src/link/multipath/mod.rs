//! All paths of one session and what crosses them: between the sessions' DTLS datagrams and the
//! sockets.
//!
//! ICE is real, but it does not decide where data goes. Checks of our own (`check`) and the frames
//! themselves tell how each path fares (`estimate`, `assess`); `select` chooses; `send` puts
//! datagrams into frames (`seal`) and keeps them until they are acknowledged (`lane`); what is not
//! urgent fills frames as a `stream`; `repeat` sends again what is lost, elsewhere if need be;
//! `receive` takes frames apart and `acknowledge` tells the peer what came; `decide` does what time
//! brings. Towards peers that do not read frames, `bare` takes their place.

mod acknowledge;
mod allowance;
mod assess;
mod bare;
mod check;
mod clock;
mod decide;
mod estimate;
mod lane;
mod path;
mod receive;
mod recent;
mod repeat;
mod seal;
mod select;
mod send;
mod show;
mod stream;
mod window;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub(super) use check::Credentials;
pub(super) use seal::{FrameKeys, Share};
pub(super) use show::Counters;

use self::allowance::Allowance;
use self::bare::Bare;
use self::check::{Stun, stun};
use self::clock::PeerClock;
use self::lane::{LaneReceiver, LaneSender, Unacked};
use self::path::{Inbound, Name, Path};
use self::send::MAX_SEGMENT_LEN;
use super::interface::LocalAddress;
use super::output::Transmit;
use super::report::{Handover, HandoverReason};
use super::snapshot::CandidateKind;
use super::transport::Pair;
use crate::config::{HandoverSettings, InterfaceKind};

/// Paths of a session: 16 remote candidates on 4 local addresses. A peer that sends from ever new
/// addresses gets no more.
const MAX_PATHS: usize = 64;

/// Remote addresses that a peer may name.
const MAX_REMOTES: usize = 16;

/// The lane of urgent topics and of control messages: each datagram leaves at once, in a frame of
/// its own. Others come and go; they leave in the pace of a path, and fill frames.
pub(super) const EXPRESS: u8 = 0;

/// What is ready for the network or the application.
#[derive(Debug)]
pub(super) enum Ready {
    /// A datagram for the network.
    Transmit(Transmit),
    /// Data took another path.
    Handover(Box<Handover>),
}

/// What became of a datagram from the network.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was for us, or it is to be passed over.
    Here,
    /// ICE or DTLS has to see it.
    PassOn,
}

/// One lane, both ways.
#[derive(Debug, Default)]
struct Lane {
    sender: LaneSender,
    receiver: LaneReceiver,
    /// May what came be taken?
    is_released: bool,
    /// When the last segment came.
    heard: Option<Instant>,
    /// Is there more to come than waits in the sender? Then frames leave full only.
    is_backlogged: bool,
}

impl Lane {
    /// The datagrams that can be taken now, with the number of the lane.
    fn arrived(&mut self, number: u8) -> impl Iterator<Item = (u8, Bytes)> {
        std::iter::from_fn(move || {
            let datagram = match number {
                _ if !self.is_released => None,
                EXPRESS => self.receiver.pop(),
                _ => self.receiver.pop_streamed(),
            };
            Some((number, datagram?))
        })
    }
}

/// A segment, unless it is acknowledged.
fn unacked(lanes: &BTreeMap<u8, Lane>, name: Name) -> Option<&Unacked> {
    lanes.get(&name.lane)?.sender.get(name.sequence)
}

/// A segment, unless it is acknowledged.
fn unacked_mut(lanes: &mut BTreeMap<u8, Lane>, name: Name) -> Option<&mut Unacked> {
    lanes.get_mut(&name.lane)?.sender.get_mut(name.sequence)
}

/// The earlier of two moments.
fn sooner(known: Option<Instant>, at: Instant) -> Option<Instant> {
    Some(known.map_or(at, |known| known.min(at)))
}

/// A handover whose first frame on the new path is not confirmed yet.
#[derive(Debug, Clone)]
struct Pending {
    report: Handover,
    started: Instant,
    /// The new path, and the first number on it that counts.
    path: u16,
    number: u64,
}

/// All paths of one session.
pub(super) struct Multipath {
    peer: String,
    settings: HandoverSettings,
    locals: BTreeMap<SocketAddr, LocalAddress>,
    remotes: BTreeMap<SocketAddr, CandidateKind>,
    paths: BTreeMap<u16, Path>,
    by_pair: BTreeMap<Pair, u16>,
    next_path: u16,
    credentials: Option<Credentials>,
    /// When ICE was last restarted.
    restarted: Option<Instant>,

    /// There once both sides have shown their share.
    keys: Option<FrameKeys>,
    /// May frames be sent: has the peer said that it reads them?
    is_framing: bool,
    /// There where data is steered without frames.
    bare: Option<Bare>,
    /// When the first frame of the peer's came.
    framed_since: Option<Instant>,
    /// Frames tell times since then.
    started: Instant,
    framing_since: Instant,
    peer_clock: PeerClock,
    /// What has left without a frame lately.
    unframed: VecDeque<Vec<u8>>,
    inbound: BTreeMap<u16, Inbound>,
    /// The path of the peer's numbering whose report comes first.
    next_report: u16,
    lanes: BTreeMap<u8, Lane>,
    /// Datagrams to be taken, with their lanes.
    arrived: VecDeque<(u8, Bytes)>,

    selected: Option<u16>,
    /// Interface that a person asked for.
    wanted: Option<String>,
    /// An advantage of another path that has to last: the path, why, since when.
    advantage: Option<(u16, HandoverReason, Instant)>,
    pending: Option<Pending>,
    /// When the paths were last looked at, and when they were last compared.
    decided: Instant,
    chosen: Instant,
    /// Since when no path carries anything.
    outage_since: Option<Instant>,
    handovers: u32,

    /// To be sent again, in order, and whether by another path than before.
    repeats: VecDeque<(Name, bool)>,
    /// Further copies, the first that is due in front: when, what, on which path.
    copies: VecDeque<(Instant, Name, u16)>,
    /// For what is sent twice though it need not be lost.
    allowance: Allowance,
    /// When the next datagram may have to be sent again for want of an acknowledgement.
    probe_due: Option<Instant>,
    ack_due: Option<Instant>,
    last_ack: Instant,
    unacknowledged: u32,
    last_data: Option<Instant>,
    last_received: Option<Instant>,
    longest_gap: Duration,
    /// When the caller was asked to come back: if it comes much later, silence was its own.
    asked_for: Instant,
    /// How much later it has come at most.
    absence: Duration,

    counters: Counters,
    repeated_at_handover: u64,
    out: VecDeque<Ready>,
}

impl Multipath {
    pub(super) fn new(
        peer: &str,
        settings: HandoverSettings,
        locals: &BTreeMap<SocketAddr, LocalAddress>,
        now: Instant,
    ) -> Self {
        Self {
            peer: peer.to_owned(),
            settings,
            locals: locals.clone(),
            remotes: BTreeMap::new(),
            paths: BTreeMap::new(),
            by_pair: BTreeMap::new(),
            next_path: 0,
            credentials: None,
            restarted: None,
            keys: None,
            is_framing: false,
            bare: None,
            framed_since: None,
            started: now,
            framing_since: now,
            peer_clock: PeerClock::default(),
            unframed: VecDeque::new(),
            inbound: BTreeMap::new(),
            next_report: 0,
            lanes: BTreeMap::from([(EXPRESS, Lane { is_released: true, ..Lane::default() })]),
            arrived: VecDeque::new(),
            selected: None,
            wanted: None,
            advantage: None,
            pending: None,
            decided: now,
            chosen: now,
            outage_since: None,
            handovers: 0,
            repeats: VecDeque::new(),
            copies: VecDeque::new(),
            allowance: Allowance::default(),
            probe_due: None,
            ack_due: None,
            last_ack: now,
            unacknowledged: 0,
            last_data: None,
            last_received: None,
            longest_gap: Duration::ZERO,
            asked_for: now,
            absence: Duration::ZERO,
            counters: Counters::default(),
            repeated_at_handover: 0,
            out: VecDeque::new(),
        }
    }

    /// Takes what both session descriptions say, at first or after a restart of ICE.
    pub(super) fn set_credentials(&mut self, credentials: Credentials, now: Instant) {
        if self.credentials.replace(credentials).is_some() {
            self.restarted = Some(now);
        }
    }

    /// From now on frames of the peer's are read.
    pub(super) fn set_keys(&mut self, keys: FrameKeys) {
        self.keys.get_or_insert(keys);
    }

    /// From now on frames are sent: the peer reads them.
    pub(super) fn start_framing(&mut self, now: Instant) {
        if self.keys.is_some() && !self.is_framing {
            self.is_framing = true;
            self.framing_since = now;
            for path in self.paths.values_mut() {
                path.silent_from = now;
            }
            self.decide(now);
            // DTLS drops what has arrived before (RFC 6347 §4.1.2.6).
            for datagram in std::mem::take(&mut self.unframed) {
                self.send(EXPRESS, datagram, now);
            }
        }
    }

    /// Do datagrams travel in frames?
    pub(super) fn is_framing(&self) -> bool {
        self.is_framing
    }

    /// A moment by the clock that frames tell, µs, wrapping.
    pub(super) fn clock(&self, at: Instant) -> u32 {
        match at.checked_duration_since(self.started) {
            Some(since) => since.as_micros() as u32,
            None => (self.started.saturating_duration_since(at).as_micros() as u32).wrapping_neg(),
        }
    }

    /// How old something is that the peer took at this moment of its clock; zero if that cannot be
    /// told. Wraps after 35 minutes.
    pub(super) fn age(&self, taken: u32, now: Instant) -> Duration {
        let Some(behind) = self.peer_clock.behind() else { return Duration::ZERO };
        let shortest = self.paths.values().filter_map(|path| path.round_trip.extremes());
        let one_way = shortest.map(|(least, _)| least).fold(f64::INFINITY, f64::min) / 2.0;
        let age = self.clock(now).wrapping_sub(behind).wrapping_sub(taken) as i32;
        let one_way = Duration::try_from_secs_f64(one_way).unwrap_or_default();
        Duration::from_micros(age.max(0) as u64) + one_way
    }

    /// When by our clock the peer took something at this moment of its own; `None` while that cannot
    /// be told. The shortest way of late from the peer is taken for half of the shortest round trip,
    /// so that the error is less than that half, however unlike the two ways are.
    pub(super) fn taken_at(&self, taken: u32, now: Instant) -> Option<Instant> {
        self.peer_clock.behind()?;
        let is_measured = self.paths.values().any(|path| path.round_trip.extremes().is_some());
        is_measured.then(|| now.checked_sub(self.age(taken, now)))?
    }

    /// A lane begins, with nothing in it. What comes is held until it is released.
    pub(super) fn open_lane(&mut self, lane: u8) {
        self.lanes.insert(lane, Lane::default());
    }

    /// What comes by a lane can be taken.
    pub(super) fn release_lane(&mut self, number: u8) {
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.is_released = true;
            self.arrived.extend(lane.arrived(number));
        }
    }

    /// A lane is over.
    pub(super) fn close_lane(&mut self, number: u8) {
        self.lanes.remove(&number);
        self.arrived.retain(|(lane, _)| *lane != number);
    }

    /// Bytes of what is not urgent that the window still has room for.
    pub(super) fn room(&self) -> usize {
        let window = self.selected_path().map_or(0, |path| path.window.bytes());
        let paced = self.lanes.iter().filter(|(number, _)| **number != EXPRESS);
        window.saturating_sub(paced.map(|(_, lane)| lane.sender.bytes()).sum())
    }

    /// May more of a lane that is not urgent be under way? It may use what the other one leaves of
    /// the window, and a part of it in any case; that of lanes of even numbers is small.
    pub(super) fn has_room(&self, lane: u8) -> bool {
        let window = self.selected_path().map_or(0, |path| path.window.bytes());
        let part = if lane.is_multiple_of(2) { LOW_PART } else { NORMAL_PART };
        let used = self.lanes.get(&lane).map_or(0, |lane| lane.sender.bytes());
        // What waits for company to fill a frame is no use of the window.
        self.room() > 0 || used.saturating_sub(MAX_SEGMENT_LEN) < window / part
    }

    /// Send by this interface while one of its paths carries; `None` gives the choice back.
    pub(super) fn want(&mut self, interface: Option<String>, now: Instant) {
        self.wanted = interface;
        self.chosen = self.started;
        self.decide(now);
    }

    /// The local addresses, and what is known of them.
    pub(super) fn handle_addresses(
        &mut self,
        locals: &BTreeMap<SocketAddr, LocalAddress>,
        now: Instant,
    ) {
        self.locals.clone_from(locals);
        self.make_paths(now);
        self.update_ends(now);
        self.decide(now);
    }

    /// The peer can be reached at this address, or so it says.
    pub(super) fn add_remote(&mut self, address: SocketAddr, kind: CandidateKind, now: Instant) {
        if self.remotes.len() >= MAX_REMOTES
            && !self.remotes.contains_key(&address)
            && let Some(unanswered) = self.unanswered_remote()
        {
            self.remotes.remove(&unanswered);
        }
        if self.remotes.len() < MAX_REMOTES || self.remotes.contains_key(&address) {
            let known = self.remotes.entry(address).or_insert(kind);
            // What the peer says of it counts more than that it was seen.
            if kind != CandidateKind::PeerReflexive {
                *known = kind;
            }
            self.make_paths(now);
            self.update_ends(now);
            self.decide(now);
        }
    }

    /// An address that nobody has named and that has never answered: whoever repeats a check of the
    /// peer's from anywhere can add some.
    fn unanswered_remote(&self) -> Option<SocketAddr> {
        let has_answered = |address: &SocketAddr| {
            self.paths.values().any(|path| path.pair.1 == *address && path.is_validated)
        };
        let mut seen =
            self.remotes.iter().filter(|(_, kind)| **kind == CandidateKind::PeerReflexive);
        seen.find(|(address, _)| !has_answered(address)).map(|(address, _)| *address)
    }

    /// The peer can no longer be reached at this address: it said so itself, so long ago. If anything
    /// has come from there since, it is back.
    pub(super) fn remove_remote(&mut self, address: SocketAddr, age: Duration, now: Instant) {
        let is_back = |path: &Path| {
            // What was under way when the address went may come a little later.
            let under_way = assess::normal_confirmation(path);
            let since = now.checked_sub(age).map(|said| said + under_way);
            path.last_heard.is_some_and(|heard| since.is_some_and(|since| heard > since))
        };
        let mut of_address = self.paths.values().filter(|path| path.pair.1 == address);
        if of_address.any(is_back) || self.remotes.remove(&address).is_none() {
            return;
        }
        self.update_ends(now);
        self.decide(now);
    }

    /// Takes a datagram from the network. Anything may arrive here.
    pub(super) fn handle_datagram(&mut self, pair: Pair, datagram: &[u8], now: Instant) -> Taken {
        self.notice_own_silence(now);
        match stun(datagram) {
            Some(Stun::Success(transaction)) => {
                self.count_received(pair, datagram, now);
                return self.handle_answer(pair, transaction, datagram, now);
            }
            Some(Stun::Request(_) | Stun::Other) => {
                self.count_received(pair, datagram, now);
                return Taken::PassOn;
            }
            None => {}
        }
        if datagram.first() == Some(&crate::wire::FRAME_MARK) {
            self.handle_frame(pair, datagram, now);
            return Taken::Here;
        }
        self.count_received(pair, datagram, now);
        if self.framed_since.is_some_and(|since| now > since + RAW_GRACE) {
            return Taken::Here;
        }
        self.handle_bare(self.by_pair.get(&pair).copied(), now);
        Taken::PassOn
    }

    /// Is this datagram one of this session's, by what only we know?
    pub(super) fn knows(&self, pair: Pair, datagram: &[u8]) -> bool {
        if let Some(Stun::Success(transaction)) = stun(datagram) {
            return self
                .path(pair)
                .is_some_and(|path| path.checks.is_awaited(transaction).is_some());
        }
        self.is_frame_of_this_session(datagram)
    }

    /// Has anything that belongs to this session come by this pair?
    pub(super) fn was_used_by_peer(&self, pair: Pair) -> bool {
        self.path(pair).is_some_and(|path| path.last_heard.is_some())
    }

    /// Lets time pass.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.notice_own_silence(now);
        self.check(now);
        self.decide(now);
        self.send_what_is_due(now);
    }

    /// Have both sides described themselves?
    pub(super) fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// The longest time for which the caller let us sleep beyond what it was asked for.
    pub(super) fn absence(&self) -> Duration {
        self.absence
    }

    /// What is ready for the network or the application.
    pub(super) fn take_ready(&mut self) -> Option<Ready> {
        self.out.pop_front()
    }

    /// Local addresses with a carrier.
    pub(super) fn usable_addresses(&self) -> BTreeMap<SocketAddr, LocalAddress> {
        let usable = self.locals.iter().filter(|(_, known)| known.interface.carrier);
        usable.map(|(address, known)| (*address, known.clone())).collect()
    }

    /// The next DTLS datagram for the session of a lane, with the number of the lane.
    pub(super) fn take_datagram(&mut self) -> Option<(u8, Bytes)> {
        self.arrived.pop_front()
    }

    /// When there will be something to do, once there is nothing more to take.
    pub(super) fn poll_timeout(&mut self, now: Instant) -> Instant {
        self.asked_for = self.deadline(now);
        self.asked_for
    }

    /// Puts a datagram out.
    fn transmit(&mut self, path: u16, contents: Vec<u8>) {
        let Some(path) = self.paths.get_mut(&path) else { return };
        path.bytes_sent += contents.len() as u64;
        let (source, destination) = path.pair;
        self.out.push_back(Ready::Transmit(Transmit { source, destination, contents }));
    }

    /// Kind of the interface by which data leaves.
    pub(super) fn selected_kind(&self) -> Option<InterfaceKind> {
        self.selected_path().map(|path| path.interface.kind)
    }

    /// The path by which data leaves.
    fn selected_path(&self) -> Option<&Path> {
        self.paths.get(&self.selected?)
    }

    fn path(&self, pair: Pair) -> Option<&Path> {
        self.paths.get(self.by_pair.get(&pair)?)
    }

    fn path_mut(&mut self, pair: Pair) -> Option<&mut Path> {
        self.paths.get_mut(self.by_pair.get(&pair)?)
    }

    /// Pairs each local address with each remote one.
    fn make_paths(&mut self, now: Instant) {
        let remotes: Vec<_> =
            self.remotes.iter().map(|(address, kind)| (*address, *kind)).collect();
        let mut locals: Vec<_> =
            self.locals.iter().map(|(address, known)| (known.is_relayed(), *address)).collect();
        // Direct ones first: there may not be room for all.
        locals.sort();
        for (_, local) in locals {
            for (remote, kind) in &remotes {
                self.make_path((local, *remote), *kind, now);
            }
        }
    }

    /// Makes a path of a pair, if there is none and room for one.
    fn make_path(&mut self, pair: Pair, remote_kind: CandidateKind, now: Instant) {
        if self.by_pair.contains_key(&pair) {
            return;
        }
        let fits = pair.0.is_ipv4() == pair.1.is_ipv4();
        let Some(local) = self.locals.get(&pair.0).filter(|_| fits) else { return };
        if self.paths.len() >= MAX_PATHS {
            let Some((id, pair)) = self.least_needed(local.is_relayed()) else { return };
            self.paths.remove(&id);
            self.by_pair.remove(&pair);
        }
        let id = self.next_path;
        let Some(next) = id.checked_add(1) else { return };
        self.next_path = next;
        let mut path = Path::new(id, pair, local.interface.clone(), now);
        path.local_candidate = local.kind;
        path.remote_candidate = remote_kind;
        path.is_up = local.interface.carrier;
        self.paths.insert(id, path);
        self.by_pair.insert(pair, id);
    }

    /// The path that gives way to a new one: one whose end has gone, else to a direct path one by a
    /// TURN server that has not answered.
    fn least_needed(&self, for_relayed: bool) -> Option<(u16, Pair)> {
        let mut idle = self.paths.values().filter(|path| Some(path.id) != self.selected);
        let gone = idle.clone().find(|path| !path.is_up);
        let found = gone
            .or_else(|| idle.find(|path| !for_relayed && path.relays() > 0 && !path.is_validated));
        found.map(|path| (path.id, path.pair))
    }

    /// Notes which paths have both their ends.
    fn update_ends(&mut self, now: Instant) {
        for path in self.paths.values_mut() {
            if let Some(kind) = self.remotes.get(&path.pair.1) {
                path.remote_candidate = *kind;
            }
            let local = self.locals.get(&path.pair.0);
            if let Some(local) = local {
                path.interface.clone_from(&local.interface);
            }
            let is_up = local.is_some_and(|local| local.interface.carrier)
                && self.remotes.contains_key(&path.pair.1);
            if is_up && !path.is_up {
                path.silent_from = now;
                path.check_due = now;
                path.checks_sent = 0;
            }
            path.is_up = is_up;
        }
    }

    /// Notes that the peer's data came, by whatever path.
    fn note_received(&mut self, now: Instant) {
        if let Some(last) = self.last_received.replace(now) {
            self.longest_gap = self.longest_gap.max(now.saturating_duration_since(last));
        }
    }

    fn count_received(&mut self, pair: Pair, datagram: &[u8], now: Instant) {
        if let Some(path) = self.path_mut(pair) {
            path.bytes_received += datagram.len() as u64;
            path.last_heard = Some(now);
        }
    }

    /// A caller that comes much later than asked has let answers wait: what was silent meanwhile
    /// is not the paths' fault.
    fn notice_own_silence(&mut self, now: Instant) {
        let absence = now.saturating_duration_since(self.asked_for);
        if absence > LATE {
            self.absence = self.absence.max(absence);
            for path in self.paths.values_mut() {
                path.silent_from = now;
            }
        }
        self.asked_for = self.asked_for.max(now);
    }
}

/// Lanes of odd and of even numbers have these parts of the window in any case: nothing starves for
/// ever.
const NORMAL_PART: usize = 2;
const LOW_PART: usize = 8;

/// A caller may be late by so much without a path being given the benefit of the doubt.
const LATE: Duration = Duration::from_millis(25);

/// DTLS without a frame is still taken for so long after the first frame of the peer's: it may have
/// been overtaken. Later it can only be someone else's.
const RAW_GRACE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::NetworkInterface;
    use crate::link::snapshot::PathState;

    fn interface() -> NetworkInterface {
        NetworkInterface {
            name: "wlan0".to_owned(),
            kind: InterfaceKind::Wifi,
            preference: 0,
            metered: false,
            carrier: true,
            signal_strength: None,
        }
    }

    #[test]
    fn an_address_that_is_back_is_not_forgotten_for_what_was_said_before() {
        let now = Instant::now();
        let pair = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:1".parse().unwrap());
        let locals = BTreeMap::from([(pair.0, interface().into())]);
        let mut multipath = Multipath::new("b", HandoverSettings::default(), &locals, now);
        multipath.add_remote(pair.1, CandidateKind::Host, now);
        let later = now + Duration::from_secs(10);
        let path = multipath.paths.get_mut(&0).unwrap();
        path.round_trip.add(Duration::from_millis(60), now);
        path.last_heard = Some(later - Duration::from_millis(50));
        multipath.remove_remote(pair.1, Duration::from_secs(2), later);
        assert!(multipath.remotes.contains_key(&pair.1), "heard since");
        multipath.remove_remote(pair.1, Duration::from_millis(60), later);
        assert!(!multipath.remotes.contains_key(&pair.1), "that was still under way");
    }

    #[test]
    fn a_lane_takes_no_more_than_it_can_hold_while_the_pace_holds_it_back() {
        const LANE: u8 = 1;
        let now = Instant::now();
        let (local, remote) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:1".parse().unwrap());
        let locals = BTreeMap::from([(local, interface().into())]);
        let mut multipath = Multipath::new("b", HandoverSettings::default(), &locals, now);
        multipath.make_path((local, remote), CandidateKind::Host, now);
        multipath.open_lane(LANE);
        multipath.selected = Some(0);
        let path = multipath.paths.get_mut(&0).unwrap();
        path.state = PathState::Good;
        path.round_trip.add(Duration::from_millis(60), now);
        let window = path.window.bytes();
        let mut taken = 0;
        while multipath.has_room(LANE) && taken < 2 * window {
            multipath.send(LANE, vec![0; 1_000], now);
            taken += 1_000;
        }
        assert!((window..window + 2_000).contains(&taken), "{taken} of {window}");
    }
}
