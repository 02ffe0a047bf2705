//! From the link to topics: one thread that decides about the routes that peers offer and
//! publishes what arrives on them, evenly.
//!
//! A topic that has to wait for its turn holds up no other: its messages stay in their queue, which
//! is bounded, until the pace allows the next.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::pace::INTERVAL;
use super::qos;
use super::rcl::TypeSupport;
use super::received::{AdvertiseError, ReceivedTopics, RouteKey};
use super::report::TopicReport;
use super::shared::Shared;
use crate::config::Admission;
use crate::link::{
    Command, Event, IncomingLimits, IncomingMessage, Refusal, RefusalReason, RouteId, RouteOffer,
};
use crate::net::{Outcome, Received, clock};

/// How often subscriptions are checked against what we offer; also how late a stop is noticed.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The thread's own things.
pub(super) struct Inbound {
    shared: Shared,
    admission: Admission,
    /// Topic name of each open route, by peer.
    routes: BTreeMap<String, BTreeMap<RouteId, String>>,
    topics: ReceivedTopics,
    /// From here on no topic has to wait.
    all_ready_at: Instant,
}

impl Inbound {
    pub(super) fn new(shared: Shared, admission: Admission) -> Self {
        let (routes, topics) = (BTreeMap::new(), ReceivedTopics::default());
        Self { shared, admission, routes, topics, all_ready_at: Instant::now() }
    }

    /// Runs until the bridge stops or the driver has ended.
    pub(super) fn run(mut self) {
        let mut check_at = Instant::now();
        while !self.shared.is_stopping() {
            let now = Instant::now();
            if now >= check_at {
                self.topics.check(&self.shared);
                check_at = now + CHECK_INTERVAL;
            }
            self.topics.confirm();
            // While a topic waits for its turn, look again when it may be ready.
            let timeout = if now < self.all_ready_at { INTERVAL } else { check_at - now };
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
            Event::PeerDisconnected { peer, .. } => self.close_all(&peer),
            Event::RouteOffered { peer, id, offer } => self.answer((peer, id), &offer),
            Event::PublishersTold { peer, id, publishers } => {
                let name = self.routes.get(&peer).and_then(|routes| routes.get(&id));
                if let Some(name) = name {
                    self.topics.follow(name, &peer, &publishers);
                }
            }
            Event::RouteClosed { peer, id } => self.close(&(peer, id)),
            Event::Handover(handover) => self.shared.handovers.add(Instant::now(), *handover),
            Event::RouteOpened { peer, id } => {
                let topic = self.name_of_ours(id);
                log::info!("{peer}: route opened direction=send topic={topic}");
            }
            Event::RouteRefused { peer, id, refusal } => {
                let topic = self.name_of_ours(id);
                log::warn!("{peer}: route refused direction=send topic={topic}: {}", refusal.text);
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
        let (peer, topic, type_name) = (&key.0, &offer.topic, offer.type_name.to_string());
        let mut report = TopicReport { topic: topic.clone(), type_name, ..TopicReport::default() };
        match &answer {
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
        let (peer, id) = key;
        self.shared.application.command(Command::AnswerRoute { peer, id, answer });
    }

    /// Decides about an offer. All of it comes from the network.
    fn open(&mut self, key: &RouteKey, offer: &RouteOffer) -> Result<IncomingLimits, Refusal> {
        let (peer, id) = key;
        let (topic, type_name) = (&offer.topic, &offer.type_name);
        let admitted = self.admission.admit(peer, topic).ok_or_else(|| {
            let text = format!(
                "{topic} is not accepted from {peer}; add a topic with direction receive or both, \
                 or a pattern to accept"
            );
            refusal(RefusalReason::NotAccepted, text)
        })?;
        if let Some(expected) = admitted.type_name.filter(|expected| *expected != type_name) {
            let text = format!(
                "{topic} is {type_name} at the sender, but {expected} is configured at the \
                 receiver; set the same type on both sides"
            );
            return Err(refusal(RefusalReason::TypeMismatch, text));
        }
        let type_support = TypeSupport::load(type_name).map_err(|error| {
            let text = format!("{error}; install {} and source it", type_name.package());
            refusal(RefusalReason::TypeUnknown, text)
        })?;
        if type_support.hash() != offer.type_hash {
            let text = format!(
                "{type_name} is {} at the sender, but {} at the receiver; install the same \
                 version of {} on both sides",
                offer.type_hash,
                type_support.hash(),
                type_name.package()
            );
            return Err(refusal(RefusalReason::TypeMismatch, text));
        }
        let qos = qos::publisher(admitted.qos, offer.qos);
        let advertised = self.topics.advertise(topic, key.clone(), type_support, qos, &self.shared);
        let again = advertised.map_err(|error| {
            let reason = match &error {
                AdvertiseError::OtherType(_) => RefusalReason::TypeMismatch,
                AdvertiseError::TooMany => RefusalReason::TooMany,
                AdvertiseError::Ros(_) => RefusalReason::Failed,
            };
            refusal(reason, format!("{topic} cannot be published as {type_name}: {error}"))
        })?;
        self.routes.entry(peer.clone()).or_default().insert(*id, topic.clone());
        let (queue, max_message_size) = (admitted.queue, admitted.max_message_size);
        Ok(IncomingLimits { queue, max_message_size, again })
    }

    fn close(&mut self, key: &RouteKey) {
        let (peer, id) = key;
        self.shared.report.lock().incoming.remove(key);
        if let Some(name) = self.routes.get_mut(peer).and_then(|routes| routes.remove(id)) {
            log::info!("{peer}: route closed direction=receive topic={name}");
            self.topics.release(&name, key);
        }
    }

    /// Closes what a peer that has gone left open.
    fn close_all(&mut self, peer: &str) {
        for (id, name) in self.routes.remove(peer).unwrap_or_default() {
            self.topics.release(&name, &(peer.to_owned(), id));
        }
        self.shared.report.lock().incoming.retain(|(of, _), _| of != peer);
    }
}

fn refusal(reason: RefusalReason, text: String) -> Refusal {
    Refusal { reason, text }
}
