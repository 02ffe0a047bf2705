//! What becomes of messages is counted: each is in exactly one counter, or waits.

use std::time::Duration;

use rover_link::config::{Delivery, Durability, QueueLimits};
use rover_link::link::{Command, Counts, RouteDirection, RouteId, RouteSnapshot};

use crate::world::{Setup, World};

/// Topics of `a`, by number.
const RELIABLE: u16 = 0;
const LATEST: u16 = 1;
const EXPIRING: u16 = 2;
const THINNED: u16 = 3;
const LATCHED: u16 = 4;
const TOPICS: [u16; 5] = [RELIABLE, LATEST, EXPIRING, THINNED, LATCHED];

fn offer(world: &mut World, number: u16) {
    let mut route = crate::routes::reliable(&format!("/t{number}"));
    route.queue = QueueLimits { messages: 5, ..QueueLimits::default() };
    route.max_message_size = 100_000;
    match number {
        LATEST => route.offer.delivery = Delivery::Latest,
        EXPIRING => route.lifespan = Duration::from_millis(20),
        THINNED => route.min_period = Duration::from_millis(50),
        LATCHED => {
            route.history = 1;
            route.offer.qos.durability = Durability::TransientLocal;
        }
        _ => {}
    }
    world.command("a", Command::OfferRoute { id: RouteId(number), route });
}

/// Publishes more than the link can take, some of it larger than either side allows.
fn overload(world: &mut World) {
    for number in 0..20 {
        for topic in TOPICS {
            let size = if number % 7 == 6 { 100_001 } else { 500 * number };
            world.publish("a", topic, vec![0; size]);
        }
        world.run(Duration::from_millis(5));
    }
}

fn route(world: &World, id: &str, peer: &str, way: RouteDirection, topic: u16) -> RouteSnapshot {
    let routes = world.snapshot(id, peer).routes;
    let is_it = |route: &RouteSnapshot| route.direction == way && route.id == RouteId(topic);
    let found = routes.into_iter().find(is_it);
    found.unwrap_or_else(|| panic!("{id} has no route {topic} with {peer}"))
}

/// What `a` counted of a topic for a peer. It has to add up.
fn sent(world: &World, peer: &str, topic: u16) -> Counts {
    let RouteSnapshot { counts, waiting, .. } =
        route(world, "a", peer, RouteDirection::Send, topic);
    assert_eq!(counts.taken, counts.messages + waiting + counts.dropped(), "{topic}: {counts:?}");
    counts
}

/// What a peer of `a` counted of a topic. It has to add up, and nothing may be under way.
fn received(world: &World, peer: &str, topic: u16) -> Counts {
    let RouteSnapshot { counts, waiting, .. } =
        route(world, peer, "a", RouteDirection::Receive, topic);
    assert_eq!(counts.taken, counts.messages + waiting + counts.dropped(), "{topic}: {counts:?}");
    assert_eq!(waiting, 0);
    counts
}

fn world() -> World {
    let mut world = World::new(1);
    world.start("a", &Setup::default());
    world.start("b", &Setup { limit: Some(5000), ..Setup::default() });
    for topic in TOPICS {
        offer(&mut world, topic);
    }
    world.run(Duration::from_secs(2));
    world
}

#[test]
fn what_is_sent_is_delivered_or_dropped_for_a_reason_that_is_counted() {
    let mut world = world();
    world.loss = 0.05;
    overload(&mut world);
    for topic in TOPICS {
        sent(&world, "b", topic);
    }
    world.run(Duration::from_secs(5));
    let delivered = world.delivered("b").len() as u64;
    let mut messages = 0;
    for topic in TOPICS {
        let (sent, received) = (sent(&world, "b", topic), received(&world, "b", topic));
        assert_eq!((sent.taken, sent.messages), (20, received.taken), "{topic}");
        assert!(sent.dropped_oversize > 0, "{topic}: {sent:?}");
        messages += received.messages;
    }
    assert_eq!(messages, delivered);
    assert!(received(&world, "b", RELIABLE).dropped_oversize > 0);
    assert!(sent(&world, "b", LATEST).dropped_queue > 0);
    assert!(sent(&world, "b", THINNED).dropped_rate > 0);
    let expired = [sent(&world, "b", EXPIRING), received(&world, "b", EXPIRING)];
    assert!(expired.iter().any(|counts| counts.dropped_expired > 0));
    let snapshots = [world.snapshot("a", "b"), world.snapshot("b", "a")];
    let dropped = |of: RouteSnapshot| of.counts.dropped();
    for snapshot in snapshots {
        let sum: u64 = snapshot.routes.into_iter().map(dropped).sum();
        assert_eq!(snapshot.messages_dropped, sum);
    }
}

#[test]
fn counters_count_on_from_session_to_session() {
    let mut world = world();
    overload(&mut world);
    world.run(Duration::from_secs(5));
    let before = TOPICS.map(|topic| sent(&world, "b", topic));
    world.stop("b");
    world.run(Duration::from_secs(1));
    assert!(!world.is_connected("a", "b"));
    overload(&mut world);
    for (topic, before) in TOPICS.into_iter().zip(before) {
        let counts = sent(&world, "b", topic);
        assert_eq!((counts.taken, counts.messages), (40, before.messages));
        let missed = counts.dropped_closed - before.dropped_closed;
        assert_eq!(missed, 20 - (counts.dropped() - before.dropped() - missed));
        assert!(missed > 0);
    }
    world.start("b", &Setup::default());
    world.run(Duration::from_secs(2));
    overload(&mut world);
    world.run(Duration::from_secs(5));
    for (topic, before) in TOPICS.into_iter().zip(before) {
        let (sent, received) = (sent(&world, "b", topic), received(&world, "b", topic));
        let again = u64::from(topic == LATCHED);
        assert_eq!(sent.taken, 60 + again);
        assert_eq!(sent.messages - before.messages, received.taken, "since it started anew");
    }
}

#[test]
fn a_sender_that_starts_anew_begins_to_count_anew_at_both_ends() {
    let mut world = world();
    overload(&mut world);
    world.run(Duration::from_secs(5));
    let before = world.snapshot("b", "a").messages_received;
    world.start("a", &Setup::default());
    offer(&mut world, RELIABLE);
    world.run(Duration::from_secs(2));
    for size in 0..3 {
        world.publish("a", RELIABLE, vec![0; size]);
    }
    world.run(Duration::from_secs(2));
    let (sent, received) = (sent(&world, "b", RELIABLE), received(&world, "b", RELIABLE));
    assert_eq!((sent.taken, received.taken, received.messages), (3, 3, 3));
    assert_eq!(world.snapshot("b", "a").messages_received, before + 3, "never falls");
}

#[test]
fn a_peer_that_comes_late_has_missed_what_there_was_before() {
    let mut world = world();
    overload(&mut world);
    world.start("c", &Setup::default());
    world.run(Duration::from_secs(2));
    overload(&mut world);
    world.run(Duration::from_secs(5));
    for topic in TOPICS {
        let (sent, received) = (sent(&world, "c", topic), received(&world, "c", topic));
        assert_eq!(sent.messages, received.taken);
        let again = u64::from(topic == LATCHED);
        assert_eq!(sent.taken, 40 + again);
        assert!(sent.dropped_closed > 0);
    }
}

#[test]
fn a_topic_that_is_refused_or_withdrawn_counts_what_it_does_not_send() {
    let mut world = World::new(1);
    world.start("a", &Setup::default());
    world.start("b", &Setup { limit: None, ..Setup::default() });
    offer(&mut world, RELIABLE);
    world.run(Duration::from_secs(2));
    world.publish("a", RELIABLE, vec![1]);
    assert_eq!(sent(&world, "b", RELIABLE).dropped_closed, 1);
    world.start("b", &Setup::default());
    world.run(Duration::from_secs(2));
    world.cut(true);
    for _ in 0..3 {
        world.publish("a", RELIABLE, vec![0; 90_000]);
    }
    world.command("a", Command::WithdrawRoute { id: RouteId(RELIABLE) });
    let counts = sent(&world, "b", RELIABLE);
    assert_eq!(counts.taken, 4);
    assert!(counts.dropped_closed > 1, "{counts:?}");
}
