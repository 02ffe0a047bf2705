//! From topics to the link: one thread that watches the graph for the publishers of each topic we
//! send, subscribes with what they offer, and hands over each message the moment it comes.
//!
//! It never waits for anybody but ROS: the link's queues take everything and drop by themselves.
//! What our own publishers publish (messages from peers) is left out always, so that no topic
//! echoes, whatever the configuration; a message from a peer is not sent on to a third.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::lateness::Lateness;
use super::mismatch::{OurSide, note_publishers};
use super::qos::{self, EndpointQos};
use super::rcl::{Endpoint, GuardCondition, RclError, Sample, Subscription, TypeSupport, WaitSet};
use super::report::TopicReport;
use super::shared::Shared;
use crate::config::{Topic, TypeName};
use crate::link::{Command, OutgoingMessage, OutgoingRoute, PublisherId, RouteId, RouteOffer};
use crate::net::clock;

/// The graph is looked at so often even when nothing reports a change.
const GRAPH_FALLBACK: Duration = Duration::from_secs(1);

/// Shortest time between two looks at the graph: a system that starts changes it hundreds of times
/// a second, and a new publisher has to be noticed within 50 ms.
const GRAPH_PAUSE: Duration = Duration::from_millis(20);

/// Messages taken from one topic before the others get their turn.
const MAX_TAKEN_IN_A_ROW: u32 = 64;

/// A publisher counts as gone when neither the graph nor a message told of it for so long: a
/// message may arrive before its publisher is in the graph.
const PUBLISHER_GONE: Duration = Duration::from_secs(1);

/// The thread's own things.
pub(super) struct Outbound {
    shared: Shared,
    topics: Vec<SentTopic>,
}

impl Outbound {
    /// `topics` come with their number and absolute name.
    pub(super) fn new(shared: Shared, topics: Vec<(RouteId, String, Topic)>) -> Self {
        let topics =
            topics.into_iter().map(|(id, name, topic)| SentTopic::new(id, name, topic)).collect();
        Self { shared, topics }
    }

    /// Runs until the bridge stops, which must trigger `wake`.
    ///
    /// # Errors
    /// When waiting for ROS fails, which it does only when the middleware is broken.
    pub(super) fn run(mut self, wake: &GuardCondition) -> Result<(), RclError> {
        let mut wait_set = WaitSet::new(&self.shared.node)?;
        let mut look_at = Instant::now();
        while !self.shared.is_stopping() {
            let now = Instant::now();
            if now >= look_at {
                self.look_at_graph(now);
                look_at = now + GRAPH_FALLBACK;
            }
            let subscriptions: Vec<_> =
                self.topics.iter().filter_map(SentTopic::subscription).collect();
            let timeout = look_at.saturating_duration_since(Instant::now());
            let ready = wait_set.wait(&subscriptions, wake, timeout)?;
            let subscribed = self.topics.iter_mut().filter(|topic| topic.active.is_some());
            for (position, topic) in subscribed.enumerate() {
                if ready.subscriptions.binary_search(&position).is_ok() {
                    topic.drain(MAX_TAKEN_IN_A_ROW, &self.shared);
                }
            }
            if ready.graph {
                look_at = look_at.min(now + GRAPH_PAUSE);
            }
        }
        Ok(())
    }

    fn look_at_graph(&mut self, now: Instant) {
        for topic in &mut self.topics {
            match self.shared.node.publishers(&topic.name) {
                Ok(mut publishers) => {
                    publishers.retain(|publisher| !self.shared.own.contains(publisher.id));
                    let mut report = topic.follow(&publishers, &self.shared);
                    topic.note_lateness(&mut report, &publishers, now);
                    topic.tell_publishers(&publishers, now, &self.shared);
                    topic.show(report, &self.shared);
                }
                Err(error) => log::warn!("cannot look up publishers topic={}: {error}", topic.name),
            }
        }
    }
}

/// A topic of the configuration that leaves this rover.
struct SentTopic {
    id: RouteId,
    /// Absolute name.
    name: String,
    config: Topic,
    active: Option<Active>,
    publishers: BTreeMap<PublisherId, Seen>,
    /// Those that the link was told of.
    told: BTreeSet<PublisherId>,
    shown: Option<TopicReport>,
}

/// What there is once the topic's type is known and installed.
struct Active {
    subscription: Subscription,
    type_support: TypeSupport,
    offer: RouteOffer,
    /// Samples that the link keeps per publisher.
    history: usize,
    lateness: Lateness,
}

/// What is known of a publisher.
struct Seen {
    /// When the graph or a message last told of it.
    last: Instant,
    /// Number of its newest message taken. A subscription that was made anew gets the samples of
    /// a `transient_local` publisher again, which must not be sent again.
    sequence: Option<u64>,
}

impl SentTopic {
    fn new(id: RouteId, name: String, config: Topic) -> Self {
        let (publishers, told) = (BTreeMap::new(), BTreeSet::new());
        Self { id, name, config, active: None, publishers, told, shown: None }
    }

    fn subscription(&self) -> Option<&Subscription> {
        self.active.as_ref().map(|active| &active.subscription)
    }

    /// Hands over what waits, at most so many; what is left keeps the wait set ready.
    fn drain(&mut self, most: u32, shared: &Shared) {
        for _ in 0..most {
            let Some(active) = &mut self.active else { return };
            match active.subscription.take() {
                Ok(Some(sample)) => self.hand_over(sample, shared),
                Ok(None) => return,
                Err(error) => {
                    log::warn!(
                        "cannot take messages, subscribing anew topic={}: {error}",
                        self.name
                    );
                    self.withdraw(shared);
                }
            }
        }
    }

    fn hand_over(&mut self, sample: Sample, shared: &Shared) {
        let now = Instant::now();
        let Sample { data, publisher, sequence } = sample;
        if shared.own.contains(publisher) {
            return;
        }
        let seen = self.publishers.entry(publisher).or_insert(Seen { last: now, sequence: None });
        seen.last = now;
        if sequence.is_some() && sequence <= seen.sequence {
            return;
        }
        seen.sequence = sequence;
        let (id, number) = (self.id, sequence.unwrap_or(0));
        let message = OutgoingMessage { id, publisher, number, data, compressed: None };
        shared.application.send(message, clock::now());
    }

    /// Tells the link which publishers the topic has, once it is offered.
    fn tell_publishers(&mut self, found: &[Endpoint], now: Instant, shared: &Shared) {
        for Endpoint { id, .. } in found {
            let seen = self.publishers.entry(*id).or_insert(Seen { last: now, sequence: None });
            seen.last = now;
        }
        self.publishers.retain(|_, seen| now.duration_since(seen.last) <= PUBLISHER_GONE);
        if self.active.is_some() && !self.publishers.keys().eq(&self.told) {
            self.told = self.publishers.keys().copied().collect();
            let (id, publishers) = (self.id, self.told.clone());
            shared.application.command(Command::SetPublishers { id, publishers });
        }
    }

    /// Subscribes and offers as the publishers found ask for, and tells what does not fit.
    fn follow(&mut self, publishers: &[Endpoint], shared: &Shared) -> TopicReport {
        let mut report = TopicReport { topic: self.name.clone(), ..TopicReport::default() };
        let Some(type_name) = self.type_name(publishers) else {
            let id = &self.config.id;
            let text = format!("nobody publishes it yet; set topics.{id}.type to offer it before");
            report.remark(text);
            return report;
        };
        report.type_name = type_name.to_string();
        match self.subscribe(&type_name, publishers, shared) {
            Ok(ours) => {
                let (type_name, type_hash) = (&report.type_name.clone(), ours.type_hash.as_str());
                let qos = qos::subscription(ours.qos).into();
                let ours = OurSide { type_name, type_hash, qos };
                note_publishers(&mut report, &ours, publishers);
            }
            Err(error) => report.remark(error.to_string()),
        }
        report
    }

    /// Notes promises about time that publishers break, while there are some.
    fn note_lateness(&mut self, report: &mut TopicReport, found: &[Endpoint], now: Instant) {
        let Some(active) = self.active.as_mut().filter(|_| !found.is_empty()) else { return };
        active.lateness.of_subscription(active.subscription.events(), now);
        let late = active.lateness.late(active.offer.qos.timing, now);
        if !late.is_nothing() {
            report.is_late = true;
            report.remark(late.of_publishers());
        }
    }

    /// The configured type, else the one in use while somebody publishes it or nobody anything,
    /// else that of the first publisher.
    fn type_name(&self, publishers: &[Endpoint]) -> Option<TypeName> {
        let in_use = self.active.as_ref().map(|active| active.type_support.name());
        let in_use = in_use.filter(|name| {
            let name = name.to_string();
            publishers.is_empty() || publishers.iter().any(|p| p.type_name == name)
        });
        let found = || publishers.iter().find_map(|p| TypeName::parse(&p.type_name).ok());
        self.config.type_name.as_ref().or(in_use).cloned().or_else(found)
    }

    /// Makes subscription and offer anew where they differ from what they should be.
    fn subscribe(
        &mut self,
        type_name: &TypeName,
        publishers: &[Endpoint],
        shared: &Shared,
    ) -> Result<RouteOffer, RclError> {
        let former = self.active.as_ref().filter(|active| active.type_support.name() == type_name);
        let type_support = match former {
            Some(active) => active.type_support.clone(),
            None => {
                // A DDS participant can have one type per topic only.
                self.withdraw(shared);
                TypeSupport::load(type_name)?
            }
        };
        let (offer, history) = self.offer(&type_support, publishers);
        let former = self.active.as_ref().map(|active| (&active.offer, active.history));
        if former == Some((&offer, history)) {
            return Ok(offer);
        }
        // What the former subscription still holds comes first.
        self.drain(qos::SUBSCRIPTION_DEPTH, shared);
        let qos = qos::subscription(offer.qos);
        let subscription = Subscription::new(&shared.node, &type_support, &self.name, qos)?;
        log::info!(
            "topic offered: topic={} remote_topic={} type={type_name} qos={:?} depth={}",
            self.name,
            offer.topic,
            EndpointQos::from(offer.qos).to_string(),
            offer.qos.depth
        );
        let route = OutgoingRoute {
            offer: offer.clone(),
            peers: self.config.peers.clone(),
            priority: self.config.priority,
            lifespan: self.lifespan(&offer),
            min_period: self.config.min_period,
            interfaces: self.config.interfaces.clone(),
            compression: self.config.compression,
            queue: self.config.queue,
            max_message_size: self.config.max_message_size,
            history,
        };
        shared.application.command(Command::OfferRoute { id: self.id, route });
        self.active = Some(Active {
            subscription,
            type_support,
            offer: offer.clone(),
            history,
            lateness: Lateness::default(),
        });
        Ok(offer)
    }

    /// What the peers are to be offered, and how many samples are to be kept per publisher.
    fn offer(&self, type_support: &TypeSupport, publishers: &[Endpoint]) -> (RouteOffer, usize) {
        let type_name = type_support.name().to_string();
        let matching = publishers.iter().filter(|publisher| publisher.type_name == type_name);
        let matching = matching.map(|publisher| publisher.qos);
        let overrides = self.config.qos;
        let (qos, history) = match &self.active {
            // Publishers that have all gone are expected back as they were.
            Some(active) if publishers.is_empty() => (active.offer.qos, active.history),
            _ => (
                qos::offered(overrides, matching.clone()),
                qos::kept_for_late_joiners(overrides, matching),
            ),
        };
        let offer = RouteOffer {
            topic: self.config.remote_name.clone().unwrap_or_else(|| self.name.clone()),
            type_name: type_support.name().clone(),
            type_hash: type_support.hash().to_owned(),
            delivery: self.config.delivery.unwrap_or_else(|| qos::delivery(qos.reliability)),
            qos,
        };
        (offer, history)
    }

    /// The configured lifespan, else the one that all publishers offer.
    fn lifespan(&self, offer: &RouteOffer) -> Duration {
        let configured = Some(self.config.lifespan).filter(|lifespan| !lifespan.is_zero());
        configured.or(offer.qos.timing.lifespan).unwrap_or_default()
    }

    fn withdraw(&mut self, shared: &Shared) {
        if self.active.take().is_some() {
            shared.application.command(Command::WithdrawRoute { id: self.id });
        }
    }

    /// Puts the report where the status topics find it, and logs what is new in it.
    fn show(&mut self, report: TopicReport, shared: &Shared) {
        if self.shown.as_ref() == Some(&report) {
            return;
        }
        let shown = self.shown.take().unwrap_or_default();
        if report.type_mismatch || report.qos_mismatch || report.is_late {
            log::warn!("topic={}: {}", self.name, report.remark);
        } else if report.remark != shown.remark && !report.remark.is_empty() {
            log::info!("topic={}: {}", self.name, report.remark);
        }
        shared.report.lock().outgoing.insert(self.id, report.clone());
        self.shown = Some(report);
    }
}
