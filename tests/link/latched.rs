//! What the receiver of a `transient_local` topic learns about the publishers behind it.

use std::collections::BTreeSet;
use std::time::Duration;

use rover_link::link::{Command, Event, OutgoingMessage, PublisherId, RouteId};

use crate::world::{Setup, World};

const ID: RouteId = RouteId(0);

fn world_of(ids: &[&str], setup: &Setup) -> World {
    let mut world = World::new(1);
    for id in ids {
        world.start(id, setup);
    }
    world
}

fn latch(world: &mut World, publisher: u128, number: u64) {
    let data = vec![publisher as u8, number as u8].into();
    let publisher = PublisherId(publisher);
    let message = OutgoingMessage { id: ID, publisher, number, data, compressed: None };
    world.hand_over("a", message);
}

fn set_publishers(world: &mut World, publishers: &[u128]) {
    let publishers = publishers.iter().copied().map(PublisherId).collect();
    world.command("a", Command::SetPublishers { id: ID, publishers });
}

/// What `id` was last told of the publishers.
fn told(world: &World, id: &str) -> Option<BTreeSet<PublisherId>> {
    world.events(id).iter().rev().find_map(|event| match event {
        Event::PublishersTold { publishers, .. } => Some(publishers.clone()),
        _ => None,
    })
}

#[test]
fn each_message_tells_who_published_it_to_late_joiners_too() {
    let mut world = world_of(&["a", "b"], &Setup::default());
    world.offer("a", 0, 1);
    world.run(Duration::from_secs(1));
    for (publisher, number) in [(u128::MAX, 7), (2, 1), (u128::MAX, 8)] {
        latch(&mut world, publisher, number);
    }
    world.start("c", &Setup::default());
    world.run(Duration::from_secs(3));
    let newest = [Some((2, 1)), Some((u128::MAX, 8))];
    assert_eq!(world.origins("b"), [&[Some((u128::MAX, 7))], &newest[..]].concat());
    assert_eq!(world.origins("c"), newest);
}

#[test]
fn a_volatile_topic_tells_nothing_of_its_publishers() {
    let mut world = world_of(&["a", "b"], &Setup::default());
    world.offer("a", 0, 0);
    world.run(Duration::from_secs(1));
    set_publishers(&mut world, &[1]);
    latch(&mut world, 1, 1);
    world.run(Duration::from_secs(1));
    assert_eq!(world.origins("b"), [None]);
    assert_eq!(told(&world, "b"), None);
}

#[test]
fn each_peer_knows_which_publishers_there_are_whenever_it_connects() {
    let mut world = world_of(&["a", "b"], &Setup::default());
    world.offer("a", 0, 1);
    world.run(Duration::from_secs(1));
    set_publishers(&mut world, &[1, u128::MAX]);
    world.start("c", &Setup::default());
    world.run(Duration::from_secs(3));
    for id in ["b", "c"] {
        assert_eq!(told(&world, id), Some([1, u128::MAX].map(PublisherId).into()), "{id}");
    }
    for publisher in [1, u128::MAX] {
        latch(&mut world, publisher, 1);
    }
    set_publishers(&mut world, &[1]);
    world.start("d", &Setup::default());
    world.run(Duration::from_secs(3));
    for id in ["b", "c", "d"] {
        assert_eq!(told(&world, id), Some([1].map(PublisherId).into()), "{id}");
    }
    assert_eq!(world.origins("d"), [Some((1, 1))], "nothing of one that is gone");
}

#[test]
fn a_receiver_that_has_lost_what_it_got_gets_it_again() {
    for (again, copies) in [(false, 1), (true, 2)] {
        let mut world = world_of(&["a", "b"], &Setup { again, ..Setup::default() });
        world.offer("a", 0, 1);
        world.run(Duration::from_secs(1));
        latch(&mut world, 1, 1);
        world.run(Duration::from_secs(1));
        // Offered anew, with another QoS for instance.
        world.offer("a", 0, 1);
        world.run(Duration::from_secs(1));
        assert_eq!(world.origins("b"), vec![Some((1, 1)); copies], "{again}");
    }
}
