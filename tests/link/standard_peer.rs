//! Rovers and a standard WebRTC peer: a plain `Rtc` that knows the documented messages and nothing
//! else of this project.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rover_link::config::{HandoverSettings, InterfaceKind, PeerFilter, Priority, QueueLimits};
use rover_link::link::{
    CallTerms, Command, Event, Fleet, FleetKey, HandoverPhase, HandoverReason, Identity,
    IncomingLimits, LocalAddress, NetworkInterface, OutgoingMessage, OutgoingRoute, Output,
    PeerKind, PeerSnapshot, PeerState, PublisherId, RouteId, RouteKind, Signal, Transmit,
    generate_certificate,
};
use rover_link::wire::{FRAGMENT_LEN, Fragment, Header, Place};
use serde_json::json;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Rtc, RtcConfig};
use uuid::Uuid;

const ROVER: &str = "m";
/// One way, by network.
const DELAYS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(30)];
const SIGNALING_DELAY: Duration = Duration::from_millis(40);
const PERIOD: Duration = Duration::from_millis(50);

fn address(network: usize, host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, u8::try_from(network).unwrap(), host], 5_000))
}

fn network_of(address: SocketAddr) -> u8 {
    let SocketAddr::V4(address) = address else { panic!("IPv4 only: {address}") };
    address.ip().octets()[2]
}

/// A WebRTC peer as any other: one `Rtc`, two addresses.
struct Standard {
    id: &'static str,
    instance: Uuid,
    rtc: Rtc,
    pending: Option<SdpPendingOffer>,
    channel: Option<ChannelId>,
    wake: Instant,
    /// Names that the rover offered.
    offered: Vec<String>,
    /// Routes that the rover accepted.
    accepted: BTreeSet<u64>,
    /// Routes that the rover refused.
    refused: BTreeSet<u64>,
    sequence: u64,
    /// When each message came.
    received: Vec<(Instant, Vec<u8>)>,
}

impl Standard {
    fn new(id: &'static str, now: Instant) -> Self {
        let mut rtc = RtcConfig::new().clear_codecs().build(now);
        for network in 0..DELAYS.len() {
            rtc.add_local_candidate(Candidate::host(address(network, 2), "udp").unwrap());
        }
        Self {
            id,
            instance: Uuid::from_u128(2),
            rtc,
            pending: None,
            channel: None,
            wake: now,
            offered: Vec::new(),
            accepted: BTreeSet::new(),
            refused: BTreeSet::new(),
            sequence: 0,
            received: Vec::new(),
        }
    }

    fn fingerprint(&mut self) -> String {
        self.rtc.direct_api().local_dtls_fingerprint().to_string()
    }

    fn offer(&mut self) -> Signal {
        let mut changes = self.rtc.sdp_api();
        let config = ChannelConfig { label: "rover_link".to_owned(), ..ChannelConfig::default() };
        self.channel = Some(changes.add_channel_with_config(config));
        let (offer, pending) = changes.apply().unwrap();
        self.pending = Some(pending);
        Signal::Offer(offer.to_sdp_string())
    }

    fn handle_signal(&mut self, signal: Signal) -> Option<Signal> {
        match signal {
            Signal::Offer(sdp) => {
                let offer = SdpOffer::from_sdp_string(&sdp).unwrap();
                let answer = self.rtc.sdp_api().accept_offer(offer).unwrap();
                Some(Signal::Answer(answer.to_sdp_string()))
            }
            Signal::Answer(sdp) => {
                let answer = SdpAnswer::from_sdp_string(&sdp).unwrap();
                let pending = self.pending.take().unwrap();
                self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
                None
            }
            Signal::Candidate(text) => {
                let text = text.trim_start_matches("a=");
                self.rtc.add_remote_candidate(Candidate::from_sdp_string(text).unwrap());
                None
            }
            Signal::RestartRequest => {
                let mut changes = self.rtc.sdp_api();
                changes.ice_restart(true);
                let (offer, pending) = changes.apply().unwrap();
                self.pending = Some(pending);
                Some(Signal::Offer(offer.to_sdp_string()))
            }
            Signal::Hangup(_) => None,
        }
    }

    fn handle_text(&mut self, text: &[u8]) {
        let control: serde_json::Value = serde_json::from_slice(text).unwrap();
        match control["type"].as_str() {
            Some("route") => {
                self.offered.push(control["topic"].as_str().unwrap().to_owned());
                let (id, revision) = (&control["id"], &control["revision"]);
                let answer = json!({"type": "route_accepted", "id": id, "revision": revision});
                self.write(false, answer.to_string().as_bytes());
                let offer = json!({
                    "type": "route", "id": 7, "revision": 1, "topic": "/s/chatter",
                    "ros_type": "std_msgs/msg/String", "type_hash": "RIHS01_0",
                    "delivery": "reliable",
                    "qos": {"reliability": "reliable", "durability": "volatile",
                            "history": "keep_last", "depth": 10},
                });
                self.write(false, offer.to_string().as_bytes());
                let mut call = offer;
                (call["id"], call["kind"]) = (json!(8), json!("call"));
                self.write(false, call.to_string().as_bytes());
            }
            Some("route_accepted") => {
                self.accepted.insert(control["id"].as_u64().unwrap());
            }
            Some("route_refused") => {
                self.refused.insert(control["id"].as_u64().unwrap());
            }
            other => panic!("a standard peer does not understand {other:?}"),
        }
    }

    fn write(&mut self, is_binary: bool, data: &[u8]) {
        let mut channel = self.rtc.channel(self.channel.unwrap()).unwrap();
        assert!(channel.write(is_binary, data).unwrap(), "there is room for what a test sends");
    }

    fn publish(&mut self, data: &[u8]) {
        self.sequence += 1;
        let length = u32::try_from(data.len()).unwrap();
        let (sequence, is_compressed) = (self.sequence, false);
        let header = Header { epoch: 0, sequence, taken: 0, length, is_compressed, origin: None };
        let mut bytes = Vec::new();
        Fragment::of(data, 0, 7, header, FRAGMENT_LEN).encode(&mut bytes);
        self.write(true, &bytes);
    }

    /// Takes all that the connection puts out; returns the datagrams.
    fn drain(&mut self, now: Instant) -> Vec<Transmit> {
        let mut datagrams = Vec::new();
        loop {
            match self.rtc.poll_output().unwrap() {
                str0m::Output::Timeout(at) => {
                    self.wake = at;
                    return datagrams;
                }
                str0m::Output::Transmit(transmit) => datagrams.push(Transmit {
                    source: transmit.source,
                    destination: transmit.destination,
                    contents: transmit.contents.into(),
                }),
                str0m::Output::Event(str0m::Event::ChannelOpen(id, label)) => {
                    assert_eq!(label, "rover_link");
                    self.channel = Some(id);
                }
                str0m::Output::Event(str0m::Event::ChannelData(data)) if data.binary => {
                    let fragment = Fragment::decode(&data.data).unwrap();
                    let Place::First(header) = &fragment.place else {
                        panic!("the messages of this test fit one fragment")
                    };
                    assert!(!header.is_compressed, "it may know nothing of that");
                    self.received.push((now, fragment.payload.to_vec()));
                }
                str0m::Output::Event(str0m::Event::ChannelData(data)) => {
                    self.handle_text(&data.data);
                }
                str0m::Output::Event(_) => {}
            }
        }
    }
}

enum InFlight {
    Datagram(Transmit),
    ToRover(Signal),
    ToStandard(Signal),
}

/// A rover and a standard peer on two networks.
struct Stage {
    now: Instant,
    fleet: Fleet,
    wake: Instant,
    standard: Standard,
    in_flight: BTreeMap<(Instant, u64), InFlight>,
    sent: u64,
    /// Networks that swallow everything.
    cut: BTreeSet<u8>,
    events: Vec<Event>,
    /// ICE restarts that the standard peer was told of.
    restarts: usize,
    received: Vec<(Instant, Vec<u8>)>,
}

impl Stage {
    /// A rover and a standard peer of this id: the smaller id offers.
    fn new(
        id: &'static str,
        key: Option<&str>,
        pin: impl FnOnce(&mut Standard) -> Option<String>,
    ) -> Self {
        let now = Instant::now();
        let mut standard = Standard::new(id, now);
        let identity = Identity {
            rover_id: ROVER.to_owned(),
            instance: Uuid::from_u128(1),
            epoch: 1,
            certificate: generate_certificate().unwrap(),
            fleet_key: key.map(|key| FleetKey::new(key.as_bytes())),
            peers: PeerFilter::All,
            peer_fingerprints: pin(&mut standard)
                .map(|pin| (id.to_owned(), pin))
                .into_iter()
                .collect(),
        };
        let mut fleet = Fleet::new(identity, HandoverSettings::default(), 1, now);
        let mut stage_addresses = BTreeMap::new();
        for network in 0..DELAYS.len() {
            stage_addresses.insert(address(network, 1), interface(network, true));
        }
        fleet.handle_addresses(stage_addresses, now);
        fleet.handle_command(Command::OfferRoute { id: RouteId(1), route: route() }, now);
        fleet.handle_command(Command::OfferRoute { id: RouteId(2), route: service() }, now);
        fleet.handle_joined(id, standard.instance, PeerKind::Standard, now);
        let mut stage = Self {
            now,
            fleet,
            wake: now,
            standard,
            in_flight: BTreeMap::new(),
            sent: 0,
            cut: BTreeSet::new(),
            events: Vec::new(),
            restarts: 0,
            received: Vec::new(),
        };
        if id < ROVER {
            let offer = stage.standard.offer();
            stage.send(SIGNALING_DELAY, InFlight::ToRover(offer));
        }
        stage.drain();
        stage
    }

    fn connected(id: &'static str) -> Self {
        let mut stage = Self::new(id, None, |_| None);
        stage.run_until("routes are open both ways", |stage| stage.is_open());
        stage
    }

    fn is_open(&self) -> bool {
        let opened = |event: &Event| matches!(event, Event::RouteOpened { .. });
        self.standard.accepted.contains(&7) && self.events.iter().any(opened)
    }

    fn send(&mut self, delay: Duration, thing: InFlight) {
        self.sent += 1;
        self.in_flight.insert((self.now + delay, self.sent), thing);
    }

    fn transmit(&mut self, transmit: Transmit) {
        let network = network_of(transmit.source);
        if network == network_of(transmit.destination) && !self.cut.contains(&network) {
            self.send(DELAYS[usize::from(network)], InFlight::Datagram(transmit));
        }
    }

    fn run_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(60);
        while !holds(self) {
            assert!(self.step(end), "not within a minute: {what}");
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets both sides publish for so long; messages are numbered.
    fn publish_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let number = self.standard.sequence + 1;
            let data = number.to_be_bytes();
            let message = OutgoingMessage {
                id: RouteId(1),
                publisher: PublisherId(1),
                number: 0,
                data: data.to_vec().into(),
                compressed: Some(b"a frame that this peer must not get".as_slice().into()),
            };
            self.fleet.handle_message(message, self.now);
            self.standard.publish(&data);
            self.drain();
            self.run(PERIOD);
        }
    }

    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.in_flight.first_key_value().map(|((at, _), _)| *at);
        let wake = self.wake.min(self.standard.wake);
        let next = arrival.map_or(wake, |at| at.min(wake));
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        if arrival == Some(next)
            && let Some((_, thing)) = self.in_flight.pop_first()
        {
            self.arrive(thing);
        } else {
            self.fleet.handle_timeout(self.now);
            self.standard.rtc.handle_input(Input::Timeout(self.now)).unwrap();
        }
        self.drain();
        true
    }

    fn arrive(&mut self, thing: InFlight) {
        let id = self.standard.id;
        match thing {
            InFlight::Datagram(Transmit { source, destination, contents }) => {
                if self.cut.contains(&network_of(source)) {
                    return;
                }
                if destination.to_string().ends_with(".1:5000") {
                    self.fleet.handle_datagram(destination, source, &contents, self.now);
                } else if let Ok(receive) =
                    Receive::new(Protocol::Udp, source, destination, &contents)
                {
                    let input = Input::Receive(self.now, receive);
                    if self.standard.rtc.accepts(&input) {
                        self.standard.rtc.handle_input(input).unwrap();
                    }
                }
            }
            InFlight::ToRover(signal) => {
                self.fleet.handle_signal(id, self.standard.instance, signal, self.now);
            }
            InFlight::ToStandard(signal) => {
                self.restarts +=
                    usize::from(self.is_open() && !matches!(signal, Signal::Candidate(_)));
                if let Some(answer) = self.standard.handle_signal(signal) {
                    self.send(SIGNALING_DELAY, InFlight::ToRover(answer));
                }
            }
        }
    }

    fn drain(&mut self) {
        for transmit in self.standard.drain(self.now) {
            self.transmit(transmit);
        }
        loop {
            match self.fleet.poll_output(self.now) {
                Output::Timeout(at) => {
                    self.wake = at;
                    break;
                }
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Signal { signal, .. } => {
                    self.send(SIGNALING_DELAY, InFlight::ToStandard(signal));
                }
                Output::Event(Event::RouteOffered { peer, id, .. }) => {
                    let answer = Ok(IncomingLimits {
                        queue: QueueLimits::default(),
                        max_message_size: 1 << 20,
                        again: false,
                    });
                    let command = Command::AnswerRoute { peer, id, answer };
                    self.fleet.handle_command(command, self.now);
                }
                Output::Event(event) => self.events.push(event),
                Output::IncomingOpened { .. } => {}
                Output::Deliver(message) => self.received.push((self.now, message.data.to_vec())),
            }
        }
        for transmit in self.standard.drain(self.now) {
            self.transmit(transmit);
        }
    }

    fn snapshot(&self) -> PeerSnapshot {
        self.fleet.snapshot(self.now).into_iter().next().unwrap()
    }

    fn selected_network(&self) -> u8 {
        network_of(self.snapshot().selected().unwrap().remote_address)
    }
}

fn interface(network: usize, carrier: bool) -> LocalAddress {
    NetworkInterface {
        name: format!("eth{network}"),
        kind: InterfaceKind::Ethernet,
        preference: 0,
        metered: false,
        carrier,
        signal_strength: None,
    }
    .into()
}

fn route() -> OutgoingRoute {
    crate::routes::reliable("/m/chatter")
}

fn service() -> OutgoingRoute {
    let mut route = crate::routes::reliable("/m/reset");
    let (timeout, priority) = (Duration::from_secs(1), Priority::High);
    route.offer.kind = RouteKind::Service(CallTerms { timeout, priority });
    route
}

/// Fails unless all messages came, once and in order; returns the longest pause between two.
fn longest_gap(received: &[(Instant, Vec<u8>)], sent: u64) -> Duration {
    let numbers: Vec<_> = received.iter().map(|(_, data)| data.clone()).collect();
    let expected: Vec<_> = (1..=sent).map(|number| number.to_be_bytes().to_vec()).collect();
    assert_eq!(numbers, expected);
    received.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap()
}

/// The standard peer offers, and the rover does.
const ROLES: [&str; 2] = ["a", "z"];

#[test]
fn services_neither_reach_a_standard_peer_nor_come_from_one() {
    for id in ROLES {
        let mut stage = Stage::connected(id);
        stage.run_until("its call is refused", |stage| stage.standard.refused.contains(&8));
        assert_eq!(stage.standard.offered, ["/m/chatter"], "{id}");
        assert!(!stage.standard.accepted.contains(&8));
    }
}

#[test]
fn a_standard_peer_exchanges_messages_both_ways_whoever_offers() {
    for id in ROLES {
        let mut stage = Stage::connected(id);
        stage.publish_for(Duration::from_secs(2));
        stage.run(Duration::from_secs(1));
        let sent = stage.standard.sequence;
        let worst =
            longest_gap(&stage.received, sent).max(longest_gap(&stage.standard.received, sent));
        assert!(worst < Duration::from_millis(80), "{id}: {worst:?}");
        let snapshot = stage.snapshot();
        assert_eq!(snapshot.state, PeerState::Connected);
        assert!(!snapshot.authenticated, "no key, no proof");
    }
}

#[test]
fn messages_to_a_standard_peer_go_on_when_the_path_is_cut() {
    for id in ROLES {
        let mut stage = Stage::connected(id);
        stage.publish_for(Duration::from_secs(4));
        let network = stage.selected_network();
        assert_eq!(network, 0, "{id}: the faster one");
        stage.cut.insert(network);
        stage.publish_for(Duration::from_secs(10));
        stage.run(Duration::from_secs(30));
        assert_eq!(stage.selected_network(), 1);
        let sent = stage.standard.sequence;
        let to_peer = longest_gap(&stage.standard.received, sent);
        let from_peer = longest_gap(&stage.received, sent);
        println!("{id}: to the peer {to_peer:?}, from the peer {from_peer:?}");
        assert!(
            to_peer.max(from_peer) < Duration::from_millis(1_500),
            "{id}: {to_peer:?} {from_peer:?}"
        );
        let was_told = |event: &Event| {
            matches!(event, Event::Handover(report)
                if report.phase == HandoverPhase::Completed && report.reason == HandoverReason::Silence)
        };
        assert!(stage.events.iter().any(was_told), "{id}: {:?}", stage.events);
    }
}

#[test]
fn a_session_with_a_standard_peer_survives_an_outage_by_an_ice_restart() {
    for id in ROLES {
        let mut stage = Stage::connected(id);
        stage.publish_for(Duration::from_secs(4));
        stage.cut.extend([0, 1]);
        stage.publish_for(Duration::from_secs(1));
        stage.run(Duration::from_secs(4));
        assert_eq!(stage.snapshot().state, PeerState::Outage);
        stage.cut.clear();
        stage.run(Duration::from_secs(20));
        let sent = stage.standard.sequence;
        longest_gap(&stage.received, sent);
        longest_gap(&stage.standard.received, sent);
        assert!(stage.restarts >= 1, "{id}: after 3 s");
        let is_lost = |event: &Event| matches!(event, Event::PeerDisconnected { .. });
        assert!(!stage.events.iter().any(is_lost), "{id}");
    }
}

#[test]
fn with_a_fleet_key_a_standard_peer_comes_in_only_if_its_certificate_is_pinned() {
    let mut stage = Stage::new("z", Some("secret"), |_| None);
    stage.run_until("the peer is refused", |stage| {
        stage.events.iter().any(|event| match event {
            Event::PeerRefused { reason, .. } => reason.contains("pin its certificate"),
            _ => false,
        })
    });
    assert!(!stage.is_open());

    let mut stage = Stage::new("z", Some("secret"), |standard| Some(standard.fingerprint()));
    stage.run_until("routes are open both ways", Stage::is_open);
    assert!(stage.snapshot().authenticated);

    let mut stage = Stage::new("z", None, |_| Some("sha-256 00:11".to_owned()));
    stage.run_until("another certificate than the pinned one is refused", |stage| {
        stage.events.iter().any(|event| matches!(event, Event::PeerRefused { .. }))
    });
}
