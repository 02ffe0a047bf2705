//! When which topics are looked up in the graph. Pure.
//!
//! Nothing but the name of a topic that is new tells what has changed in the graph, and each look-up
//! costs as much as there are publishers: with a thousand topics a look at all of them is tens of
//! milliseconds, and a system that starts changes the graph hundreds of times a second. So they are
//! looked up in slices, with rests in between in proportion to the time they took: messages are
//! taken meanwhile, and never is more than a tenth of a core spent on it. With some dozens of topics
//! all are looked up within a slice, at once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// All topics are looked up so often even when nothing reports a change.
const FALLBACK: Duration = Duration::from_secs(1);

/// Shortest time from the beginning of one sweep to that of the next; a new publisher has to be
/// noticed within 50 ms.
const PAUSE: Duration = Duration::from_millis(20);

/// Longest time without a look at messages.
const SLICE: Duration = Duration::from_millis(2);

/// A slice is followed by a rest so many times as long.
const REST: u32 = 9;

/// A look at all topics, one after the other.
#[derive(Debug)]
pub(super) struct Sweep {
    /// Still to be looked up.
    names: VecDeque<String>,
    began: Instant,
    /// No sweep begins before.
    earliest: Instant,
    due: Instant,
    /// Has the graph changed since this sweep began?
    is_changed: bool,
}

impl Sweep {
    /// The first one is due at once.
    pub(super) fn new(now: Instant) -> Self {
        let names = VecDeque::new();
        Self { names, began: now, earliest: now, due: now, is_changed: true }
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
        if self.is_over() {
            self.due = self.due.min(self.earliest);
        }
    }

    /// Begins a sweep of these topics.
    pub(super) fn begin(&mut self, names: impl IntoIterator<Item = String>, now: Instant) {
        self.names.extend(names);
        self.began = now;
        self.is_changed = false;
    }

    /// Puts topics before all others, and lets them be looked up at once.
    pub(super) fn hurry(&mut self, names: impl IntoIterator<Item = String>, now: Instant) {
        for name in names {
            self.names.push_front(name);
        }
        self.due = now;
    }

    /// The next topic to be looked up, in a slice that has begun at `began`.
    pub(super) fn next(&mut self, began: Instant, now: Instant) -> Option<String> {
        if now.saturating_duration_since(began) >= SLICE { None } else { self.names.pop_front() }
    }

    /// Ends a slice.
    pub(super) fn rest(&mut self, began: Instant, now: Instant) {
        let rested = now + now.saturating_duration_since(began) * REST;
        self.earliest = rested.max(self.began + PAUSE);
        self.due = if !self.is_over() {
            rested
        } else if self.is_changed {
            self.earliest
        } else {
            self.earliest.max(self.began + FALLBACK)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn names(count: u32) -> Vec<String> {
        (0..count).map(|number| number.to_string()).collect()
    }

    /// Looks up all that a slice allows, which takes `each` a topic; gives how many, and the end.
    fn slice(sweep: &mut Sweep, each: Duration) -> (u32, Instant) {
        let began = sweep.due();
        let (mut now, mut count) = (began, 0);
        while sweep.next(began, now).is_some() {
            now += each;
            count += 1;
        }
        sweep.rest(began, now);
        (count, now)
    }

    #[test]
    fn a_few_topics_are_looked_up_at_once_and_again_soon_after_a_change() {
        let start = Instant::now();
        let mut sweep = Sweep::new(start);
        sweep.begin(names(20), start);
        assert_eq!(slice(&mut sweep, MS / 50).0, 20);
        assert_eq!(sweep.due(), start + FALLBACK);
        sweep.note_change();
        assert_eq!(sweep.due(), start + PAUSE);
        let later = start + 10 * PAUSE;
        sweep.begin(names(20), later);
        sweep.note_change();
        slice(&mut sweep, Duration::ZERO);
        assert_eq!(sweep.due(), later + PAUSE, "it changed while it was looked at");
    }

    #[test]
    fn many_topics_take_a_tenth_of_the_time_however_often_the_graph_changes() {
        let start = Instant::now();
        let mut sweep = Sweep::new(start);
        let (mut looked_up, each) = (0, MS / 20);
        while sweep.due() < start + 1000 * MS {
            if sweep.is_over() {
                sweep.begin(names(1000), sweep.due());
            }
            let (count, end) = slice(&mut sweep, each);
            looked_up += count;
            assert!(end - start < 1010 * MS);
            sweep.note_change();
        }
        let busy = each * looked_up;
        assert!(busy > 80 * MS && busy < 120 * MS, "{busy:?}");
    }

    #[test]
    fn what_is_new_comes_before_the_others() {
        let start = Instant::now();
        let mut sweep = Sweep::new(start);
        sweep.begin(names(1000), start);
        slice(&mut sweep, MS);
        let now = start + MS;
        sweep.hurry(["new".to_owned()], now);
        assert_eq!(sweep.due(), now);
        assert_eq!(sweep.next(now, now).as_deref(), Some("new"));
    }
}
