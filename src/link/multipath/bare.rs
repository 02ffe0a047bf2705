//! Without link frames, towards peers that do not read them: DTLS leaves as it is, by the path
//! selected here, and checks alone tell how each path fares. A check counts as a frame that its
//! answer confirms.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Multipath;
use super::path::MAX_CARRIED;
use crate::link::output::Transmit;
use crate::link::snapshot::PathState;

/// Datagrams that are sent again when data has to leave a path that carries nothing. What the peer
/// has already, its DTLS drops as long as it is among the last 64 (RFC 6347 §4.1.2.6).
const MAX_RECENT: usize = 48;

/// Older ones are not sent again: SCTP has done so by then.
const RECENT_TIME: Duration = Duration::from_secs(1);

/// What is known only without frames.
#[derive(Debug, Default)]
pub(super) struct Bare {
    /// What has left lately.
    recent: VecDeque<(Instant, Vec<u8>)>,
    /// The path by which the peer last sent DTLS.
    by_peer: Option<u16>,
}

impl Multipath {
    /// From now on data goes where this side decides, without frames.
    pub(in crate::link) fn start_bare(&mut self, now: Instant) {
        if self.is_steering() {
            return;
        }
        self.bare = Some(Bare::default());
        self.framing_since = now;
        for path in self.paths.values_mut() {
            path.silent_from = now;
        }
        self.decide(now);
    }

    /// Is it decided here where data goes?
    pub(super) fn is_steering(&self) -> bool {
        self.is_framing || self.bare.is_some()
    }

    /// Sends a DTLS datagram by the selected path, or by ICE's where that one carries nothing.
    pub(super) fn send_bare(&mut self, transmit: Transmit, now: Instant) {
        if let Some(bare) = &mut self.bare {
            if bare.recent.len() == MAX_RECENT {
                bare.recent.pop_front();
            }
            bare.recent.push_back((now, transmit.contents.clone()));
        }
        self.counters.datagrams += 1;
        self.counters.bytes_first += transmit.contents.len() as u64;
        match self.selected.filter(|path| self.is_alive(*path)) {
            Some(path) => self.transmit(path, transmit.contents),
            None => self.transmit_raw(transmit),
        }
    }

    /// Sends again what may have been lost on the path that data has just left.
    pub(super) fn repeat_bare(&mut self, now: Instant) {
        let (Some(bare), Some(path)) = (&self.bare, self.selected) else { return };
        let recent = bare.recent.iter().filter(|(at, _)| now <= *at + RECENT_TIME);
        let again: Vec<_> = recent.map(|(_, datagram)| datagram.clone()).collect();
        for datagram in again {
            self.counters.repaired += 1;
            self.counters.bytes_duplicated += datagram.len() as u64;
            self.transmit(path, datagram);
        }
    }

    /// Checks a path. On the selected one, and where the choice is ours, the peer is told to send by
    /// it too (RFC 8445 §7.1.2).
    pub(super) fn check_path(&mut self, id: u16, now: Instant) {
        let Some(credentials) = self.credentials.clone() else { return };
        let is_nominated = credentials.is_controlling && self.selected == Some(id);
        let Some(path) = self.paths.get_mut(&id) else { return };
        let number = path.next_number();
        let request = path.checks.counted_request(&credentials, number, is_nominated, now);
        path.handle_sent(number, true, [None; MAX_CARRIED], now);
        if let Some(request) = request {
            self.transmit(id, request);
        }
    }

    /// Notes DTLS that the peer sends by this path.
    pub(super) fn handle_bare(&mut self, path: Option<u16>, now: Instant) {
        let Some(bare) = &mut self.bare else { return };
        bare.by_peer = path.or(bare.by_peer);
        self.note_received(now);
    }

    /// Since when the peer has been sending by a path that carries nothing, though another does:
    /// its own ICE may take half a minute to notice.
    pub(in crate::link) fn astray_since(&self) -> Option<Instant> {
        let path = self.paths.get(&self.bare.as_ref()?.by_peer?)?;
        let is_lost = matches!(path.state, PathState::Dead | PathState::Down);
        (is_lost && self.outage_since.is_none()).then_some(path.since)
    }

    /// Nothing is known any more of where the peer sends.
    pub(in crate::link) fn forget_where_peer_sends(&mut self) {
        if let Some(bare) = &mut self.bare {
            bare.by_peer = None;
        }
    }
}
