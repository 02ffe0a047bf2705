//! What crosses: exactly once, in order, whole, and only where it was accepted.

use std::time::Duration;

use bytes::Bytes;
use rover_link::config::Delivery;
use rover_link::link::{Command, Event, RefusalReason, RouteId};

use crate::world::{Setup, World};

fn world_of(ids: &[&str], seed: u64) -> World {
    let mut world = World::new(seed);
    for id in ids {
        world.start(id, &Setup::default());
    }
    world
}

/// A pair with topic `/t0` of `a` open at `b`.
fn pair_with_topic(history: usize) -> World {
    let mut world = world_of(&["a", "b"], 1);
    world.offer("a", 0, history);
    world.run_until("the topic opens", |world| is_open(world, "a", "b", 0));
    world
}

fn is_open(world: &World, id: &str, peer: &str, number: u16) -> bool {
    let opened = Event::RouteOpened { peer: peer.to_owned(), id: RouteId(number) };
    world.is_connected(id, peer) && world.events(id).contains(&opened)
}

fn numbers(delivered: &[(&str, &str, &[u8])]) -> Vec<u32> {
    delivered.iter().map(|(_, _, data)| u32::from_be_bytes((*data).try_into().unwrap())).collect()
}

#[test]
fn reliable_messages_arrive_once_and_in_order_whatever_the_network_loses() {
    for seed in 0..5 {
        let mut world = world_of(&["a", "b"], seed);
        world.offer("a", 0, 0);
        world.run_until("the topic opens", |world| is_open(world, "a", "b", 0));
        world.loss = 0.05;
        for number in 0..500_u32 {
            world.publish("a", 0, number.to_be_bytes().to_vec());
            world.run(Duration::from_millis(2));
        }
        world.run_until("all arrive", |world| world.delivered("b").len() >= 500);
        world.run(Duration::from_secs(5));
        assert_eq!(numbers(&world.delivered("b")), (0..500).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn messages_of_every_size_arrive_whole() {
    let mut world = pair_with_topic(0);
    let sizes = [0, 1, 1023, 1024, 1025, 65_536, 1 << 20];
    for size in sizes {
        let message: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        world.publish("a", 0, message);
    }
    world.run_until("all arrive", |world| world.delivered("b").len() == sizes.len());
    for ((_, _, data), size) in world.delivered("b").into_iter().zip(sizes) {
        assert_eq!(data.len(), size);
        assert!(data.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
    }
}

#[test]
fn a_compressed_message_crosses_as_it_is_and_is_told_to_be_one_to_late_joiners_too() {
    let mut world = world_of(&["a", "b"], 1);
    world.offer("a", 0, 2);
    world.run_until("the topic opens", |world| is_open(world, "a", "b", 0));
    let frame = Bytes::from(vec![7; 3000]);
    world.publish_compressed("a", 0, vec![0; 1 << 20].into(), Some(frame.clone()));
    world.publish("a", 0, vec![1]);
    // What counts is the size of what the frame stands for.
    world.publish_compressed("a", 0, vec![0; (1 << 20) + 1].into(), Some(frame.clone()));
    world.start("c", &Setup::default());
    for id in ["b", "c"] {
        world.run_until("both arrive", |world| world.delivered(id).len() == 2);
        assert_eq!(world.delivered(id), [("a", "/t0", &frame[..]), ("a", "/t0", &[1])]);
        assert_eq!(world.compressed(id), [true, false]);
        let route = &world.snapshot("a", id).routes[0];
        assert_eq!((route.counts.bytes, route.counts.dropped_oversize), (3001, 1));
    }
}

#[test]
fn a_message_beyond_the_senders_limit_is_dropped_and_counted_there() {
    let mut world = pair_with_topic(0);
    world.publish("a", 0, vec![0; (1 << 20) + 1]);
    world.publish("a", 0, vec![1]);
    world.run_until("the other one arrives", |world| !world.delivered("b").is_empty());
    assert_eq!(world.delivered("b"), [("a", "/t0", &[1][..])]);
    assert_eq!(world.snapshot("a", "b").routes[0].counts.dropped_oversize, 1);
}

#[test]
fn a_message_beyond_the_receivers_limit_is_dropped_and_counted_there() {
    let mut world = World::new(1);
    world.start("a", &Setup::default());
    world.start("b", &Setup { limit: Some(3000), ..Setup::default() });
    world.offer("a", 0, 0);
    world.run_until("the topic opens", |world| is_open(world, "a", "b", 0));
    world.publish("a", 0, vec![0; 3001]);
    world.publish("a", 0, vec![1; 3000]);
    world.run_until("the other one arrives", |world| !world.delivered("b").is_empty());
    assert_eq!(world.delivered("b"), [("a", "/t0", &[1; 3000][..])]);
    let snapshot = world.snapshot("b", "a");
    assert_eq!((snapshot.routes[0].counts.dropped_oversize, snapshot.messages_dropped), (1, 1));
}

#[test]
fn a_small_message_is_not_held_up_by_a_large_one() {
    let mut world = pair_with_topic(0);
    world.offer("a", 1, 0);
    world.run_until("the other topic opens", |world| is_open(world, "a", "b", 1));
    world.publish("a", 0, vec![0; 1 << 20]);
    world.publish("a", 1, vec![1]);
    world.run_until("both arrive", |world| world.delivered("b").len() == 2);
    assert_eq!(world.delivered("b")[0].1, "/t1");
}

#[test]
fn of_a_latest_topic_nothing_old_follows_something_new() {
    let mut world = world_of(&["a", "b"], 1);
    world.offer_with("a", 0, 0, Delivery::Latest);
    world.run_until("the topic opens", |world| is_open(world, "a", "b", 0));
    world.loss = 0.1;
    for number in 0..500_u32 {
        world.publish("a", 0, number.to_be_bytes().to_vec());
        world.run(Duration::from_millis(2));
    }
    world.run(Duration::from_secs(5));
    let arrived = numbers(&world.delivered("b"));
    assert!(arrived.is_sorted_by(|earlier, later| earlier < later), "{arrived:?}");
    assert_eq!(arrived.last(), Some(&499));
    assert!(arrived.len() > 250, "{}", arrived.len());
}

#[test]
fn a_refused_topic_is_reported_and_nothing_of_it_arrives() {
    let mut world = World::new(1);
    world.start("a", &Setup::default());
    world.start("b", &Setup { limit: None, ..Setup::default() });
    world.offer("a", 0, 1);
    let refused = |world: &World| {
        world.events("a").iter().any(|event| match event {
            Event::RouteRefused { refusal, .. } => refusal.reason == RefusalReason::NotAccepted,
            _ => false,
        })
    };
    world.run_until("the topic is refused", refused);
    world.publish("a", 0, vec![1]);
    world.run(Duration::from_secs(5));
    assert!(world.delivered("b").is_empty());
    assert_eq!(world.snapshot("a", "b").routes[0].remark, "no");
}

#[test]
fn a_late_joiner_gets_the_kept_sample_and_a_reconnect_does_not_repeat_it() {
    let mut world = world_of(&["a"], 1);
    world.offer("a", 0, 1);
    world.publish("a", 0, vec![1]);
    world.publish("a", 0, vec![2]);
    world.run(Duration::from_secs(5));
    world.start("b", &Setup::default());
    world.run_until("the sample arrives", |world| !world.delivered("b").is_empty());
    // A new session between the same two instances.
    world.cut(true);
    world.run(Duration::from_secs(270));
    world.run_until("the session is lost", |world| !world.is_connected("b", "a"));
    world.cut(false);
    world.run_until("they connect again", |world| world.is_connected("b", "a"));
    world.run(Duration::from_secs(5));
    assert_eq!(world.delivered("b"), [("a", "/t0", &[2][..])]);
}

#[test]
fn a_late_joiner_gets_the_kept_sample_after_the_senders_restart() {
    let mut world = pair_with_topic(1);
    world.start("a", &Setup::default());
    world.offer("a", 0, 1);
    world.publish("a", 0, vec![9]);
    world.run_until("the sample arrives", |world| !world.delivered("b").is_empty());
    assert_eq!(world.delivered("b"), [("a", "/t0", &[9][..])]);
}

#[test]
fn a_topic_that_is_withdrawn_is_closed_at_the_peer() {
    let mut world = pair_with_topic(0);
    world.command("a", Command::WithdrawRoute { id: RouteId(0) });
    let closed = Event::RouteClosed { peer: "a".to_owned(), id: RouteId(0) };
    world.run_until("the topic closes", |world| world.events("b").contains(&closed));
    world.publish("a", 0, vec![1]);
    world.run(Duration::from_secs(1));
    assert!(world.delivered("b").is_empty());
}

#[test]
fn what_is_published_before_the_peer_has_answered_arrives() {
    for history in [0, 1] {
        let mut world = world_of(&["a", "b"], 1);
        world.run_until("they connect", |world| world.is_connected("a", "b"));
        world.offer("a", 0, history);
        for number in 0..20_u32 {
            world.publish("a", 0, number.to_be_bytes().to_vec());
        }
        world.run(Duration::from_secs(1));
        assert_eq!(numbers(&world.delivered("b")), (0..20).collect::<Vec<_>>(), "{history}");
    }
}

#[test]
fn a_topic_that_is_offered_anew_while_messages_are_on_their_way_loses_none() {
    let mut world = pair_with_topic(0);
    for number in 0..100_u32 {
        let mut message = number.to_be_bytes().to_vec();
        message.resize(3_000, 0);
        world.publish("a", 0, message);
        if number % 10 == 0 {
            world.offer("a", 0, 0);
        }
        world.run(Duration::from_millis(1));
    }
    world.run(Duration::from_secs(1));
    let arrived: Vec<_> = world.delivered("b").iter().map(|(.., data)| data[3]).collect();
    assert_eq!(arrived, (0..100).collect::<Vec<u8>>());
}

#[test]
fn three_rovers_that_share_a_topic_get_each_message_once() {
    let ids = ["a", "b", "c"];
    let mut world = world_of(&ids, 1);
    for id in ids {
        world.offer(id, 0, 0);
    }
    for id in ids {
        for peer in ids.into_iter().filter(|peer| *peer != id) {
            world.run_until("all topics open", |world| is_open(world, id, peer, 0));
        }
    }
    for id in ids {
        world.publish(id, 0, id.as_bytes().to_vec());
    }
    world.run(Duration::from_secs(1));
    for id in ids {
        let mut senders: Vec<_> = world.delivered(id).iter().map(|(peer, _, _)| *peer).collect();
        senders.sort_unstable();
        let others: Vec<_> = ids.into_iter().filter(|other| *other != id).collect();
        assert_eq!(senders, others, "at {id}");
    }
}

#[test]
fn ten_restarts_of_either_side_leave_exactly_one_copy() {
    let mut world = pair_with_topic(0);
    for restart in 0..20 {
        let id = if restart % 2 == 0 { "a" } else { "b" };
        world.start(id, &Setup::default());
        if id == "a" {
            world.offer("a", 0, 0);
        }
        world.run(Duration::from_secs(2));
        assert!(is_open(&world, "a", "b", 0), "restart {restart} of {id}");
        let before = world.delivered("b").len();
        world.publish("a", 0, vec![restart]);
        world.run(Duration::from_secs(1));
        let after: Vec<_> =
            world.delivered("b")[before..].iter().map(|(.., data)| data[0]).collect();
        assert_eq!(after, [restart], "after restart {restart} of {id}");
    }
}
