//! Which number each topic of ours has on its way. Pure.
//!
//! A topic that goes and comes back gets the number that it had, so that what is counted of it counts
//! on, and receivers know what they have had of it.

use std::collections::VecDeque;

use crate::config::MAX_ROUTES;
use crate::link::RouteId;

/// Numbers that are given in all, in use or not: so many topics that come and go are remembered, and
/// what is kept for each number stays bounded.
const MAX_NUMBERS: usize = 2 * MAX_ROUTES;

/// The numbers that were given so far.
#[derive(Debug, Default)]
pub(super) struct RouteNumbers {
    /// The name that each number stands for.
    names: Vec<String>,
    /// Those that are not in use, the one that was released longest ago first.
    free: VecDeque<RouteId>,
}

impl RouteNumbers {
    /// A number for a topic; `None` if as many are in use as a peer takes.
    pub(super) fn give(&mut self, name: &str) -> Option<RouteId> {
        if self.in_use() >= MAX_ROUTES {
            return None;
        }
        let is_former = |id: &RouteId| self.names[usize::from(id.0)] == name;
        if let Some(at) = self.free.iter().position(is_former) {
            return self.free.remove(at);
        }
        if self.names.len() < MAX_NUMBERS {
            let id = RouteId(u16::try_from(self.names.len()).ok()?);
            self.names.push(name.to_owned());
            return Some(id);
        }
        let id = self.free.pop_front()?;
        name.clone_into(&mut self.names[usize::from(id.0)]);
        Some(id)
    }

    /// The number is in use no more.
    pub(super) fn release(&mut self, id: RouteId) {
        self.free.push_back(id);
    }

    /// How many are in use.
    pub(super) fn in_use(&self) -> usize {
        self.names.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_up_and_a_topic_that_comes_back_gets_its_own_again() {
        let mut numbers = RouteNumbers::default();
        let [odom, scan] = ["/odom", "/scan"].map(|name| numbers.give(name).expect("room"));
        assert_eq!((odom, scan), (RouteId(0), RouteId(1)));
        numbers.release(odom);
        numbers.release(scan);
        assert_eq!(numbers.give("/map"), Some(RouteId(2)));
        assert_eq!(numbers.give("/scan"), Some(scan));
        assert_eq!(numbers.give("/odom"), Some(odom));
        assert_eq!(numbers.give("/odom"), Some(RouteId(3)), "another entry of the same name");
    }

    #[test]
    fn no_more_are_in_use_than_a_peer_takes() {
        let mut numbers = RouteNumbers::default();
        for number in 0..MAX_ROUTES {
            assert!(numbers.give(&number.to_string()).is_some());
        }
        assert_eq!(numbers.give("one more"), None);
        numbers.release(RouteId(7));
        assert!(numbers.give("one more").is_some());
    }

    #[test]
    fn topics_that_come_and_go_for_ever_use_up_no_numbers() {
        let mut numbers = RouteNumbers::default();
        let lasting = numbers.give("lasting").expect("room");
        for number in 0..100_000 {
            let id = numbers.give(&number.to_string()).expect("room");
            assert_ne!(id, lasting);
            numbers.release(id);
        }
        assert_eq!((numbers.in_use(), numbers.names.len()), (1, MAX_NUMBERS));
    }
}
