//! A server here that stands for one at a peer: it is there for as long as that one is and the session
//! lasts, so that whoever waits for the service waits for the right thing.

use std::time::Instant;

use super::pending::{Failures, Pending, deadline};
use super::routes::route;
use crate::config::PeerFilter;
use crate::link::{CallTerms, OutgoingMessage, OutgoingRoute, PublisherId, RouteId, RouteKind};
use crate::net::clock;
use crate::ros::pace::Pace;
use crate::ros::rcl::{RequestId, ServiceServer};
use crate::ros::shared::Shared;
use crate::wire::CallMessage;

/// A service of a peer.
pub(super) struct StandIn {
    pub(super) peer: String,
    /// Absolute name, here and there.
    pub(super) name: String,
    /// Our number of the route of requests.
    pub(super) call_route: RouteId,
    terms: CallTerms,
    server: ServiceServer,
    callers: Pending<RequestId>,
    pace: Pace,
    /// Is there another server of the same name here?
    pub(super) has_rival: bool,
}

impl StandIn {
    pub(super) fn new(
        peer: &str,
        name: &str,
        call_route: RouteId,
        terms: CallTerms,
        server: ServiceServer,
    ) -> Self {
        Self {
            peer: peer.to_owned(),
            name: name.to_owned(),
            call_route,
            terms,
            server,
            callers: Pending::default(),
            pace: Pace::new(Instant::now()),
            has_rival: false,
        }
    }

    pub(super) fn server(&self) -> &ServiceServer {
        &self.server
    }

    /// The route of requests to the peer.
    pub(super) fn route(&self) -> OutgoingRoute {
        let peers = PeerFilter::Only(vec![self.peer.clone()]);
        route(RouteKind::Call, &self.name, self.server.type_support(), peers, self.terms)
    }

    /// When the next response may be given; in the past if at once.
    pub(super) fn ready_at(&self) -> Instant {
        self.pace.ready_at()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.callers.next_deadline()
    }

    /// Sends requests to the peer, at most so many, each with the next number; what is left keeps the
    /// wait set ready.
    pub(super) fn call(
        &mut self,
        most: u32,
        next: &mut u64,
        now: Instant,
        shared: &Shared,
    ) -> Failures {
        let mut failures = Failures::default();
        for _ in 0..most {
            let (request_id, request) = match self.server.take() {
                Ok(Some(taken)) => taken,
                Ok(None) => break,
                Err(error) => {
                    log::warn!("cannot take a request service={}: {error}", self.name);
                    failures.not_made += 1;
                    break;
                }
            };
            let number = *next;
            *next = next.wrapping_add(1);
            let deadline = deadline(now, self.terms.timeout);
            failures.given_up += self.callers.insert(number, request_id, deadline);
            let data = CallMessage { number, cdr: &request }.encode().into();
            let (id, publisher) = (self.call_route, PublisherId(0));
            let message = OutgoingMessage { id, publisher, number: 0, data, compressed: None };
            shared.application.send_to(&self.peer, message, clock::now());
        }
        failures
    }

    /// Gives a response to whoever waits for it; `Err` with what has failed where nobody can get it.
    pub(super) fn respond(&mut self, data: &[u8], now: Instant) -> Result<(), Failures> {
        self.pace.spend(now);
        let failed = || Failures { late: 1, ..Failures::default() };
        let response = CallMessage::decode(data).ok_or_else(failed)?;
        let request_id = self.callers.answer(response.number).ok_or_else(failed)?;
        self.server.respond(request_id, response.cdr).map_err(|error| {
            log::debug!("{}: response not given service={}: {error}", self.peer, self.name);
            Failures { given_up: 1, ..Failures::default() }
        })
    }

    /// Gives up what has waited too long.
    pub(super) fn expire(&mut self, now: Instant) -> Failures {
        Failures { timed_out: self.callers.expire(now), ..Failures::default() }
    }

    /// Gives up all that waits.
    pub(super) fn give_up(&mut self) -> Failures {
        Failures { given_up: self.callers.give_up_all(), ..Failures::default() }
    }
}
