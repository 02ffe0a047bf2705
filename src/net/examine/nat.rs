//! What the NATs on the way do with an address, by what STUN servers say of it: mapping behaviour,
//! RFC 4787 §4.1. How they filter cannot be told without a server made for it (RFC 5780), and matters
//! less: checks go out from both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::net::servers::inquiry::StunAnswer;

/// One address of this rover, as it is seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nat {
    /// The address, with the port that was asked from.
    pub local: SocketAddr,
    /// How it is mapped.
    #[serde(flatten)]
    pub mapping: Mapping,
}

/// What NATs make of one address and port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "mapping", rename_all = "snake_case")]
pub enum Mapping {
    /// It is seen as it is: there is no NAT.
    None,
    /// Another one, known from one server only; it takes a second one, at another IP address, to tell
    /// whether that holds for all.
    SeenOnce {
        /// The address that is seen.
        seen: SocketAddr,
    },
    /// The same one for all: peers reach it once the rover has sent something their way.
    EndpointIndependent {
        /// The address that is seen.
        seen: SocketAddr,
    },
    /// Another one for each destination, or for some: no peer can know the one that is meant for it.
    EndpointDependent {
        /// The addresses that are seen.
        seen: BTreeSet<SocketAddr>,
    },
    /// No server has answered.
    Unknown,
}

/// What the answers say of each address that was asked from.
pub(super) fn nats(answers: &[StunAnswer]) -> Vec<Nat> {
    let mut by_address: BTreeMap<SocketAddr, Vec<(IpAddr, SocketAddr)>> = BTreeMap::new();
    for answer in answers {
        let seen = answer.seen.map(|seen| (answer.server_address.ip(), seen));
        by_address.entry(answer.local).or_default().extend(seen);
    }
    by_address
        .into_iter()
        .map(|(local, seen)| Nat { local, mapping: mapping(local, &seen) })
        .collect()
}

/// What servers at these IP addresses say of one address.
fn mapping(local: SocketAddr, answers: &[(IpAddr, SocketAddr)]) -> Mapping {
    // A server on this side of the NAT sees the address as it is, and says nothing of the NAT.
    let outside: Vec<_> = answers.iter().filter(|(_, seen)| *seen != local).collect();
    let seen: BTreeSet<_> = outside.iter().map(|(_, seen)| *seen).collect();
    let servers: BTreeSet<_> = outside.iter().map(|(server, _)| *server).collect();
    match (seen.first(), seen.len()) {
        (None, _) if answers.is_empty() => Mapping::Unknown,
        (None, _) => Mapping::None,
        (Some(&seen), 1) if servers.len() == 1 => Mapping::SeenOnce { seen },
        (Some(&seen), 1) => Mapping::EndpointIndependent { seen },
        (Some(_), _) => Mapping::EndpointDependent { seen },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How an address is mapped that servers see as said.
    fn mapped(answers: &[(&str, &str)]) -> Mapping {
        let read = |(server, seen): &(&str, &str)| (server.parse().unwrap(), seen.parse().unwrap());
        let answers: Vec<_> = answers.iter().map(read).collect();
        mapping("10.0.0.2:5000".parse().unwrap(), &answers)
    }

    fn at(seen: &str) -> SocketAddr {
        seen.parse().unwrap()
    }

    #[test]
    fn an_address_that_all_see_as_it_is_has_no_nat() {
        assert_eq!(mapped(&[("192.0.2.1", "10.0.0.2:5000")]), Mapping::None);
        assert_eq!(mapped(&[]), Mapping::Unknown);
    }

    #[test]
    fn the_same_port_with_another_address_is_a_mapping_and_so_is_another_port() {
        for seen in ["198.51.100.7:5000", "10.0.0.2:5001"] {
            assert_eq!(mapped(&[("192.0.2.1", seen)]), Mapping::SeenOnce { seen: at(seen) });
        }
    }

    #[test]
    fn one_mapping_for_servers_at_two_addresses_holds_for_all() {
        let seen = "198.51.100.7:6000";
        let expected = Mapping::EndpointIndependent { seen: at(seen) };
        assert_eq!(mapped(&[("192.0.2.1", seen), ("192.0.2.2", seen)]), expected);
    }

    #[test]
    fn two_ports_of_one_server_do_not_tell_whether_a_mapping_holds_for_all() {
        let seen = "198.51.100.7:6000";
        let expected = Mapping::SeenOnce { seen: at(seen) };
        assert_eq!(mapped(&[("192.0.2.1", seen), ("192.0.2.1", seen)]), expected);
    }

    #[test]
    fn several_mappings_depend_on_the_destination_even_if_they_are_for_one_server() {
        let (one, other) = ("198.51.100.7:6000", "198.51.100.7:6001");
        let expected = Mapping::EndpointDependent { seen: [at(one), at(other)].into() };
        for second in ["192.0.2.1", "192.0.2.2"] {
            assert_eq!(mapped(&[("192.0.2.1", one), (second, other)]), expected);
        }
    }

    #[test]
    fn a_server_on_this_side_of_the_nat_says_nothing_of_it() {
        let (own, seen) = ("10.0.0.2:5000", "198.51.100.7:6000");
        let inside = ("10.0.0.1", own);
        assert_eq!(mapped(&[inside, ("192.0.2.1", seen)]), Mapping::SeenOnce { seen: at(seen) });
        assert_eq!(
            mapped(&[inside, ("192.0.2.1", seen), ("192.0.2.2", seen)]),
            Mapping::EndpointIndependent { seen: at(seen) }
        );
    }

    #[test]
    fn an_address_without_any_answer_is_told_of_too() {
        let answer = |local: &str, seen: Option<&str>| StunAnswer {
            server: crate::config::IceServerUri::parse("stun:192.0.2.1").unwrap(),
            server_address: at("192.0.2.1:3478"),
            local: at(local),
            seen: seen.map(at),
            round_trip_time: None,
        };
        let answers = [answer("10.0.0.2:1", Some("10.0.0.2:1")), answer("10.0.1.2:1", None)];
        let found: Vec<_> = nats(&answers).into_iter().map(|nat| nat.mapping).collect();
        assert_eq!(found, [Mapping::None, Mapping::Unknown]);
    }
}
