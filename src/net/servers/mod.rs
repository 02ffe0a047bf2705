//! What STUN and TURN servers do for each address of this rover: they tell where others see it, and
//! lend it one that relays.
//!
//! Each address asks one STUN server (`reflexive`) and has one allocation at one TURN server
//! (`relay`), over a socket of its own or a TCP connection (`stream`). A server that does not answer is
//! followed by the next one of the list. New addresses and lost ones are told to the core, which
//! decides what goes where.

pub(super) mod inquiry;
mod reflexive;
mod relay;
mod resolve;
mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use self::reflexive::Reflexive;
use self::relay::Relay;
use self::resolve::Resolver;
pub(super) use self::resolve::look_up;
use self::stream::{FromStream, Stream, Told};
use super::sockets::Sockets;
use crate::config::{IceServerUri, IceService};
use crate::link::{CandidateKind, LocalAddress, NetworkInterface, Transmit};
use crate::signaling::message;

/// Servers that are used of those that signaling offers.
const MAX_OFFERED: usize = 8;

/// After none of the TURN servers has lent an address: the first pause, doubled each time, and the
/// longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The next server is asked beside one that has not lent anything for so long: where a network lets no
/// UDP out, that is how TCP comes to its turn.
const HEAD_START: Duration = Duration::from_millis(500);

/// An allocation that another one takes the place of lives on for so long: peers have to hear of it.
const OVERLAP: Duration = Duration::from_secs(10);

/// A relay from which nothing comes for so long though something is sent there may have been
/// forgotten: by a NAT on the way, or because the server began anew.
const SILENCE: Duration = Duration::from_millis(100);

/// What TCP connections have told and nobody has taken yet.
const QUEUE: usize = 256;

/// Units of TCP connections that are taken at once.
const MAX_AT_ONCE: usize = crate::link::MAX_DATAGRAMS_AT_ONCE;

/// How long to wait where nothing is due.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A server, with what it takes to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) uri: IceServerUri,
    /// Username and credential, for TURN.
    pub(super) credentials: Option<(String, String)>,
}

/// The servers of the configuration, and username and credential for those that relay.
pub(super) fn configured(uris: &[IceServerUri], turn: Option<&(String, String)>) -> Vec<Server> {
    uris.iter().map(|uri| Server { uri: uri.clone(), credentials: turn.cloned() }).collect()
}

/// The servers that signaling offers.
pub(super) fn offered(offered: &[message::IceServer]) -> Vec<Server> {
    let mut servers = Vec::new();
    for server in offered {
        let credentials = (!server.username.is_empty())
            .then(|| (server.username.clone(), server.credential.clone()));
        for text in &server.urls {
            match IceServerUri::parse(text) {
                Ok(uri) => servers.push(Server { uri, credentials: credentials.clone() }),
                Err(error) => log::debug!("server passed over: {error}"),
            }
        }
    }
    servers.truncate(MAX_OFFERED);
    servers
}

/// A TURN server at one of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TurnServer {
    uri: IceServerUri,
    address: SocketAddr,
    credentials: (String, String),
}

impl TurnServer {
    fn is_tcp(&self) -> bool {
        self.uri.service == IceService::TurnOverTcp
    }

    /// Opens a way there from an address of this rover, and over UDP asks for a relay at once; a TCP
    /// connection has this number in what it tells. `None` where the system gives no further socket.
    fn open(
        &self,
        number: u64,
        local: SocketAddr,
        sockets: &mut Sockets,
        told: &Told,
        now: Instant,
    ) -> Option<(Way, Option<Relay>)> {
        if self.is_tcp() {
            let from = (local, sockets.tied_to(local));
            return Some((
                Way::Stream(Stream::open(number, from, self.address, told.clone())),
                None,
            ));
        }
        let socket = sockets.open_further(local)?;
        Some((Way::Socket(socket), Some(self.relay(socket, now))))
    }

    /// Asks for a relay, by a socket or a TCP connection with this address here.
    fn relay(&self, local: SocketAddr, now: Instant) -> Relay {
        Relay::new(local, self.address, self.is_tcp(), &self.credentials, now)
    }
}

/// One address of this rover.
#[derive(Debug)]
struct Host {
    interface: NetworkInterface,
    reflexive: Reflexive,
    /// The TURN server that is asked next: its number in the list.
    next: usize,
    /// Servers in a row that lent nothing.
    failures: u32,
    /// When the next one may be asked.
    due: Instant,
}

/// The way to a TURN server.
#[derive(Debug)]
enum Way {
    Socket(SocketAddr),
    Stream(Stream),
}

/// One allocation, wanted or had.
#[derive(Debug)]
struct Lease {
    /// The address of this rover that it is for.
    host: SocketAddr,
    server: TurnServer,
    way: Way,
    /// `None` until a TCP connection is there.
    relay: Option<Relay>,
    /// How the socket is seen by the server.
    reflexive: Reflexive,
    /// The address lent that has been told.
    told: Option<SocketAddr>,
    /// Is another one to take its place?
    is_outdated: bool,
    /// When it is given back.
    ends: Option<Instant>,
}

/// All servers, and what they do.
pub(super) struct Servers {
    configured: Vec<Server>,
    offered: Vec<Server>,
    resolver: Resolver,
    hosts: BTreeMap<SocketAddr, Host>,
    leases: BTreeMap<u64, Lease>,
    by_socket: BTreeMap<SocketAddr, u64>,
    by_relayed: BTreeMap<SocketAddr, u64>,
    next_lease: u64,
    told: Told,
    telling: mpsc::Receiver<(u64, FromStream)>,
    arrived: VecDeque<(u64, FromStream)>,
    due: Instant,
    is_changed: bool,
}

impl Servers {
    /// With the servers of the configuration, and username and credential for TURN.
    pub(super) fn new(
        uris: &[IceServerUri],
        turn: Option<&(String, String)>,
        now: Instant,
    ) -> Self {
        let configured = configured(uris, turn).into_iter().filter(is_of_use).collect();
        let (told, telling) = mpsc::channel(QUEUE);
        Self {
            configured,
            offered: Vec::new(),
            resolver: Resolver::default(),
            hosts: BTreeMap::new(),
            leases: BTreeMap::new(),
            by_socket: BTreeMap::new(),
            by_relayed: BTreeMap::new(),
            next_lease: 0,
            told,
            telling,
            arrived: VecDeque::new(),
            due: now,
            is_changed: false,
        }
    }

    /// Takes what the signaling server offers, in place of what it offered before.
    pub(super) fn set_offered(&mut self, offered: &[message::IceServer], now: Instant) {
        let mut servers = self::offered(offered);
        servers.retain(is_of_use);
        if servers == self.offered {
            return;
        }
        self.offered = servers;
        let known = self.turn_servers(now);
        for lease in self.leases.values_mut() {
            lease.is_outdated |= !known.contains(&lease.server);
        }
        for host in self.hosts.values_mut() {
            (host.failures, host.due) = (0, now);
            host.reflexive.doubt(now, now);
        }
        self.due = now;
    }

    /// Takes the rover's own addresses.
    pub(super) fn set_hosts(
        &mut self,
        hosts: &BTreeMap<SocketAddr, NetworkInterface>,
        sockets: &mut Sockets,
        now: Instant,
    ) {
        self.hosts.retain(|address, _| hosts.contains_key(address));
        self.remove(|lease| !hosts.contains_key(&lease.host), sockets, now);
        for (address, interface) in hosts {
            let new = || Host {
                interface: interface.clone(),
                reflexive: Reflexive::new(now),
                next: 0,
                failures: 0,
                due: now,
            };
            let host = self.hosts.entry(*address).or_insert_with(new);
            if interface.carrier && !host.interface.carrier {
                (host.failures, host.due) = (0, now);
                host.reflexive.doubt(now, now);
            }
            host.interface.clone_from(interface);
        }
        self.is_changed = true;
        self.due = now;
    }

    /// Has anything changed since the last call that [`Servers::addresses`] tells?
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// All addresses by which the rover can be reached.
    pub(super) fn addresses(&self) -> BTreeMap<SocketAddr, LocalAddress> {
        let own = self.hosts.iter().map(|(address, host)| {
            let reflexive = host.reflexive.seen().filter(|seen| seen != address);
            (*address, LocalAddress { reflexive, ..host.interface.clone().into() })
        });
        let lent = self.leases.values().filter_map(|lease| {
            let interface = self.hosts.get(&lease.host)?.interface.clone();
            let kind = CandidateKind::Relay;
            Some((lease.told?, LocalAddress { interface, kind, reflexive: None }))
        });
        own.chain(lent).collect()
    }

    /// Does what is due; returns when there will be more.
    pub(super) fn work(&mut self, sockets: &mut Sockets, now: Instant) -> Instant {
        if now < self.due {
            return self.due;
        }
        let stun = self.stun_servers(now);
        for (local, host) in self.hosts.iter_mut().filter(|(_, host)| host.interface.carrier) {
            let servers: Vec<_> = of_family(&stun, *local).collect();
            if let Some((destination, contents)) = host.reflexive.poll(&servers, now) {
                sockets.send(&Transmit { source: *local, destination, contents });
            }
        }
        self.ask_for_relays(sockets, now);
        self.tend_leases(sockets, now);
        self.due = self.next_due(now);
        self.due
    }

    /// Takes a datagram, if it is a server's; what a peer has sent by a relay goes to `deliver`, with
    /// the address lent and the peer's.
    pub(super) fn handle_datagram(
        &mut self,
        local: SocketAddr,
        datagram: &[u8],
        now: Instant,
        deliver: impl FnOnce(SocketAddr, SocketAddr, &[u8]),
    ) -> bool {
        if let Some(lease) = self.by_socket.get(&local).and_then(|at| self.leases.get_mut(at)) {
            let before = lease.reflexive.seen();
            if lease.reflexive.handle_answer(datagram, now) {
                // Seen elsewhere than before, it is a stranger to the server.
                lease.is_outdated |= before.is_some() && before != lease.reflexive.seen();
                if lease.is_outdated {
                    lease.ends = Some(now);
                    if let Some(host) = self.hosts.get_mut(&lease.host) {
                        host.due = now;
                    }
                }
                self.due = now;
                return true;
            }
            self.due = self.due.min(lease.take(datagram, now, deliver));
            return true;
        }
        // Answers to questions are told by their first byte; those of peers to checks of ICE as well.
        if datagram.first() != Some(&1) {
            return false;
        }
        let Some(host) = self.hosts.get_mut(&local) else { return false };
        let before = host.reflexive.seen();
        let is_answer = host.reflexive.handle_answer(datagram, now);
        if is_answer && host.reflexive.seen() != before {
            if let Some(seen) = host.reflexive.seen() {
                log::info!("seen from outside: address={local} as={seen}");
            }
            self.is_changed = true;
        }
        is_answer
    }

    /// Sends a datagram, by a relay if its source is an address lent.
    pub(super) fn send(&mut self, transmit: Transmit, sockets: &mut Sockets, now: Instant) {
        let lease = self.by_relayed.get(&transmit.source);
        let Some(lease) = lease.and_then(|number| self.leases.get_mut(number)) else {
            sockets.send(&transmit);
            return;
        };
        let Some(relay) = &mut lease.relay else { return };
        let wrapped = relay.wrap(transmit.destination, &transmit.contents, now);
        self.due = self.due.min(relay.due());
        if let Some(contents) = wrapped {
            put_out(&lease.way, lease.server.address, contents, sockets);
        }
    }

    /// Waits for what does not come as a datagram.
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            () = self.resolver.wait() => {}
            Some(told) = self.telling.recv() => {
                self.arrived.push_back(told);
                let more = std::iter::from_fn(|| self.telling.try_recv().ok());
                self.arrived.extend(more.take(MAX_AT_ONCE - 1));
            }
        }
    }

    /// Takes what [`Servers::wait`] has waited for.
    pub(super) fn take(
        &mut self,
        sockets: &mut Sockets,
        now: Instant,
        mut deliver: impl FnMut(SocketAddr, SocketAddr, &[u8]),
    ) {
        self.due = now;
        while let Some((number, told)) = self.arrived.pop_front() {
            let Some(lease) = self.leases.get_mut(&number) else { continue };
            match told {
                FromStream::Connected(local) => lease.relay = Some(lease.server.relay(local, now)),
                FromStream::Unit(unit) => {
                    lease.take(&unit, now, &mut deliver);
                }
                FromStream::Closed(reason) => {
                    log::debug!("TURN server: uri={}: {reason}", lease.server.uri);
                    self.lose(number, sockets, now);
                }
            }
        }
    }

    /// Gives all back.
    pub(super) fn end(&mut self, sockets: &mut Sockets, now: Instant) {
        self.remove(|_| true, sockets, now);
    }

    fn servers(&self) -> Vec<Server> {
        self.configured.iter().chain(&self.offered).cloned().collect()
    }

    /// TURN servers over UDP are STUN servers too.
    fn stun_servers(&mut self, now: Instant) -> Vec<SocketAddr> {
        let servers = self.servers().into_iter();
        let over_udp = servers.filter(|server| server.uri.service != IceService::TurnOverTcp);
        over_udp.flat_map(|server| self.resolver.addresses(&server.uri, now)).collect()
    }

    fn turn_servers(&mut self, now: Instant) -> Vec<TurnServer> {
        let mut found = Vec::new();
        for Server { uri, credentials } in self.servers() {
            let Some(credentials) = credentials.filter(|_| uri.service != IceService::Stun) else {
                continue;
            };
            for address in self.resolver.addresses(&uri, now) {
                let (uri, credentials) = (uri.clone(), credentials.clone());
                found.push(TurnServer { uri, address, credentials });
            }
        }
        found
    }

    /// Asks for an address for each of the rover's that has none.
    fn ask_for_relays(&mut self, sockets: &mut Sockets, now: Instant) {
        let servers = self.turn_servers(now);
        for (local, host) in &mut self.hosts {
            if now < host.due || !host.interface.carrier {
                continue;
            }
            host.due = now + LONGEST_WAIT;
            let of_family = |server: &&TurnServer| server.address.is_ipv4() == local.is_ipv4();
            let servers: Vec<_> = servers.iter().filter(of_family).collect();
            let mut leases = self.leases.values().filter(|lease| lease.host == *local);
            let asked = leases.clone().filter(|lease| lease.told.is_none()).count();
            let is_served = leases.any(|lease| lease.told.is_some() && !lease.is_outdated);
            if is_served || asked >= servers.len() {
                continue;
            }
            host.due = now + HEAD_START;
            let server = servers[host.next % servers.len()].clone();
            host.next = host.next.wrapping_add(1);
            let number = self.next_lease;
            let opened = server.open(number, *local, sockets, &self.told, now);
            let Some((way, relay)) = opened else { continue };
            if let Way::Socket(socket) = way {
                self.by_socket.insert(socket, number);
            }
            self.next_lease += 1;
            let lease = Lease {
                host: *local,
                server,
                way,
                relay,
                reflexive: Reflexive::new(now),
                told: None,
                is_outdated: false,
                ends: None,
            };
            self.leases.insert(number, lease);
        }
    }

    fn tend_leases(&mut self, sockets: &mut Sockets, now: Instant) {
        let (mut lost, mut replaced) = (Vec::new(), Vec::new());
        for (number, lease) in &mut self.leases {
            lease.ask_where_it_is_seen(sockets, now);
            let Some(relay) = &mut lease.relay else { continue };
            for contents in relay.poll(now) {
                put_out(&lease.way, lease.server.address, contents, sockets);
            }
            // Some TURN servers answer no such questions at all.
            let is_unheard = lease.reflexive.seen().is_some() && lease.reflexive.is_unanswered(1);
            if relay.is_over() || is_unheard || lease.ends.is_some_and(|at| now >= at) {
                lost.push(*number);
            } else if lease.told != relay.relayed() {
                lease.told = relay.relayed();
                if let Some(relayed) = lease.told {
                    let (host, uri) = (lease.host, &lease.server.uri);
                    log::info!("relay: address={host} relayed={relayed} server={uri}");
                    self.by_relayed.insert(relayed, *number);
                    replaced.push((host, *number));
                }
                self.is_changed = true;
            }
        }
        for (host, number) in replaced {
            if let Some(host) = self.hosts.get_mut(&host) {
                (host.failures, host.next, host.due) = (0, 0, now + LONGEST_WAIT);
            }
            let others = self.leases.iter_mut().filter(|(other, _)| **other != number);
            for (_, lease) in others.filter(|(_, lease)| lease.host == host) {
                let rest = if lease.told.is_some() { OVERLAP } else { Duration::ZERO };
                lease.ends.get_or_insert(now + rest);
            }
        }
        for number in lost {
            self.lose(number, sockets, now);
        }
    }

    /// Forgets an allocation, and sees to it that there will be another one.
    fn lose(&mut self, number: u64, sockets: &mut Sockets, now: Instant) {
        let Some(lease) = self.leases.get(&number) else { return };
        let (host, was_had, uri) = (lease.host, lease.told.is_some(), lease.server.uri.clone());
        // One that was to end has its successor, or gets it now.
        let is_ended = lease.ends.is_some();
        self.remove_one(number, sockets, now);
        let count = u32::try_from(self.turn_servers(now).len()).unwrap_or(u32::MAX).max(1);
        let Some(host) = self.hosts.get_mut(&host) else { return };
        if was_had {
            log::info!("relay gone: server={uri}");
            (host.failures, host.due) = (0, now);
        }
        if !is_ended && !was_had {
            log::debug!("no relay: server={uri}");
            host.failures = host.failures.saturating_add(1);
            let pause = FIRST_PAUSE.saturating_mul(1 << (host.failures / count).min(8));
            let is_round = host.failures.is_multiple_of(count);
            host.due = if is_round { now + pause.min(LONGEST_PAUSE) } else { now };
            if host.failures == count {
                let name = &host.interface.name;
                log::warn!("no relay: interface={name}: no TURN server lends an address");
            }
        }
        self.due = now;
    }

    fn remove(&mut self, is_meant: impl Fn(&Lease) -> bool, sockets: &mut Sockets, now: Instant) {
        let meant: Vec<_> =
            self.leases.iter().filter(|(_, lease)| is_meant(lease)).map(|(at, _)| *at).collect();
        for number in meant {
            self.remove_one(number, sockets, now);
        }
    }

    fn remove_one(&mut self, number: u64, sockets: &mut Sockets, now: Instant) {
        let Some(lease) = self.leases.remove(&number) else { return };
        if let Some(relay) = lease.relay {
            for contents in relay.end(now) {
                put_out(&lease.way, lease.server.address, contents, sockets);
            }
        }
        if let Way::Socket(socket) = lease.way {
            sockets.flush();
            sockets.close(socket);
            self.by_socket.remove(&socket);
        }
        if let Some(relayed) = lease.told {
            self.by_relayed.remove(&relayed);
            self.is_changed = true;
        }
    }

    fn next_due(&self, now: Instant) -> Instant {
        let reach = self.hosts.values().filter(|host| host.interface.carrier);
        let of_hosts = reach.map(|host| host.reflexive.due().min(host.due.max(now)));
        let of_leases = self.leases.values().map(|lease| lease.due(now));
        let all = of_hosts.chain(of_leases).chain(self.resolver.due());
        all.fold(now + LONGEST_WAIT, Instant::min).max(now + Duration::from_millis(1))
    }
}

impl Lease {
    /// Takes what came from the server; returns when there is something to do.
    fn take(
        &mut self,
        data: &[u8],
        now: Instant,
        deliver: impl FnOnce(SocketAddr, SocketAddr, &[u8]),
    ) -> Instant {
        let Some(relay) = &mut self.relay else { return now + LONGEST_WAIT };
        let told = self.told;
        relay.handle(data, now, |peer, data| {
            if let Some(relayed) = told {
                deliver(relayed, peer, data);
            }
        });
        relay.due()
    }

    /// Keeps the way to the server open, and notices if it has become another one.
    fn ask_where_it_is_seen(&mut self, sockets: &mut Sockets, now: Instant) {
        let Way::Socket(source) = self.way else { return };
        let silent = self.relay.as_ref().and_then(Relay::silent_since);
        if let Some(since) = silent.filter(|since| now >= *since + SILENCE) {
            self.reflexive.doubt(since, now);
        }
        if let Some((destination, contents)) = self.reflexive.poll(&[self.server.address], now) {
            sockets.send(&Transmit { source, destination, contents });
        }
    }

    fn due(&self, now: Instant) -> Instant {
        let of_relay = self.relay.as_ref().map(Relay::due);
        let is_socket = matches!(self.way, Way::Socket(_));
        let of_reflexive = is_socket.then(|| self.reflexive.due());
        let silent = self.relay.as_ref().and_then(Relay::silent_since).filter(|_| is_socket);
        let of_silence = silent.map(|since| (since + SILENCE).max(now + SILENCE / 4));
        let all = [of_relay, of_reflexive, of_silence, self.ends].into_iter().flatten();
        all.fold(now + LONGEST_WAIT, Instant::min)
    }
}

fn put_out(way: &Way, destination: SocketAddr, contents: Vec<u8>, sockets: &mut Sockets) {
    match way {
        Way::Socket(source) => sockets.send(&Transmit { source: *source, destination, contents }),
        Way::Stream(stream) => stream.send(contents),
    }
}

fn of_family(servers: &[SocketAddr], local: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    servers.iter().copied().filter(move |server| server.is_ipv4() == local.is_ipv4())
}

/// TURN servers want a credential.
fn is_of_use(server: &Server) -> bool {
    let is_of_use = server.uri.service == IceService::Stun || server.credentials.is_some();
    if !is_of_use {
        log::warn!(
            "TURN server not used, for it wants ROVER_LINK_TURN_USERNAME and \
             ROVER_LINK_TURN_CREDENTIAL: uri={}",
            server.uri
        );
    }
    is_of_use
}

#[cfg(test)]
mod tests;
