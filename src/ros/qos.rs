//! Which QoS a bridged topic gets on either side. Pure; nothing here talks to ROS.
//!
//! Each axis is decided by itself: what the configuration says, else the weaker of the policies
//! that the publishers found offer, else the default of ROS (reliable, volatile). The weaker one,
//! because a subscription that requests more than one of the publishers offers gets nothing from
//! that publisher, while one that requests less gets everything from all of them.
//!
//! A depth is not told by the graph, and it is no contract between publisher and subscriber: each
//! side keeps as much as it likes. So there are three depths here:
//!
//! - our own subscription keeps [`SUBSCRIPTION_DEPTH`] samples, whatever crosses in the end: it is
//!   drained at once, and a burst that overflowed it would be lost without a trace;
//! - the offer names the depth that late joiners can count on: the last sample of a
//!   `transient_local` publisher (a map, a robot description), the usual 10 of a volatile one;
//! - the publisher at the far side keeps exactly the offer's depth when `transient_local`, since
//!   all of that is handed to each late joiner, and at least [`PUBLISHER_DEPTH`] when it has to
//!   send again what a subscriber missed. A volatile sample leaves that history once every
//!   subscriber has it.
//!
//! `keep_all` is offered on as told, but kept as a deep `keep_last`: DDS makes a publisher that
//! keeps all wait for its slowest subscriber, and one that waits here would hold up other topics.

use std::fmt;
use std::time::Duration;

use crate::config::{
    Delivery, Durability, History, Liveliness, QosOverrides, QosProfile, Reliability, Timing,
};

/// Samples that our own subscriptions keep: a program can publish thousands before the thread that
/// takes them gets its turn. Fast DDS holds no more in its default configuration, and refuses new
/// ones instead of dropping old ones when asked to. Memory is used only for what is really there.
pub const SUBSCRIPTION_DEPTH: u32 = 5000;

/// Samples that a reliable, volatile publisher of ours keeps for subscribers that missed some: 0.5 s
/// at the highest rate at which messages are published here.
pub const PUBLISHER_DEPTH: u32 = 1000;

/// Depth offered for a volatile topic: the usual one of ROS.
const VOLATILE_DEPTH: u32 = 10;

/// Depth offered for a `transient_local` topic: what is latched is nearly always the last sample.
const TRANSIENT_LOCAL_DEPTH: u32 = 1;

/// Largest depth that an offer from the network gets, samples; it bounds what a peer can make us
/// keep. Twice what the largest of common latched topics (`/rosout`) asks for.
const MAX_OFFERED_DEPTH: u32 = 2000;

/// The policies that the ROS graph tells of a publisher (what it offers) or a subscription (what
/// it requests).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointQos {
    /// Reliability.
    pub reliability: Reliability,
    /// Durability.
    pub durability: Durability,
    /// Deadline, lifespan and liveliness.
    pub timing: Timing,
}

impl EndpointQos {
    /// These policies, without any limit of time.
    pub const fn new(reliability: Reliability, durability: Durability) -> Self {
        Self { reliability, durability, timing: Timing::NONE }
    }

    /// Does a subscription that requests `requested` get the messages of a publisher that offers
    /// `self`?
    pub fn satisfies(self, requested: Self) -> bool {
        let (offered, wanted) = (self.timing, requested.timing);
        self.reliability >= requested.reliability
            && self.durability >= requested.durability
            && is_within(offered.deadline, wanted.deadline)
            && offered.liveliness >= wanted.liveliness
            && is_within(offered.lease, wanted.lease)
    }
}

/// Is a time that is offered within the one that is requested, where `None` has no end?
fn is_within(offered: Option<Duration>, requested: Option<Duration>) -> bool {
    match (offered, requested) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(offered), Some(requested)) => offered <= requested,
    }
}

/// As ROS's tools write it.
impl fmt::Display for EndpointQos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reliability {
            Reliability::BestEffort => "best_effort",
            Reliability::Reliable => "reliable",
        })?;
        f.write_str(match self.durability {
            Durability::Volatile => ", volatile",
            Durability::TransientLocal => ", transient_local",
        })?;
        let Timing { deadline, liveliness, lease, .. } = self.timing;
        if let Some(deadline) = deadline {
            write!(f, ", deadline {} s", deadline.as_secs_f64())?;
        }
        if liveliness == Liveliness::ManualByTopic {
            f.write_str(", manual_by_topic")?;
        }
        match lease {
            Some(lease) => write!(f, ", lease {} s", lease.as_secs_f64()),
            None => Ok(()),
        }
    }
}

impl From<QosProfile> for EndpointQos {
    fn from(profile: QosProfile) -> Self {
        let QosProfile { reliability, durability, timing, .. } = profile;
        Self { reliability, durability, timing }
    }
}

/// QoS of a topic that leaves this rover: what the peers are offered.
pub fn offered(
    overrides: QosOverrides,
    publishers: impl Iterator<Item = EndpointQos> + Clone,
) -> QosProfile {
    let found = publishers.clone().map(|publisher| publisher.reliability).min();
    let reliability = overrides.reliability.or(found).unwrap_or(Reliability::Reliable);
    let timing = weakest(publishers.clone().map(|publisher| publisher.timing));
    let found = publishers.map(|publisher| publisher.durability).min();
    let durability = overrides.durability.or(found).unwrap_or(Durability::Volatile);
    let depth = overrides.depth.unwrap_or(match durability {
        Durability::Volatile => VOLATILE_DEPTH,
        Durability::TransientLocal => TRANSIENT_LOCAL_DEPTH,
    });
    let history = overrides.history.unwrap_or(History::KeepLast);
    QosProfile { reliability, durability, history, depth, timing }
}

/// What all publishers promise: the longest of their times, and none where one promises none.
fn weakest(publishers: impl Iterator<Item = Timing> + Clone) -> Timing {
    let longest = |time: fn(&Timing) -> Option<Duration>| {
        let times: Option<Vec<_>> = publishers.clone().map(|timing| time(&timing)).collect();
        times.and_then(|times| times.into_iter().max())
    };
    Timing {
        deadline: longest(|timing| timing.deadline),
        lifespan: longest(|timing| timing.lifespan),
        liveliness: publishers.clone().map(|timing| timing.liveliness).min().unwrap_or_default(),
        lease: longest(|timing| timing.lease),
    }
}

/// QoS of our subscription to a topic that is offered with `offer`.
pub fn subscription(offer: QosProfile) -> QosProfile {
    QosProfile { history: History::KeepLast, depth: SUBSCRIPTION_DEPTH, ..offer }
}

/// QoS of our publisher for a topic that a peer offers with `offer`, where the configuration says
/// `overrides`.
pub fn publisher(overrides: QosOverrides, offer: QosProfile) -> QosProfile {
    let reliability = overrides.reliability.unwrap_or(offer.reliability);
    let durability = overrides.durability.unwrap_or(offer.durability);
    let asked = overrides.depth.unwrap_or(offer.depth.min(MAX_OFFERED_DEPTH)).max(1);
    let keeps_all = overrides.history.unwrap_or(offer.history) == History::KeepAll;
    let resends = (reliability, durability) == (Reliability::Reliable, Durability::Volatile);
    let depth = if resends || keeps_all { asked.max(PUBLISHER_DEPTH) } else { asked };
    let timing = offer.timing;
    QosProfile { reliability, durability, history: History::KeepLast, depth, timing }
}

/// Samples per publisher that the sender keeps for peers that connect late. It does so too while a
/// volatile publisher beside it makes the topic volatile: that one may go again.
pub fn kept_for_late_joiners(
    overrides: QosOverrides,
    mut publishers: impl Iterator<Item = EndpointQos>,
) -> usize {
    let latches = |qos: EndpointQos| qos.durability == Durability::TransientLocal;
    let is_latched = match overrides.durability {
        Some(durability) => durability == Durability::TransientLocal,
        None => publishers.any(latches),
    };
    match overrides.history {
        _ if !is_latched => 0,
        Some(History::KeepAll) => PUBLISHER_DEPTH as usize,
        Some(History::KeepLast) | None => overrides.depth.unwrap_or(TRANSIENT_LOCAL_DEPTH) as usize,
    }
}

/// How messages cross where the configuration does not say: a topic whose lost samples stay lost
/// in DDS has no use for old ones over the link either.
pub fn delivery(reliability: Reliability) -> Delivery {
    match reliability {
        Reliability::Reliable => Delivery::Reliable,
        Reliability::BestEffort => Delivery::Latest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENSOR: EndpointQos = EndpointQos::new(Reliability::BestEffort, Durability::Volatile);
    const LATCHED: EndpointQos =
        EndpointQos::new(Reliability::Reliable, Durability::TransientLocal);
    const AUTO: QosOverrides =
        QosOverrides { reliability: None, durability: None, history: None, depth: None };

    fn offer_for(publishers: &[EndpointQos]) -> QosProfile {
        offered(AUTO, publishers.iter().copied())
    }

    #[test]
    fn without_publishers_the_defaults_of_ros_apply() {
        let expected = QosProfile {
            reliability: Reliability::Reliable,
            durability: Durability::Volatile,
            history: History::KeepLast,
            depth: 10,
            timing: Timing::default(),
        };
        assert_eq!(offer_for(&[]), expected);
    }

    #[test]
    fn each_axis_follows_the_weakest_publisher() {
        assert_eq!(EndpointQos::from(offer_for(&[LATCHED])), LATCHED);
        assert_eq!(offer_for(&[LATCHED]).depth, 1);
        assert_eq!(EndpointQos::from(offer_for(&[LATCHED, SENSOR, LATCHED])), SENSOR);
        let lossy_latched = EndpointQos::new(Reliability::BestEffort, Durability::TransientLocal);
        assert_eq!(EndpointQos::from(offer_for(&[lossy_latched, LATCHED])), lossy_latched);
    }

    #[test]
    fn an_explicit_setting_wins_on_its_axis_only() {
        let overrides =
            QosOverrides { reliability: Some(Reliability::Reliable), depth: Some(5), ..AUTO };
        let offer = offered(overrides, [SENSOR].into_iter());
        assert_eq!(offer.reliability, Reliability::Reliable);
        assert_eq!(offer.durability, Durability::Volatile);
        assert_eq!(offer.depth, 5);
    }

    #[test]
    fn a_publisher_satisfies_what_is_weaker_or_equal() {
        assert!(LATCHED.satisfies(SENSOR));
        assert!(LATCHED.satisfies(LATCHED));
        assert!(!SENSOR.satisfies(LATCHED));
    }

    #[test]
    fn a_promise_about_time_is_offered_as_far_as_all_publishers_make_it() {
        let times = |deadline: u64, lease: u64, liveliness| {
            let second = |count| (count > 0).then(|| Duration::from_secs(count));
            let (deadline, lease) = (second(deadline), second(lease));
            EndpointQos {
                timing: Timing { deadline, lifespan: None, liveliness, lease },
                ..LATCHED
            }
        };
        let strict = times(1, 2, Liveliness::ManualByTopic);
        let lax = times(3, 0, Liveliness::Automatic);
        assert_eq!(offer_for(&[strict]).timing, strict.timing);
        assert_eq!(offer_for(&[strict, lax]).timing, lax.timing);
        assert_eq!(offer_for(&[strict, LATCHED]).timing, Timing::default());
        assert!(strict.satisfies(lax) && strict.satisfies(strict) && strict.satisfies(LATCHED));
        assert!(!lax.satisfies(strict) && !LATCHED.satisfies(lax));
        let text = "reliable, transient_local, deadline 1 s, manual_by_topic, lease 2 s";
        assert_eq!(strict.to_string(), text);
    }

    #[test]
    fn a_subscription_is_deep_and_matches_the_publishers_it_was_made_for() {
        let subscription = subscription(offer_for(&[LATCHED, SENSOR]));
        assert_eq!(subscription.depth, SUBSCRIPTION_DEPTH);
        assert!(LATCHED.satisfies(subscription.into()) && SENSOR.satisfies(subscription.into()));
    }

    #[test]
    fn a_publisher_is_deep_where_it_resends_and_exact_where_it_latches() {
        assert_eq!(publisher(AUTO, offer_for(&[])).depth, PUBLISHER_DEPTH);
        assert_eq!(publisher(AUTO, offer_for(&[LATCHED])).depth, 1);
        assert_eq!(publisher(AUTO, offer_for(&[SENSOR])).depth, 10);
    }

    #[test]
    fn an_offer_from_the_network_cannot_ask_for_endless_history() {
        let greedy = QosProfile { depth: u32::MAX, ..offer_for(&[LATCHED]) };
        assert_eq!(publisher(AUTO, greedy).depth, MAX_OFFERED_DEPTH);
        let keeps_all = QosProfile { history: History::KeepAll, depth: 0, ..greedy };
        let publisher = publisher(AUTO, keeps_all);
        assert_eq!((publisher.history, publisher.depth), (History::KeepLast, PUBLISHER_DEPTH));
    }

    #[test]
    fn only_latched_topics_keep_samples_for_late_joiners() {
        let kept = |overrides, publishers: &[EndpointQos]| {
            kept_for_late_joiners(overrides, publishers.iter().copied())
        };
        assert_eq!(kept(AUTO, &[]), 0);
        assert_eq!(kept(AUTO, &[LATCHED]), 1);
        assert_eq!(kept(AUTO, &[SENSOR, LATCHED]), 1, "the volatile one may go");
        let explicit = QosOverrides { durability: Some(Durability::TransientLocal), ..AUTO };
        assert_eq!(kept(QosOverrides { depth: Some(5), ..explicit }, &[]), 5);
        let keeps_all = QosOverrides { history: Some(History::KeepAll), ..explicit };
        assert_eq!(kept(keeps_all, &[]), PUBLISHER_DEPTH as usize);
        let volatile = QosOverrides { durability: Some(Durability::Volatile), ..AUTO };
        assert_eq!(kept(volatile, &[LATCHED]), 0);
    }

    #[test]
    fn best_effort_topics_cross_as_latest() {
        assert_eq!(delivery(Reliability::BestEffort), Delivery::Latest);
        assert_eq!(delivery(Reliability::Reliable), Delivery::Reliable);
    }
}
