//! By which path data leaves: a pure function of what is known of the paths. It returns the
//! reason with the choice.
//!
//! A path that carries beats one that does not; one that is asked for beats the others; one that
//! loses little beats one that loses much; a direct one beats one by a TURN server; one of a preferred
//! kind of network beats the others, and where no kind is preferred one that costs nothing beats a
//! metered one; then the faster one. Data moves for the first two at once, for the others only if the
//! advantage is clear and lasts.

use std::cmp::Ordering;
use std::time::Duration;

use crate::link::report::HandoverReason;
use crate::link::snapshot::PathState;

/// How long an advantage has to last before data moves for it.
pub(super) const ADVANTAGE_TIME: Duration = Duration::from_millis(500);

/// A faster path has to save so much of the round trip: seconds, and part of the present one.
const FASTER_BY: f64 = 0.010;
const FASTER_PART: f64 = 0.2;

/// A path that is less welcome, by a TURN server or paid for, has to be so much faster than the other
/// one, seconds, and twice as fast.
const UNWELCOME_FASTER_BY: f64 = 0.1;

/// Repair hides a loss of a few percent at little cost. So many times `max_loss_ratio` is worth a
/// slower path.
const LOSS_WORTH_MOVING: f64 = 2.5;

/// A path, as the choice sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choosable {
    pub(super) id: u16,
    pub(super) state: PathState,
    /// Suspect, and that because it is silent.
    pub(super) is_silent: bool,
    /// Is its interface the one that a person asked for?
    pub(super) is_wanted: bool,
    /// 0..1.
    pub(super) loss: f64,
    /// TURN servers on the way.
    pub(super) relays: u8,
    /// Place in the order of preference; lower is better.
    pub(super) preference: u8,
    pub(super) is_metered: bool,
    /// Seconds.
    pub(super) round_trip: f64,
}

/// Where data shall go, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wish {
    pub(super) path: u16,
    pub(super) reason: HandoverReason,
    /// At once, or only if the advantage lasts?
    pub(super) is_urgent: bool,
}

/// Lower is better; the order of the fields is the order of their weight.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_silent: bool,
    is_unwanted: bool,
    is_lossy: bool,
    is_untried: bool,
    welcome: (u8, u8, bool),
    round_trip_micros: u64,
    id: u16,
}

impl Choosable {
    /// Does it carry data?
    pub(super) fn is_alive(&self) -> bool {
        self.state.is_alive()
    }

    /// How welcome data is on it, however it fares; lower is better.
    fn welcome(&self) -> (u8, u8, bool) {
        (self.relays, self.preference, self.is_metered)
    }

    fn rank(&self, max_loss: f64) -> Rank {
        Rank {
            is_silent: self.is_silent,
            is_unwanted: !self.is_wanted,
            is_lossy: self.loss >= max_loss * LOSS_WORTH_MOVING,
            is_untried: self.state == PathState::Probation,
            welcome: self.welcome(),
            round_trip_micros: (self.round_trip * 1e6) as u64,
            id: self.id,
        }
    }
}

/// The paths that carry data, the best first.
pub(super) fn ranked(paths: &[Choosable], max_loss: f64) -> Vec<u16> {
    let mut alive: Vec<_> = paths.iter().filter(|path| path.is_alive()).collect();
    alive.sort_by_key(|path| path.rank(max_loss));
    alive.iter().map(|path| path.id).collect()
}

/// Where data shall go instead; `None` to leave things as they are.
pub(super) fn choose(selected: Option<u16>, paths: &[Choosable], max_loss: f64) -> Option<Wish> {
    let urgent = |path: u16, reason| Some(Wish { path, reason, is_urgent: true });
    let best = *ranked(paths, max_loss).first()?;
    let Some(present) = paths.iter().find(|path| Some(path.id) == selected) else {
        return urgent(best, HandoverReason::InterfaceUp);
    };
    match present.state {
        PathState::Down => return urgent(best, HandoverReason::InterfaceDown),
        PathState::Dead | PathState::Checking => return urgent(best, HandoverReason::Silence),
        PathState::Good | PathState::Suspect | PathState::Probation => {}
    }
    let others = paths.iter().filter(|path| path.id != present.id && path.is_alive());
    let steady = others.filter(|path| path.state == PathState::Good && !path.is_silent);
    let mut advantages: Vec<_> = steady
        .filter_map(|path| advantage(present, path, max_loss).map(|reason| (path, reason)))
        .collect();
    advantages.sort_by_key(|(path, _)| path.rank(max_loss));
    let (path, reason) = *advantages.first()?;
    let is_urgent = reason == HandoverReason::Manual;
    Some(Wish { path: path.id, reason, is_urgent })
}

/// What speaks for another path that is good, if enough does.
fn advantage(present: &Choosable, other: &Choosable, max_loss: f64) -> Option<HandoverReason> {
    if other.is_wanted != present.is_wanted {
        return other.is_wanted.then_some(HandoverReason::Manual);
    }
    let worth_moving = max_loss * LOSS_WORTH_MOVING;
    if present.loss >= worth_moving {
        return (other.loss < present.loss / 2.0).then_some(HandoverReason::Loss);
    }
    if other.loss >= worth_moving {
        return None;
    }
    let saved = present.round_trip - other.round_trip;
    let is_faster = saved > FASTER_BY.max(FASTER_PART * present.round_trip);
    match other.welcome().cmp(&present.welcome()) {
        Ordering::Less => (saved > -UNWELCOME_FASTER_BY).then_some(HandoverReason::Preference),
        Ordering::Greater => (saved > UNWELCOME_FASTER_BY && saved > present.round_trip / 2.0)
            .then_some(HandoverReason::Delay),
        Ordering::Equal => is_faster.then_some(HandoverReason::Delay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_LOSS: f64 = 0.02;

    fn path(id: u16, round_trip: f64) -> Choosable {
        Choosable {
            id,
            state: PathState::Good,
            is_silent: false,
            is_wanted: false,
            loss: 0.0,
            relays: 0,
            preference: 0,
            is_metered: false,
            round_trip,
        }
    }

    fn reason(selected: u16, paths: &[Choosable]) -> Option<(u16, HandoverReason, bool)> {
        choose(Some(selected), paths, MAX_LOSS).map(|wish| (wish.path, wish.reason, wish.is_urgent))
    }

    #[test]
    fn data_leaves_a_dead_path_at_once_and_a_good_one_for_nothing() {
        let dead = Choosable { state: PathState::Dead, ..path(1, 0.01) };
        let down = Choosable { state: PathState::Down, ..path(1, 0.01) };
        let slow = path(2, 0.06);
        assert_eq!(reason(1, &[dead, slow]), Some((2, HandoverReason::Silence, true)));
        assert_eq!(reason(1, &[down, slow]), Some((2, HandoverReason::InterfaceDown, true)));
        assert_eq!(reason(1, &[path(1, 0.01), slow]), None);
        assert_eq!(reason(1, &[dead]), None, "nowhere to go");
    }

    #[test]
    fn a_faster_path_has_to_be_clearly_faster() {
        assert_eq!(reason(1, &[path(1, 0.06), path(2, 0.055)]), None);
        let faster = [path(1, 0.06), path(2, 0.01)];
        assert_eq!(reason(1, &faster), Some((2, HandoverReason::Delay, false)));
        let untrusted = Choosable { state: PathState::Probation, ..path(2, 0.01) };
        assert_eq!(reason(1, &[path(1, 0.06), untrusted]), None);
    }

    #[test]
    fn a_metered_path_is_left_for_a_free_one_and_taken_only_for_much() {
        let metered = |id, round_trip| Choosable { is_metered: true, ..path(id, round_trip) };
        let back = [metered(1, 0.01), path(2, 0.05)];
        assert_eq!(reason(1, &back), Some((2, HandoverReason::Preference, false)));
        assert_eq!(reason(1, &[path(1, 0.06), metered(2, 0.01)]), None);
        let slow = [path(1, 1.0), metered(2, 0.06)];
        assert_eq!(reason(1, &slow), Some((2, HandoverReason::Delay, false)));
    }

    #[test]
    fn a_relayed_path_is_left_for_a_direct_one_even_if_that_is_metered() {
        let relayed = Choosable { relays: 1, ..path(1, 0.01) };
        let metered = Choosable { is_metered: true, ..path(2, 0.06) };
        assert_eq!(reason(1, &[relayed, metered]), Some((2, HandoverReason::Preference, false)));
        assert_eq!(reason(2, &[relayed, metered]), None);
        let twice = Choosable { relays: 2, ..path(3, 0.01) };
        assert_eq!(ranked(&[twice, relayed, metered], MAX_LOSS), [2, 1, 3]);
    }

    #[test]
    fn a_preferred_path_is_returned_to_and_left_only_for_much_whatever_it_costs() {
        let second = |id, round_trip| Choosable { preference: 1, ..path(id, round_trip) };
        let metered = |id, round_trip| Choosable { is_metered: true, ..path(id, round_trip) };
        let back = [second(1, 0.01), metered(2, 0.05)];
        assert_eq!(reason(1, &back), Some((2, HandoverReason::Preference, false)));
        assert_eq!(reason(2, &back), None);
        let slow = [second(1, 0.01), metered(2, 1.0)];
        assert_eq!(reason(2, &slow), Some((1, HandoverReason::Delay, false)));
        assert_eq!(reason(1, &slow), None, "and does not come back to it");
        let lossy = [second(1, 0.01), Choosable { loss: 0.2, ..path(2, 0.01) }];
        assert_eq!(reason(2, &lossy), Some((1, HandoverReason::Loss, false)));
        let dead = Choosable { state: PathState::Dead, ..path(3, 0.01) };
        let left = [second(1, 0.01), path(2, 0.05), dead];
        assert_eq!(reason(3, &left), Some((2, HandoverReason::Silence, true)));
    }

    #[test]
    fn a_lossy_path_is_left_only_for_one_that_loses_less() {
        let lossy = |id, loss| Choosable { loss, ..path(id, 0.01) };
        let better = [lossy(1, 0.2), path(2, 0.06)];
        assert_eq!(reason(1, &better), Some((2, HandoverReason::Loss, false)));
        assert_eq!(reason(1, &[lossy(1, 0.2), lossy(2, 0.18)]), None);
        assert_eq!(reason(1, &[lossy(1, 0.03), path(2, 0.06)]), None, "repair hides that");
    }

    #[test]
    fn what_a_person_asks_for_is_taken_while_it_carries() {
        let wanted = |state| Choosable { is_wanted: true, state, ..path(2, 0.06) };
        let paths = [path(1, 0.01), wanted(PathState::Good)];
        assert_eq!(reason(1, &paths), Some((2, HandoverReason::Manual, true)));
        assert_eq!(reason(2, &paths), None);
        let dead = [path(1, 0.01), wanted(PathState::Dead)];
        assert_eq!(reason(2, &dead), Some((1, HandoverReason::Silence, true)));
    }
}
