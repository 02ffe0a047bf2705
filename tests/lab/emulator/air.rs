//! The links of all radios: two of each, one in each direction. Sans-IO.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
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

/// The flow of an IP packet: its protocol, addresses and ports, as a number. Packets without ports
/// share flows, those with options or extension headers may be told apart by what follows instead.
fn flow(packet: &[u8]) -> u64 {
    /// Bytes of a header without options; protocol and addresses in it (RFC 791 §3.1).
    const HEADER_4: usize = 20;
    const WITHIN_4: (usize, Range<usize>) = (9, 12..HEADER_4);
    /// The same without extensions (RFC 8200 §3).
    const HEADER_6: usize = 40;
    const WITHIN_6: (usize, Range<usize>) = (6, 8..HEADER_6);
    let is_version_6 = packet.first().is_some_and(|byte| byte >> 4 == 6);
    let (header, (protocol, addresses)) =
        if is_version_6 { (HEADER_6, WITHIN_6) } else { (HEADER_4, WITHIN_4) };
    let mut hasher = DefaultHasher::new();
    (packet.get(protocol), packet.get(addresses), packet.get(header..header + 4)).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of IP version 4 or 6 whose destination port ends in this byte.
    fn packet(version: u8, protocol: u8, port: u8, length: usize) -> Vec<u8> {
        let (protocol_at, port_at) = if version == 6 { (6, 43) } else { (9, 23) };
        let mut packet = vec![0; length];
        packet[0] = version << 4;
        (packet[protocol_at], packet[port_at]) = (protocol, port);
        packet
    }

    #[test]
    fn packets_of_one_connection_are_a_flow() {
        for version in [4, 6] {
            let flow = |protocol, port, length| flow(&packet(version, protocol, port, length));
            assert_eq!(flow(17, 5, 100), flow(17, 5, 1_400));
            assert_ne!(flow(17, 5, 100), flow(17, 6, 100));
            assert_ne!(flow(17, 5, 100), flow(6, 5, 100));
        }
        assert_eq!(flow(&[]), flow(&[0; 3]));
    }
}
