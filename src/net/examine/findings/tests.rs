//! Each fault has its mark and its remedy, and what is well has none.

use super::super::{IdentityState, Member, SecretsState, StunAnswer, TurnAnswer, Unused};
use super::*;
use crate::config::{IceServerUri, InterfaceKind};

const STUN: &str = "stun:192.0.2.1:3478";
const TURN: &str = "turn:192.0.2.2:3478?transport=udp";

fn address(interface: &str, ip: [u8; 4]) -> AddressState {
    AddressState {
        interface: interface.to_owned(),
        address: Some(ip.into()),
        kind: InterfaceKind::Wifi,
        metered: false,
        carrier: true,
        signal_strength: Some(-60),
        unused: None,
    }
}

fn server(uri: &str) -> ServerState {
    ServerState {
        uri: uri.to_owned(),
        is_offered: false,
        is_relay: uri.starts_with("turn"),
        has_credential: true,
        addresses: vec!["192.0.2.1:3478".parse().unwrap()],
        not_found: None,
    }
}

fn stun(local: &str, seen: Option<&str>) -> StunAnswer {
    StunAnswer {
        server: IceServerUri::parse(STUN).unwrap(),
        server_address: "192.0.2.1:3478".parse().unwrap(),
        local: local.parse().unwrap(),
        seen: seen.map(|seen| seen.parse().unwrap()),
        round_trip_time: seen.map(|_| 0.0123),
    }
}

fn turn(local: &str, outcome: TurnOutcome) -> TurnAnswer {
    let server_address = "192.0.2.2:3478".parse().unwrap();
    let server = IceServerUri::parse(TURN).unwrap();
    TurnAnswer { server, server_address, local: local.parse().unwrap(), outcome }
}

fn nat(mapping: Mapping) -> Nat {
    Nat { local: "10.0.0.2:5000".parse().unwrap(), mapping }
}

/// A rover that lacks nothing.
fn well() -> Examination {
    Examination {
        rover_id: "rover_a".to_owned(),
        fleet: "default".to_owned(),
        peers: vec!["rover_b".to_owned()],
        identity: IdentityState {
            file: "/rover_a.pem".into(),
            content: IdentityContent::Ready { fingerprint: "sha-256 AB:CD".to_owned() },
        },
        secrets: SecretsState {
            token: true,
            fleet_key: true,
            fleet_key_is_strong: true,
            turn: true,
        },
        addresses: vec![address("wlan0", [10, 0, 0, 2])],
        signaling_url: "ws://192.0.2.9:3001".to_owned(),
        signaling: Signaling::Joined {
            members: vec![Member { rover_id: "rover_b".to_owned(), is_rover: true }],
            duration: 0.05,
        },
        ice_servers: vec![server(STUN), server(TURN)],
        stun: vec![stun("10.0.0.2:5000", Some("10.0.0.2:5000"))],
        turn: vec![turn(
            "10.0.0.2:5000",
            TurnOutcome::Lent { relayed: "192.0.2.2:50000".parse().unwrap() },
        )],
        nat: vec![nat(Mapping::None)],
        topics: vec![TypeState {
            id: "odom".to_owned(),
            name: "odom".to_owned(),
            type_name: Some("nav_msgs/msg/Odometry".to_owned()),
            not_installed: None,
        }],
        services: Vec::new(),
    }
}

/// What is not as it should be.
fn faults(examination: &Examination) -> Vec<Finding> {
    let all = findings(examination);
    assert!(all.is_sorted_by_key(|finding| finding.section), "sections stay together");
    all.into_iter().filter(|finding| finding.mark != Mark::Ok).collect()
}

/// The only one of them, with what would help.
fn fault(examination: &Examination) -> (Mark, String, String) {
    let mut faults = faults(examination);
    let only = faults.pop().expect("one fault");
    assert_eq!(faults, [], "and no other");
    (only.mark, only.text, only.remedy.unwrap_or_default())
}

#[test]
fn where_nothing_is_wrong_every_section_says_so() {
    let all = findings(&well());
    assert_eq!(faults(&well()), []);
    for section in [
        Section::Rover,
        Section::Interfaces,
        Section::Signaling,
        Section::IceServers,
        Section::Nat,
        Section::Topics,
    ] {
        assert!(all.iter().any(|finding| finding.section == section), "{section}");
    }
}

#[test]
fn a_rover_that_lets_nobody_in_has_a_problem() {
    let (mark, text, remedy) = fault(&Examination { peers: Vec::new(), ..well_alone() });
    assert_eq!((mark, text.as_str()), (Mark::Problem, "nobody may connect"));
    assert!(remedy.contains("`peers`"), "{remedy}");
}

/// Without any other member.
fn well_alone() -> Examination {
    let signaling = Signaling::Joined { members: Vec::new(), duration: 0.05 };
    Examination { signaling, ..well() }
}

#[test]
fn a_missing_or_short_fleet_key_is_noted() {
    let secrets =
        |fleet_key| SecretsState { fleet_key, fleet_key_is_strong: false, ..well().secrets };
    for (is_set, remedy) in [(true, "openssl rand"), (false, "ROVER_LINK_FLEET_KEY")] {
        let (mark, _, found) = fault(&Examination { secrets: secrets(is_set), ..well() });
        assert_eq!(mark, Mark::Note);
        assert!(found.contains(remedy), "{found}");
    }
}

#[test]
fn addresses_that_are_not_used_are_noted_and_one_is_needed() {
    let unused = |name: &str, unused| AddressState {
        unused: Some(unused),
        ..address(name, [172, 17, 0, 1])
    };
    let docker = unused("docker0", Unused::Denied);
    let stranger = unused("usb0", Unused::NotAllowed);
    let unplugged = AddressState { carrier: false, ..address("eth0", [10, 0, 1, 2]) };
    let used = address("wlan0", [10, 0, 0, 2]);
    let some = vec![docker.clone(), stranger, used, unplugged.clone()];
    let faults_of = |addresses| faults(&Examination { addresses, ..well() });
    let some: Vec<_> = faults_of(some).into_iter().map(|of| (of.mark, of.text)).collect();
    assert!(matches!(&some[..], [(Mark::Note, _), (Mark::Note, _)]), "{some:?}");
    assert!(some[0].1.contains("interfaces.allow") && some[1].1.contains("no carrier"));
    let none = faults_of(vec![docker, unplugged]);
    assert_eq!(none.last().map(|of| of.mark), Some(Mark::Problem));
}

#[test]
fn members_that_may_not_connect_and_peers_that_are_away_are_noted() {
    let other = Member { rover_id: "rover_c".to_owned(), is_rover: true };
    let signaling = Signaling::Joined { members: vec![other], duration: 0.05 };
    let found = faults(&Examination { signaling, ..well() });
    let found: Vec<_> = found.iter().map(|of| (of.mark, of.subject.as_str())).collect();
    assert_eq!(found, [(Mark::Note, "rover_c"), (Mark::Note, "rover_b")]);
    let everybody = Examination { peers: vec!["*".to_owned()], ..well_alone() };
    assert_eq!(fault(&everybody).1, "nobody else is there");
}

#[test]
fn every_way_in_which_signaling_fails_is_a_problem() {
    let reason = || "because".to_owned();
    for signaling in [
        Signaling::TokenRefused,
        Signaling::Refused { reason: reason() },
        Signaling::NotConnected { reason: reason() },
        Signaling::Silent,
        Signaling::Impossible { reason: reason() },
    ] {
        let (mark, ..) = fault(&Examination { signaling: signaling.clone(), ..well() });
        assert_eq!(mark, Mark::Problem, "{signaling:?}");
    }
    let is_member = Examination { signaling: Signaling::NodeIsMember, ..well() };
    assert_eq!(faults(&is_member), []);
}

#[test]
fn a_server_that_helps_no_address_is_a_problem_and_one_that_helps_some_is_not() {
    let silent = stun("10.0.1.2:5000", None);
    let some = vec![stun("10.0.0.2:5000", Some("10.0.0.2:5000")), silent.clone()];
    let (mark, text, _) = fault(&Examination { stun: some, ..well() });
    assert_eq!((mark, text.as_str()), (Mark::Note, "does not answer 10.0.1.2"));
    let (mark, _, remedy) = fault(&Examination { stun: vec![silent], ..well() });
    assert_eq!(mark, Mark::Problem);
    assert!(remedy.contains("firewalls"), "{remedy}");
}

#[test]
fn a_relay_that_lends_need_not_answer_questions() {
    let silent =
        StunAnswer { server: IceServerUri::parse(TURN).unwrap(), ..stun("10.0.0.2:5000", None) };
    let stun = vec![stun("10.0.0.2:5000", Some("10.0.0.2:5000")), silent];
    assert_eq!(fault(&Examination { stun, ..well() }).0, Mark::Note);
}

#[test]
fn every_reason_why_no_address_is_lent_has_its_remedy() {
    let reason = || "because".to_owned();
    for (outcome, remedy) in [
        (TurnOutcome::Silent, "firewalls"),
        (TurnOutcome::NotConnected { reason: reason() }, "firewalls"),
        (TurnOutcome::CredentialRefused, "ROVER_LINK_TURN_CREDENTIAL"),
        (TurnOutcome::Refused { code: 486, reason: reason() }, "limits"),
    ] {
        let turn = vec![turn("10.0.0.2:5000", outcome)];
        let (mark, _, found) = fault(&Examination { turn, ..well() });
        assert_eq!(mark, Mark::Problem);
        assert!(found.contains(remedy), "{found}");
    }
}

#[test]
fn a_server_that_cannot_be_asked_says_why() {
    let lost = ServerState { not_found: Some("no such name".to_owned()), ..server(STUN) };
    let without = ServerState { has_credential: false, ..server(TURN) };
    let unasked = server("stun:[2001:db8::1]:3478");
    for (server, mark, text) in [
        (lost, Mark::Problem, "no such name"),
        (without, Mark::Problem, "wants a credential"),
        (unasked, Mark::Note, "family"),
    ] {
        let ice_servers = vec![server];
        let examination = Examination { ice_servers, stun: Vec::new(), turn: Vec::new(), ..well() };
        let (found, said, _) = fault(&examination);
        assert_eq!(found, mark, "{said}");
        assert!(said.contains(text), "{said}");
    }
    let (mark, ..) = fault(&Examination { ice_servers: Vec::new(), ..well() });
    assert_eq!(mark, Mark::Note, "none is needed in one network");
}

#[test]
fn a_symmetric_nat_wants_a_relay() {
    let seen = |text: &str| text.parse().unwrap();
    let both = [seen("198.51.100.7:1"), seen("198.51.100.7:2")].into();
    let symmetric = vec![nat(Mapping::EndpointDependent { seen: both })];
    let (mark, text, remedy) = fault(&Examination { nat: symmetric.clone(), ..well() });
    assert_eq!((mark, remedy.as_str()), (Mark::Note, ""), "one lends an address");
    assert!(text.contains("198.51.100.7:1 and 198.51.100.7:2"), "{text}");
    let without =
        Examination { nat: symmetric, ice_servers: vec![server(STUN)], turn: Vec::new(), ..well() };
    assert!(fault(&without).2.contains("TURN server"));
}

#[test]
fn one_server_alone_does_not_tell_what_a_nat_does() {
    let seen = "198.51.100.7:1".parse().unwrap();
    let once = Examination { nat: vec![nat(Mapping::SeenOnce { seen })], ..well() };
    let (mark, _, remedy) = fault(&once);
    assert_eq!(mark, Mark::Note);
    assert!(remedy.contains("second STUN server"), "{remedy}");
    let independent = vec![nat(Mapping::EndpointIndependent { seen })];
    assert_eq!(faults(&Examination { nat: independent, ..well() }), []);
}

#[test]
fn a_type_that_is_not_installed_is_a_problem_and_one_left_open_is_not() {
    let topic = |type_name: Option<&str>, not_installed: Option<&str>| TypeState {
        id: "odom".to_owned(),
        name: "odom".to_owned(),
        type_name: type_name.map(str::to_owned),
        not_installed: not_installed.map(str::to_owned),
    };
    let missing = topic(Some("odd_msgs/msg/Odd"), Some("it is not here"));
    let (mark, text, remedy) = fault(&Examination { topics: vec![missing], ..well() });
    assert_eq!((mark, text.as_str()), (Mark::Problem, "it is not here"));
    assert!(remedy.contains("package odd_msgs"), "{remedy}");
    assert_eq!(faults(&Examination { topics: vec![topic(None, None)], ..well() }), []);
    let missing = topic(Some("odd_srvs/srv/Odd"), Some("it is not here"));
    let missing = Examination { services: vec![topic(None, None), missing], ..well() };
    assert!(fault(&missing).2.contains("package odd_srvs"));
    assert_eq!(faults(&missing)[0].section, Section::Services);
}
