//! The topics of ours: what is offered to the peers, and the last samples of each publisher that
//! a peer gets when it connects late (`transient_local`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use super::channels::PeerKind;
use super::counts::Counts;
use super::event::{OutgoingMessage, PublisherId};
use super::queue::Payload;
use super::route::{OutgoingRoute, RouteId};
use crate::config::Durability;
use crate::wire::Origin;

/// Publishers of one topic whose samples are kept; beyond it the one that was silent longest goes.
/// Tuned for `/tf_static`, where a large robot has some dozens.
pub(crate) const MAX_PUBLISHERS: usize = 256;

/// A message may come so much of the period early: publishers are not exact.
const EARLY: f64 = 0.1;

/// A numbered message for all peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    sequence: u64,
    data: Bytes,
    compressed: Option<Bytes>,
    taken: Instant,
    /// Of topics whose samples are kept: a receiver keeps those of each publisher too.
    origin: Option<Origin>,
}

impl Sample {
    /// The message as it crosses to a peer. A standard one gets it as it is, and nothing else:
    /// whether it can decompress anything is not known.
    pub(crate) fn for_peer(&self, kind: PeerKind) -> Numbered {
        let Self { sequence, ref data, taken, .. } = *self;
        let compressed = self.compressed.as_ref().filter(|_| kind == PeerKind::Rover);
        let origin = self.origin.filter(|_| kind == PeerKind::Rover);
        let is_compressed = compressed.is_some();
        let data = compressed.unwrap_or(data).clone();
        Numbered { sequence, data, is_compressed, taken, origin }
    }
}

/// A numbered message for one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) sequence: u64,
    pub(crate) data: Bytes,
    pub(crate) is_compressed: bool,
    pub(crate) taken: Instant,
    pub(crate) origin: Option<Origin>,
}

impl Payload for Numbered {
    fn size(&self) -> usize {
        self.data.len()
    }
}

/// A topic of ours.
#[derive(Debug)]
pub(crate) struct Offered {
    pub(crate) route: OutgoingRoute,
    /// Rises each time the topic is offered anew.
    pub(crate) revision: u32,
    /// Of the last message; counts on when the topic is offered anew.
    sequence: u64,
    /// Messages for all peers that got a sequence.
    for_all: u64,
    /// By publisher, the one that published last at the end.
    history: VecDeque<(PublisherId, VecDeque<Sample>)>,
    /// The topic's publishers, as the application last told them.
    publishers: BTreeSet<PublisherId>,
    /// Of all messages, and of those that are dropped before any peer's queue.
    pub(crate) counts: Counts,
    /// When the next message is due under `min_period`.
    due: Option<Instant>,
}

/// All topics of ours, by their number.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    topics: BTreeMap<RouteId, Offered>,
}

impl Outbox {
    /// Offers a topic, or offers it anew.
    pub(crate) fn offer(&mut self, id: RouteId, route: OutgoingRoute) -> &Offered {
        let offered = self.topics.entry(id).or_insert_with(|| Offered {
            route: route.clone(),
            revision: 0,
            sequence: 0,
            for_all: 0,
            history: VecDeque::new(),
            publishers: BTreeSet::new(),
            counts: Counts::default(),
            due: None,
        });
        if offered.route.offer.type_name != route.offer.type_name || route.history == 0 {
            offered.history.clear();
        }
        if offered.route.min_period != route.min_period {
            // What the former rate asked for is not to hold up messages under the new one.
            offered.due = None;
        }
        offered.route = route;
        offered.revision += 1;
        offered
    }

    pub(crate) fn withdraw(&mut self, id: RouteId) {
        if let Some(offered) = self.topics.get_mut(&id) {
            // The entry stays, for its sequence: a receiver counts on after a new offer.
            offered.history.clear();
            offered.route.peers = crate::config::PeerFilter::Only(Vec::new());
        }
    }

    /// Notes which publishers a topic has now; what the others published is no longer kept.
    pub(crate) fn set_publishers(&mut self, id: RouteId, publishers: BTreeSet<PublisherId>) {
        if let Some(offered) = self.topics.get_mut(&id) {
            offered.history.retain(|(kept, _)| publishers.contains(kept));
            offered.publishers = publishers;
        }
    }

    /// The topics, by number.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (RouteId, &Offered)> {
        self.topics.iter().map(|(id, offered)| (*id, offered))
    }

    pub(crate) fn get(&self, id: RouteId) -> Option<&Offered> {
        self.topics.get(&id)
    }

    /// Numbers a message for all peers and keeps it as far as the topic's history asks for. `None`
    /// if the topic is not offered, or the message is larger than its limit or comes too soon.
    pub(crate) fn add(&mut self, message: OutgoingMessage, taken: Instant) -> Option<Sample> {
        let offered = self.topics.get_mut(&message.id)?;
        offered.counts.taken += 1;
        let (id, publisher) = (message.id, message.publisher);
        let sample = self.number(message, taken)?;
        let offered = self.topics.get_mut(&id)?;
        offered.for_all += 1;
        offered.keep(publisher, &sample);
        Some(sample)
    }

    /// Numbers a message for one peer, which counts it. What is dropped here counts for all peers.
    pub(crate) fn add_own(&mut self, message: OutgoingMessage, taken: Instant) -> Option<Sample> {
        let id = message.id;
        let sample = self.number(message, taken);
        if sample.is_none()
            && let Some(offered) = self.topics.get_mut(&id)
        {
            offered.counts.taken += 1;
        }
        sample
    }

    fn number(&mut self, message: OutgoingMessage, taken: Instant) -> Option<Sample> {
        let offered = self.topics.get_mut(&message.id)?;
        let (size, limit) = (message.data.len(), offered.route.max_message_size);
        if size > limit as usize {
            offered.counts.dropped_oversize += 1;
            let dropped = offered.counts.dropped_oversize;
            // The first one, and then ever more seldom.
            if dropped.is_power_of_two() {
                log::warn!(
                    "message of {size} bytes dropped: topic={} max_message_size={limit} dropped={dropped}",
                    offered.route.offer.topic,
                );
            }
            return None;
        }
        if !offered.is_due(taken) {
            offered.counts.dropped_rate += 1;
            return None;
        }
        offered.sequence += 1;
        let OutgoingMessage { publisher, number, data, compressed, .. } = message;
        let origin = Origin { publisher: publisher.0, number };
        let origin = (offered.route.history > 0).then_some(origin);
        Some(Sample { sequence: offered.sequence, data, compressed, taken, origin })
    }
}

impl Offered {
    /// Messages for all peers so far that were not dropped before any peer's queue.
    pub(crate) fn numbered(&self) -> u64 {
        self.for_all
    }

    /// Is it time for a message again? Those that go are as even as those that come allow: the
    /// period is kept on average, not from one to the next.
    fn is_due(&mut self, taken: Instant) -> bool {
        let period = self.route.min_period;
        if period.is_zero() {
            return true;
        }
        let due = self.due.unwrap_or(taken);
        if taken + period.mul_f64(EARLY) < due {
            return false;
        }
        self.due = Some((due + period).max(taken));
        true
    }

    /// Its publishers, where a receiver has to know them.
    pub(crate) fn publishers(&self) -> Option<&BTreeSet<PublisherId>> {
        let publishers = Some(&self.publishers).filter(|all| all.len() <= MAX_PUBLISHERS);
        publishers.filter(|_| self.is_latched())
    }

    /// The kept samples as they cross to a peer of this kind, oldest first; none while the topic is
    /// volatile.
    pub(crate) fn history(&self, kind: PeerKind) -> Vec<Numbered> {
        if !self.is_latched() {
            return Vec::new();
        }
        let samples = self.history.iter().flat_map(|(_, samples)| samples);
        let mut samples: Vec<_> = samples.map(|sample| sample.for_peer(kind)).collect();
        samples.sort_by_key(|sample| sample.sequence);
        samples
    }

    fn is_latched(&self) -> bool {
        self.route.offer.qos.durability == Durability::TransientLocal
    }

    fn keep(&mut self, publisher: PublisherId, sample: &Sample) {
        if self.route.history == 0 {
            return;
        }
        let known = self.history.iter().position(|(kept, _)| *kept == publisher);
        let mut samples = known
            .and_then(|index| self.history.remove(index))
            .map_or_else(VecDeque::new, |(_, samples)| samples);
        samples.push_back(sample.clone());
        while samples.len() > self.route.history {
            samples.pop_front();
        }
        if self.history.len() == MAX_PUBLISHERS {
            self.history.pop_front();
        }
        self.history.push_back((publisher, samples));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{
        Compression, Delivery, History, PeerFilter, Priority, QosProfile, QueueLimits, Reliability,
        Timing, TypeName,
    };
    use crate::link::{RouteKind, RouteOffer};

    pub(crate) fn route(history: usize) -> OutgoingRoute {
        OutgoingRoute {
            offer: RouteOffer {
                topic: "/map".to_owned(),
                type_name: TypeName::parse("nav_msgs/msg/OccupancyGrid").expect("a type"),
                type_hash: "RIHS01_00".to_owned(),
                delivery: Delivery::Reliable,
                qos: QosProfile {
                    reliability: Reliability::Reliable,
                    durability: Durability::TransientLocal,
                    history: History::KeepLast,
                    depth: 1,
                    timing: Timing::default(),
                },
                kind: RouteKind::Topic,
            },
            peers: PeerFilter::All,
            priority: Priority::Normal,
            lifespan: Duration::ZERO,
            min_period: Duration::ZERO,
            interfaces: Vec::new(),
            compression: Compression::None,
            queue: QueueLimits::default(),
            max_message_size: 10,
            history,
        }
    }

    fn message(publisher: u128, text: &'static str) -> OutgoingMessage {
        OutgoingMessage {
            id: RouteId(1),
            publisher: PublisherId(publisher),
            number: 1,
            data: Bytes::from_static(text.as_bytes()),
            compressed: None,
        }
    }

    fn kept(outbox: &Outbox) -> Vec<(u64, Bytes)> {
        let offered = outbox.get(RouteId(1)).expect("offered");
        let history = offered.history(PeerKind::Rover);
        history.into_iter().map(|sample| (sample.sequence, sample.data)).collect()
    }

    #[test]
    fn the_last_samples_of_each_publisher_are_kept_in_the_order_of_publishing() {
        let mut outbox = Outbox::default();
        outbox.offer(RouteId(1), route(1));
        for (publisher, text) in [(1, "old"), (2, "two"), (1, "new")] {
            outbox.add(message(publisher, text), Instant::now());
        }
        assert_eq!(kept(&outbox), [(2, Bytes::from("two")), (3, Bytes::from("new"))]);
        outbox.set_publishers(RouteId(1), BTreeSet::from([PublisherId(1)]));
        assert_eq!(kept(&outbox), [(3, Bytes::from("new"))]);
    }

    #[test]
    fn messages_beyond_the_highest_rate_are_left_out_evenly_and_counted() {
        let mut outbox = Outbox::default();
        let min_period = Duration::from_millis(50);
        outbox.offer(RouteId(1), OutgoingRoute { min_period, ..route(0) });
        let start = Instant::now();
        let published = (0..300_u32).map(|number| start + Duration::from_secs(number.into()) / 30);
        let sent: Vec<_> =
            published.filter(|at| outbox.add(message(1, "x"), *at).is_some()).collect();
        assert_eq!(sent.len(), 200, "20 of 30 per second");
        let longest = sent.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(longest < Some(Duration::from_millis(70)), "{longest:?}");
        assert_eq!(outbox.get(RouteId(1)).map(|offered| offered.counts.dropped_rate), Some(100));
    }

    #[test]
    fn a_higher_rate_counts_from_the_next_message() {
        let mut outbox = Outbox::default();
        let with = |min_period| OutgoingRoute { min_period, ..route(0) };
        outbox.offer(RouteId(1), with(Duration::from_secs(60)));
        let now = Instant::now();
        let adds = |outbox: &mut Outbox| outbox.add(message(1, "x"), now).is_some();
        assert_eq!((adds(&mut outbox), adds(&mut outbox)), (true, false));
        outbox.offer(RouteId(1), with(Duration::from_millis(1)));
        assert!(adds(&mut outbox));
    }

    #[test]
    fn a_slower_topic_is_not_thinned() {
        let mut outbox = Outbox::default();
        let min_period = Duration::from_millis(50);
        outbox.offer(RouteId(1), OutgoingRoute { min_period, ..route(0) });
        let start = Instant::now();
        for number in 0..100_u32 {
            let jitter = Duration::from_millis(u64::from(number % 5));
            let at = start + number * min_period + jitter;
            assert!(outbox.add(message(1, "x"), at).is_some(), "message {number}");
        }
    }

    #[test]
    fn what_is_latched_outlasts_a_time_as_a_volatile_topic() {
        let mut outbox = Outbox::default();
        outbox.offer(RouteId(1), route(1));
        outbox.add(message(1, "map"), Instant::now());
        let mut volatile = route(1);
        volatile.offer.qos.durability = Durability::Volatile;
        outbox.offer(RouteId(1), volatile);
        outbox.add(message(1, "new map"), Instant::now());
        assert!(kept(&outbox).is_empty());
        outbox.offer(RouteId(1), route(1));
        assert_eq!(kept(&outbox), [(2, Bytes::from("new map"))]);
    }

    #[test]
    fn a_volatile_topic_keeps_nothing() {
        let mut outbox = Outbox::default();
        outbox.offer(RouteId(1), route(0));
        assert!(outbox.add(message(1, "x"), Instant::now()).is_some());
        assert!(kept(&outbox).is_empty());
    }

    #[test]
    fn sequences_count_on_when_a_topic_is_offered_anew() {
        let mut outbox = Outbox::default();
        for sequence in 1..4 {
            assert_eq!(outbox.offer(RouteId(1), route(1)).revision, sequence as u32);
            let numbered = outbox.add(message(1, "x"), Instant::now()).expect("offered");
            assert_eq!(numbered.sequence, sequence);
            outbox.withdraw(RouteId(1));
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_dropped_and_counted() {
        let mut outbox = Outbox::default();
        outbox.offer(RouteId(1), route(1));
        assert_eq!(outbox.add(message(1, "eleven char"), Instant::now()), None);
        assert_eq!(outbox.get(RouteId(1)).expect("offered").counts.dropped_oversize, 1);
        assert!(outbox.add(message(1, "ten chars."), Instant::now()).is_some());
    }
}
