//! When which topics are looked up in the graph. Pure.
//!
//! Nothing but the name of a topic that is new tells what has changed in the graph, and each look-up
//! costs as much as there are endpoints: with a thousand topics a look at all of them takes tens of
//! milliseconds, and a system that starts changes the graph hundreds of times a second. So they are
//! looked up in slices, with rests in between in proportion to the time of the processor that look-ups
//! took: never more than a tenth of a core is spent on it. With some dozens of topics all are looked up
//! within a slice, at once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Shortest time from the beginning of one slice to that of the next that begins with a look at the
/// graph's names; a new publisher has to be noticed within 50 ms.
const PAUSE: Duration = Duration::from_millis(20);

/// Time that is spent on look-ups of topics in a slice.
const SLICE: Duration = Duration::from_millis(2);

/// Look-ups are followed by a rest so many times as long, and where nothing has changed, by such a
/// longer one before all are looked up again.
const REST: u32 = 9;
const QUIET_REST: u32 = 49;

/// A look at all topics, one after the other, again and again.
#[derive(Debug)]
pub(super) struct Sweep {
    /// All topics are looked up so often even when nothing reports a change.
    interval: Duration,
    /// Still to be looked up.
    names: VecDeque<String>,
    due: Instant,
    /// When the last slice ended, and when the last one began that looked at names.
    ended: Instant,
    glance: Instant,
    /// Time spent on look-ups in this slice, of topics alone, and in this sweep.
    spent: Duration,
    spent_on_topics: Duration,
    spent_in_all: Duration,
    /// Has the graph changed since its names were looked at, and since this sweep began?
    is_new: bool,
    is_changed: bool,
}

impl Sweep {
    /// The first one is due at once.
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            names: VecDeque::new(),
            due: now,
            ended: now,
            glance: now,
            spent: Duration::ZERO,
            spent_on_topics: Duration::ZERO,
            spent_in_all: Duration::ZERO,
            is_new: true,
            is_changed: true,
        }
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Has a sweep to begin, before names can be taken?
    pub(super) fn is_over(&self) -> bool {
        self.names.is_empty()
    }

    /// The graph has changed.
    pub(super) fn note_change(&mut self) {
        self.is_changed = true;
        if !self.is_new {
            self.is_new = true;
            let soon = (self.ended + self.spent * REST).max(self.glance + PAUSE);
            self.due = self.due.min(soon);
        }
    }

    /// Begins a slice. Are the graph's names to be looked at?
    pub(super) fn begin_slice(&mut self, now: Instant) -> bool {
        (self.spent, self.spent_on_topics) = (Duration::ZERO, Duration::ZERO);
        let is_due = self.is_over() || (self.is_new && now >= self.glance + PAUSE);
        if is_due {
            self.glance = now;
            self.is_new = false;
        }
        is_due
    }

    /// The look at the graph's names took so long. However long that was, there is time for some topics
    /// in this slice: else there would never be while the graph changes all the time.
    pub(super) fn spend_on_names(&mut self, time: Duration) {
        self.spent += time;
        self.spent_in_all += time;
    }

    /// Begins a sweep of these topics.
    pub(super) fn begin(&mut self, names: impl IntoIterator<Item = String>) {
        self.names.extend(names);
        self.spent_in_all = Duration::ZERO;
        self.is_changed = false;
    }

    /// Puts topics before all others.
    pub(super) fn hurry(&mut self, names: impl IntoIterator<Item = String>) {
        names.into_iter().for_each(|name| self.names.push_front(name));
    }

    /// Lets the next slice begin now.
    pub(super) fn wake(&mut self, now: Instant) {
        self.due = now;
    }

    /// The next topic to be looked up, if there is time for one more in this slice.
    pub(super) fn next(&mut self) -> Option<String> {
        if self.spent_on_topics >= SLICE { None } else { self.names.pop_front() }
    }

    /// A look-up of a topic took so long.
    pub(super) fn spend(&mut self, time: Duration) {
        self.spent_on_topics += time;
        self.spend_on_names(time);
    }

    /// Ends a slice.
    pub(super) fn end_slice(&mut self, now: Instant) {
        let rested = now + self.spent * REST;
        let glance = self.glance + PAUSE;
        self.due = if !self.is_over() {
            rested
        } else if self.is_changed {
            rested.max(glance)
        } else {
            rested.max(self.glance + self.interval).max(now + self.spent_in_all * QUIET_REST)
        };
        self.ended = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const INTERVAL: Duration = Duration::from_secs(1);

    fn names(count: u32) -> Vec<String> {
        (0..count).map(|number| number.to_string()).collect()
    }

    /// Does a slice, in which a look-up takes `each`, and a sweep is one of `count` topics; gives when
    /// it ended, and the topics looked up.
    fn slice(sweep: &mut Sweep, each: Duration, count: u32) -> (Instant, Vec<String>) {
        let mut now = sweep.due();
        let mut looked_up = Vec::new();
        if sweep.begin_slice(now) && sweep.is_over() {
            sweep.begin(names(count));
        }
        while let Some(name) = sweep.next() {
            now += each;
            sweep.spend(each);
            looked_up.push(name);
        }
        sweep.end_slice(now);
        (now, looked_up)
    }

    #[test]
    fn a_few_topics_are_looked_up_at_once_and_again_soon_after_a_change() {
        let start = Instant::now();
        let mut sweep = Sweep::new(INTERVAL, start);
        assert_eq!(slice(&mut sweep, MS / 50, 20).1.len(), 20);
        assert_eq!(sweep.due(), start + INTERVAL);
        sweep.note_change();
        assert_eq!(sweep.due(), start + PAUSE);
        assert_eq!(slice(&mut sweep, MS / 50, 20).1.len(), 20);
        assert_eq!(sweep.due(), start + PAUSE + INTERVAL);
    }

    #[test]
    fn many_topics_take_a_tenth_of_the_time_however_often_the_graph_changes() {
        let start = Instant::now();
        let mut sweep = Sweep::new(INTERVAL, start);
        let (mut looked_up, each) = (0, MS / 20);
        while sweep.due() < start + 1000 * MS {
            looked_up += slice(&mut sweep, each, 1000).1.len() as u32;
            sweep.note_change();
        }
        let busy = each * looked_up;
        assert!(busy > 80 * MS && busy < 120 * MS, "{busy:?}");
    }

    #[test]
    fn while_nothing_changes_many_topics_take_a_fiftieth_of_the_time() {
        let start = Instant::now();
        let mut sweep = Sweep::new(INTERVAL, start);
        let (mut looked_up, each) = (0, MS / 20);
        while sweep.due() < start + 10_000 * MS {
            looked_up += slice(&mut sweep, each, 1000).1.len() as u32;
        }
        let busy = each * looked_up;
        assert!(busy > 100 * MS && busy < 250 * MS, "{busy:?}");
    }

    #[test]
    fn names_are_looked_at_in_the_midst_of_a_sweep_and_what_is_new_comes_first() {
        let start = Instant::now();
        let mut sweep = Sweep::new(INTERVAL, start);
        let (end, _) = slice(&mut sweep, MS, 1000);
        sweep.note_change();
        assert_eq!(sweep.due(), (end + 18 * MS).max(start + PAUSE));
        assert!(sweep.begin_slice(sweep.due()) && !sweep.is_over());
        sweep.hurry(["new".to_owned()]);
        assert_eq!(sweep.next().as_deref(), Some("new"));
    }

    #[test]
    fn a_graph_that_changes_all_the_time_and_is_long_to_look_at_lets_topics_be_looked_up() {
        let start = Instant::now();
        let mut sweep = Sweep::new(INTERVAL, start);
        let mut looked_up = 0;
        while sweep.due() < start + 10_000 * MS {
            let now = sweep.due();
            if sweep.begin_slice(now) {
                sweep.spend_on_names(5 * MS);
                if sweep.is_over() {
                    sweep.begin(names(1000));
                }
            }
            let mut now = now + 5 * MS;
            while sweep.next().is_some() {
                now += MS / 10;
                sweep.spend(MS / 10);
                looked_up += 1;
            }
            sweep.end_slice(now);
            sweep.note_change();
        }
        assert!(looked_up > 2000, "{looked_up}");
    }

    #[test]
    fn what_is_done_besides_look_ups_asks_for_no_rest() {
        let start = Instant::now();
        let mut sweep = Sweep::new(INTERVAL, start);
        assert!(sweep.begin_slice(start));
        sweep.begin(names(100));
        for _ in 0..2 {
            assert!(sweep.next().is_some());
            sweep.spend(MS);
        }
        assert!(sweep.next().is_none(), "the slice is over");
        sweep.end_slice(start + 500 * MS);
        assert_eq!(sweep.due(), start + 518 * MS);
    }
}
