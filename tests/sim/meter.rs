//! What became of the messages of one class in one direction.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Messages that arrive within so long come in one burst: before it is over, a subscriber need not
/// have taken any of them.
const BURST: Duration = Duration::from_micros(2_500);

/// One message that arrived: when it was published since the start of the run, and how long it
/// took, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) published: f32,
    pub(crate) latency: f32,
}

/// Counts the messages of one class in one direction.
#[derive(Debug)]
pub(crate) struct Meter {
    start: Instant,
    /// Messages that are published before do not count: a link needs a moment to find its pace.
    counted: Instant,
    end: Instant,
    /// Time between two messages; zero where they go as fast as they can.
    period: Duration,
    published: u64,
    /// By sequence.
    arrived: Vec<bool>,
    /// Messages that count, and arrived.
    count: u64,
    newest: Option<u64>,
    last_arrival: Instant,
    longest: Duration,
    duplicates: u64,
    reordered: u64,
    /// Arrivals of the last moment, and the most that these were.
    recent: VecDeque<Instant>,
    burst: usize,
    /// Payload that arrived before the end, bytes.
    bytes: u64,
    deliveries: Vec<Delivery>,
}

/// What became of the messages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    /// Messages that were published.
    pub(crate) published: u64,
    /// Messages that did not arrive.
    pub(crate) lost: u64,
    /// Arrivals of a message that had arrived before.
    pub(crate) duplicates: u64,
    /// Arrivals after that of a later message.
    pub(crate) reordered: u64,
    /// Largest time between two arrivals beyond the period.
    pub(crate) gap: Duration,
    /// Most messages that arrived at about the same time.
    pub(crate) burst: usize,
    /// Payload per second.
    pub(crate) goodput: f64,
    pub(crate) deliveries: Vec<Delivery>,
}

impl Meter {
    /// A meter for messages published from `start` to `end`, of which those from `counted` on
    /// count.
    pub(crate) fn new(start: Instant, counted: Instant, end: Instant, period: Duration) -> Self {
        Self {
            start,
            counted,
            end,
            period,
            published: 0,
            arrived: Vec::new(),
            count: 0,
            newest: None,
            last_arrival: counted,
            longest: Duration::ZERO,
            duplicates: 0,
            reordered: 0,
            recent: VecDeque::new(),
            burst: 0,
            bytes: 0,
            deliveries: Vec::new(),
        }
    }

    /// A message was published.
    pub(crate) fn handle_published(&mut self, now: Instant) {
        self.arrived.push(false);
        if now >= self.counted {
            self.published += 1;
        }
    }

    /// A message arrived.
    pub(crate) fn handle_delivered(
        &mut self,
        sequence: u64,
        published: Instant,
        size: usize,
        now: Instant,
    ) {
        let index = usize::try_from(sequence).expect("messages of a run fit into memory");
        let arrived = &mut self.arrived[index];
        if std::mem::replace(arrived, true) {
            self.duplicates += 1;
            return;
        }
        if self.newest.is_some_and(|newest| sequence < newest) {
            self.reordered += 1;
        }
        self.newest = self.newest.max(Some(sequence));
        if published < self.counted {
            // It does not count, yet it is no silence.
            self.last_arrival = self.last_arrival.max(now);
            return;
        }
        self.count += 1;
        self.longest = self.longest.max(now.saturating_duration_since(self.last_arrival));
        self.last_arrival = now;
        self.recent.retain(|at| now < *at + BURST);
        self.recent.push_back(now);
        self.burst = self.burst.max(self.recent.len());
        if now <= self.end {
            self.bytes += size as u64;
        }
        self.deliveries.push(Delivery {
            published: (published - self.start).as_secs_f32(),
            latency: now.saturating_duration_since(published).as_secs_f32(),
        });
    }

    /// Has all arrived that was published?
    pub(crate) fn is_complete(&self) -> bool {
        self.count == self.published
    }

    /// What became of the messages up to now.
    pub(crate) fn measured(self) -> Measured {
        // Silence up to the end counts as well.
        let tail = self.end.saturating_duration_since(self.last_arrival);
        let time = self.end - self.counted;
        Measured {
            published: self.published,
            lost: self.published - self.count,
            duplicates: self.duplicates,
            reordered: self.reordered,
            gap: self.longest.max(tail).saturating_sub(self.period),
            burst: self.burst,
            goodput: self.bytes as f64 / time.as_secs_f64(),
            deliveries: self.deliveries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(20);
    const SECOND: Duration = Duration::from_secs(1);

    /// A message each period for two seconds; those that count are 50 to 99.
    fn meter(arrivals: impl Fn(u64) -> Option<Duration>) -> Measured {
        let start = Instant::now();
        let mut meter = Meter::new(start, start + SECOND, start + 2 * SECOND, PERIOD);
        let moment = |number: u64| start + PERIOD * u32::try_from(number).unwrap();
        (0..100).for_each(|number| meter.handle_published(moment(number)));
        let mut order: Vec<_> = (0..100)
            .filter_map(|number| Some((moment(number) + arrivals(number)?, number)))
            .collect();
        order.sort();
        for (at, number) in order {
            meter.handle_delivered(number, moment(number), 10, at);
        }
        meter.measured()
    }

    #[test]
    fn a_steady_stream_has_no_gap() {
        let measured = meter(|_| Some(Duration::from_millis(5)));
        assert_eq!((measured.published, measured.lost, measured.reordered), (50, 0, 0));
        assert_eq!(measured.gap, Duration::ZERO);
        assert_eq!(measured.goodput, 500.0);
    }

    #[test]
    fn a_gap_is_what_exceeds_the_period() {
        let measured =
            meter(|number| Some(Duration::from_millis(5 + if number >= 70 { 100 } else { 0 })));
        assert_eq!(measured.gap, Duration::from_millis(100));
    }

    #[test]
    fn silence_up_to_the_end_is_a_gap_and_the_messages_are_lost() {
        let measured = meter(|number| (number < 75).then_some(Duration::ZERO));
        assert_eq!(measured.lost, 25);
        assert_eq!(measured.gap, Duration::from_millis(500));
    }

    #[test]
    fn messages_that_arrive_at_about_the_same_time_are_a_burst() {
        assert_eq!(meter(|_| Some(Duration::ZERO)).burst, 1);
        // Ten come with the one after them.
        let held = |number: u64| PERIOD * 80u32.saturating_sub(number as u32);
        let measured = meter(|number| Some(if number < 70 { PERIOD / 2 } else { held(number) }));
        assert_eq!(measured.burst, 11);
    }

    #[test]
    fn a_message_that_a_later_one_has_overtaken_is_reordered() {
        let late = Duration::from_millis(30);
        let measured = meter(|number| Some(if number == 80 { late } else { Duration::ZERO }));
        assert_eq!(measured.reordered, 1);
    }
}
