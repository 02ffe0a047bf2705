//! An address that a TURN server lends (RFC 8656): one allocation, over UDP or TCP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_client_proto::api::{Transmit, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::TurnClientApi;
use turn_client_proto::stun::Instant as StunInstant;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{AddressFamily, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

turn_client_proto::impl_client!(Client, (Udp, TurnClientUdp), (Tcp, TurnClientTcp));

/// Requests are repeated after this time, then after twice and four times as long, …
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// … but not longer than this, …
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// … so often, and given up after this time more: 3.3 s in all.
const TRIES: u32 = 4;
const LAST_WAIT: Duration = Duration::from_millis(1_500);

/// Peers that one allocation serves: all remote candidates of four peers.
const MAX_PEERS: usize = 64;

/// How long what a server refused is not asked for again.
const REFUSAL_PAUSE: Duration = Duration::from_secs(30);

/// What the server was asked for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Asked,
    Bound,
    RefusedUntil(Instant),
}

/// One allocation, wanted or had.
#[derive(Debug)]
pub(super) struct Relay {
    client: Client,
    /// Zero of the client's clock.
    started: Instant,
    /// The address lent, once it is.
    relayed: Option<SocketAddr>,
    is_over: bool,
    peers: BTreeMap<SocketAddr, Channel>,
    due: Instant,
    /// When the first datagram left since the last one came.
    unanswered: Option<Instant>,
}

impl Relay {
    /// Asks for an address, of the family of `local`.
    pub(super) fn new(
        local: SocketAddr,
        server: SocketAddr,
        is_tcp: bool,
        (username, credential): &(String, String),
        now: Instant,
    ) -> Self {
        let mut config = TurnConfig::new(TurnCredentials::new(username, credential));
        config.set_address_family(match local {
            SocketAddr::V4(_) => AddressFamily::IPV4,
            SocketAddr::V6(_) => AddressFamily::IPV6,
        });
        config.set_request_retransmits(FIRST_RETRY, LONGEST_RETRY, TRIES, LAST_WAIT);
        let client = if is_tcp {
            Client::Tcp(TurnClientTcp::allocate(local, server, config))
        } else {
            Client::Udp(TurnClientUdp::allocate(local, server, config))
        };
        Self {
            client,
            started: now,
            relayed: None,
            is_over: false,
            peers: BTreeMap::new(),
            due: now,
            unanswered: None,
        }
    }

    /// The address lent, while it is.
    pub(super) fn relayed(&self) -> Option<SocketAddr> {
        self.relayed.filter(|_| !self.is_over)
    }

    /// Will nothing more come of it?
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Since when nothing has come though something was sent.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        self.unanswered
    }

    /// What is to be sent to the server now. To be called when something is due, and after each
    /// call of the others.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let at = self.time(now);
        while !self.is_over {
            let wait = self.client.poll(at);
            self.take_events(now);
            if let Some(transmit) = self.client.poll_transmit(at) {
                out.push(transmit.data.to_vec());
                continue;
            }
            match wait {
                TurnPollRet::WaitUntil(until) if until > at => {
                    self.due = now + until.duration_since(at);
                    break;
                }
                TurnPollRet::WaitUntil(_) => {
                    // Its clock is as fine as ours: it has something to do at this very moment.
                    self.due = now + Duration::from_millis(1);
                    break;
                }
                TurnPollRet::Closed => self.is_over = true,
                // For allocations of TCP, which ours is not.
                TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => break,
            }
        }
        out
    }

    fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event() {
            match event {
                TurnEvent::AllocationCreated(_, address) => self.relayed = Some(address),
                TurnEvent::AllocationCreateFailed(_) => self.is_over = true,
                TurnEvent::ChannelCreated(_, peer) => {
                    self.peers.insert(peer, Channel::Bound);
                }
                TurnEvent::ChannelCreateFailed(_, peer) => {
                    log::debug!("TURN server refuses a peer: address={peer}");
                    self.peers.insert(peer, Channel::RefusedUntil(now + REFUSAL_PAUSE));
                }
                TurnEvent::PermissionCreated(..)
                | TurnEvent::PermissionCreateFailed(..)
                | TurnEvent::TcpConnected(_)
                | TurnEvent::TcpConnectFailed(_) => {}
            }
        }
    }

    /// Takes what came from the server; what a peer has sent goes to `deliver`, with its address.
    pub(super) fn handle(
        &mut self,
        data: &[u8],
        now: Instant,
        deliver: impl FnOnce(SocketAddr, &[u8]),
    ) {
        self.unanswered = None;
        let (transport, from) = (self.client.transport(), self.client.remote_addr());
        let transmit = Transmit::new(data, transport, from, self.client.local_addr());
        let at = self.time(now);
        match self.client.recv(transmit, at) {
            TurnRecvRet::PeerData(data) => deliver(data.peer, data.data()),
            TurnRecvRet::Handled => self.due = now,
            TurnRecvRet::Ignored(_) | TurnRecvRet::PeerIcmp { .. } => {}
        }
    }

    /// What to send to the server for this datagram to reach a peer. `None` while the server is being
    /// asked whether it may: what is sent first are checks, which are sent again.
    pub(super) fn wrap(&mut self, peer: SocketAddr, data: &[u8], now: Instant) -> Option<Vec<u8>> {
        let at = self.time(now);
        match self.peers.get(&peer) {
            Some(Channel::Bound) => {}
            Some(Channel::Asked) => return None,
            Some(Channel::RefusedUntil(until)) if now < *until => return None,
            Some(Channel::RefusedUntil(_)) | None => {
                let is_known = self.peers.contains_key(&peer);
                if (is_known || self.peers.len() < MAX_PEERS)
                    && self.client.bind_channel(TransportType::Udp, peer, at).is_ok()
                {
                    self.peers.insert(peer, Channel::Asked);
                    self.due = now;
                }
                return None;
            }
        }
        self.unanswered.get_or_insert(now);
        let sent = self.client.send_to(TransportType::Udp, peer, data, at);
        // Its permission may have run out for want of an answer: then it is asked for anew.
        let Ok(Some(transmit)) = sent else {
            self.peers.remove(&peer);
            return None;
        };
        Some(transmit.build().data)
    }

    /// Gives the address back; returns what tells the server.
    pub(super) fn end(mut self, now: Instant) -> Vec<Vec<u8>> {
        let at = self.time(now);
        if self.relayed.is_none() || self.client.delete(at).is_err() {
            return Vec::new();
        }
        std::iter::from_fn(|| self.client.poll_transmit(at))
            .map(|transmit| transmit.data.to_vec())
            .collect()
    }

    fn time(&self, now: Instant) -> StunInstant {
        let since = now.saturating_duration_since(self.started).as_nanos();
        StunInstant::from_nanos(i64::try_from(since).unwrap_or(i64::MAX))
    }
}
