//! All servers asked from all addresses of this rover, once, and what came of it: for people who look
//! for what is wrong. Unlike [`Servers`](super::Servers), which is content with the first that helps,
//! it says of each whether it does, and why not.

use std::net::SocketAddr;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time;
use turn_client_proto::stun::types::attribute::ErrorCode;
use turn_client_proto::stun::types::message::{Message, MessageClass, TransactionId};

use super::reflexive::Reflexive;
use super::relay::Relay;
use super::stream::{FromStream, Told};
use super::{LONGEST_WAIT, QUEUE, Server, TurnServer, Way, put_out};
use crate::config::{IceServerUri, IceService};
use crate::link::{NetworkInterface, Transmit};
use crate::net::examine::as_text;
use crate::net::sockets::Sockets;

/// Each STUN server is asked so often in a row: the shortest of the round trips counts, since a
/// request that got lost lengthens its own.
const QUESTIONS: u32 = 3;

/// What a STUN server has said to one address of this rover.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StunAnswer {
    /// The server.
    #[serde(serialize_with = "as_text")]
    pub server: IceServerUri,
    /// Where it is.
    pub server_address: SocketAddr,
    /// The address that it was asked from.
    pub local: SocketAddr,
    /// As what it saw that address; `None` where it did not answer.
    pub seen: Option<SocketAddr>,
    /// Shortest time from a question to its answer, s.
    pub round_trip_time: Option<f64>,
}

/// What a TURN server has done for one address of this rover.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TurnAnswer {
    /// The server.
    #[serde(serialize_with = "as_text")]
    pub server: IceServerUri,
    /// Where it is.
    pub server_address: SocketAddr,
    /// The address that it was asked from; of TCP, only its IP address counts.
    pub local: SocketAddr,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: TurnOutcome,
}

/// What came of asking a TURN server for an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TurnOutcome {
    /// It lent this one, which was given back.
    Lent {
        /// The address.
        relayed: SocketAddr,
    },
    /// It did not answer.
    Silent,
    /// There was no TCP connection to be had, or not for long enough.
    NotConnected {
        /// What the system says.
        reason: String,
    },
    /// It does not know the username, or the credential is not the one of that user.
    CredentialRefused,
    /// It refused for another reason.
    Refused {
        /// Number of the error (RFC 8656 §18).
        code: u16,
        /// What the server says.
        reason: String,
    },
}

/// What all servers have said.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::net) struct Answers {
    pub(in crate::net) stun: Vec<StunAnswer>,
    pub(in crate::net) turn: Vec<TurnAnswer>,
}

/// Asks all servers, each at each of its addresses, from all addresses of this rover that have a
/// carrier and are of the same family; ends when all have answered, or at this moment. The sockets
/// are for nothing else.
pub(in crate::net) async fn ask(
    servers: &[(Server, Vec<SocketAddr>)],
    sockets: &mut Sockets,
    end: Instant,
) -> Answers {
    let mut inquiry = Inquiry::new(servers, sockets, Instant::now());
    loop {
        let now = Instant::now();
        let due = inquiry.work(sockets, now);
        sockets.flush();
        if now >= end || inquiry.is_over() {
            break;
        }
        tokio::select! {
            () = sockets.wait() => inquiry.take_datagrams(sockets, Instant::now()),
            Some(told) = inquiry.telling.recv() => inquiry.take_told(told, Instant::now()),
            () = time::sleep_until(due.min(end).into()) => {}
        }
    }
    inquiry.end(sockets, Instant::now())
}

/// One STUN server, asked from one address.
struct Question {
    answer: StunAnswer,
    reflexive: Reflexive,
    asked: Option<Instant>,
    left: u32,
}

/// One TURN server, asked for one address.
struct Request {
    local: SocketAddr,
    server: TurnServer,
    /// `None` where the system gave no further socket.
    way: Option<Way>,
    /// `None` until a TCP connection is there.
    relay: Option<Relay>,
    /// The request that the server met with the demand for a credential.
    challenged: Option<TransactionId>,
    /// The last error that the server named.
    refusal: Option<(u16, String)>,
    outcome: Option<TurnOutcome>,
}

struct Inquiry {
    questions: Vec<Question>,
    requests: Vec<Request>,
    telling: mpsc::Receiver<(u64, FromStream)>,
}

impl Inquiry {
    fn new(servers: &[(Server, Vec<SocketAddr>)], sockets: &mut Sockets, now: Instant) -> Self {
        let (told, telling) = mpsc::channel(QUEUE);
        let mut inquiry = Self { questions: Vec::new(), requests: Vec::new(), telling };
        for (local, interface) in sockets.addresses() {
            for (server, addresses) in servers {
                for address in addresses {
                    if !is_within_reach(local, &interface, *address) {
                        continue;
                    }
                    // A server that relays answers questions too.
                    if server.uri.service != IceService::TurnOverTcp {
                        inquiry.questions.push(Question::new(&server.uri, *address, local, now));
                    }
                    inquiry.request(server, *address, local, sockets, &told, now);
                }
            }
        }
        inquiry
    }

    fn request(
        &mut self,
        Server { uri, credentials }: &Server,
        address: SocketAddr,
        local: SocketAddr,
        sockets: &mut Sockets,
        told: &Told,
        now: Instant,
    ) {
        let Some(credentials) = credentials.clone().filter(|_| uri.service != IceService::Stun)
        else {
            return;
        };
        let server = TurnServer { uri: uri.clone(), address, credentials };
        let number = self.requests.len() as u64;
        let (way, relay) = match server.open(number, local, sockets, told, now) {
            Some((way, relay)) => (Some(way), relay),
            None => (None, None),
        };
        let no_socket = || TurnOutcome::NotConnected { reason: "no further socket".to_owned() };
        let outcome = way.is_none().then(no_socket);
        let (challenged, refusal) = (None, None);
        let request = Request { local, server, way, relay, challenged, refusal, outcome };
        self.requests.push(request);
    }

    /// Does what is due; returns when there will be more.
    fn work(&mut self, sockets: &mut Sockets, now: Instant) -> Instant {
        let mut due = now + LONGEST_WAIT;
        for question in self.questions.iter_mut().filter(|question| !question.is_over()) {
            question.work(sockets, now);
            due = due.min(question.reflexive.due());
        }
        for request in self.requests.iter_mut().filter(|request| request.outcome.is_none()) {
            request.work(sockets, now);
            due = due.min(request.relay.as_ref().map_or(due, Relay::due));
        }
        due
    }

    fn is_over(&self) -> bool {
        self.questions.iter().all(Question::is_over)
            && self.requests.iter().all(|request| request.outcome.is_some())
    }

    fn take_datagrams(&mut self, sockets: &mut Sockets, now: Instant) {
        for datagram in sockets.take() {
            let (local, contents) = (datagram.local, datagram.contents);
            for question in self.questions.iter_mut().filter(|of| of.answer.local == local) {
                question.take(contents, now);
            }
            let mut requests = self.requests.iter_mut();
            if let Some(request) = requests.find(|request| request.is_at(local)) {
                request.take(contents, now);
            }
        }
    }

    fn take_told(&mut self, (number, told): (u64, FromStream), now: Instant) {
        let Some(request) = usize::try_from(number).ok().and_then(|at| self.requests.get_mut(at))
        else {
            return;
        };
        match told {
            FromStream::Connected(local) => request.relay = Some(request.server.relay(local, now)),
            FromStream::Unit(unit) => request.take(&unit, now),
            FromStream::Closed(reason) => {
                let outcome = request.refused().unwrap_or(TurnOutcome::NotConnected { reason });
                request.outcome.get_or_insert(outcome);
            }
        }
    }

    fn end(self, sockets: &mut Sockets, now: Instant) -> Answers {
        let stun = self.questions.into_iter().map(|question| question.answer).collect();
        let turn = self.requests.into_iter().map(|request| request.end(sockets, now)).collect();
        sockets.flush();
        Answers { stun, turn }
    }
}

impl Question {
    fn new(
        server: &IceServerUri,
        server_address: SocketAddr,
        local: SocketAddr,
        now: Instant,
    ) -> Self {
        let server = server.clone();
        let answer =
            StunAnswer { server, server_address, local, seen: None, round_trip_time: None };
        Self { answer, reflexive: Reflexive::new(now), asked: None, left: QUESTIONS }
    }

    fn is_over(&self) -> bool {
        self.left == 0 || self.reflexive.is_unanswered(1)
    }

    fn work(&mut self, sockets: &mut Sockets, now: Instant) {
        let destination = self.answer.server_address;
        if let Some((destination, contents)) = self.reflexive.poll(&[destination], now) {
            self.asked.get_or_insert(now);
            sockets.send(&Transmit { source: self.answer.local, destination, contents });
        }
    }

    fn take(&mut self, datagram: &[u8], now: Instant) {
        if !self.reflexive.handle_answer(datagram, now) {
            return;
        }
        self.answer.seen = self.reflexive.seen();
        let round_trip = self.asked.take().map(|at| now.duration_since(at).as_secs_f64());
        let shortest = [self.answer.round_trip_time, round_trip].into_iter().flatten();
        self.answer.round_trip_time = shortest.min_by(f64::total_cmp);
        self.left -= 1;
        self.reflexive = Reflexive::new(now);
    }
}

impl Request {
    /// Is this its own socket?
    fn is_at(&self, local: SocketAddr) -> bool {
        matches!(self.way, Some(Way::Socket(socket)) if socket == local)
    }

    fn work(&mut self, sockets: &mut Sockets, now: Instant) {
        let (Some(way), Some(relay)) = (&self.way, &mut self.relay) else { return };
        for contents in relay.poll(now) {
            put_out(way, self.server.address, contents, sockets);
        }
        if let Some(relayed) = relay.relayed() {
            self.outcome = Some(TurnOutcome::Lent { relayed });
        } else if relay.is_over() {
            self.outcome = Some(self.refused().unwrap_or(TurnOutcome::Silent));
        }
    }

    fn take(&mut self, data: &[u8], now: Instant) {
        self.note_refusal(data);
        if let Some(relay) = &mut self.relay {
            relay.handle(data, now, |_, _| {});
        }
    }

    /// The client passes over errors that the server did not sign, which it cannot do as long as it
    /// does not know who asks. Anybody may have forged them, so they decide nothing but what is said.
    fn note_refusal(&mut self, data: &[u8]) {
        let Ok(message) = Message::from_bytes(data) else { return };
        let Ok(error) = message.attribute::<ErrorCode>() else { return };
        if message.class() != MessageClass::Error {
            return;
        }
        match error.code() {
            // Asked without a credential at first, the server says how to use one (RFC 8489 §9.2).
            ErrorCode::UNAUTHORIZED if self.challenged.is_none() => {
                self.challenged = Some(message.transaction_id());
            }
            ErrorCode::UNAUTHORIZED if self.challenged == Some(message.transaction_id()) => {}
            ErrorCode::UNAUTHORIZED | ErrorCode::WRONG_CREDENTIALS => {
                self.outcome.get_or_insert(TurnOutcome::CredentialRefused);
            }
            ErrorCode::STALE_NONCE => {}
            code => self.refusal = Some((code, error.reason().to_owned())),
        }
    }

    fn refused(&self) -> Option<TurnOutcome> {
        let (code, reason) = self.refusal.clone()?;
        Some(TurnOutcome::Refused { code, reason })
    }

    /// Gives back what was lent.
    fn end(mut self, sockets: &mut Sockets, now: Instant) -> TurnAnswer {
        let silent = if self.relay.is_some() {
            TurnOutcome::Silent
        } else {
            TurnOutcome::NotConnected { reason: "no answer".to_owned() }
        };
        let outcome = self.outcome.take().or_else(|| self.refused()).unwrap_or(silent);
        if let (Some(way), Some(relay)) = (&self.way, self.relay) {
            for contents in relay.end(now) {
                put_out(way, self.server.address, contents, sockets);
            }
        }
        let TurnServer { uri, address, .. } = self.server;
        TurnAnswer { server: uri, server_address: address, local: self.local, outcome }
    }
}

fn is_within_reach(local: SocketAddr, interface: &NetworkInterface, server: SocketAddr) -> bool {
    interface.carrier && local.is_ipv4() == server.is_ipv4()
}

#[cfg(test)]
mod tests;
