//! What is known of the paths of one session: pairs of a local and a remote address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::output::Transmit;
use super::snapshot::{CandidateKind, PathSnapshot, PathState};
use crate::config::InterfaceKind;

/// Paths that are counted apart: 16 remote candidates on 4 local addresses. A peer that sends from
/// ever new addresses gets no more.
const MAX_PATHS: usize = 64;

/// A local and a remote address.
pub(super) type Pair = (SocketAddr, SocketAddr);

/// All paths of a session.
#[derive(Debug, Default)]
pub(super) struct Paths {
    paths: BTreeMap<Pair, Path>,
    /// Where the last DTLS datagram left.
    selected: Option<Pair>,
    last_received: Option<Instant>,
}

#[derive(Debug)]
struct Path {
    id: u32,
    bytes_sent: u64,
    bytes_received: u64,
    last_received: Option<Instant>,
    round_trip: Option<Duration>,
    round_trip_min: Option<Duration>,
}

impl Paths {
    /// Counts a datagram that leaves.
    pub(super) fn handle_sent(&mut self, transmit: &Transmit) {
        let pair = (transmit.source, transmit.destination);
        // DTLS goes where ICE has nominated.
        if is_dtls(&transmit.contents) {
            self.selected = Some(pair);
        }
        if let Some(path) = self.path(pair) {
            path.bytes_sent += transmit.contents.len() as u64;
        }
    }

    /// Counts a datagram that arrived.
    pub(super) fn handle_received(&mut self, now: Instant, pair: Pair, length: usize) {
        self.last_received = Some(now);
        if let Some(path) = self.path(pair) {
            path.bytes_received += length as u64;
            path.last_received = Some(now);
        }
    }

    /// Has anything that belongs to this session come by this path?
    pub(super) fn was_used_by_peer(&self, pair: Pair) -> bool {
        self.paths.get(&pair).is_some_and(|path| path.last_received.is_some())
    }

    /// Notes a round trip of the selected path.
    pub(super) fn handle_round_trip(&mut self, time: Duration) {
        let Some(path) = self.selected.and_then(|pair| self.path(pair)) else { return };
        path.round_trip = Some(time);
        path.round_trip_min = Some(path.round_trip_min.map_or(time, |least| least.min(time)));
    }

    /// Seconds since anything arrived, NaN before.
    pub(super) fn time_since_received(&self, now: Instant) -> f64 {
        seconds_since(self.last_received, now)
    }

    /// Bytes sent and received.
    pub(super) fn bytes(&self) -> (u64, u64) {
        self.paths.values().fold((0, 0), |(sent, received), path| {
            (sent + path.bytes_sent, received + path.bytes_received)
        })
    }

    /// All paths, by number.
    pub(super) fn snapshot(&self, now: Instant) -> Vec<PathSnapshot> {
        let mut paths: Vec<_> = self
            .paths
            .iter()
            .map(|(pair, path)| PathSnapshot {
                id: path.id,
                // The room that owns the sockets knows; the core does not.
                interface: String::new(),
                interface_kind: InterfaceKind::Unknown,
                state: PathState::Good,
                local_candidate: CandidateKind::Host,
                remote_candidate: CandidateKind::Unknown,
                round_trip_time_max: f64::NAN,
                jitter: f64::NAN,
                loss_ratio_sent: f64::NAN,
                loss_ratio_received: f64::NAN,
                signal_strength: f64::NAN,
                local_address: pair.0,
                remote_address: pair.1,
                selected: self.selected == Some(*pair),
                round_trip_time: seconds(path.round_trip),
                round_trip_time_min: seconds(path.round_trip_min),
                time_since_received: seconds_since(path.last_received, now),
                bytes_sent: path.bytes_sent,
                bytes_received: path.bytes_received,
            })
            .collect();
        paths.sort_by_key(|path| path.id);
        paths
    }

    fn path(&mut self, pair: Pair) -> Option<&mut Path> {
        let count = self.paths.len();
        if count >= MAX_PATHS {
            return self.paths.get_mut(&pair);
        }
        Some(self.paths.entry(pair).or_insert_with(|| Path {
            id: count as u32,
            bytes_sent: 0,
            bytes_received: 0,
            last_received: None,
            round_trip: None,
            round_trip_min: None,
        }))
    }
}

/// Is it a DTLS datagram, by its first byte (RFC 7983)?
pub(super) fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..64).contains(first))
}

fn seconds(time: Option<Duration>) -> f64 {
    time.map_or(f64::NAN, |time| time.as_secs_f64())
}

fn seconds_since(moment: Option<Instant>, now: Instant) -> f64 {
    seconds(moment.map(|moment| now.saturating_duration_since(moment)))
}
