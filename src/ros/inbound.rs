//! From the link to topics: one thread that decides about the routes that peers offer and
//! publishes what arrives on them, evenly.
//!
//! A topic that has to wait for its turn holds up no other: its messages stay in their queue, which
//! is bounded, until the pace allows the next.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::calls;
use super::mismatch;
use super::pace::INTERVAL;
use super::qos;
use super::rcl::TypeSupport;
use super::received::{AdvertiseError, ReceivedTopics, RouteKey};
use super::report::TopicReport;
use super::shared::Shared;
use super::sweep::Sweep;
use crate::config::{Admission, QosProfile};
use crate::link::{
    Command, Event, IncomingLimits, IncomingMessage, Refusal, RefusalReason, RouteId, RouteOffer,
};
use crate::net::{Outcome, Received, clock};

/// How often subscriptions are checked against what we offer, at most; also how late a stop is
/// noticed.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The thread's own things.
pub(super) struct Inbound {
    shared: Shared,
    admission: Admission,
    changes: Receiver<Admission>,
    /// The offers that stand, refused ones too, for what is admitted may change.
    routes: BTreeMap<RouteKey, Route>,
    topics: ReceivedTopics,
    /// Of the names that are checked.
    sweep: Sweep,
    /// From here on no topic has to wait.
    all_ready_at: Instant,
}

/// An offer of a peer, and the answer to it.
#[derive(Clone)]
struct Route {
    offer: RouteOffer,
    answer: Result<Grant, Refusal>,
}

/// What an offer is granted.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Grant {
    limits: IncomingLimits,
    qos: QosProfile,
}

impl Inbound {
    /// What comes by `changes` replaces `admission`; the wait for events is to be interrupted then.
    pub(super) fn new(shared: Shared, admission: Admission, changes: Receiver<Admission>) -> Self {
        let (routes, topics) = (BTreeMap::new(), ReceivedTopics::default());
        let (now, sweep) = (Instant::now(), Sweep::new(CHECK_INTERVAL, Instant::now()));
        Self { shared, admission, changes, routes, topics, sweep, all_ready_at: now }
    }

    /// Runs until the bridge stops or the driver has ended.
    pub(super) fn run(mut self) {
        while !self.shared.is_stopping() {
            if let Some(admission) = self.changes.try_iter().last() {
                self.admission = admission;
                self.reconsider();
            }
            self.check();
            self.topics.confirm();
            let now = Instant::now();
            // While a topic waits for its turn, look again when it may be ready.
            let timeout = match now < self.all_ready_at {
                true => INTERVAL,
                false => self.sweep.due().saturating_duration_since(now),
            };
            let is_busy = |topic: &str| self.is_busy(topic);
            match self.shared.application.receive(timeout, is_busy) {
                Received::Event(event) => self.handle(event),
                Received::Messages => {
                    for message in self.shared.application.take(is_busy) {
                        self.publish(&message);
                    }
                }
                Received::Nothing => {}
                Received::Closed => return,
            }
        }
    }

    /// Checks subscriptions against what we offer, as many as there is time for.
    fn check(&mut self) {
        if Instant::now() < self.sweep.due() {
            return;
        }
        if self.sweep.begin_slice(Instant::now()) {
            self.sweep.begin(self.topics.names());
        }
        while let Some(name) = self.sweep.next() {
            let began = clock::thread_time();
            self.topics.check(&name, &self.shared);
            self.sweep.spend(clock::thread_time().saturating_sub(began));
        }
        self.sweep.end_slice(Instant::now());
    }

    /// Has the topic to wait for its turn?
    fn is_busy(&self, topic: &str) -> bool {
        let now = Instant::now();
        now < self.all_ready_at
            && self.topics.get(topic).is_some_and(|topic| now < topic.ready_at())
    }

    /// Publishes a message; its route may have been closed while it waited.
    fn publish(&mut self, message: &IncomingMessage) {
        let IncomingMessage { peer, topic: name, .. } = message;
        let application = &self.shared.application;
        let Some(data) = application.unpack(message) else { return };
        let outcome = match self.topics.publish(message, &data) {
            Some(Ok(true)) => Outcome::Published,
            Some(Ok(false)) => Outcome::Old,
            Some(Err(error)) => {
                log::debug!("{peer}: cannot publish topic={name}: {error}");
                Outcome::Closed
            }
            None => Outcome::Closed,
        };
        application.settle(message, outcome, clock::now());
        if let Some(topic) = self.topics.get(name) {
            self.all_ready_at = self.all_ready_at.max(topic.ready_at());
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            // The link has logged these.
            Event::PeerConnected { .. } | Event::PeerRefused { .. } => {}
            Event::PeerDisconnected { ref peer, .. } => {
                self.close_all(peer);
                self.shared.calls.event(event);
            }
            Event::RouteOffered { ref peer, id, ref offer } if !offer.kind.is_topic() => {
                self.close(&(peer.clone(), id));
                self.shared.calls.event(event);
            }
            Event::RouteOffered { peer, id, offer } => self.answer((peer, id), &offer),
            Event::PublishersTold { peer, id, publishers } => {
                let route = self.routes.get(&(peer.clone(), id));
                if let Some(route) = route.filter(|route| route.answer.is_ok()) {
                    self.topics.follow(&route.offer.topic, &peer, &publishers);
                }
            }
            Event::RouteClosed { ref peer, id } => {
                self.close(&(peer.clone(), id));
                self.shared.calls.event(event);
            }
            Event::Handover(handover) => self.shared.handovers.add(Instant::now(), *handover),
            Event::RouteOpened { peer, id } => {
                let topic = self.name_of_ours(id);
                log::info!("{peer}: route opened direction=send topic={topic}");
            }
            Event::RouteRefused { peer, id, refusal } => {
                let topic = self.name_of_ours(id);
                log::warn!("{peer}: route refused direction=send topic={topic}: {}", refusal.text);
                if calls::is_of_service(id) {
                    self.shared.calls.event(Event::RouteRefused { peer, id, refusal });
                }
            }
        }
    }

    fn name_of_ours(&self, id: RouteId) -> String {
        let report = self.shared.report.lock();
        report.outgoing.get(&id).map(|report| report.topic.clone()).unwrap_or_default()
    }

    fn answer(&mut self, key: RouteKey, offer: &RouteOffer) {
        // An offer that is made again replaces the former one.
        self.close(&key);
        let answer = self.open(&key, offer);
        let (peer, id) = key.clone();
        let told = answer.clone().map(|(grant, again)| IncomingLimits { again, ..grant.limits });
        let answer = answer.map(|(grant, _)| grant);
        self.note(key, Route { offer: offer.clone(), answer });
        self.shared.application.command(Command::AnswerRoute { peer, id, answer: told });
    }

    /// Decides anew about each offer, and tells the peers whose answer is another one now.
    fn reconsider(&mut self) {
        let keys: Vec<RouteKey> = self.routes.keys().cloned().collect();
        for key in keys {
            let Some(Route { offer, answer }) = self.routes.get(&key).cloned() else { continue };
            if self.decide(&key, &offer).map(|(grant, _)| grant) == answer {
                continue;
            }
            self.topics.release(&offer.topic, &key);
            let opened = self.open(&key, &offer);
            let new = opened.clone().map(|(grant, _)| grant);
            if new == answer {
                continue;
            }
            if new.is_err() {
                self.topics.remove_unused(&offer.topic);
            }
            let (peer, id) = key.clone();
            let told = opened.map(|(grant, again)| IncomingLimits { again, ..grant.limits });
            self.note(key, Route { offer, answer: new });
            self.shared.application.command(Command::ChangeAnswer { peer, id, answer: told });
        }
    }

    /// Keeps the answer to an offer, logs it and shows it.
    fn note(&mut self, key: RouteKey, route: Route) {
        let (peer, topic) = (&key.0, &route.offer.topic);
        let type_name = route.offer.type_name.to_string();
        let mut report = TopicReport { topic: topic.clone(), type_name, ..TopicReport::default() };
        match &route.answer {
            Ok(_) => {
                let type_name = &report.type_name;
                log::info!("{peer}: route opened direction=receive topic={topic} type={type_name}");
            }
            Err(Refusal { reason, text }) => {
                log::warn!("{peer}: route refused direction=receive topic={topic}: {text}");
                report.type_mismatch =
                    matches!(reason, RefusalReason::TypeMismatch | RefusalReason::TypeUnknown);
                report.remark(text.clone());
            }
        }
        self.shared.report.lock().incoming.insert(key.clone(), report);
        self.routes.insert(key, route);
    }

    /// Decides about an offer, and sees to it that what is granted can be published. Tells too whether
    /// samples that were latched here before are gone.
    fn open(&mut self, key: &RouteKey, offer: &RouteOffer) -> Result<(Grant, bool), Refusal> {
        let (grant, type_support) = self.decide(key, offer)?;
        let (topic, type_name) = (&offer.topic, &offer.type_name);
        let user = key.clone();
        let advertised = self.topics.advertise(topic, user, type_support, grant.qos, &self.shared);
        let again = advertised.map_err(|error| {
            let reason = match &error {
                AdvertiseError::OtherType(_) => RefusalReason::TypeMismatch,
                AdvertiseError::TooMany => RefusalReason::TooMany,
                AdvertiseError::Ros(_) => RefusalReason::Failed,
            };
            Refusal::new(reason, format!("{topic} cannot be published as {type_name}: {error}"))
        })?;
        Ok((grant, again))
    }

    /// Decides about an offer. All of it comes from the network.
    fn decide(
        &self,
        (peer, _): &RouteKey,
        offer: &RouteOffer,
    ) -> Result<(Grant, TypeSupport), Refusal> {
        let (topic, type_name) = (&offer.topic, &offer.type_name);
        let admitted = self.admission.admit(peer, topic, type_name).ok_or_else(|| {
            let text = format!(
                "{topic} is not accepted from {peer}; add a topic with direction receive or both, \
                 or a pattern to accept"
            );
            Refusal::new(RefusalReason::NotAccepted, text)
        })?;
        if let Some(expected) = admitted.type_name.filter(|expected| *expected != type_name) {
            let text = format!(
                "{topic} is {type_name} at the sender, but {expected} is configured at the \
                 receiver; set the same type on both sides"
            );
            return Err(Refusal::new(RefusalReason::TypeMismatch, text));
        }
        let type_support = TypeSupport::load(type_name)
            .map_err(|error| mismatch::not_installed(type_name, &error))?;
        let hashes = (offer.type_hash.as_str(), type_support.hash());
        mismatch::same_definition(type_name, hashes, ("sender", "receiver"))?;
        let qos = qos::publisher(admitted.qos, offer.qos);
        let (queue, max_message_size) = (admitted.queue, admitted.max_message_size);
        let limits = IncomingLimits { queue, max_message_size, again: false };
        Ok((Grant { limits, qos }, type_support))
    }

    fn close(&mut self, key: &RouteKey) {
        self.shared.report.lock().incoming.remove(key);
        let Some(Route { offer, answer }) = self.routes.remove(key) else { return };
        if answer.is_ok() {
            let (peer, topic) = (&key.0, &offer.topic);
            log::info!("{peer}: route closed direction=receive topic={topic}");
            self.topics.release(topic, key);
        }
    }

    /// Closes what a peer that has gone left open.
    fn close_all(&mut self, peer: &str) {
        let topics = &mut self.topics;
        self.routes.retain(|key, route| {
            let is_gone = key.0 == peer;
            if is_gone {
                topics.release(&route.offer.topic, key);
            }
            !is_gone
        });
        self.shared.report.lock().incoming.retain(|(of, _), _| of != peer);
    }
}
