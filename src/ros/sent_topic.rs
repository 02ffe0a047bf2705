//! One topic of ours on its way to the link: its subscription, its publishers, and what is offered.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lateness::Lateness;
use super::mismatch::{OurSide, note_publishers};
use super::qos::{self, EndpointQos};
use super::rcl::{Arrivals, Endpoint, RclError, Sample, Subscription, TypeSupport};
use super::report::{Destination, TopicReport};
use super::shared::Shared;
use crate::config::Durability::{TransientLocal, Volatile};
use crate::config::{Topic, TypeName};
use crate::link::{
    Command, OutgoingMessage, OutgoingRoute, PublisherId, RouteDirection, RouteId, RouteKind,
    RouteOffer,
};
use crate::net::clock;

/// A publisher counts as gone when neither the graph nor a message told of it for so long: a
/// message may arrive before its publisher is in the graph.
const PUBLISHER_GONE: Duration = Duration::from_secs(1);

/// A topic that a pattern matches is withdrawn when nobody has published it for so long: a driver
/// that is started again is back by then.
const DESERTED: Duration = Duration::from_secs(10);

/// Why a topic is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// An entry has its exact name.
    WrittenOut,
    /// The pattern of an entry matches it.
    Pattern,
}

/// A topic that leaves this rover.
pub(super) struct SentTopic {
    id: RouteId,
    /// Absolute name.
    name: String,
    config: Arc<Topic>,
    origin: Origin,
    active: Option<Active>,
    publishers: BTreeMap<PublisherId, Seen>,
    /// Those that the link was told of.
    told: BTreeSet<PublisherId>,
    /// When somebody published it last, as far as is known.
    published: Instant,
    shown: Option<TopicReport>,
}

/// What there is once the topic's type is known and installed.
struct Active {
    subscription: Subscription,
    type_support: TypeSupport,
    route: OutgoingRoute,
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
    pub(super) fn new(id: RouteId, name: String, config: Arc<Topic>, origin: Origin) -> Self {
        Self {
            id,
            name,
            config,
            origin,
            active: None,
            publishers: BTreeMap::new(),
            told: BTreeSet::new(),
            published: Instant::now(),
            shown: None,
        }
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// The type that it is offered with.
    pub(super) fn type_in_use(&self) -> Option<String> {
        self.active.as_ref().map(|active| active.type_support.name().to_string())
    }

    /// Goes by this entry from the next look on.
    pub(super) fn configure(&mut self, config: Arc<Topic>, origin: Origin) {
        (self.config, self.origin) = (config, origin);
    }

    /// Hands over what waits, at most so many messages; does more wait?
    pub(super) fn drain(&mut self, most: u32, shared: &Shared) -> bool {
        for _ in 0..most {
            let Some(active) = &mut self.active else { return false };
            match active.subscription.take() {
                Ok(Some(sample)) => self.hand_over(sample, shared),
                Ok(None) => return false,
                Err(error) => {
                    log::warn!(
                        "cannot take messages, subscribing anew topic={}: {error}",
                        self.name
                    );
                    self.withdraw(shared);
                }
            }
        }
        true
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

    /// Goes by the publishers that the graph has now, and tells what does not fit.
    pub(super) fn look(
        &mut self,
        publishers: &[Endpoint],
        now: Instant,
        shared: &Shared,
        arrivals: &Arc<Arrivals>,
    ) {
        let mut report = self.follow(publishers, shared, arrivals);
        self.note_lateness(&mut report, publishers, now);
        self.tell_publishers(publishers, now, shared);
        self.show(report, shared);
    }

    /// Is it a topic that a pattern matched, that nobody has published for a while and of which
    /// nothing waits?
    pub(super) fn is_deserted(&self, now: Instant, shared: &Shared) -> bool {
        self.origin == Origin::Pattern
            && now.duration_since(self.published) > DESERTED
            && !shared.application.snapshot().peers.iter().any(|peer| {
                let mut routes = peer.routes.iter();
                routes.any(|route| {
                    let is_it = route.id == self.id && route.direction == RouteDirection::Send;
                    is_it && route.waiting > 0
                })
            })
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
        if !self.publishers.is_empty() {
            self.published = now;
        }
    }

    /// Subscribes and offers as the publishers found ask for.
    fn follow(
        &mut self,
        publishers: &[Endpoint],
        shared: &Shared,
        arrivals: &Arc<Arrivals>,
    ) -> TopicReport {
        let mut report = TopicReport { topic: self.name.clone(), ..TopicReport::default() };
        let Some(remote_name) = self.config.remote_name_of(&self.name) else {
            self.withdraw(shared);
            let id = &self.config.id;
            report.remark(format!(
                "its name at the receiver would be too long; set a shorter topics.{id}.remote_name"
            ));
            return report;
        };
        let Some(type_name) = self.type_name(publishers) else {
            let key = self.config.key();
            report.remark(if self.config.is_of_action {
                format!("{key} has no server here yet")
            } else {
                format!("nobody publishes it yet; set {key}.type to offer it before")
            });
            return report;
        };
        report.type_name = type_name.to_string();
        match self.subscribe(&type_name, remote_name, publishers, shared, arrivals) {
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
        let late = active.lateness.late(active.route.offer.qos.timing, now);
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

    /// Makes subscription and offer anew, each where it differs from what it should be.
    fn subscribe(
        &mut self,
        type_name: &TypeName,
        remote_name: String,
        publishers: &[Endpoint],
        shared: &Shared,
        arrivals: &Arc<Arrivals>,
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
        let route = self.route(&type_support, remote_name, publishers);
        let offer = route.offer.clone();
        if self.active.as_ref().is_some_and(|active| active.route == route) {
            return Ok(offer);
        }
        let qos = qos::subscription(offer.qos);
        let fits = |active: &Active| qos::subscription(active.route.offer.qos) == qos;
        if !self.active.as_ref().is_some_and(fits) {
            // What the former subscription still holds comes first.
            self.drain(qos::SUBSCRIPTION_DEPTH, shared);
            let mut subscription = Subscription::new(&shared.node, &type_support, &self.name, qos)?;
            subscription.tell(arrivals, self.id.0.into())?;
            let lateness = Lateness::default();
            self.active =
                Some(Active { subscription, type_support, route: route.clone(), lateness });
        }
        log::info!(
            "topic offered: topic={} remote_topic={} type={type_name} qos={:?} depth={}",
            self.name,
            offer.topic,
            EndpointQos::from(offer.qos).to_string(),
            offer.qos.depth
        );
        if let Some(active) = &mut self.active {
            active.route = route.clone();
        }
        shared.application.command(Command::OfferRoute { id: self.id, route });
        Ok(offer)
    }

    fn route(
        &self,
        type_support: &TypeSupport,
        topic: String,
        publishers: &[Endpoint],
    ) -> OutgoingRoute {
        let type_name = type_support.name().to_string();
        let matching = publishers.iter().filter(|publisher| publisher.type_name == type_name);
        let matching = matching.map(|publisher| publisher.qos);
        let config = &*self.config;
        let (qos, history) = match &self.active {
            // Publishers that have all gone are expected back as they were.
            Some(active) if publishers.is_empty() => {
                let former = &active.route;
                let qos = qos::offered(config.qos, iter::once(former.offer.qos.into()));
                let was_latched = former.history > 0;
                let durability = if was_latched { TransientLocal } else { Volatile };
                let latched = EndpointQos { durability, ..former.offer.qos.into() };
                (qos, qos::kept_for_late_joiners(config.qos, iter::once(latched)))
            }
            _ => (
                qos::offered(config.qos, matching.clone()),
                qos::kept_for_late_joiners(config.qos, matching),
            ),
        };
        OutgoingRoute {
            offer: RouteOffer {
                topic,
                type_name: type_support.name().clone(),
                type_hash: type_support.hash().to_owned(),
                delivery: config.delivery.unwrap_or_else(|| qos::delivery(qos.reliability)),
                qos,
                kind: RouteKind::Topic,
            },
            peers: config.peers.clone(),
            priority: config.priority,
            // The configured lifespan, else the one that all publishers offer.
            lifespan: Some(config.lifespan)
                .filter(|lifespan| !lifespan.is_zero())
                .or(qos.timing.lifespan)
                .unwrap_or_default(),
            min_period: config.min_period,
            interfaces: config.interfaces.clone(),
            compression: config.compression,
            queue: config.queue,
            max_message_size: config.max_message_size,
            history,
        }
    }

    /// Takes the offer back.
    pub(super) fn withdraw(&mut self, shared: &Shared) {
        if self.active.take().is_some() {
            shared.application.command(Command::WithdrawRoute { id: self.id });
        }
    }

    /// Puts the report where the status topics find it, and logs what is new in it.
    fn show(&mut self, report: TopicReport, shared: &Shared) {
        let remote_topic = self.config.remote_name_of(&self.name).unwrap_or_default();
        let destination = Destination { peers: self.config.peers.clone(), remote_topic };
        let mut all = shared.report.lock();
        all.destinations.insert(self.id, destination);
        if self.shown.as_ref() == Some(&report) {
            return;
        }
        all.outgoing.insert(self.id, report.clone());
        drop(all);
        let shown = self.shown.take().unwrap_or_default();
        if report.type_mismatch || report.qos_mismatch || report.is_late {
            log::warn!("topic={}: {}", self.name, report.remark);
        } else if report.remark != shown.remark && !report.remark.is_empty() {
            log::info!("topic={}: {}", self.name, report.remark);
        }
        self.shown = Some(report);
    }
}
