//! Deadlines that were missed lately, and publishers that no longer say that they are alive: what is
//! told of them. Pure; `now` comes in as an argument.

use std::time::{Duration, Instant};

use super::rcl::QosEvents;
use crate::config::Timing;

/// A missed deadline is shown for so long: until an operator has seen it, and through the pauses of a
/// topic that misses some of its deadlines only.
const SHOWN: Duration = Duration::from_secs(5);

/// What is known of one subscription or publisher.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    missed: Noticed,
    not_alive: Noticed,
}

/// How often something was noticed, and when last.
#[derive(Debug, Default)]
struct Noticed {
    count: u32,
    last: Option<Instant>,
}

/// What is late now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Late {
    /// The deadline that was missed.
    pub(super) deadline: Option<Duration>,
    /// The lease within which nothing was said.
    pub(super) lease: Option<Duration>,
}

impl Lateness {
    /// Takes what has been noticed so far of a publisher: each time counts by itself.
    pub(super) fn of_publisher(&mut self, events: QosEvents, now: Instant) {
        self.missed.rise(events.deadlines_missed, now);
        self.not_alive.rise(events.not_alive, now);
    }

    /// Takes what has been noticed so far of a subscription: publishers are alive or not.
    pub(super) fn of_subscription(&mut self, events: QosEvents, now: Instant) {
        self.missed.rise(events.deadlines_missed, now);
        self.not_alive.last = (events.not_alive > 0).then_some(now);
    }

    /// What is late, where this was promised.
    pub(super) fn late(&self, promised: Timing, now: Instant) -> Late {
        let deadline = promised.deadline.filter(|_| self.missed.is_recent(now));
        let lease = promised.lease.filter(|_| self.not_alive.is_recent(now));
        Late { deadline, lease }
    }
}

impl Noticed {
    fn rise(&mut self, count: u32, now: Instant) {
        if count > self.count {
            self.last = Some(now);
        }
        self.count = count;
    }

    fn is_recent(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.duration_since(last) <= SHOWN)
    }
}

impl Late {
    /// Is nothing late?
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// The remark at the sender, about its publishers.
    pub(super) fn of_publishers(self) -> String {
        let deadline = self.deadline.map(|time| {
            format!(
                "no message came within the deadline of {} s that its publishers offer; publish more \
                 often, or offer a longer one",
                time.as_secs_f64()
            )
        });
        let lease = self.lease.map(|time| {
            format!(
                "a publisher has not said for {} s that it is alive; see whether it hangs",
                time.as_secs_f64()
            )
        });
        join(deadline, lease)
    }

    /// The remark at the receiver, about what comes from a peer.
    pub(super) fn of_peer(self) -> String {
        let deadline = self.deadline.map(|time| {
            format!(
                "nothing was there to publish within the deadline of {} s that the publishers at the \
                 sender offer; see whether they keep it, and how the link fares",
                time.as_secs_f64()
            )
        });
        let lease = self.lease.map(|time| {
            format!(
                "nothing has come for {} s, so that subscribers take the publisher for dead; see \
                 whether it publishes, and how the link fares",
                time.as_secs_f64()
            )
        });
        join(deadline, lease)
    }
}

fn join(one: Option<String>, other: Option<String>) -> String {
    one.into_iter().chain(other).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Liveliness;

    const PROMISED: Timing = Timing {
        deadline: Some(Duration::from_millis(100)),
        lifespan: None,
        liveliness: Liveliness::ManualByTopic,
        lease: Some(Duration::from_secs(1)),
    };

    fn events(deadlines_missed: u32, not_alive: u32) -> QosEvents {
        QosEvents { deadlines_missed, not_alive }
    }

    #[test]
    fn a_missed_deadline_is_shown_for_a_while_each_time() {
        let (mut lateness, start) = (Lateness::default(), Instant::now());
        lateness.of_publisher(events(0, 0), start);
        assert!(lateness.late(PROMISED, start).is_nothing());
        lateness.of_publisher(events(2, 0), start);
        assert_eq!(lateness.late(PROMISED, start + SHOWN).deadline, PROMISED.deadline);
        lateness.of_publisher(events(2, 0), start + SHOWN);
        assert!(lateness.late(PROMISED, start + 2 * SHOWN).is_nothing());
        lateness.of_publisher(events(3, 0), start + 2 * SHOWN);
        assert!(!lateness.late(PROMISED, start + 2 * SHOWN).is_nothing());
        assert!(
            lateness.late(Timing::default(), start).is_nothing(),
            "nobody promises it any more"
        );
    }

    #[test]
    fn a_publisher_that_is_not_alive_is_shown_until_it_is() {
        let (mut lateness, start) = (Lateness::default(), Instant::now());
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            lateness.of_subscription(events(0, 1), now);
            assert_eq!(lateness.late(PROMISED, now).lease, PROMISED.lease);
        }
        let now = start + Duration::from_secs(60);
        lateness.of_subscription(events(0, 0), now);
        assert!(lateness.late(PROMISED, now).is_nothing());
    }

    #[test]
    fn remarks_name_the_time_and_the_remedy() {
        let late = Late { deadline: PROMISED.deadline, lease: PROMISED.lease };
        for text in [late.of_publishers(), late.of_peer()] {
            assert!(text.contains("deadline of 0.1 s") && text.contains("for 1 s"), "{text}");
            assert!(text.contains("see whether"), "{text}");
        }
        assert!(Late::default().of_peer().is_empty());
    }
}
