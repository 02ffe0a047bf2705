//! Who is in which fleet, as a state machine: no sockets, no clock, nothing to wait for.
//!
//! The server's loop tells it what happened on a connection (`handle_*`, with the time) and carries out what it wants
//! ([`Registry::poll_output`]); at [`Registry::poll_timeout`] it wants to be told the time. A connection that the
//! registry closes is forgotten at once: whatever still arrives from it is ignored.
//!
//! An id belongs to the connection that said it first. When another connection says the same id,
//! - from the same instance, it is the same rover after a broken connection: it takes over at once and the fleet does
//!   not notice;
//! - from another instance, the rover may have restarted, or two rovers may have got the same name by mistake. The
//!   holder is sent a ping: when it stays silent it is gone and the newcomer takes over, else the newcomer is refused.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use log::{debug, info};
use serde_json::value::RawValue;

use super::bucket::Bucket;
use super::ice_offer::IceOffer;
use super::id::Id;
use super::message::{ClientMessage, ErrorCode, Hello, IceServer, Peer, ServerMessage};

/// Messages that a member may send, per second in the long run and in one burst. A rover with six candidates needs
/// eight for each peer that it meets.
pub const MEMBER_RATE: u32 = 50;
/// How long the holder of an id has to answer a ping before a newcomer takes the id over. Longer than a round trip
/// over a satellite with some queueing; short, as a rover that restarts waits for it.
pub const CHALLENGE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection may take to say hello, unless set otherwise. Ten round trips over a bad cellular link.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Names a connection to the registry. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What the server shall do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this message on each of these connections.
    Send {
        /// The receivers.
        to: Vec<ConnectionId>,
        /// The message, the same for all.
        message: ServerMessage<Box<RawValue>>,
    },
    /// Send a WebSocket ping and report its pong.
    Ping(ConnectionId),
    /// Send what is waiting, then close.
    Close {
        /// The connection, forgotten by now.
        connection: ConnectionId,
        /// Why; `None` when another connection of the same rover takes its place.
        code: Option<ErrorCode>,
    },
}

/// The members of all fleets and the connections that are not members yet.
#[derive(Debug)]
pub struct Registry {
    hello_timeout: Duration,
    ice_offer: Option<IceOffer>,
    connections: BTreeMap<ConnectionId, State>,
    fleets: BTreeMap<Id, BTreeMap<Id, ConnectionId>>,
    /// When to act on which connection; only those that wait have an entry.
    deadlines: BTreeSet<(Instant, ConnectionId)>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    /// Has not said hello yet.
    Silent { until: Instant },
    /// Wants the id of `holder`, which is being asked for a sign of life.
    Challenging { holder: ConnectionId },
    /// Belongs to a fleet.
    Member(Box<Member>),
}

#[derive(Debug)]
struct Member {
    hello: Hello,
    bucket: Bucket,
    challenger: Option<Challenger>,
    /// When it gets new credentials.
    renewal: Option<Instant>,
}

/// A connection that takes a member's place when that stays silent.
#[derive(Debug)]
struct Challenger {
    connection: ConnectionId,
    hello: Hello,
    until: Instant,
}

impl Registry {
    /// An empty registry; a connection that says no hello within `hello_timeout` is closed. Members are
    /// told of the TURN servers.
    pub fn new(hello_timeout: Duration, ice_offer: Option<IceOffer>) -> Self {
        Self {
            hello_timeout,
            ice_offer,
            connections: BTreeMap::new(),
            fleets: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A connection was made and passed the HTTP upgrade.
    pub fn handle_open(&mut self, connection: ConnectionId, now: Instant) {
        let until = now + self.hello_timeout;
        self.deadlines.insert((until, connection));
        self.connections.insert(connection, State::Silent { until });
    }

    /// A text message arrived.
    pub fn handle_text(&mut self, connection: ConnectionId, text: &str, now: Instant) {
        match self.connections.get_mut(&connection) {
            None => return,
            Some(State::Silent { .. } | State::Challenging { .. }) => {}
            Some(State::Member(member)) => {
                // Before the text is looked at: what is dropped shall cost as little as possible.
                if member.bucket.take(now).is_err() {
                    let text = format!("more than {MEMBER_RATE} messages per second");
                    return self.send_error(connection, ErrorCode::RateLimited, text);
                }
            }
        }
        match ClientMessage::decode(text) {
            Ok(ClientMessage::Hello(hello)) => self.handle_hello(connection, hello, now),
            Ok(ClientMessage::Signal { to, body }) => {
                self.handle_signal(connection, &to, body, now);
            }
            Err(error) => self.refuse(connection, error.code(), error.to_string(), now),
        }
    }

    /// Something arrived that cannot be a message, as binary data or more than the limit.
    pub fn handle_invalid(
        &mut self,
        connection: ConnectionId,
        code: ErrorCode,
        reason: &str,
        now: Instant,
    ) {
        if self.connections.contains_key(&connection) {
            self.refuse(connection, code, reason, now);
        }
    }

    /// A pong arrived: the connection lives, so its id is not free.
    pub fn handle_pong(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(State::Member(member)) = self.connections.get_mut(&connection)
            && let Some(challenger) = member.challenger.take()
        {
            self.refuse_challenger(challenger, now);
        }
    }

    /// A connection ended.
    pub fn handle_close(&mut self, connection: ConnectionId, now: Instant) {
        self.remove(connection, now);
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(until, connection)) = self.deadlines.first()
            && until <= now
        {
            self.deadlines.pop_first();
            match self.connections.get(&connection) {
                Some(State::Silent { .. }) => {
                    self.refuse(connection, ErrorCode::BadMessage, "no hello in time", now);
                }
                Some(&State::Challenging { holder }) => self.close(holder, None, now),
                Some(State::Member(_)) => self.renew(connection, now),
                None => {}
            }
        }
    }

    /// The next thing to do, until there is nothing left.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) shall be called, unless something else
    /// happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(until, _)| until)
    }

    fn handle_hello(&mut self, connection: ConnectionId, hello: Hello, now: Instant) {
        let Some(&State::Silent { until }) = self.connections.get(&connection) else {
            let text = "hello was said already";
            return self.refuse(connection, ErrorCode::BadMessage, text, now);
        };
        self.deadlines.remove(&(until, connection));

        let Some((holder, member)) = self.holder(&hello) else {
            return self.admit(connection, hello, now);
        };
        if member.hello.instance == hello.instance {
            return self.take_over(holder, connection, hello, now);
        }
        match &member.challenger {
            None => self.challenge(holder, connection, hello, now),
            // The challenger may come again over a new connection.
            Some(first) if first.hello.instance == hello.instance => {
                let first = first.connection;
                self.close(first, None, now);
                self.challenge(holder, connection, hello, now);
            }
            Some(_) => self.refuse_id(connection, &hello, now),
        }
    }

    /// The member that has the id of this hello.
    fn holder(&mut self, hello: &Hello) -> Option<(ConnectionId, &mut Member)> {
        let holder = *self.fleets.get(&hello.fleet)?.get(&hello.rover_id)?;
        match self.connections.get_mut(&holder)? {
            State::Member(member) => Some((holder, member)),
            State::Silent { .. } | State::Challenging { .. } => None,
        }
    }

    /// Asks the holder of an id whether it is still there.
    fn challenge(
        &mut self,
        holder: ConnectionId,
        connection: ConnectionId,
        hello: Hello,
        now: Instant,
    ) {
        let until = now + CHALLENGE_TIMEOUT;
        if let Some(State::Member(member)) = self.connections.get_mut(&holder) {
            member.challenger = Some(Challenger { connection, hello, until });
        }
        self.deadlines.insert((until, connection));
        self.connections.insert(connection, State::Challenging { holder });
        self.outputs.push_back(Output::Ping(holder));
    }

    /// Puts a new connection of the same instance in the place of the old one.
    fn take_over(&mut self, old: ConnectionId, new: ConnectionId, hello: Hello, now: Instant) {
        debug!("{}: reconnected fleet={}", hello.rover_id, hello.fleet);
        let replaced = self.connections.remove(&old);
        if let Some(State::Member(member)) = &replaced {
            self.forget_renewal(old, member.renewal);
        }
        self.outputs.push_back(Output::Close { connection: old, code: None });
        self.welcome(new, hello, now);
        if let Some(State::Member(member)) = replaced
            && let Some(challenger) = member.challenger
        {
            // The holder has just shown that it lives.
            self.refuse_challenger(challenger, now);
        }
    }

    /// Makes a connection a member and tells the others.
    fn admit(&mut self, connection: ConnectionId, hello: Hello, now: Instant) {
        info!("{}: joined fleet={} instance={}", hello.rover_id, hello.fleet, hello.instance);
        let (others, peer) = (self.others(&hello), presented(&hello));
        self.welcome(connection, hello, now);
        self.send(others, ServerMessage::PeerJoined(peer));
    }

    fn welcome(&mut self, connection: ConnectionId, hello: Hello, now: Instant) {
        let peers = self.others(&hello).iter().filter_map(|&other| self.peer(other)).collect();
        let ice_servers = self.ice_servers(&hello.rover_id, now);
        let welcome = ServerMessage::Welcome { peers, ice_servers };
        self.send(vec![connection], welcome);

        let fleet = self.fleets.entry(hello.fleet.clone()).or_default();
        fleet.insert(hello.rover_id.clone(), connection);
        let rate = f64::from(MEMBER_RATE);
        let bucket = Bucket::new(rate, rate, now);
        let renewal = self.plan_renewal(connection, now);
        let member = Box::new(Member { hello, bucket, challenger: None, renewal });
        self.connections.insert(connection, State::Member(member));
    }

    fn ice_servers(&self, rover_id: &Id, now: Instant) -> Vec<IceServer> {
        self.ice_offer.iter().map(|offer| offer.for_member(rover_id, now)).collect()
    }

    fn plan_renewal(&mut self, connection: ConnectionId, now: Instant) -> Option<Instant> {
        let at = now + self.ice_offer.as_ref()?.renewal();
        self.deadlines.insert((at, connection));
        Some(at)
    }

    /// Gives a member credentials in place of those that will run out.
    fn renew(&mut self, connection: ConnectionId, now: Instant) {
        let renewal = self.plan_renewal(connection, now);
        let Some(State::Member(member)) = self.connections.get_mut(&connection) else { return };
        member.renewal = renewal;
        let rover_id = member.hello.rover_id.clone();
        let ice_servers = self.ice_servers(&rover_id, now);
        self.send(vec![connection], ServerMessage::IceServers { ice_servers });
    }

    fn handle_signal(
        &mut self,
        connection: ConnectionId,
        to: &Id,
        body: Box<RawValue>,
        now: Instant,
    ) {
        let Some(State::Member(member)) = self.connections.get(&connection) else {
            let text = "a signal before the welcome";
            return self.refuse(connection, ErrorCode::BadMessage, text, now);
        };
        let hello = &member.hello;
        let Some(&receiver) = self.fleets.get(&hello.fleet).and_then(|fleet| fleet.get(to)) else {
            let text = format!("no `{to}` in fleet `{}`", hello.fleet);
            return self.send_error(connection, ErrorCode::UnknownPeer, text);
        };
        let (from, instance) = (hello.rover_id.clone(), hello.instance);
        self.send(vec![receiver], ServerMessage::Signal { from, instance, body });
    }

    fn refuse_challenger(&mut self, challenger: Challenger, now: Instant) {
        self.deadlines.remove(&(challenger.until, challenger.connection));
        self.refuse_id(challenger.connection, &challenger.hello, now);
    }

    fn refuse_id(&mut self, connection: ConnectionId, hello: &Hello, now: Instant) {
        let text = format!("another `{}` lives in fleet `{}`", hello.rover_id, hello.fleet);
        self.refuse(connection, ErrorCode::IdInUse, text, now);
    }

    /// Sends an error and closes.
    fn refuse(
        &mut self,
        connection: ConnectionId,
        code: ErrorCode,
        text: impl Into<String>,
        now: Instant,
    ) {
        self.send_error(connection, code, text);
        self.close(connection, Some(code), now);
    }

    fn close(&mut self, connection: ConnectionId, code: Option<ErrorCode>, now: Instant) {
        self.outputs.push_back(Output::Close { connection, code });
        self.remove(connection, now);
    }

    /// Forgets a connection and settles what depended on it.
    fn remove(&mut self, connection: ConnectionId, now: Instant) {
        match self.connections.remove(&connection) {
            None => {}
            Some(State::Silent { until }) => {
                self.deadlines.remove(&(until, connection));
            }
            Some(State::Challenging { holder }) => {
                if let Some(State::Member(member)) = self.connections.get_mut(&holder)
                    && let Some(challenger) = member.challenger.take()
                {
                    self.deadlines.remove(&(challenger.until, connection));
                }
            }
            Some(State::Member(member)) => {
                let Member { hello, challenger, renewal, .. } = *member;
                self.forget_renewal(connection, renewal);
                info!("{}: left fleet={} instance={}", hello.rover_id, hello.fleet, hello.instance);
                self.leave(&hello);
                if let Some(Challenger { connection, hello, until }) = challenger {
                    self.deadlines.remove(&(until, connection));
                    self.admit(connection, hello, now);
                }
            }
        }
    }

    fn forget_renewal(&mut self, connection: ConnectionId, renewal: Option<Instant>) {
        if let Some(at) = renewal {
            self.deadlines.remove(&(at, connection));
        }
    }

    /// Takes a member out of its fleet and tells the others.
    fn leave(&mut self, hello: &Hello) {
        let others = self.others(hello);
        if others.is_empty() {
            self.fleets.remove(&hello.fleet);
        } else if let Some(fleet) = self.fleets.get_mut(&hello.fleet) {
            fleet.remove(&hello.rover_id);
        }
        self.send(others, ServerMessage::PeerLeft { rover_id: hello.rover_id.clone() });
    }

    /// The connections of all members of a fleet but one.
    fn others(&self, hello: &Hello) -> Vec<ConnectionId> {
        let fleet = self.fleets.get(&hello.fleet).into_iter().flatten();
        fleet.filter(|&(id, _)| *id != hello.rover_id).map(|(_, &connection)| connection).collect()
    }

    fn peer(&self, connection: ConnectionId) -> Option<Peer> {
        match self.connections.get(&connection)? {
            State::Member(member) => Some(presented(&member.hello)),
            State::Silent { .. } | State::Challenging { .. } => None,
        }
    }

    fn send_error(&mut self, connection: ConnectionId, code: ErrorCode, text: impl Into<String>) {
        self.send(vec![connection], ServerMessage::Error { code, message: text.into() });
    }

    fn send(&mut self, to: Vec<ConnectionId>, message: ServerMessage<Box<RawValue>>) {
        if !to.is_empty() {
            self.outputs.push_back(Output::Send { to, message });
        }
    }
}

/// A member as the others see it.
fn presented(hello: &Hello) -> Peer {
    Peer {
        rover_id: hello.rover_id.clone(),
        instance: hello.instance,
        capabilities: hello.capabilities.clone(),
    }
}
