//! Calls that wait for their answer. Pure; `now` comes in as an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

/// Calls of one service that may wait at once; beyond it the oldest is given up. Far more than DDS
/// keeps for a server, and little memory.
const MAX_PENDING: usize = 4096;

/// Calls by the number that their answer will have; numbers rise. `T` is where the answer goes.
#[derive(Debug)]
pub(super) struct Pending<T> {
    calls: BTreeMap<u64, (T, Option<Instant>)>,
    deadlines: BTreeSet<(Instant, u64)>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { calls: BTreeMap::new(), deadlines: BTreeSet::new() }
    }
}

impl<T> Pending<T> {
    /// Notes a call, and when it is to be given up; `None` for never. Returns the calls that had to
    /// go for it.
    pub(super) fn insert(&mut self, number: u64, origin: T, deadline: Option<Instant>) -> u64 {
        self.calls.insert(number, (origin, deadline));
        self.deadlines.extend(deadline.map(|deadline| (deadline, number)));
        if self.calls.len() <= MAX_PENDING {
            return 0;
        }
        let oldest = self.calls.keys().next().copied();
        u64::from(oldest.is_some_and(|oldest| self.answer(oldest).is_some()))
    }

    /// Takes the call that an answer belongs to; `None` if it is not waited for.
    pub(super) fn answer(&mut self, number: u64) -> Option<T> {
        let (origin, deadline) = self.calls.remove(&number)?;
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, number));
        }
        Some(origin)
    }

    /// Gives up the calls that are due; tells how many.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let mut expired = 0;
        while let Some(&(deadline, number)) = self.deadlines.first()
            && deadline <= now
        {
            expired += u64::from(self.answer(number).is_some());
        }
        expired
    }

    /// When the next call is to be given up.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Gives up the calls whose answer would go where `is_gone` tells; tells how many.
    pub(super) fn give_up(&mut self, is_gone: impl Fn(&T) -> bool) -> u64 {
        let before = self.calls.len();
        self.calls.retain(|_, (origin, _)| !is_gone(origin));
        self.deadlines.retain(|(_, number)| self.calls.contains_key(number));
        (before - self.calls.len()) as u64
    }

    /// Gives up all calls; tells how many.
    pub(super) fn give_up_all(&mut self) -> u64 {
        self.give_up(|_| true)
    }
}

/// When a call that begins now is to be given up; `None` for never, where there is no timeout.
pub(super) fn deadline(now: Instant, timeout: Duration) -> Option<Instant> {
    now.checked_add(timeout).filter(|_| !timeout.is_zero())
}

/// What became of calls that were not answered, and of answers that nobody waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Failures {
    /// Not answered in time.
    pub(super) timed_out: u64,
    /// Given up because the session ended, the server went or too many calls waited.
    pub(super) given_up: u64,
    /// Not made: not a request of the type, or the server had gone.
    pub(super) not_made: u64,
    /// Answers to calls that were given up before.
    pub(super) late: u64,
}

impl Failures {
    /// Counts what failed of a service, and why. Each is counted; the log tells of the first, and then
    /// ever more seldom.
    pub(super) fn add(&mut self, more: Self, service: &str, reason: &str) {
        let before = self.total();
        self.timed_out += more.timed_out;
        self.given_up += more.given_up;
        self.not_made += more.not_made;
        self.late += more.late;
        let powers_of_two = |total: u64| u64::BITS - total.leading_zeros();
        if powers_of_two(self.total()) > powers_of_two(before) {
            log::warn!("service={service}: {reason}; {self}");
        }
    }

    fn total(&self) -> u64 {
        self.timed_out + self.given_up + self.not_made + self.late
    }
}

/// For people; empty where nothing failed.
impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.timed_out, "timed out"),
            (self.given_up, "given up"),
            (self.not_made, "not made"),
            (self.late, "answered too late"),
        ];
        let mut separator = "calls: ";
        for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {what}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_to_its_call_once() {
        let mut pending = Pending::default();
        let deadline = Some(Instant::now() + Duration::from_secs(1));
        pending.insert(7, "seven", deadline);
        pending.insert(8, "eight", None);
        assert_eq!(pending.answer(8), Some("eight"));
        assert_eq!(pending.answer(8), None);
        assert_eq!((pending.answer(7), pending.answer(9)), (Some("seven"), None));
        assert_eq!(pending.next_deadline(), None, "what is answered is not due");
    }

    #[test]
    fn calls_are_given_up_when_they_are_due_and_those_without_limit_never() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let after = |seconds| Some(start + Duration::from_secs(seconds));
        for (number, deadline) in [(1, after(3)), (2, None), (3, after(2)), (4, after(2))] {
            pending.insert(number, (), deadline);
        }
        assert_eq!(pending.next_deadline(), after(2));
        assert_eq!(pending.expire(start), 0);
        assert_eq!(pending.expire(start + Duration::from_secs(2)), 2);
        assert_eq!(pending.answer(3), None, "too late");
        assert_eq!(pending.expire(start + Duration::from_secs(86_400)), 1);
        assert_eq!(pending.answer(2), Some(()));
    }

    #[test]
    fn a_timeout_from_the_network_may_be_anything() {
        let now = Instant::now();
        assert_eq!(deadline(now, Duration::ZERO), None);
        assert_eq!(deadline(now, Duration::MAX), None);
        let minute = Duration::from_secs(60);
        assert_eq!(deadline(now, minute), Some(now + minute));
    }

    #[test]
    fn those_of_a_caller_that_has_gone_are_given_up_and_no_others() {
        let mut pending = Pending::default();
        for (number, peer) in [(1, "b"), (2, "c"), (3, "b")] {
            pending.insert(number, peer, Some(Instant::now()));
        }
        assert_eq!(pending.give_up(|peer| *peer == "b"), 2);
        assert_eq!(pending.deadlines.len(), 1);
        assert_eq!(pending.answer(2), Some("c"));
        assert_eq!(pending.give_up_all(), 0);
    }

    #[test]
    fn beyond_the_most_that_may_wait_the_oldest_goes() {
        let mut pending = Pending::default();
        let dropped: u64 = (0..=MAX_PENDING as u64).map(|n| pending.insert(n, n, None)).sum();
        assert_eq!(dropped, 1);
        assert_eq!((pending.answer(0), pending.answer(1)), (None, Some(1)));
    }

    #[test]
    fn failures_are_told_and_nothing_where_there_are_none() {
        assert_eq!(Failures::default().to_string(), "");
        let mut failures = Failures::default();
        failures.add(Failures { timed_out: 2, ..Failures::default() }, "/reset", "no answer");
        failures.add(Failures { late: 1, ..Failures::default() }, "/reset", "too late");
        assert_eq!(failures.to_string(), "calls: 2 timed out, 1 answered too late");
    }
}
