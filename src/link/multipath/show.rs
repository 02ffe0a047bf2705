//! What is known of the paths, for status topics.

use std::time::Instant;

use super::Multipath;
use super::path::Path;
use crate::link::snapshot::{PathSnapshot, PathState, PeerState};

/// What is counted over the life of a session.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::link) struct Counters {
    /// Datagrams of data channels, once each.
    pub(in crate::link) datagrams: u64,
    /// Bytes of them.
    pub(in crate::link) bytes_first: u64,
    /// Bytes of datagrams sent again, twice, or along with others.
    pub(in crate::link) bytes_duplicated: u64,
    /// Datagrams sent again.
    pub(in crate::link) repaired: u64,
    /// Copies that came after the first.
    pub(in crate::link) duplicates_received: u64,
    /// Frames that were not genuine or not new.
    pub(in crate::link) rejected: u64,
    /// Datagrams that a lane had no room for.
    pub(in crate::link) refused: u64,
}

impl Multipath {
    /// The counters.
    pub(in crate::link) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Times that data took another path.
    pub(in crate::link) fn handovers(&self) -> u32 {
        self.handovers
    }

    /// Bytes sent and received on all paths.
    pub(in crate::link) fn bytes(&self) -> (u64, u64) {
        self.paths.values().fold((0, 0), |(sent, received), path| {
            (sent + path.bytes_sent, received + path.bytes_received)
        })
    }

    /// Seconds since anything of the peer's came, NaN before.
    pub(in crate::link) fn time_since_received(&self, now: Instant) -> f64 {
        seconds_since(self.paths.values().filter_map(|path| path.last_heard).max(), now)
    }

    /// Since when no path carries anything.
    pub(in crate::link) fn outage_since(&self) -> Option<Instant> {
        self.outage_since
    }

    /// How the link as a whole fares.
    pub(in crate::link) fn state(&self) -> PeerState {
        match self.selected_path().map(|path| path.state) {
            _ if self.outage_since.is_some() => PeerState::Outage,
            Some(PathState::Suspect) => PeerState::Degraded,
            Some(_) | None => PeerState::Connected,
        }
    }

    /// All paths, by number.
    pub(in crate::link) fn snapshot(&self, now: Instant) -> Vec<PathSnapshot> {
        self.paths.values().map(|path| self.show(path, now)).collect()
    }

    fn show(&self, path: &Path, now: Instant) -> PathSnapshot {
        let extremes = path.round_trip.extremes();
        let inbound = self
            .inbound
            .values()
            .filter(|inbound| inbound.pair == path.pair)
            .max_by_key(|inbound| inbound.highest_at);
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        PathSnapshot {
            id: path.id.into(),
            interface: path.interface.name.clone(),
            interface_kind: path.interface.kind,
            state: path.state,
            local_candidate: path.local_candidate,
            remote_candidate: path.remote_candidate,
            local_address: path.pair.0,
            remote_address: path.pair.1,
            selected: self.selected == Some(path.id),
            round_trip_time: or_nan(path.round_trip.smoothed()),
            round_trip_time_min: or_nan(extremes.map(|(least, _)| least)),
            round_trip_time_max: or_nan(extremes.map(|(_, most)| most)),
            jitter: or_nan(inbound.and_then(|inbound| inbound.jitter.seconds())),
            loss_ratio_sent: or_nan(path.loss_sent.ratio()),
            loss_ratio_received: or_nan(inbound.and_then(|inbound| inbound.loss.ratio())),
            signal_strength: or_nan(path.interface.signal_strength.map(f64::from)),
            time_since_received: seconds_since(path.last_heard, now),
            bytes_sent: path.bytes_sent,
            bytes_received: path.bytes_received,
        }
    }
}

fn seconds_since(moment: Option<Instant>, now: Instant) -> f64 {
    moment.map_or(f64::NAN, |moment| now.saturating_duration_since(moment).as_secs_f64())
}
