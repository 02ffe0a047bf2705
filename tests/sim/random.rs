//! Whatever happens to a link, a small set of promises holds: what is reliable arrives once and in
//! order, what is not never goes back, nothing old is delivered, and nothing is broken enough for
//! the log to call it an error.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use rover_link::config::{Delivery, Duplicate, InterfaceKind, Priority};

use crate::sim::link::Conditions;
use crate::sim::policy::Policy;
use crate::sim::queue::Discipline;
use crate::sim::scenario::{
    Action, Change, Direction, Event, Path, Publisher, Scenario, Targets, Traffic,
};
use crate::sim::world::run;

/// Random scenarios; a failure names the seed.
const SCENARIOS: u64 = 24;

/// Things happen until then, and then all is well again, so that what waits can arrive.
const TROUBLE_ENDS: Duration = Duration::from_secs(8);
const DURATION: Duration = Duration::from_secs(10);

/// How old a message may be beyond its lifespan when it is delivered: the receiver knows the way
/// that the first fragment took only as well as it knows the clock of the sender.
const AGE_TOLERANCE: Duration = Duration::from_millis(50);

static ERRORS: AtomicUsize = AtomicUsize::new(0);

/// Counts what the log calls an error.
struct ErrorCounter;

impl log::Log for ErrorCounter {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{}: {}", record.target(), record.args());
            ERRORS.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

fn scenario(seed: u64) -> Scenario {
    let mut random = Rng::with_seed(seed);
    let duplicates = [Duplicate::Off, Duplicate::OnSuspect, Duplicate::Always];
    let paths: Vec<_> = (0..random.usize(1..=3)).map(|number| path(number, &mut random)).collect();
    let mut events: Vec<_> = (0..random.usize(0..8)).map(|_| event(&paths, &mut random)).collect();
    events.extend(recovery(&paths));
    events.sort_by_key(|event| event.at);
    Scenario {
        name: format!("random-{seed}"),
        duration: DURATION,
        warm_up: Duration::ZERO,
        duplicate: duplicates[random.usize(..3)],
        signaling_delay: milliseconds(&mut random, 5..200),
        loss_everywhere: 0.0,
        seeds: None,
        baselines: Vec::new(),
        paced: seed.is_multiple_of(2),
        paths,
        traffic: vec![
            traffic("control", Priority::Critical, Delivery::Reliable, 50.0, 64),
            traffic("telemetry", Priority::Normal, Delivery::Reliable, 100.0, 200),
            traffic("map", Priority::Low, Delivery::Reliable, 1.0, 30_000),
            Traffic {
                lifespan: milliseconds(&mut random, 100..1_000),
                ..traffic("video", Priority::Low, Delivery::Latest, 10.0, 8_000)
            },
            Traffic {
                lifespan: milliseconds(&mut random, 50..500),
                ..traffic("command", Priority::High, Delivery::Latest, 20.0, 100)
            },
        ],
        tcp: Vec::new(),
        events,
        targets: Targets::default(),
    }
}

fn milliseconds(random: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.u64(range))
}

fn traffic(name: &str, priority: Priority, delivery: Delivery, rate: f64, size: usize) -> Traffic {
    Traffic {
        name: name.to_owned(),
        priority,
        delivery,
        rate,
        size,
        from: Publisher::Both,
        lifespan: Duration::ZERO,
        start: Duration::ZERO,
    }
}

fn path(number: usize, random: &mut Rng) -> Path {
    let kinds = [InterfaceKind::Ethernet, InterfaceKind::Wifi, InterfaceKind::Cellular];
    let delay = milliseconds(random, 1..150);
    Path {
        name: format!("radio{number}"),
        kind: kinds[number],
        metered: random.bool(),
        conditions: Conditions {
            delay,
            jitter: delay.mul_f64(random.f64() / 2.0),
            reorder: if random.bool() { 0.0 } else { 0.02 * random.f64() },
            loss: 0.08 * random.f64() * random.f64(),
            burst: 1.0 + 3.0 * random.f64(),
            rate: [0.0, 6.25e6, 1.25e6, 5e5][random.usize(..4)],
            queue: 1 << random.u32(16..19),
            discipline: Discipline::Fifo,
            up: true,
            held: false,
        },
    }
}

fn event(paths: &[Path], random: &mut Rng) -> Event {
    let directions = [Direction::AToB, Direction::BToA, Direction::Both];
    let at = Duration::from_secs(1) + milliseconds(random, 0..6_000);
    let event = Event {
        at,
        path: Some(paths[random.usize(..paths.len())].name.clone()),
        direction: directions[random.usize(..3)],
        ..Event::default()
    };
    let set = |set| Event { set: Some(set), ..event.clone() };
    let action =
        |action| Event { action: Some(action), direction: Direction::Both, ..event.clone() };
    match random.u32(..9) {
        0 => set(Change { up: Some(false), ..Change::default() }),
        1 => set(Change { up: Some(true), ..Change::default() }),
        2 => set(Change { loss: Some(random.f64()), ..Change::default() }),
        3 => set(Change { delay: Some(milliseconds(random, 1..600)), ..Change::default() }),
        4 => set(Change { held: Some(random.bool()), ..Change::default() }),
        5 => action(Action::CarrierDown),
        6 => action(Action::CarrierUp),
        7 => action(Action::NewAddress),
        _ => action(Action::NatRebind),
    }
}

/// All radios carry again.
fn recovery(paths: &[Path]) -> Vec<Event> {
    let both = |path: &Path| {
        let event = Event { at: TROUBLE_ENDS, path: Some(path.name.clone()), ..Event::default() };
        let well = Change {
            up: Some(true),
            held: Some(false),
            loss: Some(0.01),
            delay: Some(path.conditions.delay),
            ..Change::default()
        };
        [
            Event { action: Some(Action::CarrierUp), ..event.clone() },
            Event { set: Some(well), ..event },
        ]
    };
    paths.iter().flat_map(both).collect()
}

fn check(seed: u64) {
    let scenario = scenario(seed);
    let outcome = run(&scenario, Policy::RoverLink, seed);
    assert!(outcome.setup.is_some(), "seed {seed}: not connected: {scenario:#?}");
    for class in &outcome.classes {
        let traffic = &scenario.traffic[class.class];
        let measured = &class.measured;
        let what = format!(
            "seed {seed}: {} from {}: {} lost of {}, {} twice, {} out of order; {scenario:#?}",
            traffic.name,
            class.from,
            measured.lost,
            measured.published,
            measured.duplicates,
            measured.reordered,
        );
        assert_eq!((measured.duplicates, measured.reordered), (0, 0), "{what}");
        if traffic.delivery == Delivery::Reliable {
            assert_eq!(measured.lost, 0, "{what}");
        }
        if !traffic.lifespan.is_zero() {
            let oldest = measured.deliveries.iter().map(|delivery| delivery.latency);
            let oldest = oldest.fold(0.0, f32::max);
            let limit = traffic.lifespan + AGE_TOLERANCE;
            assert!(oldest <= limit.as_secs_f32(), "{oldest} s old: {what}");
        }
    }
}

fn check_all(seeds: impl Iterator<Item = u64>) {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        log::set_logger(&ErrorCounter).expect("nobody else logs here");
        log::set_max_level(log::LevelFilter::Error);
    });
    seeds.for_each(check);
    assert_eq!(ERRORS.load(Ordering::Relaxed), 0, "the log has errors");
}

// Two tests, so that two cores are used.
#[test]
fn promises_hold_whatever_happens() {
    check_all(0..SCENARIOS / 2);
}

#[test]
fn promises_hold_whatever_else_happens() {
    check_all(SCENARIOS / 2..SCENARIOS);
}
