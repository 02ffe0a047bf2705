//! A world of rovers with one clock, their networks and one signaling server, all of them virtual.
//! It plays a scenario: [`run`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rover_link::config::HandoverSettings;
use rover_link::link::{HandoverPath, HandoverPhase};
use uuid::Uuid;

use super::endpoint::{Endpoint, Polled, Who};
use super::fleet::FleetEndpoint;
use super::flow::Flow;
use super::link::Conditions;
use super::meter::Meter;
use super::network::{Arrival, Network, Way};
use super::outcome::{ClassOutcome, FlowOutcome, Outcome, PathOutcome, Sample};
use super::plain::PlainEndpoint;
use super::policy::Policy;
use super::publisher::Publisher;
use super::scenario::{Action, Change, Direction, Event, Scenario};
use super::signaling::{Notice, Signaling};
use super::stamp;

/// Rovers of a scenario.
const ROVERS: usize = 2;

/// When rovers are not connected by then, the scenario begins all the same.
const PATIENCE: Duration = Duration::from_secs(30);

/// After the last message was published, so long is waited for those still under way.
const DRAIN: Duration = Duration::from_secs(60);

/// Steps of a change that takes its time.
const RAMP_STEP: Duration = Duration::from_millis(50);

/// How often is noted where data goes.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// More things that happen at one moment mean that somebody asks for a time-out ever again.
const MAX_AT_ONCE: u32 = 1_000_000;

/// Plays a scenario. The same seed gives the same losses, delays and phases; keys stay random.
pub(crate) fn run(scenario: &Scenario, policy: Policy, seed: u64) -> Outcome {
    let mut world = World::new(scenario, policy, seed);
    let begin = world.now;
    let patience = begin + PATIENCE;
    while !world.is_connected() && world.step(patience) {}
    let setup = world.is_connected().then(|| world.now - begin);
    world.begin();
    let end = world.end;
    while world.step(end) {}
    world.now = end;
    let drained = end + DRAIN;
    while !world.is_complete() && world.step(drained) {}
    world.outcome(setup)
}

struct Rover {
    endpoint: Box<dyn Endpoint>,
    who: Who,
    wake: Instant,
    is_connected: bool,
    switches: usize,
}

/// A change that takes its time.
struct Ramp {
    way: Way,
    from: Conditions,
    change: Change,
    begin: Instant,
    length: Duration,
}

struct World<'a> {
    scenario: &'a Scenario,
    policy: Policy,
    random: fastrand::Rng,
    now: Instant,
    /// Things that happened since time last passed.
    at_once: u32,
    /// From here on messages are published, until `end`.
    start: Instant,
    end: Instant,
    network: Network,
    signaling: Signaling,
    rovers: Vec<Rover>,
    /// Those that are still to come, the next one last.
    events: Vec<(Instant, &'a Event)>,
    ramps: Vec<Ramp>,
    ramp_due: Option<Instant>,
    publishers: Vec<Publisher>,
    flows: Vec<Flow>,
    /// By class and publishing rover.
    meters: BTreeMap<(usize, usize), Meter>,
    sample_due: Option<Instant>,
    samples: Vec<Sample>,
    notes: Vec<(Duration, String)>,
    /// What had been handed to each way when messages began.
    bytes_before: BTreeMap<Way, u64>,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, policy: Policy, seed: u64) -> Self {
        let now = Instant::now();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut paths = scenario.paths.clone();
        for path in &mut paths {
            let loss = &mut path.conditions.loss;
            *loss += scenario.loss_everywhere * (1.0 - *loss);
        }
        let network = Network::new(&paths, ROVERS, &mut random);
        let mut world = Self {
            scenario,
            policy,
            random,
            now,
            at_once: 0,
            start: now,
            end: now,
            network,
            signaling: Signaling::new(scenario.signaling_delay),
            rovers: Vec::new(),
            events: Vec::new(),
            ramps: Vec::new(),
            ramp_due: None,
            publishers: Vec::new(),
            flows: Vec::new(),
            meters: BTreeMap::new(),
            sample_due: None,
            samples: Vec::new(),
            notes: Vec::new(),
            bytes_before: BTreeMap::new(),
        };
        for index in 0..ROVERS {
            let rover = world.new_rover(index);
            world.rovers.push(rover);
            world.register(index);
        }
        world
    }

    fn new_rover(&mut self, index: usize) -> Rover {
        let letter = ["a", "b"][index];
        let who = Who {
            rover_id: format!("rover_{letter}"),
            instance: Uuid::from_u128(self.random.u128(..)),
            seed: self.random.u64(..),
        };
        let traffic = &self.scenario.traffic;
        let mut endpoint: Box<dyn Endpoint> = if self.policy == Policy::RoverLink {
            let settings = HandoverSettings {
                duplicate: self.scenario.duplicate,
                ..HandoverSettings::default()
            };
            let publishes = traffic.iter().enumerate();
            let publishes = publishes.filter(|(_, of)| of.from.is(index));
            let fleet = FleetEndpoint::new(&who, settings, publishes, self.now);
            Box::new(if self.scenario.paced { fleet.paced() } else { fleet })
        } else {
            Box::new(PlainEndpoint::new(self.policy, who.clone(), traffic))
        };
        endpoint.handle_addresses(&self.network.addresses(index), self.now);
        Rover { endpoint, who, wake: self.now, is_connected: false, switches: 0 }
    }

    fn register(&mut self, index: usize) {
        let who = &self.rovers[index].who;
        self.signaling.handle_member(&who.rover_id, who.instance, self.now);
    }

    /// Begins to publish, and to let things happen.
    fn begin(&mut self) {
        let scenario = self.scenario;
        self.start = self.now;
        self.end = self.start + scenario.duration;
        let timeline = scenario.timeline();
        self.events = timeline.iter().rev().map(|(at, of)| (self.start + *at, *of)).collect();
        for (class, traffic) in scenario.traffic.iter().enumerate() {
            for from in (0..ROVERS).filter(|rover| traffic.from.is(*rover)) {
                let phase = self.random.f64();
                let publisher = Publisher::new(class, from, traffic, phase, self.start);
                let counted = self.start + scenario.warm_up;
                let meter = Meter::new(self.start, counted, self.end, publisher.period());
                self.meters.insert((class, from), meter);
                self.publishers.push(publisher);
            }
        }
        self.flows = Flow::all(scenario, ROVERS, self.start);
        self.bytes_before = self.bytes();
        self.sample_due = Some(self.start);
    }

    fn is_connected(&self) -> bool {
        self.rovers.iter().all(|rover| rover.is_connected)
    }

    fn is_complete(&self) -> bool {
        self.meters.values().all(Meter::is_complete)
    }

    /// Goes on to the next thing that happens, if that is not after `end`.
    fn step(&mut self, end: Instant) -> bool {
        let deadlines = [
            self.events.last().map(|(at, _)| *at),
            self.ramp_due,
            self.sample_due,
            self.network.next_deadline(),
            self.signaling.next_deadline(),
            self.publishers.iter().map(Publisher::due).min(),
            self.flows.iter().map(Flow::next_deadline).min(),
            self.rovers.iter().map(|rover| rover.wake).min(),
        ];
        let Some(next) = deadlines.into_iter().flatten().min().filter(|next| *next <= end) else {
            return false;
        };
        self.at_once = if next > self.now { 0 } else { self.at_once + 1 };
        assert!(self.at_once < MAX_AT_ONCE, "time does not pass");
        self.now = self.now.max(next);
        self.happen();
        true
    }

    /// Does what is due.
    fn happen(&mut self) {
        let now = self.now;
        while let Some((_, event)) = self.events.pop_if(|(at, _)| *at <= now) {
            self.handle_event(event);
        }
        if self.ramp_due.is_some_and(|at| at <= now) {
            self.advance_ramps();
        }
        while let Some(arrival) = self.network.poll_arrival(now) {
            match arrival {
                Arrival::Datagram { rover, local, remote, contents } => {
                    self.rovers[rover].endpoint.handle_datagram(local, remote, &contents, now);
                    self.drain(rover);
                }
                Arrival::Packet { flow, packet } => {
                    self.flows[flow].handle_packet(packet, now);
                    self.drain_flow(flow);
                }
            }
        }
        for number in 0..self.flows.len() {
            if self.flows[number].next_deadline() <= now {
                self.flows[number].handle_timeout(now);
                self.drain_flow(number);
            }
        }
        while let Some((to, notice)) = self.signaling.poll_notice(now) {
            self.handle_notice(&to, notice);
        }
        for at in 0..self.publishers.len() {
            if self.publishers[at].due() <= now {
                self.publish(at);
            }
        }
        for index in 0..self.rovers.len() {
            if self.rovers[index].wake <= now {
                self.rovers[index].endpoint.handle_timeout(now);
                self.drain(index);
            }
        }
        if self.sample_due.is_some_and(|at| at <= now) {
            self.sample();
        }
    }

    fn handle_notice(&mut self, to: &str, notice: Notice) {
        let Some(index) = self.rovers.iter().position(|rover| rover.who.rover_id == to) else {
            return;
        };
        let (now, endpoint) = (self.now, &mut self.rovers[index].endpoint);
        match notice {
            Notice::Present(present) => endpoint.handle_present(&present, now),
            Notice::Joined { rover_id, instance } => {
                endpoint.handle_joined(&rover_id, instance, now);
            }
            Notice::Left { rover_id } => endpoint.handle_left(&rover_id),
            Notice::Signal { from, instance, signal } => {
                endpoint.handle_signal(&from, instance, signal, now);
            }
        }
        // What a rover has to do after it heard something may be due at once.
        endpoint.handle_timeout(now);
        self.drain(index);
    }

    /// Lets a publisher do what is due.
    fn publish(&mut self, at: usize) {
        let (now, end) = (self.now, self.end);
        let publisher = &mut self.publishers[at];
        let (class, from) = (publisher.class, publisher.from);
        let rover = &self.rovers[from];
        let waiting = || if rover.is_connected { rover.endpoint.waiting(now) } else { u64::MAX };
        let count = publisher.advance(now, end, waiting);
        for _ in 0..count {
            let publisher = &mut self.publishers[at];
            let data = stamp::message(publisher.next_sequence(), now, self.start, publisher.size);
            if let Some(meter) = self.meters.get_mut(&(class, from)) {
                meter.handle_published(now);
            }
            self.rovers[from].endpoint.publish(class, data, now);
            self.drain(from);
        }
    }

    /// Takes all that a rover puts out.
    fn drain(&mut self, index: usize) {
        let now = self.now;
        loop {
            let rover = &mut self.rovers[index];
            match rover.endpoint.poll(now) {
                Polled::Timeout(at) => {
                    rover.wake = at;
                    return;
                }
                Polled::Transmit(transmit) => {
                    self.network.handle_transmit(index, transmit, now);
                }
                Polled::Signal { to, signal } => {
                    self.signaling.handle_signal(&rover.who.rover_id, &to, signal, now);
                }
                Polled::Connected => {
                    rover.is_connected = true;
                    self.note(index, "connected");
                }
                Polled::Disconnected => {
                    rover.is_connected = false;
                    self.note(index, "disconnected");
                }
                Polled::Handover(handover) => {
                    let is_switch = handover.phase == HandoverPhase::Started;
                    if is_switch && handover.from.is_some() {
                        rover.switches += 1;
                    }
                    let name = |path: Option<HandoverPath>| {
                        path.map_or("none".to_owned(), |path| path.interface)
                    };
                    let (phase, reason) = (handover.phase, handover.reason_text);
                    let (from, to) = (name(handover.from), name(handover.to));
                    self.note(index, &format!("{phase:?} {from} to {to}: {reason}"));
                }
                Polled::Delivered { class, data } => {
                    // With two rovers, the other one is who published.
                    let meter = self.meters.get_mut(&(class, 1 - index));
                    let stamp = stamp::read(&data, self.start);
                    if let (Some(meter), Some((sequence, sent))) = (meter, stamp) {
                        meter.handle_delivered(sequence, sent, data.len(), now);
                    }
                }
            }
        }
    }

    fn drain_flow(&mut self, number: usize) {
        while let Some((way, packet)) = self.flows[number].poll_transmit() {
            self.network.handle_packet(number, way, packet, self.now);
        }
    }

    fn note(&mut self, index: usize, text: &str) {
        let at = self.now.saturating_duration_since(self.start);
        self.notes.push((at, format!("{}: {text}", self.rovers[index].who.rover_id)));
    }

    fn handle_event(&mut self, event: &Event) {
        let path = event.path.as_deref().and_then(|name| self.scenario.path_index(name));
        if let (Some(path), Some(change)) = (path, event.set) {
            self.handle_change(path, event.direction, change, event.ramp);
        }
        match (event.action, path) {
            (Some(Action::CarrierDown), Some(path)) => {
                self.network.handle_carrier(0, path, false, self.now);
                self.tell_addresses();
            }
            (Some(Action::CarrierUp), Some(path)) => {
                self.network.handle_carrier(0, path, true, self.now);
                self.tell_addresses();
            }
            (Some(Action::NewAddress), Some(path)) => {
                self.network.handle_new_address(0, path);
                self.tell_addresses();
            }
            (Some(Action::NatRebind), Some(path)) => self.network.handle_rebinding(0, path),
            (Some(Action::SignalingDown), _) => self.signaling.handle_outage(),
            (Some(Action::SignalingUp), _) => {
                self.signaling.handle_return();
                (0..self.rovers.len()).for_each(|index| self.register(index));
            }
            (Some(Action::RestartA), _) => self.restart(0),
            (Some(Action::RestartB), _) => self.restart(1),
            (Some(_) | None, _) => {}
        }
    }

    /// Tells rover A of its addresses.
    fn tell_addresses(&mut self) {
        let addresses = self.network.addresses(0);
        self.rovers[0].endpoint.handle_addresses(&addresses, self.now);
        self.rovers[0].endpoint.handle_timeout(self.now);
        self.drain(0);
    }

    /// Replaces the process of a rover.
    fn restart(&mut self, index: usize) {
        let rover = self.new_rover(index);
        self.signaling.handle_gone(&rover.who.rover_id, self.now);
        let switches = self.rovers[index].switches;
        self.rovers[index] = Rover { switches, ..rover };
        self.register(index);
    }

    fn handle_change(&mut self, path: usize, direction: Direction, change: Change, ramp: Duration) {
        let ways: &[Way] = match direction {
            Direction::AToB => &[(0, 1, path)],
            Direction::BToA => &[(1, 0, path)],
            Direction::Both => &[(0, 1, path), (1, 0, path)],
        };
        for way in ways {
            let from = self.network.conditions(*way);
            self.ramps.push(Ramp { way: *way, from, change, begin: self.now, length: ramp });
        }
        self.advance_ramps();
    }

    fn advance_ramps(&mut self) {
        let now = self.now;
        for ramp in &self.ramps {
            let passed = (now - ramp.begin).as_secs_f64();
            let part = if ramp.length.is_zero() {
                1.0
            } else {
                (passed / ramp.length.as_secs_f64()).min(1.0)
            };
            self.network.handle_conditions(ramp.way, ramp.change.apply(&ramp.from, part), now);
        }
        self.ramps.retain(|ramp| now < ramp.begin + ramp.length);
        self.ramp_due = (!self.ramps.is_empty()).then_some(now + RAMP_STEP);
    }

    fn sample(&mut self) {
        let now = self.now;
        let mut sample =
            Sample { at: now - self.start, selected: Vec::new(), is_suspect: false, bytes: (0, 0) };
        for (index, rover) in self.rovers.iter().enumerate() {
            let of = rover.endpoint.condition(now);
            let path = of.selected.and_then(|local| self.network.path(index, local));
            sample.selected.push(path);
            sample.is_suspect |= of.is_suspect;
            sample.bytes.0 += of.bytes_first;
            sample.bytes.1 += of.bytes_again;
        }
        self.samples.push(sample);
        self.sample_due = (now < self.end).then_some(now + SAMPLE_INTERVAL);
    }

    fn bytes(&self) -> BTreeMap<Way, u64> {
        self.network.counters().iter().map(|(way, count)| (*way, count.offered)).collect()
    }

    /// How long it took from the first event on until a rover did something about its path.
    fn reaction(&self) -> Option<Duration> {
        let first = self.scenario.events.iter().map(|event| event.at).min()?;
        let before = self.samples.iter().rfind(|sample| sample.at <= first)?;
        let reacted = self.samples.iter().find(|sample| {
            sample.at > first && (sample.is_suspect || sample.selected != before.selected)
        })?;
        Some(reacted.at - first)
    }

    fn outcome(mut self, setup: Option<Duration>) -> Outcome {
        self.sample();
        let bytes = |sample: Option<&Sample>| sample.map_or((0, 0), |sample| sample.bytes);
        let (before, after) = (bytes(self.samples.first()), bytes(self.samples.last()));
        // A process that is replaced begins to count anew.
        let (first, again) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
        let paths = self.bytes().into_iter().map(|((from, to, path), bytes)| PathOutcome {
            path,
            from,
            bytes: bytes - self.bytes_before.get(&(from, to, path)).unwrap_or(&0),
        });
        let flows = self.flows.iter();
        let flows =
            flows.map(|of| FlowOutcome { tcp: of.tcp, from: of.from, goodput: of.goodput() });
        Outcome {
            setup,
            paths: paths.collect(),
            flows: flows.collect(),
            switches: self.rovers.iter().map(|rover| rover.switches).max().unwrap_or(0),
            reaction: self.reaction(),
            extra_bytes: (first > 0).then(|| again as f64 / first as f64),
            classes: self
                .meters
                .into_iter()
                .map(|((class, from), meter)| ClassOutcome {
                    class,
                    from,
                    measured: meter.measured(),
                })
                .collect(),
            samples: self.samples,
            notes: self.notes,
        }
    }
}
