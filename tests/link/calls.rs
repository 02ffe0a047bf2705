//! Services: what a rover says to one peer alone.

use std::time::Duration;

use rover_link::config::Priority;
use rover_link::link::{CallTerms, Command, RouteDirection, RouteId, RouteKind};

use crate::world::{Setup, World};

const RESPONSES: u16 = 3;

fn world(peers: &[&str]) -> World {
    let mut world = World::new(1);
    for id in peers {
        world.start(id, &Setup::default());
    }
    let mut route = crate::routes::reliable("/a/reset");
    let timeout = Duration::from_secs(60);
    route.offer.kind = RouteKind::Service(CallTerms { timeout, priority: Priority::High });
    world.command("a", Command::OfferRoute { id: RouteId(RESPONSES), route });
    world.run(Duration::from_secs(2));
    world
}

/// What `a` has taken, sent and dropped of the responses for a peer.
fn counted(world: &World, peer: &str) -> (u64, u64, u64) {
    let routes = world.snapshot("a", peer).routes;
    let sent = routes.iter().find(|route| route.direction == RouteDirection::Send);
    let counts = sent.expect("the route of responses").counts;
    (counts.taken, counts.messages, counts.dropped())
}

#[test]
fn a_response_reaches_the_peer_that_called_and_is_counted_for_no_other() {
    let mut world = world(&["a", "b", "c"]);
    for (peer, response) in [("b", "one"), ("c", "two"), ("b", "three")] {
        world.respond("a", peer, RESPONSES, response);
    }
    world.run(Duration::from_secs(1));
    let responses = |id: &str| {
        let delivered = world.delivered(id).into_iter();
        delivered.map(|(_, _, data)| String::from_utf8_lossy(data).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(responses("b"), ["one", "three"]);
    assert_eq!(responses("c"), ["two"]);
    assert_eq!((counted(&world, "b"), counted(&world, "c")), ((2, 2, 0), (1, 1, 0)));
    let kinds = world.kinds("b");
    assert!(kinds.iter().all(|kind| matches!(kind, RouteKind::Service(_))) && kinds.len() == 2);
}

#[test]
fn a_peer_that_comes_late_has_missed_no_response_of_others() {
    let mut world = world(&["a", "b"]);
    world.respond("a", "b", RESPONSES, "one");
    world.start("c", &Setup::default());
    world.run(Duration::from_secs(2));
    assert_eq!(counted(&world, "c"), (0, 0, 0));
}

#[test]
fn a_response_to_a_peer_that_has_gone_is_dropped_and_counted() {
    let mut world = world(&["a", "b"]);
    world.stop("b");
    world.run(Duration::from_secs(1));
    world.respond("a", "b", RESPONSES, "too late");
    world.start("b", &Setup::default());
    world.run(Duration::from_secs(2));
    assert!(world.delivered("b").is_empty());
    assert_eq!(counted(&world, "b"), (1, 0, 1));
}

#[test]
fn a_response_that_is_too_large_is_dropped_and_counted() {
    let mut world = world(&["a", "b"]);
    world.respond("a", "b", RESPONSES, vec![0; (1 << 20) + 1]);
    assert_eq!(counted(&world, "b"), (1, 0, 1));
}
