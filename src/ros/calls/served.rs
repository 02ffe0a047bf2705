//! A service of ours that peers may call: offered to them for as long as there is a server here, and
//! called on their behalf.

use std::collections::BTreeMap;
use std::time::Instant;

use super::pending::{Failures, Pending, deadline};
use super::routes::route;
use crate::config::{Service, TypeName};
use crate::link::{
    CallTerms, Command, IncomingMessage, OutgoingMessage, PublisherId, RouteId, RouteKind,
    RouteOffer,
};
use crate::net::clock;
use crate::ros::pace::Pace;
use crate::ros::rcl::{RclError, ServiceClient, ServiceTypeSupport};
use crate::ros::report::{Destination, TopicReport};
use crate::ros::shared::Shared;
use crate::wire::CallMessage;

/// Who waits for a response.
struct Caller {
    peer: String,
    number: u64,
}

/// A service of the configuration.
pub(super) struct Served {
    id: RouteId,
    /// Absolute name here.
    name: String,
    config: Service,
    client: Option<ServiceClient>,
    is_offered: bool,
    callers: Pending<Caller>,
    pace: Pace,
    failures: Failures,
    /// What is wrong with the service itself.
    state: TopicReport,
    /// What the log has been told of that.
    said: String,
    shown: Option<TopicReport>,
}

impl Served {
    /// A service with its number and absolute name.
    pub(super) fn new(id: RouteId, name: String, config: Service) -> Self {
        Self {
            id,
            name,
            config,
            client: None,
            is_offered: false,
            callers: Pending::default(),
            pace: Pace::new(Instant::now()),
            failures: Failures::default(),
            state: TopicReport::default(),
            said: String::new(),
            shown: None,
        }
    }

    pub(super) fn client(&self) -> Option<&ServiceClient> {
        self.client.as_ref()
    }

    /// When the next call may be made; in the past if at once.
    pub(super) fn ready_at(&self) -> Instant {
        self.pace.ready_at()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.callers.next_deadline()
    }

    /// Is it offered to this peer, and as what is said here?
    pub(super) fn is_offered_as(&self, peer: &str, offer: &RouteOffer) -> bool {
        let type_support = self.client.as_ref().map(ServiceClient::type_support);
        self.is_offered
            && self.config.remote_name == offer.topic
            && self.config.peers.admits(peer)
            && type_support.is_some_and(|type_support| {
                *type_support.name() == offer.type_name && type_support.hash() == offer.type_hash
            })
    }

    /// Offers the service if there is a server for it and takes it back if there is none. `types`
    /// are the services in the graph; `is_far` tells which names stand for services of peers here.
    pub(super) fn look(
        &mut self,
        types: &BTreeMap<String, Vec<String>>,
        is_far: impl Fn(&str) -> bool,
        shared: &Shared,
    ) {
        let is_far = is_far(&self.name);
        let found = types.get(&self.name).map(Vec::as_slice).unwrap_or_default();
        let mut state = TopicReport { topic: self.name.clone(), ..TopicReport::default() };
        let is_served = match self.find_server(found, shared) {
            Ok(is_served) => is_served && !is_far,
            Err(error) => {
                state.remark(error.to_string());
                false
            }
        };
        if let Some(client) = &self.client {
            state.type_name = client.type_support().name().to_string();
            if let Some(other) = found.iter().find(|other| **other != state.type_name) {
                state.type_mismatch = true;
                state.remark(format!(
                    "the service is called as {} and as {other} here; correct the type of {}, or give \
                     one of them another name",
                    state.type_name,
                    self.config.key()
                ));
            }
        }
        if is_far {
            state.remark("it stands for a peer's service here, which is not offered on".to_owned());
        } else if !is_served && state.remark.is_empty() {
            state.remark("there is no server here".to_owned());
        }
        self.state = state;
        match (self.is_offered, is_served) {
            (false, true) => self.offer(shared),
            (true, false) => self.withdraw(shared),
            (false, false) | (true, true) => {}
        }
        self.show(shared);
    }

    /// Makes a client of the right type and tells whether somebody would get its requests.
    fn find_server(&mut self, found: &[String], shared: &Shared) -> Result<bool, RclError> {
        if let Some(client) = &self.client
            && client.is_served()?
        {
            return Ok(true);
        }
        let in_use = self.client.as_ref().map(|client| client.type_support().name().clone());
        // Our own client is in the graph as well: where it finds no server, another type may.
        let other = found.iter().filter_map(|text| TypeName::parse(text).ok());
        let other = other.into_iter().find(|name| in_use.as_ref() != Some(name));
        let Some(type_name) = self.config.type_name.clone().or(other) else { return Ok(false) };
        if in_use.as_ref() != Some(&type_name) {
            self.withdraw(shared);
            // A DDS participant can have one type per topic only.
            self.client = None;
            let type_support = ServiceTypeSupport::load(&type_name)?;
            self.client = Some(ServiceClient::new(&shared.node, &type_support, &self.name)?);
        }
        self.client.as_ref().map_or(Ok(false), ServiceClient::is_served)
    }

    fn offer(&mut self, shared: &Shared) {
        let Some(client) = &self.client else { return };
        let Service { remote_name, priority, timeout, peers, .. } = &self.config;
        let (name, type_support) = (&self.name, client.type_support());
        let type_name = type_support.name();
        log::info!("service offered: service={name} remote_name={remote_name} type={type_name}");
        let terms = CallTerms { timeout: *timeout, priority: *priority };
        let kind = RouteKind::Service(terms);
        let route = route(kind, remote_name, type_support, peers.clone(), terms);
        shared.application.command(Command::OfferRoute { id: self.id, route });
        self.is_offered = true;
    }

    fn withdraw(&mut self, shared: &Shared) {
        if !self.is_offered {
            return;
        }
        self.is_offered = false;
        log::info!("service withdrawn: service={}: its server is gone", self.name);
        shared.application.command(Command::WithdrawRoute { id: self.id });
        let given_up = self.callers.give_up_all();
        self.fail(Failures { given_up, ..Failures::default() }, "the server is gone");
    }

    /// Makes the call that a peer asks for; `false` if it cannot.
    pub(super) fn call(&mut self, message: &IncomingMessage, data: &[u8], now: Instant) -> bool {
        self.pace.spend(now);
        let client = self.client.as_ref().filter(|_| self.is_offered);
        let (Some(client), Some(request)) = (client, CallMessage::decode(data)) else {
            self.fail(Failures { not_made: 1, ..Failures::default() }, "there is no server");
            return false;
        };
        match client.call(request.cdr).map(u64::try_from) {
            Ok(Ok(number)) => {
                let caller = Caller { peer: message.peer.clone(), number: request.number };
                let deadline = deadline(now, self.config.timeout);
                let given_up = self.callers.insert(number, caller, deadline);
                let failures = Failures { given_up, ..Failures::default() };
                self.fail(failures, "too many calls wait for the server");
                true
            }
            refused => {
                let text = match refused {
                    Err(error) => error.to_string(),
                    Ok(_) => "ROS gave it no number".to_owned(),
                };
                self.fail(Failures { not_made: 1, ..Failures::default() }, &text);
                false
            }
        }
    }

    /// Sends responses to their callers, at most so many; what is left keeps the wait set ready.
    pub(super) fn respond(&mut self, most: u32, shared: &Shared) {
        for _ in 0..most {
            let taken = match self.client.as_ref().map(ServiceClient::take) {
                Some(Ok(Some(taken))) => taken,
                Some(Ok(None)) | None => return,
                Some(Err(error)) => {
                    log::warn!("cannot take a response service={}: {error}", self.name);
                    return;
                }
            };
            let caller = u64::try_from(taken.0).ok().and_then(|number| self.callers.answer(number));
            let Some(Caller { peer, number }) = caller else {
                self.fail(Failures { late: 1, ..Failures::default() }, "its caller is gone");
                continue;
            };
            let data = CallMessage { number, cdr: &taken.1 }.encode().into();
            let publisher = PublisherId(0);
            let message =
                OutgoingMessage { id: self.id, publisher, number: 0, data, compressed: None };
            shared.application.send_to(&peer, message, clock::now());
        }
    }

    /// Gives up what has waited too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let timed_out = self.callers.expire(now);
        self.fail(Failures { timed_out, ..Failures::default() }, "the server does not answer");
    }

    /// The peer's session is over, or it calls no more.
    pub(super) fn give_up(&mut self, peer: &str) {
        let given_up = self.callers.give_up(|caller| caller.peer == peer);
        self.fail(Failures { given_up, ..Failures::default() }, "the caller is gone");
    }

    fn fail(&mut self, failures: Failures, reason: &str) {
        self.failures.add(failures, &self.name, reason);
    }

    /// Puts the report where the status topics find it, and logs what is new of the service itself.
    pub(super) fn show(&mut self, shared: &Shared) {
        let mut report = self.state.clone();
        let failures = self.failures.to_string();
        if !failures.is_empty() {
            report.remark(failures);
        }
        if self.shown.as_ref() == Some(&report) {
            return;
        }
        if self.said != self.state.remark {
            self.said.clone_from(&self.state.remark);
            let level = if report.type_mismatch { log::Level::Warn } else { log::Level::Info };
            if !self.said.is_empty() {
                log::log!(level, "service={}: {}", self.name, self.said);
            }
        }
        let peers = self.config.peers.clone();
        let destination = Destination { peers, remote_topic: self.config.remote_name.clone() };
        let mut all = shared.report.lock();
        all.destinations.insert(self.id, destination);
        all.outgoing.insert(self.id, report.clone());
        drop(all);
        self.shown = Some(report);
    }
}
