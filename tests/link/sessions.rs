//! Who gets a session with whom, and what ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use rover_link::config::PeerFilter;
use rover_link::link::{Command, Event, PathSnapshot, PeerState, Signal};

use crate::world::{Setup, World};

fn connected_pair() -> World {
    let mut world = World::new(1);
    world.start("a", &Setup::default());
    world.start("b", &Setup::default());
    world.run_until("a and b connect", both_connected);
    world
}

fn both_connected(world: &World) -> bool {
    world.is_connected("a", "b") && world.is_connected("b", "a")
}

#[test]
fn two_rovers_connect_and_know_each_other() {
    let mut world = World::new(1);
    let start = world.now;
    world.start("a", &Setup::default());
    world.start("b", &Setup::default());
    world.run_until("a and b connect", both_connected);
    let took = world.now - start;
    assert!(took < Duration::from_millis(400), "with 40 ms of signaling: {took:?}");
    for (id, peer) in [("a", "b"), ("b", "a")] {
        let snapshot = world.snapshot(id, peer);
        assert_eq!(snapshot.state, PeerState::Connected);
        assert!(snapshot.authenticated);
        assert_eq!(snapshot.selected().unwrap().remote_address, world.address(peer));
    }
}

#[test]
fn the_round_trip_of_the_selected_path_is_known_after_a_while() {
    let mut world = connected_pair();
    world.run(Duration::from_secs(10));
    let path = world.snapshot("a", "b").selected().unwrap().clone();
    assert!((path.round_trip_time - 0.020).abs() < 1e-6, "{}", path.round_trip_time);
    assert!((path.round_trip_time_min - path.round_trip_time).abs() < 1e-6);
    assert!(path.time_since_received < 5.0);
}

#[test]
fn a_session_goes_on_without_signaling_and_newcomers_join_when_it_is_back() {
    let mut world = connected_pair();
    world.signaling_down();
    world.start("c", &Setup::default());
    world.run(Duration::from_secs(120));
    assert!(both_connected(&world));
    assert!(!world.is_connected("c", "a"));
    world.signaling_up();
    world.run_until("c connects to both", |world| {
        world.is_connected("c", "a") && world.is_connected("c", "b")
    });
    assert!(both_connected(&world));
}

#[test]
fn a_lossy_network_only_delays_a_session() {
    for seed in 0..10 {
        let mut world = World::new(seed);
        world.loss = 0.2;
        world.start("a", &Setup::default());
        world.start("b", &Setup::default());
        world.run_until("a and b connect", both_connected);
    }
}

#[test]
fn a_session_is_soon_there_whichever_path_is_the_first_to_be_usable() {
    let four = Setup { addresses: 4, ..Setup::default() };
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.jitter = Duration::from_millis(30);
        let start = world.now;
        world.start("a", &four);
        world.start("b", &four);
        world.run_until("a and b connect", both_connected);
        let took = world.now - start;
        assert!(took < Duration::from_millis(500), "seed {seed}: {took:?}");
    }
}

#[test]
fn data_takes_the_preferred_network() {
    for preferred in 0..4 {
        let mut world = World::new(1);
        let setup = Setup { addresses: 4, preferred: Some(preferred), ..Setup::default() };
        world.start("a", &setup);
        world.start("b", &setup);
        world.run_until("a and b connect", both_connected);
        world.run(Duration::from_secs(5));
        let selected = world.snapshot("a", "b").selected().unwrap().interface.clone();
        assert_eq!(selected, format!("eth{preferred}"));
    }
}

#[test]
fn a_peer_that_is_not_listed_is_refused_by_name() {
    // The smaller id offers, the larger one asks for an offer.
    for (stranger, rover) in [("a", "b"), ("b", "a")] {
        let nobody = Setup { peers: PeerFilter::Only(vec!["c".to_owned()]), ..Setup::default() };
        let mut world = World::new(1);
        world.start(stranger, &Setup::default());
        world.start(rover, &nobody);
        world.run_until("it is refused", |world| world.refusal(rover, stranger).is_some());
        assert!(world.refusal(rover, stranger).unwrap().contains("`peers`"));
        world.run(Duration::from_secs(10));
        assert!(!world.is_connected(stranger, rover));
        let reason = world.snapshot(stranger, rover).reason;
        assert!(reason.contains("not listed"), "{stranger} knows why: {reason}");
    }
}

#[test]
fn another_fleet_key_or_none_is_refused() {
    for key in [Some("other"), None] {
        let mut world = World::new(1);
        world.start("a", &Setup::default());
        world.start("b", &Setup { key, ..Setup::default() });
        world.run_until("a refuses b", |world| world.refusal("a", "b").is_some());
        assert!(world.refusal("a", "b").unwrap().contains("ROVER_LINK_FLEET_KEY"));
        world.run(Duration::from_secs(60));
        assert!(!world.is_connected("a", "b"), "key {key:?}");
        assert!(!world.is_connected("b", "a"), "key {key:?}: b does not keep a half-open session");
    }
}

#[test]
fn without_a_key_on_both_sides_nobody_is_authenticated() {
    let open = Setup { key: None, ..Setup::default() };
    let mut world = World::new(1);
    world.start("a", &open);
    world.start("b", &open);
    world.run_until("a and b connect", both_connected);
    assert!(!world.snapshot("a", "b").authenticated);
}

#[test]
fn a_certificate_that_is_not_the_pinned_one_is_refused() {
    let zeros = format!("sha-256 {}", ["00"; 32].join(":"));
    for (pinning, pinned) in [("a", "b"), ("b", "a")] {
        let pins = BTreeMap::from([(pinned.to_owned(), zeros.clone())]);
        let mut world = World::new(1);
        for id in ["a", "b"] {
            let pins = if id == pinning { pins.clone() } else { BTreeMap::new() };
            world.start(id, &Setup { pins, ..Setup::default() });
        }
        world.run_until("the pin holds", |world| world.refusal(pinning, pinned).is_some());
        assert!(world.refusal(pinning, pinned).unwrap().contains("peer_fingerprints"));
        world.run(Duration::from_secs(60));
        assert!(!world.is_connected(pinning, pinned));
    }
}

#[test]
fn a_signaling_server_that_changes_fingerprints_gets_no_session() {
    let mut world = World::new(1);
    world.tamper = |signal| {
        let change = |sdp: String| {
            let lines = sdp.lines().map(|line| match line.split_once("a=fingerprint:sha-256 ") {
                Some(_) => format!("a=fingerprint:sha-256 {}\r\n", ["AB"; 32].join(":")),
                None => format!("{line}\r\n"),
            });
            lines.collect()
        };
        match signal {
            Signal::Offer(sdp) => Signal::Offer(change(sdp)),
            Signal::Answer(sdp) => Signal::Answer(change(sdp)),
            other => other,
        }
    };
    world.start("a", &Setup::default());
    world.start("b", &Setup::default());
    world.run(Duration::from_secs(60));
    assert!(!world.is_connected("a", "b"));
    assert!(!world.is_connected("b", "a"));
    let reason = world.snapshot("a", "b").reason;
    assert!(!reason.is_empty(), "a says why there is no session");
}

#[test]
fn garbage_from_the_network_and_from_signaling_changes_nothing() {
    let mut world = connected_pair();
    let mut random = fastrand::Rng::with_seed(3);
    let stranger = "192.0.2.1:9".parse().unwrap();
    for from in [stranger, world.address("b")] {
        for _ in 0..500 {
            let mut bytes = vec![0; random.usize(..1500)];
            random.fill(&mut bytes);
            world.inject("a", from, &bytes);
        }
    }
    for text in ["", "v=0", "a=candidate:garbage", "\u{1F916}"] {
        for signal in [
            Signal::Offer(text.to_owned()),
            Signal::Answer(text.to_owned()),
            Signal::Candidate(text.to_owned()),
            Signal::Hangup(text.to_owned()),
        ] {
            world.signal_from("a", "b", signal.clone());
            world.signal_from("b", "a", signal);
        }
    }
    world.run(Duration::from_secs(60));
    assert!(both_connected(&world));
    assert_eq!(world.snapshot("a", "b").state, PeerState::Connected);
}

#[test]
fn signals_in_a_peers_name_do_not_end_a_session() {
    let mut world = connected_pair();
    world.run(Duration::from_secs(10));
    for signal in [
        Signal::Hangup("go away".to_owned()),
        Signal::Offer(forged_offer(&world)),
        Signal::Hangup("go away".to_owned()),
    ] {
        world.signal_from("a", "b", signal);
    }
    world.run(Duration::from_secs(60));
    let missed = |event: &Event| matches!(event, Event::PeerDisconnected { .. });
    assert!(!world.events("a").iter().chain(world.events("b")).any(missed));
}

/// An offer by somebody who knows no key.
fn forged_offer(world: &World) -> String {
    let mut forger = World::new(2);
    forger.now = world.now;
    forger.start("a", &Setup::default());
    forger.start("b", &Setup::default());
    forger.run(Duration::from_secs(1));
    let offer = forger.signals.iter().find_map(|signal| match signal {
        Signal::Offer(offer) => Some(offer.clone()),
        _ => None,
    });
    offer.unwrap()
}

#[test]
fn a_rover_that_stops_in_order_is_missed_at_once() {
    let mut world = connected_pair();
    world.stop("b");
    world.run(Duration::from_millis(50));
    assert!(!world.is_connected("a", "b"));
}

#[test]
fn a_rover_that_dies_is_missed_and_taken_back_when_it_returns() {
    let mut world = connected_pair();
    world.kill("b");
    world.run_until("a notices", |world| world.snapshot("a", "b").state == PeerState::Outage);
    // It may come back with all it had; a session is given up after five minutes only.
    world.run(Duration::from_secs(270));
    assert!(world.is_connected("a", "b"));
    world.run_until("a misses b", |world| !world.is_connected("a", "b"));
    world.start("b", &Setup::default());
    world.run_until("a and b connect again", both_connected);
}

#[test]
fn a_restart_of_either_side_gives_a_new_session_at_once() {
    for id in ["a", "b"] {
        let mut world = connected_pair();
        world.start(id, &Setup::default());
        world.run(Duration::from_secs(1));
        assert!(both_connected(&world), "restart of {id}");
    }
}

#[test]
fn a_session_survives_an_ice_restart_without_losing_a_message() {
    for id in ["a", "b"] {
        let mut world = connected_pair();
        world.offer("a", 1, 0);
        world.offer("b", 2, 0);
        // A request that comes sooner belongs to the session just made.
        world.run(Duration::from_secs(4));
        for number in 0..200u32 {
            world.publish("a", 1, number.to_be_bytes().to_vec());
            world.publish("b", 2, number.to_be_bytes().to_vec());
            if number == 50 {
                let peer = if id == "a" { "b" } else { "a" }.to_owned();
                world.command(id, Command::RestartIce { peer });
            }
            world.run(Duration::from_millis(10));
        }
        world.run(Duration::from_secs(1));
        let offers = world.signals.iter().filter(|signal| matches!(signal, Signal::Offer(_)));
        assert_eq!(offers.count(), 2, "one for the session, one for the restart");
        let answers = world.signals.iter().filter(|signal| matches!(signal, Signal::Answer(_)));
        assert_eq!(answers.count(), 2);
        for (receiver, peer) in [("a", "b"), ("b", "a")] {
            let numbers: Vec<_> =
                world.delivered(receiver).iter().map(|(_, _, data)| data.to_vec()).collect();
            let expected: Vec<_> =
                (0..200u32).map(|number| number.to_be_bytes().to_vec()).collect();
            assert_eq!(numbers, expected, "{receiver}");
            assert!(!world.events(receiver).iter().any(|event| matches!(
                event, Event::PeerDisconnected { peer: of, .. } if of == peer)));
        }
    }
}

#[test]
fn a_session_survives_the_sleep_of_a_rover_and_delivers_what_was_published_meanwhile() {
    for asleep in ["a", "b"] {
        let mut world = connected_pair();
        let awake = if asleep == "a" { "b" } else { "a" };
        world.offer(awake, 0, 0);
        world.run(Duration::from_secs(1));
        world.put_to_sleep(asleep);
        for number in 0..100_u32 {
            world.publish(awake, 0, number.to_be_bytes().to_vec());
            world.run(Duration::from_millis(600));
        }
        world.wake_up(asleep);
        world.run(Duration::from_secs(1));
        assert!(both_connected(&world));
        let delivered: Vec<_> =
            world.delivered(asleep).iter().map(|(_, _, data)| data.to_vec()).collect();
        assert_eq!(delivered, (0..100_u32).map(|n| n.to_be_bytes().to_vec()).collect::<Vec<_>>());
    }
}

#[test]
fn a_rover_that_slept_for_longer_than_its_peer_waited_connects_anew_at_once() {
    for asleep in ["a", "b"] {
        let mut world = connected_pair();
        world.put_to_sleep(asleep);
        world.run(Duration::from_secs(400));
        world.wake_up(asleep);
        let woken = world.now;
        world.run(Duration::from_millis(1));
        assert!(!both_connected(&world));
        world.run_until("they connect anew", both_connected);
        let took = world.now - woken;
        assert!(took < Duration::from_secs(5), "{asleep}: {took:?}");
    }
}

#[test]
fn an_offer_that_got_lost_with_signaling_is_made_again_when_that_is_back() {
    let offers = |world: &World| {
        world.signals.iter().filter(|signal| matches!(signal, Signal::Offer(_))).count()
    };
    let mut world = connected_pair();
    world.put_to_sleep("a");
    world.sign_out("a");
    world.run(Duration::from_secs(400));
    let before = offers(&world);
    world.wake_up("a");
    world.run(Duration::from_secs(1));
    assert!(offers(&world) > before);
    assert!(!world.is_connected("a", "b"));
    world.sign_in("a");
    let back = world.now;
    world.run_until("they connect anew", both_connected);
    assert!(world.now - back < Duration::from_secs(1), "{:?}", world.now - back);
}

#[test]
fn a_way_that_may_be_open_at_last_is_tried_at_once() {
    let took = |is_told: bool| {
        let mut world = World::new(1);
        world.closed = Some(1);
        let setup = Setup { addresses: 2, ..Setup::default() };
        world.start("a", &setup);
        world.start("b", &setup);
        world.run_until("a and b connect", both_connected);
        world.run(Duration::from_secs(60));
        world.closed = None;
        if is_told {
            world.tell_reachable("a");
        }
        let opened = world.now;
        world.run_until("the second network is a path", |world| {
            let is_good =
                |path: &PathSnapshot| path.interface == "eth1" && path.round_trip_time > 0.0;
            world.snapshot("a", "b").paths.iter().any(is_good)
        });
        world.now - opened
    };
    let (told, not_told) = (took(true), took(false));
    assert!(told < Duration::from_millis(100), "{told:?}");
    assert!(not_told > 2 * told, "{told:?} {not_told:?}");
}
