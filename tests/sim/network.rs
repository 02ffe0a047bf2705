//! The networks between the rovers: each radio of a rover reaches the radios of the same name and
//! nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use rover_link::link::{NetworkInterface, Transmit};

use super::endpoint::Addresses;
use super::flow::Packet;
use super::link::{Conditions, Counters, Link};
use super::scenario::Path;

/// IPv4 and UDP headers, bytes.
const HEADERS: u64 = 28;

/// Flow of the rovers' datagrams in a queue; those of others have higher numbers.
const OURS: u64 = 0;

/// From which rover to which, by which path.
pub(crate) type Way = (usize, usize, usize);

/// What arrived.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A datagram for a rover.
    Datagram { rover: usize, local: SocketAddr, remote: SocketAddr, contents: Vec<u8> },
    /// A packet of the flow of this number.
    Packet { flow: usize, packet: Packet },
}

/// What a link carries.
#[derive(Debug)]
enum Carried {
    Datagram { source: SocketAddr, destination: SocketAddr, contents: Vec<u8> },
    Packet { flow: usize, packet: Packet },
}

#[derive(Debug)]
struct Radio {
    interface: NetworkInterface,
    /// Host part of its address, and of the one that a NAT shows to others.
    local: SocketAddr,
    shown: SocketAddr,
}

/// The networks.
#[derive(Debug)]
pub(crate) struct Network {
    /// By rover, then by path.
    radios: Vec<Vec<Radio>>,
    links: BTreeMap<Way, Link<Carried>>,
    /// Addresses given out so far.
    addresses: u16,
}

impl Network {
    /// Networks that connect so many rovers.
    pub(crate) fn new(paths: &[Path], rovers: usize, random: &mut fastrand::Rng) -> Self {
        let mut network = Self { radios: Vec::new(), links: BTreeMap::new(), addresses: 0 };
        for rover in 0..rovers {
            let radios = paths.iter().enumerate().map(|(path, of)| {
                let address = network.new_address(path, rover);
                Radio {
                    interface: NetworkInterface {
                        name: of.name.clone(),
                        kind: of.kind,
                        preference: 0,
                        metered: of.metered,
                        carrier: true,
                        signal_strength: None,
                    },
                    local: address,
                    shown: address,
                }
            });
            let radios = radios.collect();
            network.radios.push(radios);
        }
        for from in 0..rovers {
            for to in (0..rovers).filter(|to| *to != from) {
                for (path, of) in paths.iter().enumerate() {
                    let link = Link::new(of.conditions, random.u64(..));
                    network.links.insert((from, to, path), link);
                }
            }
        }
        network
    }

    /// The local addresses of a rover.
    pub(crate) fn addresses(&self, rover: usize) -> Addresses {
        let radios = self.radios[rover].iter();
        radios.map(|radio| (radio.local, radio.interface.clone().into())).collect()
    }

    /// The path of a local address.
    pub(crate) fn path(&self, rover: usize, local: SocketAddr) -> Option<usize> {
        self.radios[rover].iter().position(|radio| radio.local == local)
    }

    /// Takes a datagram that a rover sends. What leads nowhere vanishes.
    pub(crate) fn handle_transmit(&mut self, rover: usize, transmit: Transmit, now: Instant) {
        let Some(path) = self.path(rover, transmit.source) else { return };
        let Some(to) = self.shown_by(path, transmit.destination) else { return };
        let Some(link) = self.links.get_mut(&(rover, to, path)) else { return };
        let bytes = transmit.contents.len() as u64 + HEADERS;
        let Transmit { destination, contents, .. } = transmit;
        let source = self.radios[rover][path].shown;
        let datagram = Carried::Datagram { source, destination, contents };
        link.handle_datagram(datagram, OURS, bytes, now);
    }

    /// Takes a packet of the flow of this number.
    pub(crate) fn handle_packet(&mut self, flow: usize, way: Way, packet: Packet, now: Instant) {
        let Some(link) = self.links.get_mut(&way) else { return };
        let bytes = packet.bytes();
        link.handle_datagram(Carried::Packet { flow, packet }, OURS + 1 + flow as u64, bytes, now);
    }

    /// What has arrived by now.
    pub(crate) fn poll_arrival(&mut self, now: Instant) -> Option<Arrival> {
        for ((_, to, path), link) in &mut self.links {
            while let Some(carried) = link.poll_arrival(now) {
                let (remote, destination, contents) = match carried {
                    Carried::Packet { flow, packet } => {
                        return Some(Arrival::Packet { flow, packet });
                    }
                    Carried::Datagram { source, destination, contents } => {
                        (source, destination, contents)
                    }
                };
                let radio = &self.radios[*to][*path];
                // The address may have changed meanwhile.
                if radio.shown == destination {
                    let local = radio.local;
                    return Some(Arrival::Datagram { rover: *to, local, remote, contents });
                }
            }
        }
        None
    }

    /// When there is something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.links.values().filter_map(Link::next_deadline).min()
    }

    /// Conditions of a way.
    pub(crate) fn conditions(&self, way: Way) -> Conditions {
        self.links[&way].conditions()
    }

    /// Changes the conditions of a way.
    pub(crate) fn handle_conditions(&mut self, way: Way, conditions: Conditions, now: Instant) {
        if let Some(link) = self.links.get_mut(&way) {
            link.handle_conditions(conditions, now);
        }
    }

    /// What was handed to each way so far.
    pub(crate) fn counters(&self) -> BTreeMap<Way, Counters> {
        self.links.iter().map(|(way, link)| (*way, link.counters())).collect()
    }

    /// The cable of a radio is pulled, or plugged in; its rover can see it.
    pub(crate) fn handle_carrier(
        &mut self,
        rover: usize,
        path: usize,
        carrier: bool,
        now: Instant,
    ) {
        self.radios[rover][path].interface.carrier = carrier;
        for ((from, to, by), link) in &mut self.links {
            if *by == path && (*from == rover || *to == rover) {
                link.handle_conditions(Conditions { up: carrier, ..link.conditions() }, now);
            }
        }
    }

    /// A radio gets another address.
    pub(crate) fn handle_new_address(&mut self, rover: usize, path: usize) {
        let address = self.new_address(path, rover);
        let radio = &mut self.radios[rover][path];
        (radio.local, radio.shown) = (address, address);
    }

    /// A NAT shows a radio under another address, and takes nothing for the former one any more.
    pub(crate) fn handle_rebinding(&mut self, rover: usize, path: usize) {
        self.radios[rover][path].shown = self.new_address(path, rover);
    }

    fn shown_by(&self, path: usize, address: SocketAddr) -> Option<usize> {
        self.radios.iter().position(|radios| radios.get(path).is_some_and(|r| r.shown == address))
    }

    /// An address that nobody had before.
    fn new_address(&mut self, path: usize, rover: usize) -> SocketAddr {
        self.addresses += 1;
        let part = |number: usize| u8::try_from(number).expect("few paths and rovers");
        SocketAddr::from(([10, part(path), part(rover), 1], 10_000 + self.addresses))
    }
}
