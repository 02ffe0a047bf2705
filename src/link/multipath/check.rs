//! Connectivity checks: STUN Binding requests (RFC 8489) of our own beside those of ICE, and what
//! the answers to either tell. Any ICE peer answers them.

use std::collections::VecDeque;
use std::time::Instant;

use str0m::ice::{StunMessage, TransId};

use crate::link::transport::sha1_hmac;

/// Credentials of both sides, as the session descriptions name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::link) struct Credentials {
    pub(in crate::link) local_ufrag: String,
    pub(in crate::link) remote_ufrag: String,
    pub(in crate::link) remote_password: String,
    /// Our role.
    pub(in crate::link) is_controlling: bool,
    pub(in crate::link) tie_breaker: u64,
}

/// Requests of one path whose answers are awaited. Older ones are given up: at the pace of a suspect
/// path, those of more than a second.
const MAX_AWAITED: usize = 64;

/// Priority that a request of ours names: that of a peer-reflexive candidate (RFC 8445 §5.1.2.1),
/// below all that ICE itself names.
const PRIORITY: u32 = 110 << 24;

const REQUEST: [u8; 2] = [0x00, 0x01];
const SUCCESS: [u8; 2] = [0x01, 0x01];
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER_LEN: usize = 20;
const MAX_REQUEST_LEN: usize = 512;

/// What joins a request and its answer.
pub(super) type Transaction = [u8; 12];

/// A STUN message, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stun {
    /// A Binding request.
    Request(Transaction),
    /// A Binding success response.
    Success(Transaction),
    /// Another one.
    Other,
}

/// Is it STUN, and which? By its header alone; nothing is verified.
pub(super) fn stun(datagram: &[u8]) -> Option<Stun> {
    let head = datagram.first_chunk::<HEADER_LEN>()?;
    if head[0] > 3 || head[4..8] != COOKIE {
        return None;
    }
    let mut transaction = [0; 12];
    transaction.copy_from_slice(&head[8..]);
    Some(match [head[0], head[1]] {
        REQUEST => Stun::Request(transaction),
        SUCCESS => Stun::Success(transaction),
        _ => Stun::Other,
    })
}

/// The requests that left on one path.
#[derive(Debug, Default)]
pub(super) struct Checks {
    awaited: VecDeque<Awaited>,
}

/// A request whose answer is awaited.
#[derive(Debug)]
struct Awaited {
    transaction: Transaction,
    /// Is it ours and not that of ICE?
    is_ours: bool,
    request: Answered,
}

/// A request that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answered {
    /// When it left.
    pub(super) sent: Instant,
    /// Its number, if it counts as a frame.
    pub(super) number: Option<u64>,
}

impl Checks {
    /// Makes a request.
    pub(super) fn request(&mut self, credentials: &Credentials, now: Instant) -> Option<Vec<u8>> {
        self.make_request(credentials, None, false, now)
    }

    /// Makes a request that counts as the frame of this number. One that nominates asks the peer to
    /// send by this path too.
    pub(super) fn counted_request(
        &mut self,
        credentials: &Credentials,
        number: u64,
        nominates: bool,
        now: Instant,
    ) -> Option<Vec<u8>> {
        self.make_request(credentials, Some(number), nominates, now)
    }

    fn make_request(
        &mut self,
        credentials: &Credentials,
        number: Option<u64>,
        nominates: bool,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let username = format!("{}:{}", credentials.remote_ufrag, credentials.local_ufrag);
        let message = StunMessage::binding_request(
            &username,
            TransId::new(),
            credentials.is_controlling,
            credentials.tie_breaker,
            PRIORITY,
            nominates,
        );
        let mut bytes = vec![0; MAX_REQUEST_LEN];
        let password = credentials.remote_password.as_bytes();
        let length = message.to_bytes(Some(password), &mut bytes, sha1_hmac).ok()?;
        bytes.truncate(length);
        if let Some(Stun::Request(transaction)) = stun(&bytes) {
            self.note(Awaited {
                transaction,
                is_ours: true,
                request: Answered { sent: now, number },
            });
        }
        Some(bytes)
    }

    /// Notes a request of ICE that leaves.
    pub(super) fn handle_request_of_ice(&mut self, transaction: Transaction, now: Instant) {
        // ICE sends some again under the same transaction; the answer is to the first then.
        if self.awaited.iter().all(|awaited| awaited.transaction != transaction) {
            let request = Answered { sent: now, number: None };
            self.note(Awaited { transaction, is_ours: false, request });
        }
    }

    /// Was a request of this transaction sent here, and was it ours?
    pub(super) fn is_awaited(&self, transaction: Transaction) -> Option<bool> {
        let found = self.awaited.iter().find(|awaited| awaited.transaction == transaction);
        found.map(|awaited| awaited.is_ours)
    }

    /// Takes an answer; returns the request, if the peer made the answer.
    pub(super) fn handle_success(
        &mut self,
        transaction: Transaction,
        datagram: &[u8],
        credentials: &Credentials,
    ) -> Option<Answered> {
        let index = self.awaited.iter().position(|awaited| awaited.transaction == transaction)?;
        let message = StunMessage::parse(datagram).ok()?;
        if !message.verify(credentials.remote_password.as_bytes(), sha1_hmac) {
            return None;
        }
        // ICE wants the answers to its own requests too, and repeats them.
        self.awaited.remove(index).map(|awaited| awaited.request)
    }

    fn note(&mut self, awaited: Awaited) {
        if self.awaited.len() == MAX_AWAITED {
            self.awaited.pop_front();
        }
        self.awaited.push_back(awaited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials {
            local_ufrag: "here".to_owned(),
            remote_ufrag: "there".to_owned(),
            remote_password: "0123456789012345678901".to_owned(),
            is_controlling: true,
            tie_breaker: 1,
        }
    }

    fn answer(request: &[u8], password: &str) -> Vec<u8> {
        let parsed = StunMessage::parse(request).expect("we made it");
        let address = "10.0.0.1:5".parse().expect("an address");
        let mut bytes = vec![0; MAX_REQUEST_LEN];
        let reply = StunMessage::binding_reply(parsed.trans_id(), address);
        let length =
            reply.to_bytes(Some(password.as_bytes()), &mut bytes, sha1_hmac).expect("fits");
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn the_answer_of_the_peer_is_taken_once() {
        let (mut checks, now) = (Checks::default(), Instant::now());
        let request = checks.request(&credentials(), now).expect("fits");
        let reply = answer(&request, &credentials().remote_password);
        let Some(Stun::Success(transaction)) = stun(&reply) else { panic!("not an answer") };
        assert_eq!(checks.is_awaited(transaction), Some(true));
        let answered = Answered { sent: now, number: None };
        assert_eq!(checks.handle_success(transaction, &reply, &credentials()), Some(answered));
        assert_eq!(checks.handle_success(transaction, &reply, &credentials()), None);
    }

    #[test]
    fn an_answer_that_the_peer_did_not_make_changes_nothing() {
        let (mut checks, now) = (Checks::default(), Instant::now());
        let request = checks.request(&credentials(), now).expect("fits");
        let forged = answer(&request, "guessed");
        let Some(Stun::Success(transaction)) = stun(&forged) else { panic!("not an answer") };
        assert_eq!(checks.handle_success(transaction, &forged, &credentials()), None);
        assert_eq!(checks.is_awaited(transaction), Some(true));
        assert_eq!(checks.is_awaited([0; 12]), None);
    }

    #[test]
    fn what_is_not_stun_is_told_by_its_header() {
        assert_eq!(stun(&[0; 19]), None);
        assert_eq!(stun(&[0; 20]), None, "no cookie");
        assert_eq!(stun(&[22; 40]), None, "DTLS");
    }
}
