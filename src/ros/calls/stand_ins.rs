//! The services of peers: which of them may be called from here, and the servers that stand for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::pending::Failures;
use super::routes::{Called, limits};
use super::stand_in::StandIn;
use crate::config::Admission;
use crate::link::{
    CallTerms, Command, IncomingLimits, IncomingMessage, Refusal, RefusalReason, RouteId,
    RouteOffer,
};
use crate::ros::mismatch;
use crate::ros::rcl::{RclError, ServiceServer, ServiceTypeSupport};
use crate::ros::received::RouteKey;
use crate::ros::report::TopicReport;
use crate::ros::shared::Shared;

/// All of them, by the peer's route of responses.
pub(super) struct StandIns {
    admission: Admission,
    /// What peers offer, refused offers too: what is admitted may change.
    offers: BTreeMap<RouteKey, (RouteOffer, CallTerms)>,
    open: BTreeMap<RouteKey, StandIn>,
    called: Called,
    /// Number of the next call. It begins anywhere, so that no answer to a call of a former run of
    /// this rover is taken for one of this run.
    next_call: u64,
}

impl StandIns {
    pub(super) fn new(admission: Admission, first_call: u64) -> Self {
        Self {
            admission,
            offers: BTreeMap::new(),
            open: BTreeMap::new(),
            called: Called::default(),
            next_call: first_call,
        }
    }

    /// The names under which peers' services are found here.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.open.values().map(|stand_in| stand_in.name.as_str()).collect()
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = &ServiceServer> {
        self.open.values().map(StandIn::server)
    }

    /// When the next call has to be given up.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.open.values().filter_map(StandIn::next_deadline).min()
    }

    /// When the route's next message may be taken; `None` if at once.
    pub(super) fn ready_at(&self, key: &RouteKey) -> Option<Instant> {
        self.open.get(key).map(StandIn::ready_at)
    }

    /// Answers a peer that offers a service. All of it comes from the network.
    pub(super) fn answer(
        &mut self,
        key: RouteKey,
        offer: &RouteOffer,
        terms: CallTerms,
        shared: &Shared,
    ) {
        self.close(&key, "the peer offers it anew", shared);
        self.open(key, offer, terms, shared, |peer, id, answer| Command::AnswerRoute {
            peer,
            id,
            answer,
        });
    }

    /// Admits by this from now on, and answers anew where that makes a difference.
    pub(super) fn admit_by(&mut self, admission: Admission, shared: &Shared) {
        let former = std::mem::replace(&mut self.admission, admission);
        let is_changed = |((peer, _), (offer, _)): &(&RouteKey, &(RouteOffer, CallTerms))| {
            let admits = |by: &Admission| by.admits_service(peer, &offer.topic);
            admits(&former) != admits(&self.admission)
        };
        let changed: Vec<_> = self.offers.iter().filter(is_changed).collect();
        let changed: Vec<_> =
            changed.into_iter().map(|(key, offered)| (key.clone(), offered.clone())).collect();
        for (key, (offer, terms)) in changed {
            self.close(&key, "what is accepted has changed", shared);
            self.open(key, &offer, terms, shared, |peer, id, answer| Command::ChangeAnswer {
                peer,
                id,
                answer,
            });
        }
    }

    /// Makes what stands for a service, if it may be called from here, and tells the peer.
    fn open(
        &mut self,
        key: RouteKey,
        offer: &RouteOffer,
        terms: CallTerms,
        shared: &Shared,
        told: impl FnOnce(String, RouteId, Result<IncomingLimits, Refusal>) -> Command,
    ) {
        self.offers.insert(key.clone(), (offer.clone(), terms));
        let answer = self.make(&key, offer, terms, shared);
        let (peer, name) = (&key.0, &offer.topic);
        let type_name = offer.type_name.to_string();
        match &answer {
            Ok(_) => log::info!("{peer}: service found service={name} type={type_name}"),
            Err(Refusal { reason, text }) => {
                log::warn!("{peer}: service refused service={name}: {text}");
                let type_mismatch =
                    matches!(reason, RefusalReason::TypeMismatch | RefusalReason::TypeUnknown);
                let (topic, remark) = (name.clone(), text.clone());
                let report = TopicReport {
                    topic,
                    type_name,
                    type_mismatch,
                    remark,
                    ..TopicReport::default()
                };
                shared.report.lock().incoming.insert(key.clone(), report);
            }
        }
        let (peer, id) = key.clone();
        shared.application.command(told(peer, id, answer));
        if let Some(stand_in) = self.open.get(&key) {
            let (id, route) = (stand_in.call_route, stand_in.route());
            shared.application.command(Command::OfferRoute { id, route });
            self.show(&key, shared);
        }
    }

    fn make(
        &mut self,
        key: &RouteKey,
        offer: &RouteOffer,
        terms: CallTerms,
        shared: &Shared,
    ) -> Result<IncomingLimits, Refusal> {
        let (peer, name, type_name) = (&key.0, &offer.topic, &offer.type_name);
        if !self.admission.admits_service(peer, name) {
            let text = format!(
                "the service {name} is not accepted from {peer}; add its name or a pattern to accept"
            );
            return Err(Refusal::new(RefusalReason::NotAccepted, text));
        }
        let type_support = ServiceTypeSupport::load(type_name)
            .map_err(|error| mismatch::not_installed(type_name, &error))?;
        let hashes = (offer.type_hash.as_str(), type_support.hash());
        mismatch::same_definition(type_name, hashes, ("server", "caller"))?;
        if let Some(other) = self.open.values().find(|stand_in| stand_in.name == *name) {
            let text =
                format!("{name} is a service of {} already; give one another name", other.peer);
            return Err(Refusal::new(RefusalReason::Failed, text));
        }
        let failed = |error: RclError| {
            Refusal::new(RefusalReason::Failed, format!("{name} cannot be served here: {error}"))
        };
        if shared.node.count_servers(name).map_err(failed)? > 0 {
            let text =
                format!("{name} has a server of its own here; give one of them another name");
            return Err(Refusal::new(RefusalReason::Failed, text));
        }
        let server = ServiceServer::new(&shared.node, &type_support, name).map_err(failed)?;
        let call_route = self.called.open(peer, name).ok_or_else(|| {
            let text = "there are too many services of peers here already".to_owned();
            Refusal::new(RefusalReason::TooMany, text)
        })?;
        let stand_in = StandIn::new(peer, name, call_route, terms, server);
        self.open.insert(key.clone(), stand_in);
        Ok(limits())
    }

    /// The peer's service is there no more: whoever waits for an answer will not get it.
    pub(super) fn close(&mut self, key: &RouteKey, reason: &str, shared: &Shared) {
        self.offers.remove(key);
        if let Some(stand_in) = self.open.get_mut(key) {
            let failures = stand_in.give_up();
            self.fail(key, failures, reason, shared);
        }
        let Some(stand_in) = self.open.remove(key) else { return };
        let StandIn { peer, name, call_route, .. } = stand_in;
        log::info!("{peer}: service gone service={name}: {reason}");
        shared.application.command(Command::WithdrawRoute { id: call_route });
        if let Some(known) = self.called.get_mut(&peer, &name) {
            known.is_open = false;
        }
    }

    /// The peer's session is over.
    pub(super) fn close_all(&mut self, peer: &str, shared: &Shared) {
        let keys: Vec<_> = self.offers.keys().filter(|(of, _)| of == peer).cloned().collect();
        for key in keys {
            self.close(&key, "the session has ended", shared);
        }
    }

    /// The peer takes no calls.
    pub(super) fn handle_refused(&mut self, peer: &str, id: RouteId, text: &str, shared: &Shared) {
        let is_meant = |(_, stand_in): &(&RouteKey, &StandIn)| {
            stand_in.peer == peer && stand_in.call_route == id
        };
        if let Some((key, _)) = self.open.iter().find(is_meant) {
            let key = key.clone();
            self.close(&key, text, shared);
        }
    }

    /// Sends the requests that came to the server at this position, at most so many.
    pub(super) fn call(&mut self, position: usize, most: u32, now: Instant, shared: &Shared) {
        let Some((key, stand_in)) = self.open.iter_mut().nth(position) else { return };
        let key = key.clone();
        let failures = stand_in.call(most, &mut self.next_call, now, shared);
        self.fail(&key, failures, "too many calls wait", shared);
    }

    /// Gives a response to its caller; `false` where there is none.
    pub(super) fn respond(
        &mut self,
        message: &IncomingMessage,
        data: &[u8],
        now: Instant,
        shared: &Shared,
    ) -> bool {
        let key = (message.peer.clone(), message.id);
        let Some(stand_in) = self.open.get_mut(&key) else { return false };
        let given = stand_in.respond(data, now);
        if let Err(failures) = given {
            self.fail(&key, failures, "an answer that nobody waits for", shared);
        }
        given.is_ok()
    }

    /// Gives up what has waited too long.
    pub(super) fn expire(&mut self, now: Instant, shared: &Shared) {
        let is_due = |stand_in: &StandIn| stand_in.next_deadline().is_some_and(|at| at <= now);
        let due: Vec<_> =
            self.open.iter().filter(|(_, it)| is_due(it)).map(|(key, _)| key.clone()).collect();
        for key in due {
            if let Some(stand_in) = self.open.get_mut(&key) {
                let failures = stand_in.expire(now);
                self.fail(&key, failures, "the peer has not answered in time", shared);
            }
        }
    }

    /// Notes which services have another server here: both get each call.
    pub(super) fn look(&mut self, shared: &Shared) {
        let mut changed = Vec::new();
        for (key, stand_in) in &mut self.open {
            match shared.node.count_servers(&stand_in.name) {
                Ok(count) if (count > 1) != stand_in.has_rival => {
                    stand_in.has_rival = count > 1;
                    changed.push(key.clone());
                }
                Ok(_) => {}
                Err(error) => {
                    log::warn!("cannot look up servers service={}: {error}", stand_in.name);
                }
            }
        }
        for key in changed {
            self.show(&key, shared);
        }
    }

    fn fail(&mut self, key: &RouteKey, failures: Failures, reason: &str, shared: &Shared) {
        let Some(stand_in) = self.open.get(key) else { return };
        if failures == Failures::default() {
            return;
        }
        if let Some(known) = self.called.get_mut(&stand_in.peer, &stand_in.name) {
            known.failures.add(failures, &stand_in.name, reason);
        }
        self.show(key, shared);
    }

    /// Puts what is known of a service where the status topics find it, under both of its routes.
    fn show(&mut self, key: &RouteKey, shared: &Shared) {
        let Some(stand_in) = self.open.get(key) else { return };
        let topic = stand_in.name.clone();
        let type_name = stand_in.server().type_support().name().to_string();
        let mut report = TopicReport { topic, type_name, ..TopicReport::default() };
        if stand_in.has_rival {
            report.remark(
                "another server of the same name runs here and gets the same calls; give one of them \
                 another name"
                    .to_owned(),
            );
        }
        let known = self.called.get_mut(&stand_in.peer, &stand_in.name);
        let failures = known.map(|known| known.failures.to_string()).unwrap_or_default();
        if !failures.is_empty() {
            report.remark(failures);
        }
        let mut all = shared.report.lock();
        all.incoming.insert(key.clone(), report.clone());
        all.outgoing.insert(stand_in.call_route, report);
    }
}
