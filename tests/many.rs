//! One rover with many peers and 1,000 topics for each of them, in virtual time: no storm while nothing
//! is published, nothing is lost when something is, and memory does not grow.
//!
//! `MANY_PEERS=32` makes them 32, `MANY_SECONDS=3600` lets them idle for twice an hour.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the world looks for some events among many")]

use std::time::{Duration, Instant};

use rover_link::config::PeerFilter;
use rover_link::link::{PeerState, RouteDirection};

mod routes;
#[path = "link/world.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod world;

use world::{Setup, World};

/// The rover in the middle; the others know only it.
const HUB: &str = "a";
const TOPICS: u16 = 1_000;
/// Topics that are published, and how often.
const BUSY: u16 = 20;
const PERIOD: Duration = Duration::from_millis(20);

/// What an idle session may send, B/s: checks and frames of one path, whatever the number of topics.
const IDLE_BYTES: f64 = 4_000.0;
/// What the process may grow by while idle, bytes: less than a byte per route and second.
const GROWTH: u64 = 2 << 20;

fn peers(count: usize) -> Vec<String> {
    // The last byte of an id tells its address.
    (b'b'..=b'z').chain(b'A'..=b'Z').take(count).map(|id| char::from(id).to_string()).collect()
}

/// A hub that has offered so many topics to so many peers, all of them open.
fn star(count: usize, topics: u16) -> (World, Vec<String>) {
    let (mut world, peers) = (World::new(1), peers(count));
    world.start(HUB, &Setup::default());
    for topic in 0..topics {
        world.offer(HUB, topic, 0);
    }
    let setup = Setup { peers: PeerFilter::Only(vec![HUB.to_owned()]), ..Setup::default() };
    for peer in &peers {
        world.start(peer, &setup);
    }
    world.run(Duration::from_secs(10));
    for peer in &peers {
        let snapshot = world.snapshot(HUB, peer);
        assert_eq!(snapshot.state, PeerState::Connected, "{peer}");
        let is_open = |route: &&rover_link::link::RouteSnapshot| {
            route.open && route.direction == RouteDirection::Send
        };
        assert_eq!(snapshot.routes.iter().filter(is_open).count(), usize::from(topics), "{peer}");
    }
    (world, peers)
}

/// Bytes that the hub has sent to its peers.
fn sent(world: &World, peers: &[String]) -> u64 {
    peers.iter().map(|peer| world.snapshot(HUB, peer).bytes_sent).sum()
}

/// What the hub sends to a peer while nothing is published, B/s.
fn idle_rate(world: &mut World, peers: &[String], time: Duration) -> f64 {
    let before = sent(world, peers);
    world.run(time);
    (sent(world, peers) - before) as f64 / time.as_secs_f64() / peers.len() as f64
}

/// Memory of this process that is in use, bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes << 10
}

/// A number from the environment.
fn given(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn many_peers_with_a_thousand_topics_cost_no_more_than_their_sessions() {
    let idle_time = Duration::from_secs(given("MANY_SECONDS", 5));
    let began = Instant::now();
    let (mut lone, lone_peer) = star(1, 1);
    let alone = idle_rate(&mut lone, &lone_peer, Duration::from_secs(10));

    let (mut world, peers) = star(given("MANY_PEERS", 8) as usize, TOPICS);
    let opened = began.elapsed();
    // What was grown once stays, so that the second half is what counts.
    let rates = [(); 2].map(|()| (idle_rate(&mut world, &peers, idle_time), resident()));
    let [(first, before), (second, after)] = rates;
    println!(
        "{} peers; idle: {second:.0} B/s per peer, {alone:.0} with one topic; resident {} MiB, grew by {} KiB; \
         set up in {:.1} s of real time",
        peers.len(),
        after >> 20,
        after.saturating_sub(before) >> 10,
        opened.as_secs_f64()
    );
    for rate in [alone, first, second] {
        assert!(rate > 0.0 && rate < IDLE_BYTES, "{rate} B/s");
    }
    assert!((second / alone - 1.0).abs() < 0.1, "topics that are silent cost nothing");
    assert!(after.saturating_sub(before) < GROWTH, "memory grew from {before} to {after} bytes");

    for number in 0..10_u32 {
        for topic in 0..BUSY {
            world.publish(HUB, topic, number.to_be_bytes().to_vec());
        }
        world.run(PERIOD);
    }
    world.run(Duration::from_secs(2));
    for peer in &peers {
        let mut expected: Vec<_> = (0..BUSY).map(|topic| format!("/t{topic}")).collect();
        expected.sort();
        let mut delivered = std::collections::BTreeMap::<&str, Vec<u32>>::new();
        for (_, topic, data) in world.delivered(peer) {
            let number = u32::from_be_bytes(data.try_into().unwrap());
            delivered.entry(topic).or_default().push(number);
        }
        assert_eq!(delivered.keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        assert!(delivered.values().all(|numbers| *numbers == (0..10).collect::<Vec<_>>()));
    }
}
