//! When a message was taken at its sender: the receiver knows it by its own clock, with a known error.

use std::time::{Duration, Instant};

use rover_link::link::{Event, RouteId};

use crate::world::{Setup, World};

/// One way through the network of these tests.
const DELAY: f64 = 0.010;

/// A pair with topic `/t0` of `a` open at `b`. Each session has a clock of its own, so that the two
/// rovers never have the same.
fn pair(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::new(1);
    world.start("a", &Setup::default());
    world.run(Duration::from_secs(7));
    world.start("b", &Setup::default());
    change(&mut world);
    world.offer("a", 0, 0);
    let opened = Event::RouteOpened { peer: "b".to_owned(), id: RouteId(0) };
    world.run_until("the topic opens", |world| world.events("a").contains(&opened));
    // Round trips are measured by then.
    world.run(Duration::from_secs(2));
    world
}

/// How far `b` is wrong about the moments at which messages were taken, s; positive where it takes
/// them for younger.
fn errors(world: &mut World) -> Vec<f64> {
    let mut published = Vec::new();
    for number in 0..200_u32 {
        published.push(world.now);
        world.publish("a", 0, number.to_be_bytes().to_vec());
        world.run(Duration::from_millis(10));
    }
    world.run_until("all arrive", |world| world.delivered("b").len() == 200);
    let told = world.taken("b");
    told.into_iter().zip(published).map(|(told, at)| difference(told.unwrap(), at)).collect()
}

fn difference(one: Instant, other: Instant) -> f64 {
    one.saturating_duration_since(other).as_secs_f64()
        - other.saturating_duration_since(one).as_secs_f64()
}

#[test]
fn it_is_exact_where_both_ways_are_alike() {
    let errors = errors(&mut pair(|_| {}));
    assert!(errors.iter().all(|error| error.abs() < 0.001), "{errors:?}");
}

#[test]
fn it_is_exact_where_some_datagrams_take_longer_than_others() {
    let errors = errors(&mut pair(|world| world.jitter = Duration::from_millis(20)));
    // The shortest of many ways counts, and of that little is missing.
    assert!(errors.iter().all(|error| error.abs() < 0.004), "{errors:?}");
}

#[test]
fn it_is_wrong_by_half_of_the_shortest_round_trip_at_most() {
    for slow in ["a", "b"] {
        let detour = 0.040;
        let errors = errors(&mut pair(|world| {
            world.detour = Some((slow, Duration::from_secs_f64(detour)));
        }));
        let half = (2.0 * DELAY + detour) / 2.0;
        assert!(errors.iter().all(|error| error.abs() < half), "{errors:?}");
        // Half of the difference of both ways: none of the clocks can tell.
        let sign = if slow == "b" { 1.0 } else { -1.0 };
        let expected = sign * detour / 2.0;
        assert!(errors.iter().all(|error| (error - expected).abs() < 0.002), "{errors:?}");
    }
}

#[test]
fn time_that_a_message_waited_at_its_sender_counts() {
    let mut world = pair(|_| {});
    world.cut(true);
    let published = world.now;
    world.publish("a", 0, vec![1]);
    world.run(Duration::from_secs(3));
    world.cut(false);
    world.run_until("it arrives", |world| world.delivered("b").len() == 1);
    let told = world.taken("b")[0].unwrap();
    assert!(difference(told, published).abs() < 0.001);
}
