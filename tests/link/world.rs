//! A world of rovers with one clock, one network and one signaling server, all of them virtual.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rover_link::config::{
    Delivery, Durability, HandoverSettings, InterfaceKind, PeerFilter, QueueLimits,
};
use rover_link::link::{
    Command, Event, Fleet, FleetKey, Identity, IncomingLimits, IncomingMessage, NetworkInterface,
    OutgoingMessage, OutgoingRoute, Output, PeerKind, PeerSnapshot, PublisherId, Refusal,
    RefusalReason, RouteId, RouteKind, Signal, Transmit, generate_certificate,
};
use uuid::Uuid;

/// One way through the network.
const NETWORK_DELAY: Duration = Duration::from_millis(10);
/// From a rover to another one through the signaling server.
const SIGNALING_DELAY: Duration = Duration::from_millis(40);

pub(crate) struct World {
    pub(crate) now: Instant,
    rovers: BTreeMap<String, Rover>,
    asleep: BTreeMap<String, Rover>,
    /// Who is registered; `None` while the server is down.
    registered: Option<BTreeMap<String, Uuid>>,
    /// By the moment of arrival, and in the order of sending.
    in_flight: BTreeMap<(Instant, u64), InFlight>,
    sent: u64,
    random: fastrand::Rng,
    /// Ratio of datagrams that get lost.
    pub(crate) loss: f64,
    /// A network whose datagrams all get lost.
    pub(crate) closed: Option<u8>,
    /// Datagrams take up to so much longer, each its own time, so that they overtake each other.
    pub(crate) jitter: Duration,
    /// Datagrams to the rover of this id take so much longer.
    pub(crate) detour: Option<(&'static str, Duration)>,
    /// Changes signals on their way.
    pub(crate) tamper: fn(Signal) -> Signal,
    /// Datagrams of the network that an attacker has overheard, while he listens.
    pub(crate) overheard: Option<Vec<Transmit>>,
    /// All signals that were sent.
    pub(crate) signals: Vec<Signal>,
}

struct Rover {
    fleet: Fleet,
    instance: Uuid,
    /// Never empty.
    addresses: Vec<SocketAddr>,
    wake: Instant,
    events: Vec<Event>,
    delivered: Vec<IncomingMessage>,
    limit: Option<u32>,
    again: bool,
}

enum InFlight {
    Datagram(Transmit),
    Signal { from: String, instance: Uuid, to: String, signal: Signal },
}

/// How a rover is set up.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) key: Option<&'static str>,
    pub(crate) peers: PeerFilter,
    pub(crate) pins: BTreeMap<String, String>,
    /// Largest message that its application accepts; `None` refuses every route.
    pub(crate) limit: Option<u32>,
    /// Has its application no place for what it got before?
    pub(crate) again: bool,
    /// Local addresses, each of which reaches each of the peers'.
    pub(crate) addresses: u8,
    /// The network that data prefers; 0 is the first address.
    pub(crate) preferred: Option<u8>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            key: Some("secret"),
            peers: PeerFilter::All,
            pins: BTreeMap::new(),
            limit: Some(1 << 20),
            again: false,
            addresses: 1,
            preferred: None,
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Instant::now(),
            rovers: BTreeMap::new(),
            asleep: BTreeMap::new(),
            registered: Some(BTreeMap::new()),
            in_flight: BTreeMap::new(),
            sent: 0,
            random: fastrand::Rng::with_seed(seed),
            loss: 0.0,
            closed: None,
            jitter: Duration::ZERO,
            detour: None,
            tamper: |signal| signal,
            overheard: None,
            signals: Vec::new(),
        }
    }

    /// Starts a rover; one of the same id is killed without a word.
    pub(crate) fn start(&mut self, id: &str, setup: &Setup) {
        let number = self.random.u32(..);
        let (port, host) = (self.random.u16(1024..), id.bytes().next_back().unwrap());
        let addresses: Vec<_> = (0..setup.addresses)
            .map(|network| SocketAddr::from(([10, 0, network, host], port)))
            .collect();
        let instance = Uuid::from_u128(self.random.u128(..));
        let identity = Identity {
            rover_id: id.to_owned(),
            instance,
            epoch: number,
            certificate: generate_certificate().unwrap(),
            fleet_key: setup.key.map(|key| FleetKey::new(key.as_bytes())),
            peers: setup.peers.clone(),
            peer_fingerprints: setup.pins.clone(),
        };
        let mut fleet = Fleet::new(identity, HandoverSettings::default(), number.into(), self.now);
        let interface = |network: usize| NetworkInterface {
            name: format!("eth{network}"),
            kind: InterfaceKind::Ethernet,
            preference: setup.preferred.map_or(0, |of| u8::from(usize::from(of) != network)),
            metered: false,
            carrier: true,
            signal_strength: None,
        };
        let table =
            addresses.iter().enumerate().map(|(at, address)| (*address, interface(at).into()));
        fleet.handle_addresses(table.collect(), self.now);
        let rover = Rover {
            fleet,
            instance,
            addresses,
            wake: self.now,
            events: Vec::new(),
            delivered: Vec::new(),
            limit: setup.limit,
            again: setup.again,
        };
        self.kill(id);
        self.rovers.insert(id.to_owned(), rover);
        self.register(id);
    }

    /// Ends a rover; neither its peers nor the signaling server hear of it from the rover itself.
    pub(crate) fn kill(&mut self, id: &str) {
        self.rovers.remove(id);
        if let Some(registered) = &mut self.registered
            && registered.remove(id).is_some()
        {
            for other in self.rovers.values_mut() {
                other.fleet.handle_left(id);
            }
        }
    }

    /// Suspends a rover: it does nothing, and what is sent to it is lost.
    pub(crate) fn put_to_sleep(&mut self, id: &str) {
        self.asleep.extend(self.rovers.remove_entry(id));
    }

    /// Ends the sleep of a rover, whose clock has gone on.
    pub(crate) fn wake_up(&mut self, id: &str) {
        let (id, rover) = self.asleep.remove_entry(id).unwrap();
        self.rovers.insert(id, Rover { wake: self.now, ..rover });
    }

    /// A rover may reach again what it could not.
    pub(crate) fn tell_reachable(&mut self, id: &str) {
        self.rovers.get_mut(id).unwrap().fleet.handle_reachable(self.now);
        self.drain(id);
    }

    /// Ends a rover in order.
    pub(crate) fn stop(&mut self, id: &str) {
        let now = self.now;
        self.rovers.get_mut(id).unwrap().fleet.close(now);
        self.drain(id);
        self.kill(id);
    }

    pub(crate) fn signaling_down(&mut self) {
        self.registered = None;
    }

    pub(crate) fn signaling_up(&mut self) {
        self.registered = Some(BTreeMap::new());
        for id in self.rovers.keys().cloned().collect::<Vec<_>>() {
            self.register(&id);
        }
    }

    /// The way from a rover to the signaling server breaks, and nobody hears of it.
    pub(crate) fn sign_out(&mut self, id: &str) {
        self.registered.as_mut().unwrap().remove(id);
    }

    /// A rover is back at the signaling server.
    pub(crate) fn sign_in(&mut self, id: &str) {
        self.register(id);
    }

    fn register(&mut self, id: &str) {
        let Some(registered) = &mut self.registered else { return };
        let instance = self.rovers[id].instance;
        let present: Vec<_> =
            registered.iter().map(|(id, at)| (id.clone(), *at, PeerKind::Rover)).collect();
        registered.insert(id.to_owned(), instance);
        for (other, rover) in &mut self.rovers {
            if other == id {
                rover.fleet.handle_present(&present, self.now);
            } else {
                rover.fleet.handle_joined(id, instance, PeerKind::Rover, self.now);
            }
        }
        self.drain_all();
    }

    /// Offers a topic under the number that is also its name: `/0`, `/1`, …
    pub(crate) fn offer(&mut self, id: &str, number: u16, history: usize) {
        self.offer_with(id, number, history, Delivery::Reliable);
    }

    pub(crate) fn offer_with(&mut self, id: &str, number: u16, history: usize, delivery: Delivery) {
        let mut route =
            OutgoingRoute { history, ..crate::routes::reliable(&format!("/t{number}")) };
        route.offer.delivery = delivery;
        if history > 0 {
            route.offer.qos.durability = Durability::TransientLocal;
        }
        let command = Command::OfferRoute { id: RouteId(number), route };
        self.rovers.get_mut(id).unwrap().fleet.handle_command(command, self.now);
        self.drain(id);
    }

    pub(crate) fn publish(&mut self, id: &str, number: u16, data: impl Into<Bytes>) {
        self.publish_compressed(id, number, data.into(), None);
    }

    pub(crate) fn publish_compressed(
        &mut self,
        id: &str,
        number: u16,
        data: Bytes,
        compressed: Option<Bytes>,
    ) {
        let (route, publisher) = (RouteId(number), PublisherId(1));
        self.hand_over(id, OutgoingMessage { id: route, publisher, number: 0, data, compressed });
    }

    /// Hands a message of a local topic to the core.
    pub(crate) fn hand_over(&mut self, id: &str, message: OutgoingMessage) {
        let now = self.now;
        self.rovers.get_mut(id).unwrap().fleet.handle_message(message, now);
        self.drain(id);
    }

    /// Sends a message of a route to one peer alone.
    pub(crate) fn respond(&mut self, id: &str, to: &str, number: u16, data: impl Into<Bytes>) {
        let (route, publisher) = (RouteId(number), PublisherId(0));
        let data = data.into();
        let message = OutgoingMessage { id: route, publisher, number: 0, data, compressed: None };
        let now = self.now;
        self.rovers.get_mut(id).unwrap().fleet.handle_message_for(to, message, now);
        self.drain(id);
    }

    pub(crate) fn command(&mut self, id: &str, command: Command) {
        self.rovers.get_mut(id).unwrap().fleet.handle_command(command, self.now);
        self.drain(id);
    }

    /// Throws a datagram at a rover.
    pub(crate) fn inject(&mut self, id: &str, from: SocketAddr, contents: &[u8]) {
        let (now, rover) = (self.now, self.rovers.get_mut(id).unwrap());
        rover.fleet.handle_datagram(rover.addresses[0], from, contents, now);
        self.drain(id);
    }

    /// A signaling server that says something in another rover's name.
    pub(crate) fn signal_from(&mut self, from: &str, to: &str, signal: Signal) {
        let (instance, now) = (self.rovers[from].instance, self.now);
        self.rovers.get_mut(to).unwrap().fleet.handle_signal(from, instance, signal, now);
        self.drain(to);
    }

    /// Cuts the network, or mends it.
    pub(crate) fn cut(&mut self, cut: bool) {
        self.loss = if cut { 1.0 } else { 0.0 };
    }

    pub(crate) fn address(&self, id: &str) -> SocketAddr {
        self.rovers[id].addresses[0]
    }

    pub(crate) fn has_address(&self, id: &str, address: SocketAddr) -> bool {
        self.rovers[id].addresses.contains(&address)
    }

    /// The events of a rover so far, but the offers of routes.
    pub(crate) fn events(&self, id: &str) -> &[Event] {
        &self.rovers[id].events
    }

    pub(crate) fn is_connected(&self, id: &str, peer: &str) -> bool {
        let mut connected = false;
        for event in self.events(id) {
            match event {
                Event::PeerConnected { peer: of } if of == peer => connected = true,
                Event::PeerDisconnected { peer: of, .. } if of == peer => connected = false,
                _ => {}
            }
        }
        connected
    }

    /// Why a rover refused a peer, if it did.
    pub(crate) fn refusal(&self, id: &str, peer: &str) -> Option<&str> {
        self.events(id).iter().find_map(|event| match event {
            Event::PeerRefused { peer: of, reason } if of == peer => Some(reason.as_str()),
            _ => None,
        })
    }

    /// Which of the messages that a rover's application got were compressed.
    pub(crate) fn compressed(&self, id: &str) -> Vec<bool> {
        self.rovers[id].delivered.iter().map(|message| message.is_compressed).collect()
    }

    /// What the messages are that a rover's application got.
    pub(crate) fn kinds(&self, id: &str) -> Vec<RouteKind> {
        self.rovers[id].delivered.iter().map(|message| message.kind).collect()
    }

    /// What a rover's application got so far: sender, topic, data.
    pub(crate) fn delivered(&self, id: &str) -> Vec<(&str, &str, &[u8])> {
        self.rovers[id]
            .delivered
            .iter()
            .map(|message| (message.peer.as_str(), &*message.topic, &message.data[..]))
            .collect()
    }

    /// Who published the messages that a rover's application got, and their numbers there.
    pub(crate) fn origins(&self, id: &str) -> Vec<Option<(u128, u64)>> {
        let delivered = self.rovers[id].delivered.iter();
        delivered.map(|of| of.origin.map(|origin| (origin.publisher.0, origin.number))).collect()
    }

    /// When a rover thinks that the messages were taken that its application got; a moment of another
    /// rover is one of this clock too.
    pub(crate) fn taken(&self, id: &str) -> Vec<Option<Instant>> {
        self.rovers[id].delivered.iter().map(|message| message.taken).collect()
    }

    pub(crate) fn snapshot(&self, id: &str, peer: &str) -> PeerSnapshot {
        let peers = self.rovers[id].fleet.snapshot(self.now);
        peers.into_iter().find(|snapshot| snapshot.peer == peer).unwrap()
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until something holds; panics if it does not within a minute.
    pub(crate) fn run_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(60);
        while !holds(self) {
            assert!(self.step(end), "not within a minute: {what}");
        }
    }

    /// Goes on to the next thing that happens, if that is before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.in_flight.first_key_value().map(|((at, _), _)| *at);
        let wake = self.rovers.values().map(|rover| rover.wake).min();
        let Some(next) = arrival.into_iter().chain(wake).min().filter(|next| *next <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        if arrival == Some(next) {
            if let Some((_, thing)) = self.in_flight.pop_first() {
                self.arrive(thing);
            }
        } else {
            for rover in self.rovers.values_mut().filter(|rover| rover.wake <= next) {
                rover.fleet.handle_timeout(self.now);
            }
            self.drain_all();
        }
        true
    }

    fn arrive(&mut self, thing: InFlight) {
        match thing {
            InFlight::Datagram(datagram) => {
                let to = self
                    .rovers
                    .iter_mut()
                    .find(|(_, rover)| rover.addresses.contains(&datagram.destination));
                let Some((id, rover)) = to else { return };
                rover.fleet.handle_datagram(
                    datagram.destination,
                    datagram.source,
                    &datagram.contents,
                    self.now,
                );
                let id = id.clone();
                self.drain(&id);
            }
            InFlight::Signal { from, instance, to, signal } => {
                let registered = self.registered.as_ref().is_some_and(|at| at.contains_key(&to));
                if registered && let Some(rover) = self.rovers.get_mut(&to) {
                    rover.fleet.handle_signal(&from, instance, signal, self.now);
                    self.drain(&to);
                }
            }
        }
    }

    fn drain_all(&mut self) {
        for id in self.rovers.keys().cloned().collect::<Vec<_>>() {
            self.drain(&id);
        }
    }

    /// Takes all that a rover puts out.
    fn drain(&mut self, id: &str) {
        loop {
            let rover = self.rovers.get_mut(id).unwrap();
            match rover.fleet.poll_output(self.now) {
                Output::Timeout(at) => {
                    rover.wake = at;
                    return;
                }
                Output::Transmit(transmit) => {
                    if let Some(overheard) = &mut self.overheard {
                        overheard.push(transmit.clone());
                    }
                    let is_closed = self.closed.is_some_and(|network| {
                        matches!(transmit.destination.ip(), IpAddr::V4(ip) if ip.octets()[2] == network)
                    });
                    if self.random.f64() >= self.loss && !is_closed {
                        let detour = self.detour.filter(|(to, _)| {
                            self.rovers[*to].addresses.contains(&transmit.destination)
                        });
                        let detour = detour.map_or(Duration::ZERO, |(_, detour)| detour);
                        let jitter = self.jitter.mul_f64(self.random.f64());
                        let delay = NETWORK_DELAY + detour + jitter;
                        self.send(delay, InFlight::Datagram(transmit));
                    }
                }
                Output::Signal { to, signal } => {
                    let instance = rover.instance;
                    self.signals.push(signal.clone());
                    if self.registered.as_ref().is_some_and(|at| at.contains_key(id)) {
                        let (from, signal) = (id.to_owned(), (self.tamper)(signal));
                        self.send(SIGNALING_DELAY, InFlight::Signal { from, instance, to, signal });
                    }
                }
                Output::Event(Event::RouteOffered { peer, id, offer: _ }) => {
                    let answer = rover.limit.map_or_else(
                        || {
                            Err(Refusal {
                                reason: RefusalReason::NotAccepted,
                                text: "no".to_owned(),
                            })
                        },
                        |max_message_size| {
                            Ok(IncomingLimits {
                                queue: QueueLimits::default(),
                                max_message_size,
                                again: rover.again,
                            })
                        },
                    );
                    rover.fleet.handle_command(Command::AnswerRoute { peer, id, answer }, self.now);
                }
                Output::Event(event) => rover.events.push(event),
                Output::IncomingOpened { .. } => {}
                Output::Deliver(message) => rover.delivered.push(message),
            }
        }
    }

    fn send(&mut self, delay: Duration, thing: InFlight) {
        self.sent += 1;
        self.in_flight.insert((self.now + delay, self.sent), thing);
    }
}
