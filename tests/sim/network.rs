//! The networks between the rovers: each radio of a rover reaches the radios of the same name and
//! nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use rover_link::link::{NetworkInterface, Transmit};

use super::endpoint::Addresses;
use super::link::{Conditions, Counters, Link};
use super::scenario::Path;

/// IPv4 and UDP headers, bytes.
const HEADERS: u64 = 28;

/// From which rover to which, by which path.
pub(crate) type Way = (usize, usize, usize);

/// A datagram that arrived.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) rover: usize,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) contents: Vec<u8>,
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
    links: BTreeMap<Way, Link<(SocketAddr, SocketAddr, Vec<u8>)>>,
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
        radios.map(|radio| (radio.local, radio.interface.clone())).collect()
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
        let source = self.radios[rover][path].shown;
        link.handle_datagram((source, transmit.destination, transmit.contents), bytes, now);
    }

    /// The next datagram that has arrived by now.
    pub(crate) fn poll_arrival(&mut self, now: Instant) -> Option<Arrival> {
        for ((_, to, path), link) in &mut self.links {
            while let Some((remote, destination, contents)) = link.poll_arrival(now) {
                let radio = &self.radios[*to][*path];
                // The address may have changed meanwhile.
                if radio.shown == destination {
                    return Some(Arrival { rover: *to, local: radio.local, remote, contents });
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
