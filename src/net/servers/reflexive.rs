//! How a socket is seen from outside: Binding requests to a STUN server (RFC 8489), often enough for
//! the NATs on the way to remember the socket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_client_proto::stun::types::attribute::XorMappedAddress;
use turn_client_proto::stun::types::message::{BINDING, Message, MessageWriteVec, TransactionId};
use turn_client_proto::stun::types::prelude::{MessageWrite, MessageWriteExt};

/// Between a request and the first that repeats it; each further one takes twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// Requests without an answer before the next server is asked: 4 s in all.
const TRIES: u32 = 4;

/// Between two questions while all is well. Strict NATs forget a socket that was silent for 30 s.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// After none of the servers has answered.
const REST: Duration = Duration::from_secs(10);

/// Two questions out of doubt are so far apart, and the longer it lasts the farther.
const DOUBT_PAUSE: Duration = Duration::from_millis(250);
const DOUBT_PART: u32 = 4;

/// What asking one socket's servers has told.
#[derive(Debug)]
pub(super) struct Reflexive {
    /// The server that is asked: its number in the list.
    server: usize,
    /// Servers in a row that did not answer.
    silent: usize,
    asked: Option<Asked>,
    last_asked: Option<Instant>,
    due: Instant,
    /// What the last answer said.
    seen: Option<SocketAddr>,
}

#[derive(Debug)]
struct Asked {
    transaction: TransactionId,
    tries: u32,
}

impl Reflexive {
    pub(super) fn new(now: Instant) -> Self {
        Self { server: 0, silent: 0, asked: None, last_asked: None, due: now, seen: None }
    }

    /// Where the server saw the socket last.
    pub(super) fn seen(&self) -> Option<SocketAddr> {
        self.seen
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Has each of so many servers been silent, and the last one too?
    pub(super) fn is_unanswered(&self, servers: usize) -> bool {
        self.silent >= servers.max(1)
    }

    /// Asks soon, for something may have changed since then.
    pub(super) fn doubt(&mut self, since: Instant, now: Instant) {
        let pause = DOUBT_PAUSE.max(now.saturating_duration_since(since) / DOUBT_PART);
        let is_recent = self.last_asked.is_some_and(|at| now < at + pause);
        if !is_recent && self.asked.is_none() {
            self.due = now;
        }
    }

    /// The request that is due, if one is, and to which server.
    pub(super) fn poll(
        &mut self,
        servers: &[SocketAddr],
        now: Instant,
    ) -> Option<(SocketAddr, Vec<u8>)> {
        if now < self.due {
            return None;
        }
        if servers.is_empty() {
            self.due = now + REST;
            return None;
        }
        let tries = self.asked.as_ref().map_or(0, |asked| asked.tries);
        if tries >= TRIES {
            self.asked = None;
            self.server += 1;
            self.silent = self.silent.saturating_add(1);
            if self.silent.is_multiple_of(servers.len()) {
                self.due = now + REST;
                return None;
            }
        }
        let server = servers[self.server % servers.len()];
        let request = self.request(now);
        Some((server, request))
    }

    fn request(&mut self, now: Instant) -> Vec<u8> {
        let mut message = Message::builder_request(BINDING, MessageWriteVec::new());
        let asked = match self.asked.take() {
            // The same request again, under the same transaction.
            Some(asked) => {
                message =
                    Message::builder(message.get_type(), asked.transaction, MessageWriteVec::new());
                Asked { tries: asked.tries + 1, ..asked }
            }
            None => Asked { transaction: message.transaction_id(), tries: 1 },
        };
        self.due = now + FIRST_RETRY * 2_u32.pow(asked.tries - 1);
        self.last_asked = Some(now);
        self.asked = Some(asked);
        // Without it some NATs that read STUN spoil the answer (RFC 8489 §14.7).
        let _ = message.add_fingerprint();
        message.finish()
    }

    /// Takes a datagram of a server's; `true` if it answers what was asked.
    pub(super) fn handle_answer(&mut self, datagram: &[u8], now: Instant) -> bool {
        let Ok(message) = Message::from_bytes(datagram) else { return false };
        let transaction = message.transaction_id();
        let is_awaited = self.asked.as_ref().is_some_and(|asked| asked.transaction == transaction);
        if !is_awaited || !message.has_method(BINDING) || !message.is_response() {
            return false;
        }
        let Ok(mapped) = message.attribute::<XorMappedAddress>() else { return false };
        self.seen = Some(mapped.addr(transaction));
        self.asked = None;
        self.silent = 0;
        self.due = now + KEEP_ALIVE;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str = "198.51.100.7:5000";

    fn servers() -> Vec<SocketAddr> {
        ["192.0.2.1:3478", "192.0.2.2:3478"].map(|text| text.parse().unwrap()).to_vec()
    }

    /// What a server answers.
    fn answer(request: &[u8], seen: &str) -> Vec<u8> {
        let request = Message::from_bytes(request).unwrap();
        let mut answer = Message::builder_success(&request, MessageWriteVec::new());
        let seen = seen.parse().unwrap();
        let mapped = XorMappedAddress::new(seen, request.transaction_id());
        answer.add_attribute(&mapped).unwrap();
        answer.finish()
    }

    #[test]
    fn an_answer_tells_the_address_and_the_next_question_comes_before_nats_forget() {
        let (servers, now) = (servers(), Instant::now());
        let mut reflexive = Reflexive::new(now);
        let (server, request) = reflexive.poll(&servers, now).unwrap();
        assert_eq!(server, servers[0]);
        assert!(reflexive.handle_answer(&answer(&request, SEEN), now));
        assert_eq!(reflexive.seen(), Some(SEEN.parse().unwrap()));
        assert!(!reflexive.handle_answer(&answer(&request, "1.2.3.4:5"), now), "answered once");
        assert!(reflexive.poll(&servers, now + KEEP_ALIVE / 2).is_none());
        assert!(reflexive.poll(&servers, now + KEEP_ALIVE).is_some());
    }

    #[test]
    fn a_server_that_is_silent_is_followed_by_the_next_one() {
        let (servers, mut now) = (servers(), Instant::now());
        let mut reflexive = Reflexive::new(now);
        let mut asked = Vec::new();
        while !reflexive.is_unanswered(servers.len()) {
            asked.extend(reflexive.poll(&servers, now).map(|(server, _)| server));
            now = reflexive.due();
        }
        let each = |server| asked.iter().filter(|asked| **asked == server).count();
        assert_eq!((each(servers[0]), each(servers[1])), (4, 4));
        // Later it begins again.
        let (server, request) = reflexive.poll(&servers, now).unwrap();
        assert_eq!(server, servers[0]);
        assert!(reflexive.handle_answer(&answer(&request, SEEN), now));
        assert!(!reflexive.is_unanswered(servers.len()));
    }

    #[test]
    fn doubt_asks_at_once_but_not_all_the_time() {
        let (servers, now) = (servers(), Instant::now());
        let mut reflexive = Reflexive::new(now);
        let (_, request) = reflexive.poll(&servers, now).unwrap();
        reflexive.handle_answer(&answer(&request, SEEN), now);
        reflexive.doubt(now, now + DOUBT_PAUSE / 2);
        assert!(reflexive.poll(&servers, now + DOUBT_PAUSE / 2).is_none());
        reflexive.doubt(now, now + DOUBT_PAUSE);
        assert!(reflexive.poll(&servers, now + DOUBT_PAUSE).is_some());
    }

    #[test]
    fn what_nobody_asked_for_changes_nothing() {
        let (servers, now) = (servers(), Instant::now());
        let mut reflexive = Reflexive::new(now);
        let (_, request) = reflexive.poll(&servers, now).unwrap();
        let mut other = Reflexive::new(now);
        let (_, other) = other.poll(&servers, now).unwrap();
        for datagram in [answer(&other, SEEN), request.clone(), vec![0; 20], Vec::new()] {
            assert!(!reflexive.handle_answer(&datagram, now));
        }
        assert_eq!(reflexive.seen(), None);
    }
}
