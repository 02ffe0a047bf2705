//! One direction of one radio, sans-IO: datagrams go in with the moment, and come out when their
//! time has come, or never.
//!
//! A datagram waits in a queue, is sent at the link's rate, may get lost in the air, and
//! arrives after the delay. The model knows nothing of rovers, addresses or the kind of clock, so
//! that an emulator with real sockets can use it too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::queue::{Discipline, Queue};

/// The part of the delay by which a datagram that is to be overtaken comes later, at most.
const LATENESS: f64 = 0.5;

/// How the link is at the moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Conditions {
    /// From the end of sending to the arrival.
    pub(crate) delay: Duration,
    /// The delay varies by up to this much, either way and uniformly. Order is kept.
    pub(crate) jitter: Duration,
    /// Ratio of datagrams that come late, so that others overtake them.
    pub(crate) reorder: f64,
    /// Ratio of datagrams that get lost in the air.
    pub(crate) loss: f64,
    /// Mean length of a run of losses, in datagrams; at 1, losses are independent of each other.
    pub(crate) burst: f64,
    /// Bytes per second; 0 for no limit.
    pub(crate) rate: f64,
    /// Bytes that may wait; what finds no room is dropped.
    pub(crate) queue: u64,
    /// Who waits for whom.
    pub(crate) discipline: Discipline,
    /// While it is down, the link takes nothing, and what waits is gone.
    pub(crate) up: bool,
    /// While it is held, what the link takes waits: the cell changes, or a scan is on.
    pub(crate) held: bool,
}

impl Default for Conditions {
    /// A perfect link, but for the queue of a usual modem.
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: 0.0,
            loss: 0.0,
            burst: 1.0,
            rate: 0.0,
            queue: 256 * 1024,
            discipline: Discipline::Fifo,
            up: true,
            held: false,
        }
    }
}

/// What happened to the bytes handed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Handed in.
    pub(crate) offered: u64,
    /// Dropped because the queue was full.
    pub(crate) dropped: u64,
    /// Lost in the air, or because the link was down.
    pub(crate) lost: u64,
    /// Come out at the far end.
    pub(crate) arrived: u64,
}

/// One direction of a radio that carries payloads of type `T`.
#[derive(Debug)]
pub(crate) struct Link<T> {
    conditions: Conditions,
    random: fastrand::Rng,
    queue: Queue<T>,
    /// What is being sent, or comes first when the link is held no more.
    head: Option<(T, u64)>,
    /// When the head has left; `None` while nothing is being sent.
    head_leaves: Option<Instant>,
    /// By the moment of arrival, and in the order of sending.
    in_flight: BTreeMap<(Instant, u64), (T, u64)>,
    sent: u64,
    /// Arrival of the last datagram that is to keep its order.
    last_arrival: Option<Instant>,
    /// Is a run of losses going on?
    is_losing: bool,
    counters: Counters,
}

impl<T> Link<T> {
    /// An idle link. The same seed gives the same losses and delays.
    pub(crate) fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            random: fastrand::Rng::with_seed(seed),
            queue: Queue::new(),
            head: None,
            head_leaves: None,
            in_flight: BTreeMap::new(),
            sent: 0,
            last_arrival: None,
            is_losing: false,
            counters: Counters::default(),
        }
    }

    /// How the link is now.
    pub(crate) fn conditions(&self) -> Conditions {
        self.conditions
    }

    /// What happened so far.
    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// Changes the link. The datagram that is just being sent ends as it began; all others go by
    /// the new conditions.
    pub(crate) fn handle_conditions(&mut self, conditions: Conditions, now: Instant) {
        self.advance(now);
        self.conditions = conditions;
        if !conditions.up {
            self.counters.lost += self.queued();
            self.queue = Queue::new();
            self.head = None;
            self.head_leaves = None;
        } else if conditions.held {
            self.head_leaves = None;
        } else if self.head_leaves.is_none() {
            self.begin_head(now);
            self.advance(now);
        }
    }

    /// Takes a datagram of `bytes` bytes on the wire that belongs to a flow.
    pub(crate) fn handle_datagram(&mut self, payload: T, flow: u64, bytes: u64, now: Instant) {
        self.advance(now);
        self.counters.offered += bytes;
        if !self.conditions.up {
            self.counters.lost += bytes;
            return;
        }
        // One alone is always taken.
        let head = self.head.as_ref().map_or(0, |(_, bytes)| *bytes);
        let room = if self.queued() == 0 { bytes } else { self.conditions.queue };
        self.counters.dropped += self.queue.push(
            self.conditions.discipline,
            flow,
            (payload, bytes),
            room.saturating_sub(head),
        );
        if self.head.is_none() && !self.conditions.held {
            self.begin_head(now);
            self.advance(now);
        }
    }

    /// The next datagram that has arrived by now.
    pub(crate) fn poll_arrival(&mut self, now: Instant) -> Option<T> {
        self.advance(now);
        let first = self.in_flight.first_entry().filter(|first| first.key().0 <= now)?;
        let (payload, bytes) = first.remove();
        self.counters.arrived += bytes;
        Some(payload)
    }

    /// When there is something to do next: [`Link::poll_arrival`] is to be called then.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let arrival = self.in_flight.first_key_value().map(|((at, _), _)| *at);
        self.head_leaves.into_iter().chain(arrival).min()
    }

    /// Bytes that wait, with what is being sent.
    fn queued(&self) -> u64 {
        self.queue.bytes() + self.head.as_ref().map_or(0, |(_, bytes)| *bytes)
    }

    fn begin_head(&mut self, at: Instant) {
        let rate = self.conditions.rate;
        self.head = self.head.take().or_else(|| self.queue.pop());
        self.head_leaves = self.head.as_ref().map(|(_, bytes)| {
            if rate > 0.0 { at + Duration::from_secs_f64(*bytes as f64 / rate) } else { at }
        });
    }

    /// Lets all datagrams leave that are sent by now.
    fn advance(&mut self, now: Instant) {
        while let Some(left) = self.head_leaves.filter(|at| *at <= now) {
            let Some((payload, bytes)) = self.head.take() else { return };
            self.launch(payload, bytes, left);
            self.begin_head(left);
        }
    }

    fn launch(&mut self, payload: T, bytes: u64, left: Instant) {
        if self.is_lost() {
            self.counters.lost += bytes;
            return;
        }
        let Conditions { delay, jitter, reorder, .. } = self.conditions;
        // Drawn in any case, so that a change of one condition does not shift all other draws.
        let (variation, lateness, is_late) =
            (self.random.f64(), self.random.f64(), self.random.f64() < reorder);
        let mut arrival = (left + delay + jitter.mul_f64(2.0 * variation))
            .checked_sub(jitter)
            .map_or(left, |at| at.max(left));
        if is_late {
            arrival += delay.mul_f64(LATENESS * lateness);
        } else {
            arrival = self.last_arrival.map_or(arrival, |last| last.max(arrival));
            self.last_arrival = Some(arrival);
        }
        self.sent += 1;
        self.in_flight.insert((arrival, self.sent), (payload, bytes));
    }

    /// The model of Gilbert: a run of losses begins and ends by chance, so that its mean length is
    /// `burst` and the ratio over all is `loss`.
    fn is_lost(&mut self) -> bool {
        let Conditions { loss, burst, .. } = self.conditions;
        let draw = self.random.f64();
        if burst <= 1.0 || loss <= 0.0 || loss >= 1.0 {
            return draw < loss;
        }
        // Runs of independent losses are of this length already.
        let length = burst.max(1.0 / (1.0 - loss));
        self.is_losing = if self.is_losing {
            draw >= 1.0 / length
        } else {
            draw < loss / (length * (1.0 - loss))
        };
        self.is_losing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn arrivals(link: &mut Link<u32>, start: Instant) -> Vec<(u32, Duration)> {
        let mut arrived = Vec::new();
        while let Some(at) = link.next_deadline() {
            while let Some(payload) = link.poll_arrival(at) {
                arrived.push((payload, at - start));
            }
        }
        arrived
    }

    /// Datagrams of 100 B, one each millisecond.
    fn send(link: &mut Link<u32>, start: Instant, count: u32) {
        for number in 0..count {
            link.handle_datagram(number, 0, 100, start + number * MS);
        }
    }

    #[test]
    fn a_datagram_arrives_after_its_sending_time_and_the_delay() {
        let (start, conditions) =
            (Instant::now(), Conditions { delay: 5 * MS, rate: 10_000.0, ..Conditions::default() });
        let mut link = Link::new(conditions, 1);
        for number in 0..2 {
            link.handle_datagram(number, 0, 100, start);
        }
        assert_eq!(arrivals(&mut link, start), [(0, 15 * MS), (1, 25 * MS)]);
    }

    #[test]
    fn jitter_keeps_order_and_reordering_does_not() {
        let start = Instant::now();
        let jittery = Conditions { delay: 20 * MS, jitter: 15 * MS, ..Conditions::default() };
        let mut link = Link::new(jittery, 1);
        send(&mut link, start, 1_000);
        let arrived = arrivals(&mut link, start);
        assert!(arrived.is_sorted_by_key(|(number, _)| *number));
        let delays = arrived.iter().map(|(number, at)| *at - *number * MS);
        assert!(delays.clone().all(|delay| (5 * MS..=35 * MS).contains(&delay)));
        assert!(delays.clone().max().unwrap() - delays.min().unwrap() > 15 * MS);

        let mut link = Link::new(Conditions { reorder: 0.1, jitter: MS, ..jittery }, 1);
        send(&mut link, start, 1_000);
        let arrived = arrivals(&mut link, start);
        let overtaken = arrived.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
        assert!((50..150).contains(&overtaken), "{overtaken}");
        assert_eq!(arrived.len(), 1_000);
    }

    #[test]
    fn losses_have_the_ratio_and_the_run_length_that_are_asked_for() {
        let start = Instant::now();
        for (burst, expected) in [(1.0, 1.0 / 0.95), (5.0, 5.0)] {
            let mut link = Link::new(Conditions { loss: 0.05, burst, ..Conditions::default() }, 3);
            send(&mut link, start, 100_000);
            let arrived = arrivals(&mut link, start);
            let lost = 100_000 - arrived.len();
            assert!((4_000..6_000).contains(&lost), "burst {burst}: {lost} of 100000 lost");
            let runs = arrived.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).count();
            let length = lost as f64 / runs as f64;
            assert!((length / expected - 1.0).abs() < 0.1, "burst {burst}: runs of {length}");
        }
    }

    #[test]
    fn what_finds_no_room_in_the_queue_is_dropped_and_counted() {
        let start = Instant::now();
        let narrow = Conditions { rate: 1_000.0, queue: 300, ..Conditions::default() };
        let mut link = Link::new(narrow, 1);
        for number in 0..5 {
            link.handle_datagram(number, 0, 100, start);
        }
        assert_eq!(arrivals(&mut link, start).len(), 3);
        let expected = Counters { offered: 500, dropped: 200, lost: 0, arrived: 300 };
        assert_eq!(link.counters(), expected);
    }

    #[test]
    fn a_link_that_is_down_loses_what_waits_and_keeps_what_is_in_the_air() {
        let start = Instant::now();
        let up = Conditions { delay: 50 * MS, rate: 10_000.0, ..Conditions::default() };
        let mut link = Link::new(up, 1);
        for number in 0..3 {
            link.handle_datagram(number, 0, 100, start);
        }
        link.handle_conditions(Conditions { up: false, ..up }, start + 15 * MS);
        link.handle_datagram(3, 0, 100, start + 20 * MS);
        link.handle_conditions(up, start + 30 * MS);
        link.handle_datagram(4, 0, 100, start + 30 * MS);
        assert_eq!(arrivals(&mut link, start), [(0, 60 * MS), (4, 90 * MS)]);
        assert_eq!(link.counters().lost, 300);
    }

    #[test]
    fn a_held_link_keeps_all_and_goes_on_where_it_was() {
        let start = Instant::now();
        let conditions = Conditions { delay: 5 * MS, ..Conditions::default() };
        let mut link = Link::new(Conditions { held: true, ..conditions }, 1);
        send(&mut link, start, 3);
        assert_eq!(link.next_deadline(), None);
        link.handle_conditions(conditions, start + 90 * MS);
        assert_eq!(arrivals(&mut link, start), [0, 1, 2].map(|number| (number, 95 * MS)));
    }
}
