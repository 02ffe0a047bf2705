//! The core of this project as an endpoint.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Instant;

use bytes::Bytes;
use rover_link::config::{HandoverSettings, PeerFilter, QueueLimits};
use rover_link::link::{
    Command, Event, Fleet, FleetKey, Identity, IncomingLimits, OutgoingMessage, OutgoingRoute,
    Output, PeerKind, PeerState, PublisherId, RouteId, Signal, generate_certificate,
};
use uuid::Uuid;

use super::endpoint::{Addresses, Condition, Endpoint, Polled, Who};
use super::release::Release;
use super::scenario::Traffic;

/// Messages larger than any of a scenario.
const MAX_MESSAGE_SIZE: u32 = 1 << 24;

/// A fleet of one peer.
pub(crate) struct FleetEndpoint {
    fleet: Fleet,
    /// What has arrived waits here for its turn, if the application takes it in a pace.
    release: Option<Release>,
}

impl FleetEndpoint {
    /// An endpoint that publishes these classes, each with its number.
    pub(crate) fn new<'a>(
        who: &Who,
        settings: HandoverSettings,
        publishes: impl Iterator<Item = (usize, &'a Traffic)>,
        now: Instant,
    ) -> Self {
        static CERTIFICATE: OnceLock<rover_link::link::Certificate> = OnceLock::new();
        let certificate =
            CERTIFICATE.get_or_init(|| generate_certificate().expect("a source of randomness"));
        let identity = Identity {
            rover_id: who.rover_id.clone(),
            instance: who.instance,
            epoch: who.seed as u32,
            certificate: certificate.clone(),
            fleet_key: Some(FleetKey::new(b"of the simulation")),
            peers: PeerFilter::All,
            peer_fingerprints: Default::default(),
        };
        let mut fleet = Fleet::new(identity, settings, who.seed, now);
        for (class, traffic) in publishes {
            fleet.handle_command(Command::OfferRoute { id: id(class), route: route(traffic) }, now);
        }
        Self { fleet, release: None }
    }

    /// The same, with an application that takes messages in the pace of the ROS node.
    pub(crate) fn paced(self) -> Self {
        Self { release: Some(Release::default()), ..self }
    }
}

impl Endpoint for FleetEndpoint {
    fn handle_addresses(&mut self, addresses: &Addresses, now: Instant) {
        self.fleet.handle_addresses(addresses.clone(), now);
    }

    fn handle_present(&mut self, present: &[(String, Uuid)], now: Instant) {
        let present: Vec<_> =
            present.iter().map(|(id, at)| (id.clone(), *at, PeerKind::Rover)).collect();
        self.fleet.handle_present(&present, now);
    }

    fn handle_joined(&mut self, peer: &str, instance: Uuid, now: Instant) {
        self.fleet.handle_joined(peer, instance, PeerKind::Rover, now);
    }

    fn handle_left(&mut self, peer: &str) {
        self.fleet.handle_left(peer);
    }

    fn handle_signal(&mut self, from: &str, instance: Uuid, signal: Signal, now: Instant) {
        self.fleet.handle_signal(from, instance, signal, now);
    }

    fn handle_datagram(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) {
        self.fleet.handle_datagram(local, remote, datagram, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.fleet.handle_timeout(now);
    }

    fn publish(&mut self, class: usize, data: Bytes, now: Instant) {
        let message = OutgoingMessage {
            id: id(class),
            publisher: PublisherId(1),
            number: 0,
            data,
            compressed: None,
        };
        self.fleet.handle_message(message, now);
    }

    fn poll(&mut self, now: Instant) -> Polled {
        if let Some((class, data)) = self.release.as_mut().and_then(|release| release.poll(now)) {
            return Polled::Delivered { class, data };
        }
        loop {
            return match self.fleet.poll_output(now) {
                Output::Timeout(at) => {
                    let released = self.release.as_ref().and_then(Release::next_deadline);
                    Polled::Timeout(released.map_or(at, |released| released.min(at)))
                }
                Output::Transmit(transmit) => Polled::Transmit(transmit),
                Output::Signal { to, signal } => Polled::Signal { to, signal },
                Output::Deliver(message) => {
                    let (class, data) = (message.id.0.into(), message.data);
                    match &mut self.release {
                        Some(release) => {
                            release.handle_arrived(class, data, now);
                            continue;
                        }
                        None => Polled::Delivered { class, data },
                    }
                }
                Output::IncomingOpened { .. } => continue,
                Output::Event(event) => match event {
                    Event::PeerConnected { .. } => Polled::Connected,
                    Event::PeerDisconnected { .. } => Polled::Disconnected,
                    Event::Handover(handover) => Polled::Handover(*handover),
                    Event::RouteOffered { peer, id, .. } => {
                        let limits = IncomingLimits {
                            queue: QueueLimits::default(),
                            max_message_size: MAX_MESSAGE_SIZE,
                            again: false,
                        };
                        let answer = Command::AnswerRoute { peer, id, answer: Ok(limits) };
                        self.fleet.handle_command(answer, now);
                        continue;
                    }
                    Event::PeerRefused { .. }
                    | Event::PublishersTold { .. }
                    | Event::RouteClosed { .. }
                    | Event::RouteOpened { .. }
                    | Event::RouteRefused { .. } => continue,
                },
            };
        }
    }

    fn waiting(&self, now: Instant) -> u64 {
        self.fleet.snapshot(now).iter().map(|peer| peer.buffered_bytes).sum()
    }

    fn condition(&self, now: Instant) -> Condition {
        let Some(peer) = self.fleet.snapshot(now).pop() else { return Condition::default() };
        Condition {
            selected: peer.selected().map(|path| path.local_address),
            is_suspect: matches!(peer.state, PeerState::Degraded | PeerState::Outage),
            bytes_first: peer.bytes_first,
            bytes_again: peer.bytes_duplicated,
        }
    }
}

fn id(class: usize) -> RouteId {
    RouteId(u16::try_from(class).expect("fewer classes than routes"))
}

fn route(traffic: &Traffic) -> OutgoingRoute {
    let mut route = OutgoingRoute {
        priority: traffic.priority,
        lifespan: traffic.lifespan,
        max_message_size: MAX_MESSAGE_SIZE,
        ..super::routes::reliable(&format!("/{}", traffic.name))
    };
    route.offer.delivery = traffic.delivery;
    route
}
