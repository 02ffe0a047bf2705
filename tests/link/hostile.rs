//! An attacker off the path, who knows all addresses and has overheard what crossed: nothing of
//! what he sends changes anything but counters.

use std::net::SocketAddr;
use std::time::Duration;

use rover_link::link::{PathState, PeerSnapshot, PeerState, Transmit};
use rover_link::wire::FRAME_MARK;

use crate::world::{Setup, World};

/// Datagrams per millisecond.
const RATE: usize = 10;
const DURATION: Duration = Duration::from_secs(2);

/// Two rovers with two networks and a topic, a second after they have met.
fn rovers() -> World {
    let mut world = World::new(5);
    for id in ["a", "b"] {
        world.start(id, &Setup { addresses: 2, ..Setup::default() });
    }
    world.offer("a", 0, 0);
    world.run_until("they meet", |world| {
        world.is_connected("a", "b") && world.is_connected("b", "a")
    });
    world.run(Duration::from_secs(1));
    world
}

/// What must not change: state, handovers, and for each path that has answered its addresses, its
/// state and whether it is the one in use. One who repeats a check of ICE is checked in return, as
/// RFC 8445 §7.3.1.3 asks; without an answer nothing else is ever sent to him.
fn shape(peer: &PeerSnapshot) -> impl PartialEq + std::fmt::Debug + use<> {
    let paths: Vec<_> = peer
        .paths
        .iter()
        .filter(|path| path.state != PathState::Checking)
        .map(|path| (path.local_address, path.remote_address, path.state, path.selected))
        .collect();
    (peer.state, peer.handovers, paths)
}

/// Publishes for a while beside what `attack` sends each millisecond; all arrives, and nothing
/// else happens.
fn endure(world: &mut World, mut attack: impl FnMut(&mut World)) {
    let before = (shape(&world.snapshot("a", "b")), shape(&world.snapshot("b", "a")));
    let delivered = world.delivered("b").len();
    let milliseconds = DURATION.as_millis() as usize;
    for millisecond in 0..milliseconds {
        if millisecond % 10 == 0 {
            world.publish("a", 0, vec![1; 100]);
        }
        attack(world);
        world.run(Duration::from_millis(1));
    }
    world.run(Duration::from_millis(500));
    assert_eq!(world.delivered("b").len() - delivered, milliseconds / 10);
    assert_eq!(world.snapshot("a", "b").state, PeerState::Connected);
    let after = (shape(&world.snapshot("a", "b")), shape(&world.snapshot("b", "a")));
    assert_eq!(before, after);
}

/// Bytes of a kind that a rover looks at: link frames, STUN requests and answers, DTLS, anything.
fn forged(random: &mut fastrand::Rng, genuine: &[Transmit]) -> Vec<u8> {
    let mut bytes = match random.u32(..5) {
        // A genuine datagram with something changed.
        0 | 1 if !genuine.is_empty() => {
            let mut bytes = genuine[random.usize(..genuine.len())].contents.clone();
            let index = random.usize(1..bytes.len());
            bytes[index] ^= 1 << random.u32(..8);
            return bytes;
        }
        _ => vec![0; random.usize(20..1_300)],
    };
    random.fill(&mut bytes);
    match random.u32(..4) {
        0 => bytes[0] = FRAME_MARK,
        1 => {
            bytes[..2].copy_from_slice(&[[0, 1], [1, 1]][random.usize(..2)]);
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        }
        2 => bytes[0] = random.u8(20..64),
        _ => {}
    }
    bytes
}

#[test]
fn forged_datagrams_from_the_peers_addresses_and_from_elsewhere_change_nothing() {
    let mut world = rovers();
    world.overheard = Some(Vec::new());
    world.run(Duration::from_millis(500));
    let genuine = world.overheard.take().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let stranger: SocketAddr = "192.0.2.1:9".parse().unwrap();
    endure(&mut world, |world| {
        for _ in 0..RATE / 2 {
            for (victim, peer) in [("a", "b"), ("b", "a")] {
                let from = if random.bool() { world.address(peer) } else { stranger };
                let bytes = forged(&mut random, &genuine);
                world.inject(victim, from, &bytes);
            }
        }
    });
}

#[test]
fn genuine_datagrams_sent_again_by_someone_else_change_nothing() {
    let mut world = rovers();
    let mut random = fastrand::Rng::with_seed(8);
    let stranger: SocketAddr = "192.0.2.1:9".parse().unwrap();
    world.overheard = Some(Vec::new());
    world.run(Duration::from_millis(500));
    endure(&mut world, |world| {
        let overheard = world.overheard.clone().unwrap_or_default();
        // Frames and DTLS: an answer to STUN is the rovers' own right, whoever repeats a request.
        let replayed: Vec<_> =
            overheard.iter().filter(|datagram| datagram.contents[0] > 3).collect();
        for _ in 0..RATE {
            // Whatever has not arrived yet is not a copy.
            let age = replayed.len().saturating_sub(100).max(1);
            let copy = replayed[random.usize(..age.min(replayed.len()))];
            for victim in ["a", "b"] {
                if world.has_address(victim, copy.destination) {
                    let from = if random.bool() { copy.source } else { stranger };
                    world.inject(victim, from, &copy.contents);
                }
            }
        }
    });
}
