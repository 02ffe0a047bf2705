//! Which addresses of a network interface are used, where it has more than are of use: with IPv6 it
//! has some of each prefix, and new ones take the place of old ones once a day.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use if_addrs::Interface;
use serde::Serialize;

use crate::config::InterfaceRefusal;

/// Addresses of one interface and family that are used. A second one is a way around a prefix that
/// is no longer routed; each further one multiplies the paths.
const MAX_ADDRESSES: usize = 2;

/// States of an IPv6 address, `IFA_F_…` of the kernel.
const TEMPORARY: u8 = 0x01;
const DUPLICATE: u8 = 0x08;
const DEPRECATED: u8 = 0x20;
const TENTATIVE: u8 = 0x40;

/// Why an address is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unused {
    /// No pattern of `interfaces.allow` matches the interface.
    NotAllowed,
    /// A pattern of `interfaces.deny` matches the interface.
    Denied,
    /// The interface is `lo`, which `interfaces.allow` does not write out.
    Loopback,
    /// The interface has no address.
    NoAddress,
    /// Link-local addresses need a zone, which a candidate cannot name.
    LinkLocal,
    /// The kernel still checks that no other node has it (RFC 4862 §5.4): it cannot be bound to.
    Tentative,
    /// Another node has it too: it cannot be bound to.
    Duplicate,
    /// It is about to go, and nothing is under way by it (RFC 4862 §5.5.4).
    Deprecated,
    /// It tells who the rover is wherever it goes, and a temporary one belongs to the same network.
    Traceable,
    /// Enough others of the interface are used.
    Surplus,
    /// The kernel gives no socket for it.
    NoSocket,
}

impl Unused {
    /// Is it so on most machines, and nothing to think about?
    pub fn is_usual(self) -> bool {
        match self {
            Self::Denied | Self::Loopback | Self::LinkLocal | Self::Traceable | Self::Surplus => {
                true
            }
            Self::NotAllowed
            | Self::NoAddress
            | Self::Tentative
            | Self::Duplicate
            | Self::Deprecated
            | Self::NoSocket => false,
        }
    }
}

impl From<InterfaceRefusal> for Unused {
    fn from(refusal: InterfaceRefusal) -> Self {
        match refusal {
            InterfaceRefusal::NotAllowed => Self::NotAllowed,
            InterfaceRefusal::Denied => Self::Denied,
            InterfaceRefusal::Loopback => Self::Loopback,
        }
    }
}

/// The reason, for people.
impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotAllowed => "no pattern of `interfaces.allow` matches the interface",
            Self::Denied => "a pattern of `interfaces.deny` matches the interface",
            Self::Loopback => "`interfaces.allow` does not write out `lo`",
            Self::NoAddress => "the interface has no address",
            Self::LinkLocal => "peers cannot use link-local addresses",
            Self::Tentative => "the kernel still checks that no other machine has it",
            Self::Duplicate => "another machine has it too",
            Self::Deprecated => "it is deprecated: about to go",
            Self::Traceable => "a temporary address of the same network takes its place",
            Self::Surplus => "enough others of the interface are",
            Self::NoSocket => "the kernel gives no socket for it",
        })
    }
}

/// What the kernel tells of the states of IPv6 addresses.
#[derive(Debug, Default)]
pub(super) struct States(BTreeMap<(String, Ipv6Addr), u8>);

impl States {
    /// Reads what the kernel tells, a line each: address, number of the interface, length of the
    /// prefix, scope and state in hexadecimal, and the name of the interface.
    pub(super) fn read(text: &str) -> Self {
        let read = |line: &str| {
            let mut fields = line.split_whitespace();
            let address = u128::from_str_radix(fields.next()?, 16).ok()?;
            let state = u8::from_str_radix(fields.nth(3)?, 16).ok()?;
            Some(((fields.next()?.to_owned(), Ipv6Addr::from_bits(address)), state))
        };
        Self(text.lines().filter_map(read).collect())
    }

    fn is(&self, states: u8, interface: &Interface) -> bool {
        let IpAddr::V6(address) = interface.ip() else { return false };
        let known = self.0.get(&(interface.name.clone(), address));
        known.is_some_and(|known| known & states != 0)
    }
}

/// The addresses found, and why some are not worth a socket. `is_open` tells those that have one.
///
/// Of each interface and family two are used, and for IPv6 two more that have one and are deprecated:
/// what is under way goes on by them until they go (RFC 4862 §5.5.4). Those that have a socket
/// come first, then temporary ones, which do not tell who the rover is wherever it goes (RFC 8981).
pub(super) fn judged(
    mut found: Vec<Interface>,
    states: &States,
    is_open: impl Fn(IpAddr) -> bool,
) -> Vec<(Interface, Option<Unused>)> {
    found.sort_by_key(|of| (!is_open(of.ip()), !states.is(TEMPORARY, of)));
    let unfit = |of: &Interface| {
        if of.is_link_local() {
            Some(Unused::LinkLocal)
        } else if states.is(DUPLICATE, of) {
            Some(Unused::Duplicate)
        } else if states.is(TENTATIVE, of) {
            Some(Unused::Tentative)
        } else {
            let is_leaving = states.is(DEPRECATED, of) && !is_open(of.ip());
            is_leaving.then_some(Unused::Deprecated)
        }
    };
    let fit: Vec<_> = found.iter().filter(|of| unfit(of).is_none()).cloned().collect();
    let traceable = |of: &Interface| {
        let is_instead = |other: &Interface| {
            other.name == of.name
                && prefix(other) == prefix(of)
                && states.is(TEMPORARY, other)
                && !states.is(DEPRECATED, other)
        };
        let is_traceable =
            !is_open(of.ip()) && is_made_of_hardware(of) && fit.iter().any(is_instead);
        is_traceable.then_some(Unused::Traceable)
    };
    let mut used: BTreeMap<(String, bool, bool), usize> = BTreeMap::new();
    let mut surplus = |of: &Interface| {
        let alike = (of.name.clone(), of.ip().is_ipv4(), states.is(DEPRECATED, of));
        let used = used.entry(alike).or_default();
        *used += 1;
        (*used > MAX_ADDRESSES).then_some(Unused::Surplus)
    };
    let judge = |of: Interface| {
        let unused = unfit(&of).or_else(|| traceable(&of)).or_else(|| surplus(&of));
        (of, unused)
    };
    found.into_iter().map(judge).collect()
}

/// The network of an IPv6 address.
fn prefix(interface: &Interface) -> Option<[u8; 8]> {
    let IpAddr::V6(address) = interface.ip() else { return None };
    address.octets().first_chunk().copied()
}

/// Is it an IPv6 address that holds the hardware's one (RFC 4291, appendix A)? RFC 8445 §5.1.1.1
/// wants no candidate of it where a temporary address belongs to the same network.
fn is_made_of_hardware(interface: &Interface) -> bool {
    let IpAddr::V6(address) = interface.ip() else { return false };
    address.octets()[11..13] == [0xff, 0xfe]
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn found(name: &str, ip: &str) -> Interface {
        let addr = match ip.parse().unwrap() {
            IpAddr::V4(ip) => {
                let netmask = [255, 255, 255, 0].into();
                IfAddr::V4(Ifv4Addr { ip, netmask, prefixlen: 24, broadcast: None })
            }
            IpAddr::V6(ip) => {
                let netmask = Ipv6Addr::from_bits(u128::MAX << 64);
                IfAddr::V6(Ifv6Addr { ip, netmask, prefixlen: 64, broadcast: None })
            }
        };
        let (name, oper_status) = (name.to_owned(), IfOperStatus::Up);
        Interface { name, addr, index: None, oper_status, is_p2p: false }
    }

    /// What is used of some addresses of `eth0`, given with their states, while some are open.
    fn used(all: &[(&str, u8)], open: &[&str]) -> Vec<String> {
        let judged = verdicts(all, open).into_iter().filter(|(_, unused)| unused.is_none());
        judged.map(|(ip, _)| ip).collect()
    }

    /// All of them, with what is said of each.
    fn verdicts(all: &[(&str, u8)], open: &[&str]) -> Vec<(String, Option<Unused>)> {
        let interfaces = all.iter().map(|(ip, _)| found("eth0", ip)).collect();
        let lines: Vec<_> = all
            .iter()
            .filter_map(|(ip, state)| {
                let ip: Ipv6Addr = ip.parse().ok()?;
                Some(format!("{:032x} 02 40 00 {state:02x}     eth0\n", ip.to_bits()))
            })
            .collect();
        let is_open = |ip: IpAddr| open.contains(&ip.to_string().as_str());
        let judged = judged(interfaces, &States::read(&lines.concat()), is_open);
        judged.into_iter().map(|(of, unused)| (of.ip().to_string(), unused)).collect()
    }

    #[test]
    fn what_is_about_to_go_or_not_there_yet_is_not_taken_up() {
        let all = [
            ("fe80::1", 0x80),
            ("2001:db8::1", DEPRECATED),
            ("2001:db8::2", TENTATIVE),
            ("2001:db8::3", DUPLICATE | TENTATIVE),
            ("fd00::4", 0x80),
        ];
        assert_eq!(used(&all, &[]), ["fd00::4"]);
    }

    #[test]
    fn each_address_that_is_not_used_has_its_reason() {
        let all = [
            ("fe80::1", 0x80),
            ("2001:db8::1", DEPRECATED),
            ("2001:db8::2", TENTATIVE),
            ("2001:db8::3", DUPLICATE | TENTATIVE),
            ("2001:db8::211:22ff:fe33:4455", 0),
            ("2001:db8::4", TEMPORARY),
            ("2001:db8:1::5", 0),
            ("2001:db8:2::6", 0),
        ];
        let expected = [
            ("2001:db8::4", None),
            ("fe80::1", Some(Unused::LinkLocal)),
            ("2001:db8::1", Some(Unused::Deprecated)),
            ("2001:db8::2", Some(Unused::Tentative)),
            ("2001:db8::3", Some(Unused::Duplicate)),
            ("2001:db8::211:22ff:fe33:4455", Some(Unused::Traceable)),
            ("2001:db8:1::5", None),
            ("2001:db8:2::6", Some(Unused::Surplus)),
        ];
        assert_eq!(verdicts(&all, &[]), expected.map(|(ip, unused)| (ip.to_owned(), unused)));
    }

    #[test]
    fn a_deprecated_address_stays_while_it_is_there() {
        let all = [("2001:db8::1", 0), ("2001:db8::2", DEPRECATED)];
        assert_eq!(used(&all, &["2001:db8::2"]), ["2001:db8::2", "2001:db8::1"]);
    }

    #[test]
    fn new_addresses_have_room_beside_deprecated_ones_and_nothing_grows() {
        let all: Vec<_> = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"]
            .map(|ip| (ip, DEPRECATED))
            .into_iter()
            .chain([("2001:db8:1::1", 0), ("2001:db8:1::2", 0), ("2001:db8:1::3", 0)])
            .collect();
        let open: Vec<_> = all.iter().map(|(ip, _)| *ip).take(6).collect();
        assert_eq!(
            used(&all, &open),
            ["2001:db8::1", "2001:db8::2", "2001:db8:1::1", "2001:db8:1::2"]
        );
    }

    #[test]
    fn what_is_open_comes_first_then_what_is_temporary() {
        let all = [("2001:db8::1", 0), ("2001:db8::2", 0), ("2001:db8::3", TEMPORARY)];
        assert_eq!(used(&all, &[]), ["2001:db8::3", "2001:db8::1"]);
        assert_eq!(used(&all, &["2001:db8::2"]), ["2001:db8::2", "2001:db8::3"]);
    }

    #[test]
    fn an_address_made_of_hardware_is_left_out_where_a_temporary_one_is_of_the_same_network() {
        let of_hardware = ("2001:db8::211:22ff:fe33:4455", 0);
        let temporary = ("2001:db8::2", TEMPORARY);
        assert_eq!(used(&[of_hardware, temporary], &[]), ["2001:db8::2"]);
        assert_eq!(used(&[of_hardware], &[]), [of_hardware.0]);
        assert_eq!(used(&[of_hardware, temporary], &[of_hardware.0]), [of_hardware.0, temporary.0]);
        let elsewhere = ("2001:db8:1::2", TEMPORARY);
        assert_eq!(used(&[of_hardware, elsewhere], &[]), [elsewhere.0, of_hardware.0]);
    }

    #[test]
    fn each_interface_and_family_counts_by_itself() {
        let all = ["169.254.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"].map(|ip| (ip, 0));
        assert_eq!(used(&all, &[]), ["10.0.0.1", "10.0.0.2", "fd00::1"]);
        let others = vec![found("eth0", "10.0.0.1"), found("eth1", "10.0.1.1")];
        let judged = judged(others, &States::default(), |_| false);
        assert!(judged.iter().all(|(_, unused)| unused.is_none()), "{judged:?}");
    }
}
