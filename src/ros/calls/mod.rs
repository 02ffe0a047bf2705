//! Services across the link: those of ours that peers call, and those of peers that are called here.
//!
//! A service is two routes of messages that are numbered calls (`wire` draws them). At the rover that
//! has the server, [`served`] offers a route of responses while there is one, and makes the calls that
//! come by the route of requests. At the rover that calls, [`stand_in`] is the server that local
//! clients find; it passes their requests on and gives them what comes back. The link carries each
//! message once; so a call is made once, and answered once or given up. What is given up is counted
//! and shown, for ROS has no way to tell a caller.
//!
//! One thread does it all. It waits for nobody but ROS: calls overtake each other as servers answer.

mod inbox;
mod pending;
mod routes;
mod served;
mod stand_in;
mod stand_ins;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub(super) use inbox::CallsInbox;
pub(super) use routes::{is_of_service, service_route};

use self::routes::limits;
use self::served::Served;
use self::stand_ins::StandIns;
use super::pace::INTERVAL;
use super::rcl::{CallWaitSet, RclError};
use super::received::RouteKey;
use super::report::TopicReport;
use super::shared::Shared;
use crate::config::{Admission, Service};
use crate::link::{
    Command, Event, IncomingMessage, Refusal, RefusalReason, RouteId, RouteKind, RouteOffer,
};
use crate::net::{Outcome, clock};

/// The graph is looked at so often even when nothing reports a change.
const GRAPH_FALLBACK: Duration = Duration::from_secs(1);

/// Shortest time between two looks at the graph, which walk through all of it.
const GRAPH_PAUSE: Duration = Duration::from_millis(50);

/// The pause is so many times as long as the last look took, if that is more: in a large graph that
/// changes all the time looks take a tenth of the thread's time at most.
const GRAPH_SHARE: u32 = 10;

/// Requests or responses taken from one service before the others get their turn.
const MAX_TAKEN_IN_A_ROW: u32 = 64;

/// The thread's own things.
pub(super) struct Calls {
    shared: Shared,
    served: Vec<Served>,
    /// The routes by which peers call, with the place of the service in `served`.
    callers: BTreeMap<RouteKey, usize>,
    stand_ins: StandIns,
    /// The peers' routes that are reported, refused ones too.
    reported: BTreeSet<RouteKey>,
    /// From here on no service has to wait.
    all_ready_at: Instant,
}

impl Calls {
    /// `services` come with their number and absolute name; `first_call` is to be another one each
    /// time that the node starts.
    pub(super) fn new(
        shared: Shared,
        services: Vec<(RouteId, String, Service)>,
        admission: Admission,
        first_call: u64,
    ) -> Self {
        let served = services
            .into_iter()
            .map(|(id, name, service)| Served::new(id, name, service))
            .collect();
        Self {
            shared,
            served,
            callers: BTreeMap::new(),
            stand_ins: StandIns::new(admission, first_call),
            reported: BTreeSet::new(),
            all_ready_at: Instant::now(),
        }
    }

    /// Runs until the bridge stops, which must wake it.
    ///
    /// # Errors
    /// When waiting for ROS fails, which it does only when the middleware is broken.
    pub(super) fn run(mut self) -> Result<(), RclError> {
        let mut wait_set = CallWaitSet::new(&self.shared.node)?;
        let inbox = self.shared.calls.clone();
        self.shared.application.wake_for_calls({
            let inbox = inbox.clone();
            move || inbox.wake()
        });
        let (mut rested_at, mut look_at) = (Instant::now(), Instant::now());
        while !self.shared.is_stopping() {
            let news = inbox.take();
            news.events.into_iter().for_each(|event| self.handle(event));
            if let Some(admission) = news.admission {
                self.stand_ins.admit_by(admission, &self.shared);
            }
            if news.graph {
                look_at = look_at.min(rested_at);
            }
            let now = Instant::now();
            if now >= look_at {
                self.look_at_graph();
                let pause = GRAPH_PAUSE.max(GRAPH_SHARE * now.elapsed());
                rested_at = Instant::now() + pause;
                look_at = rested_at + GRAPH_FALLBACK;
            }
            let has_more = self.pass_on();
            self.expire(Instant::now());
            let timeout = if has_more { Duration::ZERO } else { self.timeout(look_at) };
            let servers: Vec<_> = self.stand_ins.servers().collect();
            let clients: Vec<_> = self.served.iter().filter_map(Served::client).collect();
            let ready = wait_set.wait(&servers, &clients, inbox.guard(), timeout)?;
            let now = Instant::now();
            for position in ready.servers {
                self.stand_ins.call(position, MAX_TAKEN_IN_A_ROW, now, &self.shared);
            }
            let called = self.served.iter_mut().filter(|served| served.client().is_some());
            for (position, served) in called.enumerate() {
                if ready.clients.binary_search(&position).is_ok() {
                    served.respond(MAX_TAKEN_IN_A_ROW, &self.shared);
                    served.show(&self.shared);
                }
            }
        }
        Ok(())
    }

    fn timeout(&self, look_at: Instant) -> Duration {
        let now = Instant::now();
        // While a service waits for its turn, look again when it may be ready.
        let ready_at = (now < self.all_ready_at).then_some(now + INTERVAL);
        let due = self.served.iter().filter_map(Served::next_deadline);
        let due = due.chain(self.stand_ins.next_deadline()).chain(ready_at).chain([look_at]);
        due.min().unwrap_or(look_at).saturating_duration_since(now)
    }

    fn look_at_graph(&mut self) {
        self.stand_ins.look(&self.shared);
        if self.served.is_empty() {
            return;
        }
        match self.shared.node.service_types() {
            Ok(types) => {
                let far = self.stand_ins.names();
                for served in &mut self.served {
                    served.look(&types, |name| far.contains(name), &self.shared);
                }
            }
            Err(error) => log::warn!("cannot look up services: {error}"),
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::RouteOffered { peer, id, offer } => {
                let key = (peer, id);
                self.reported.insert(key.clone());
                match offer.kind {
                    RouteKind::Service(terms) => {
                        self.stand_ins.answer(key, &offer, terms, &self.shared);
                    }
                    RouteKind::Call => self.answer_caller(key, &offer),
                    RouteKind::Topic => {}
                }
            }
            Event::RouteClosed { peer, id } => {
                let key = (peer, id);
                self.stand_ins.close(&key, "the peer offers it no more", &self.shared);
                self.close_caller(&key);
                self.report_no_more(|reported| *reported == key);
            }
            Event::PeerDisconnected { peer, .. } => {
                self.stand_ins.close_all(&peer, &self.shared);
                let keys: Vec<_> =
                    self.callers.keys().filter(|(of, _)| *of == peer).cloned().collect();
                keys.iter().for_each(|key| self.close_caller(key));
                self.report_no_more(|(of, _)| *of == peer);
            }
            Event::RouteRefused { peer, id, refusal } => {
                self.stand_ins.handle_refused(&peer, id, &refusal.text, &self.shared);
            }
            Event::RouteOpened { .. }
            | Event::PublishersTold { .. }
            | Event::PeerConnected { .. }
            | Event::PeerRefused { .. }
            | Event::Handover(_) => {}
        }
    }

    /// Answers a peer that wants to call a service of ours. All of it comes from the network.
    fn answer_caller(&mut self, key: RouteKey, offer: &RouteOffer) {
        self.close_caller(&key);
        let (peer, name) = (&key.0, &offer.topic);
        let index = self.served.iter().position(|served| served.is_offered_as(peer, offer));
        let mut report = TopicReport { topic: name.clone(), ..TopicReport::default() };
        report.type_name = offer.type_name.to_string();
        let answer = match index {
            Some(index) => {
                log::info!("{peer}: calls service={name}");
                self.callers.insert(key.clone(), index);
                Ok(limits())
            }
            None => {
                let text = format!("no service {name} of this type is offered to {peer}");
                log::warn!("{peer}: call refused: {text}");
                report.remark(text.clone());
                Err(Refusal::new(RefusalReason::NotAccepted, text))
            }
        };
        self.shared.report.lock().incoming.insert(key.clone(), report);
        let (peer, id) = key;
        self.shared.application.command(Command::AnswerRoute { peer, id, answer });
    }

    fn close_caller(&mut self, key: &RouteKey) {
        let Some(index) = self.callers.remove(key) else { return };
        if let Some(served) = self.served.get_mut(index) {
            served.give_up(&key.0);
            served.show(&self.shared);
        }
    }

    /// Removes the reports of routes that are closed; those of topics are none of ours.
    fn report_no_more(&mut self, is_closed: impl Fn(&RouteKey) -> bool) {
        let mut report = self.shared.report.lock();
        self.reported.retain(|key| {
            let is_closed = is_closed(key);
            if is_closed {
                report.incoming.remove(key);
            }
            !is_closed
        });
    }

    /// Hands over what came by the link; tells whether there may be more.
    fn pass_on(&mut self) -> bool {
        for _ in 0..MAX_TAKEN_IN_A_ROW {
            let taken = self.shared.application.take_calls(|message| self.is_busy(message));
            if taken.is_empty() {
                return false;
            }
            for message in taken {
                self.hand_over(&message);
            }
        }
        true
    }

    /// Has the service to wait for its turn?
    fn is_busy(&self, message: &IncomingMessage) -> bool {
        let now = Instant::now();
        now < self.all_ready_at && self.ready_at(message).is_some_and(|ready_at| now < ready_at)
    }

    fn ready_at(&self, message: &IncomingMessage) -> Option<Instant> {
        let key = (message.peer.clone(), message.id);
        match message.kind {
            RouteKind::Call => self
                .callers
                .get(&key)
                .and_then(|index| self.served.get(*index))
                .map(Served::ready_at),
            RouteKind::Service(_) | RouteKind::Topic => self.stand_ins.ready_at(&key),
        }
    }

    fn hand_over(&mut self, message: &IncomingMessage) {
        let Some(data) = self.shared.application.unpack(message) else { return };
        let now = Instant::now();
        let is_taken = match message.kind {
            RouteKind::Call => {
                let key = (message.peer.clone(), message.id);
                let index = self.callers.get(&key).copied();
                index.and_then(|index| self.served.get_mut(index)).is_some_and(|served| {
                    let is_made = served.call(message, &data, now);
                    served.show(&self.shared);
                    is_made
                })
            }
            RouteKind::Service(_) | RouteKind::Topic => {
                self.stand_ins.respond(message, &data, now, &self.shared)
            }
        };
        let outcome = if is_taken { Outcome::Published } else { Outcome::Closed };
        self.shared.application.settle(message, outcome, clock::now());
        self.all_ready_at = self.all_ready_at.max(self.ready_at(message).unwrap_or(now));
    }

    fn expire(&mut self, now: Instant) {
        self.stand_ins.expire(now, &self.shared);
        for served in &mut self.served {
            if served.next_deadline().is_some_and(|at| at <= now) {
                served.expire(now);
                served.show(&self.shared);
            }
        }
    }
}
