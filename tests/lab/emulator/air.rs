//! The links of all radios: two of each, one in each direction. Sans-IO.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::command::Change;
use super::link::{Conditions, Link};

/// Number of rover A and of rover B, and of the direction that begins there.
const SIDES: usize = 2;

/// The links of all radios.
pub(crate) struct Air {
    radios: Vec<Radio>,
}

struct Radio {
    name: String,
    /// From A to B, and back.
    links: [Link<Vec<u8>>; SIDES],
}

impl Air {
    /// Perfect links.
    pub(crate) fn new(radios: &[String], seed: u64) -> Self {
        let mut seeds = seed..;
        let mut link = || Link::new(Conditions::default(), seeds.next().unwrap_or(seed));
        let radio = |name: &String| Radio { name: name.clone(), links: [link(), link()] };
        Self { radios: radios.iter().map(radio).collect() }
    }

    /// Number of a radio.
    pub(crate) fn radio(&self, name: &str) -> Option<usize> {
        self.radios.iter().position(|radio| radio.name == name)
    }

    /// Takes a packet that a side sends.
    pub(crate) fn handle_packet(
        &mut self,
        radio: usize,
        from: usize,
        packet: Vec<u8>,
        now: Instant,
    ) {
        let (flow, bytes) = (flow(&packet), packet.len() as u64);
        self.radios[radio].links[from].handle_datagram(packet, flow, bytes, now);
    }

    /// A packet that has arrived by now, with its radio and the side it arrives at.
    pub(crate) fn poll_arrival(&mut self, now: Instant) -> Option<(usize, usize, Vec<u8>)> {
        self.radios.iter_mut().enumerate().find_map(|(number, radio)| {
            radio.links.iter_mut().enumerate().find_map(|(from, link)| {
                let packet = link.poll_arrival(now)?;
                Some((number, SIDES - 1 - from, packet))
            })
        })
    }

    /// When a packet may arrive next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let links = self.radios.iter().flat_map(|radio| &radio.links);
        links.filter_map(Link::next_deadline).min()
    }

    /// Changes the links of a radio in some directions: from A to B, and back.
    pub(crate) fn change(
        &mut self,
        radio: usize,
        directions: [bool; SIDES],
        changes: &[Change],
        now: Instant,
    ) {
        for (link, _) in self.radios[radio].links.iter_mut().zip(directions).filter(|(_, is)| *is) {
            let mut conditions = link.conditions();
            changes.iter().for_each(|change| change.apply(&mut conditions));
            link.handle_conditions(conditions, now);
        }
    }

    /// How each link is and fares, on one line.
    pub(crate) fn show(&self) -> String {
        let mut shown = String::new();
        for radio in &self.radios {
            for (direction, link) in ["a_to_b", "b_to_a"].iter().zip(&radio.links) {
                let (name, conditions, counters) =
                    (&radio.name, link.conditions(), link.counters());
                // Writing into a text cannot fail.
                let _ = write!(shown, "{name} {direction}: {conditions:?} {counters:?}; ");
            }
        }
        shown
    }
}

/// The flow of an IPv4 packet: its protocol, addresses and ports, as a number. Packets without ports
/// and what is no IPv4 share flows.
fn flow(packet: &[u8]) -> u64 {
    /// Bytes of a header without options: the protocol stands at 9, the addresses from 12 on.
    const HEADER: usize = 20;
    let mut hasher = DefaultHasher::new();
    (packet.get(9), packet.get(12..HEADER), packet.get(HEADER..HEADER + 4)).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_one_connection_are_a_flow() {
        let packet = |protocol: u8, port: u8, length: usize| {
            let mut packet = vec![0; length];
            (packet[9], packet[21]) = (protocol, port);
            packet
        };
        assert_eq!(flow(&packet(17, 5, 100)), flow(&packet(17, 5, 1_400)));
        assert_ne!(flow(&packet(17, 5, 100)), flow(&packet(17, 6, 100)));
        assert_ne!(flow(&packet(17, 5, 100)), flow(&packet(6, 5, 100)));
        assert_eq!(flow(&[]), flow(&[0; 3]));
    }
}
