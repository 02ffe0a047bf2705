//! The node's own topics: link and path quality, topic statistics, handovers, `/diagnostics`.
//!
//! All of it is published on the thread that owns the node, from the link's latest
//! [`Snapshot`] and the bridge's [`BridgeReport`], each at its own pace and whether or not any peer
//! is connected. Everything is RELIABLE, for so do rqt's tools subscribe.

mod diagnostics;
mod messages;
mod peer;
mod route;
mod window;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::warn;
use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::rover_link::msg::{HandoverEvent, TopicStatistics};
use r2r::std_msgs::msg::Header;
use r2r::{Clock, Publisher, QosProfile};

use super::report::BridgeReport;
use crate::config::{Config, PeerFilter};
use crate::link::{
    Handover, PathSnapshot, PeerSnapshot, PeerState, RouteDirection, RouteId, Snapshot,
};
use crate::net::{Latency, clock};
use peer::{PeerPublishers, before};
use route::{Route, routes};
use window::{Window, Windows};

/// How often `/diagnostics` is published: what its aggregator and monitors are made for.
const DIAGNOSTICS_PERIOD: Duration = Duration::from_secs(1);

/// Handovers that a late joiner is told of.
const HANDOVER_DEPTH: usize = 20;

/// One message of `~/topic_statistics` for each topic and peer is published at once; a history of
/// this many holds them all for all but the largest configurations.
const STATISTICS_DEPTH: usize = 200;

/// Publishes the state of the node.
pub struct StatusPublisher {
    config: Arc<Config>,
    clock: Arc<Mutex<Clock>>,
    statistics: Publisher<TopicStatistics>,
    diagnostics: Publisher<DiagnosticArray>,
    handovers: Publisher<HandoverEvent>,
    /// The last phase told of each peer.
    last_handovers: BTreeMap<String, HandoverEvent>,
    peers: BTreeMap<String, PeerPublishers>,
    peer_windows: Windows<String, 2>,
    path_windows: Windows<(String, String, u32), 2>,
    route_windows: Windows<(String, u8, RouteId), 2>,
    status_due: Instant,
    diagnostics_due: Instant,
}

impl StatusPublisher {
    /// Makes the publishers; those of peers follow when the peers are seen.
    ///
    /// # Errors
    /// When ROS cannot make one.
    pub fn new(node: &mut r2r::Node, config: &Config) -> r2r::Result<Self> {
        let reliable = || QosProfile::default().reliable();
        let late_joiners = reliable().transient_local().keep_last(HANDOVER_DEPTH);
        let now = clock::now();
        Ok(Self {
            config: Arc::new(config.clone()),
            clock: node.get_ros_clock(),
            statistics: node
                .create_publisher("~/topic_statistics", reliable().keep_last(STATISTICS_DEPTH))?,
            diagnostics: node.create_publisher("/diagnostics", reliable())?,
            handovers: node.create_publisher("~/handover_event", late_joiners)?,
            last_handovers: BTreeMap::new(),
            peers: BTreeMap::new(),
            peer_windows: Windows::default(),
            path_windows: Windows::default(),
            route_windows: Windows::default(),
            status_due: now,
            diagnostics_due: now,
        })
    }

    /// When [`publish`](Self::publish) has something to do next.
    pub fn next_due(&self) -> Instant {
        self.status_due.min(self.diagnostics_due)
    }

    /// Publishes what is due; does nothing when nothing is. `take_latencies` gives those of the
    /// messages that came since it was last called, by peer and its number of the topic.
    pub fn publish(
        &mut self,
        node: &mut r2r::Node,
        snapshot: &Snapshot,
        report: &BridgeReport,
        take_latencies: impl FnOnce() -> BTreeMap<(String, RouteId), Latency>,
    ) {
        let now = clock::now();
        let is_status_due = now >= self.status_due;
        let are_diagnostics_due = now >= self.diagnostics_due;
        if !is_status_due && !are_diagnostics_due {
            return;
        }
        let config = Arc::clone(&self.config);
        let peers = known_peers(&config, snapshot);
        let routes = routes(&peers, report);
        let header = self.header();
        if is_status_due {
            let period = Duration::from_secs_f64(1.0 / self.config.link_quality_publish_rate);
            self.status_due = next_deadline(self.status_due, period, now);
            self.publish_peers(node, &header, now, &peers);
            self.publish_statistics(&header, now, &routes, &take_latencies());
            self.forget_all_but(node, now, &peers);
        }
        if are_diagnostics_due {
            self.diagnostics_due = next_deadline(self.diagnostics_due, DIAGNOSTICS_PERIOD, now);
            self.publish_diagnostics(header, snapshot, &peers, &routes, report.left_out);
        }
    }

    /// Publishes phases of handovers, each with the moment it happened.
    pub fn publish_handovers(&mut self, handovers: impl IntoIterator<Item = (Instant, Handover)>) {
        for (at, handover) in handovers {
            let mut header = self.header();
            header.stamp = before(&header.stamp, at.elapsed());
            let event = messages::handover_event(header, &handover);
            send(&self.handovers, &event);
            self.last_handovers.insert(handover.peer, event);
        }
    }

    /// A header with the node's time: simulated time where `use_sim_time` is set.
    fn header(&self) -> Header {
        let now = self.clock.lock().unwrap_or_else(PoisonError::into_inner).get_now();
        let stamp = Clock::to_builtin_time(&now.unwrap_or_default());
        Header { stamp, frame_id: String::new() }
    }

    fn publish_peers(
        &mut self,
        node: &mut r2r::Node,
        header: &Header,
        now: Instant,
        peers: &[PeerSnapshot],
    ) {
        for peer in peers {
            let publishers = match self.peers.entry(peer.peer.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => match PeerPublishers::new(node, &peer.peer) {
                    Ok(publishers) => new.insert(publishers),
                    Err(error) => {
                        warn!("{}: could not make its status topics error={error}", peer.peer);
                        continue;
                    }
                },
            };
            let counters = [peer.bytes_sent, peer.bytes_received];
            let window = self.peer_windows.look(peer.peer.clone(), now, counters);
            let since = publishers.connected_since(peer, now, &header.stamp);
            send(&publishers.link, &messages::link_quality(header.clone(), peer, since, window));

            for (interface, paths) in by_interface(&peer.paths) {
                let Some(path) = messages::representative(&paths) else { continue };
                let kind = path.interface_kind;
                let Some(publisher) = publishers.path(node, &peer.peer, interface, kind) else {
                    continue;
                };
                let key = (peer.peer.clone(), interface.to_owned(), path.id);
                let counters = [path.bytes_sent, path.bytes_received];
                let window = self.path_windows.look(key, now, counters);
                let header = header.clone();
                send(publisher, &messages::path_quality(header, &peer.peer, &paths, path, window));
            }
            let is_lost = |interface: &str| peer.paths.iter().all(|p| p.interface != interface);
            for (interface, lost) in publishers.paths.iter().filter(|(i, _)| is_lost(i)) {
                let header = header.clone();
                let message = messages::lost_interface(header, &peer.peer, interface, lost.kind);
                send(&lost.publisher, &message);
            }
        }
    }

    fn publish_statistics(
        &mut self,
        header: &Header,
        now: Instant,
        routes: &[Route<'_>],
        latencies: &BTreeMap<(String, RouteId), Latency>,
    ) {
        for route in routes {
            let key = (route.peer.to_owned(), route.direction as u8, route.id);
            let counters =
                route.link.map_or([0, 0], |link| [link.counts.messages, link.counts.bytes]);
            let window = self.route_windows.look(key, now, counters);
            let latency = match route.direction {
                RouteDirection::Send => None,
                RouteDirection::Receive => latencies.get(&(route.peer.to_owned(), route.id)),
            };
            let latency = latency.copied().unwrap_or_default();
            let message = messages::topic_statistics(header.clone(), route, window, latency);
            send(&self.statistics, &message);
        }
    }

    fn publish_diagnostics(
        &self,
        header: Header,
        snapshot: &Snapshot,
        peers: &[PeerSnapshot],
        routes: &[Route<'_>],
        left_out: usize,
    ) {
        let Config { rover_id, signaling_url, .. } = &*self.config;
        let is_up =
            |peer: &PeerSnapshot| matches!(peer.state, PeerState::Connected | PeerState::Degraded);
        let is_any_connected = peers.iter().any(is_up);
        let statistics: Vec<_> = routes
            .iter()
            .map(|route| {
                let latency = Latency::default();
                messages::topic_statistics(header.clone(), route, Window::UNKNOWN, latency)
            })
            .collect();
        let signaling = &snapshot.signaling;
        let mut status =
            vec![diagnostics::signaling(rover_id, signaling_url, signaling, is_any_connected)];
        status.extend(
            peers
                .iter()
                .map(|peer| diagnostics::peer(rover_id, peer, self.last_handovers.get(&peer.peer))),
        );
        status.push(diagnostics::topics(rover_id, &statistics, left_out));
        send(&self.diagnostics, &DiagnosticArray { header, status });
    }

    /// Drops what belongs to peers, paths and routes that are gone: strangers come and go in an
    /// open fleet.
    fn forget_all_but(&mut self, node: &mut r2r::Node, now: Instant, peers: &[PeerSnapshot]) {
        let known: BTreeSet<&str> = peers.iter().map(|peer| peer.peer.as_str()).collect();
        let gone: Vec<String> =
            self.peers.keys().filter(|peer| !known.contains(peer.as_str())).cloned().collect();
        for publishers in gone.iter().filter_map(|peer| self.peers.remove(peer)) {
            node.destroy_publisher(publishers.link);
            for interface in publishers.paths.into_values() {
                node.destroy_publisher(interface.publisher);
            }
        }
        self.last_handovers.retain(|peer, _| known.contains(peer.as_str()));
        self.peer_windows.forget_all_but(now);
        self.path_windows.forget_all_but(now);
        self.route_windows.forget_all_but(now);
    }
}

/// The peers that the link knows of, and those that are configured and that it does not know yet.
fn known_peers(config: &Config, snapshot: &Snapshot) -> Vec<PeerSnapshot> {
    let mut peers = snapshot.peers.clone();
    if let PeerFilter::Only(ids) = &config.peers {
        for id in ids.iter().filter(|id| **id != config.rover_id) {
            if peers.iter().all(|peer| peer.peer != *id) {
                peers.push(messages::unknown_peer(id));
            }
        }
    }
    peers
}

fn by_interface(paths: &[PathSnapshot]) -> BTreeMap<&str, Vec<&PathSnapshot>> {
    let mut interfaces: BTreeMap<&str, Vec<&PathSnapshot>> = BTreeMap::new();
    for path in paths {
        interfaces.entry(&path.interface).or_default().push(path);
    }
    interfaces
}

/// The next deadline after `now` on the grid of a period; what was slept through is left out.
fn next_deadline(due: Instant, period: Duration, now: Instant) -> Instant {
    let next = due + period;
    if next > now { next } else { now + period }
}

fn send<T: r2r::WrappedTypesupport + 'static>(publisher: &Publisher<T>, message: &T) {
    // r2r logs why it could not; the next message is due soon.
    let _ = publisher.publish(message);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{InterfaceKind, Parameters, Sources, Value};
    use crate::link::{CandidateKind, Counts, PathState, RouteDirection, RouteSnapshot};

    /// A peer that is down.
    pub(crate) fn peer(id: &str) -> PeerSnapshot {
        messages::unknown_peer(id)
    }

    /// A path over this interface.
    pub(crate) fn path(interface: &str, state: PathState) -> PathSnapshot {
        PathSnapshot {
            id: 1,
            interface: interface.to_owned(),
            interface_kind: InterfaceKind::Ethernet,
            state,
            local_candidate: CandidateKind::Host,
            remote_candidate: CandidateKind::PeerReflexive,
            local_address: ([10, 0, 0, 1], 5000).into(),
            remote_address: ([10, 0, 0, 2], 6000).into(),
            selected: false,
            round_trip_time: f64::NAN,
            round_trip_time_min: 0.001,
            round_trip_time_max: 0.9,
            jitter: 0.002,
            loss_ratio_sent: 0.03,
            loss_ratio_received: 0.04,
            signal_strength: f64::NAN,
            time_since_received: 0.1,
            bytes_sent: 10,
            bytes_received: 20,
        }
    }

    /// A route that nothing crossed yet.
    pub(crate) fn route(id: RouteId, direction: RouteDirection, topic: &str) -> RouteSnapshot {
        RouteSnapshot {
            id,
            direction,
            topic: topic.to_owned(),
            open: true,
            remark: String::new(),
            refusal: None,
            counts: Counts::default(),
            waiting: 0,
            waiting_bytes: 0,
        }
    }

    pub(crate) fn config() -> Config {
        let text = |text: &str| Value::String(text.to_owned());
        let texts = |texts: &[&str]| Value::StringList(texts.iter().map(|&t| t.into()).collect());
        let values = Parameters::from([
            ("rover_id".to_owned(), text("rover_a")),
            ("identity_file".to_owned(), text("identity.pem")),
            ("peers".to_owned(), texts(&["rover_a", "rover_b", "rover_c"])),
            ("topic_ids".to_owned(), texts(&["odom", "chat"])),
            ("topics.odom.name".to_owned(), text("odom")),
            ("topics.odom.peers".to_owned(), texts(&["rover_b"])),
            ("topics.chat.name".to_owned(), text("/chat")),
            ("topics.chat.direction".to_owned(), text("both")),
        ]);
        Config::from_parameters(&values, &Sources::default()).expect("a good configuration")
    }

    #[test]
    fn configured_peers_are_shown_before_the_link_knows_them() {
        let rover_c =
            PeerSnapshot { state: PeerState::Connected, ..messages::unknown_peer("rover_c") };
        let snapshot = Snapshot { peers: vec![rover_c], ..Snapshot::default() };
        let peers: Vec<_> = known_peers(&config(), &snapshot)
            .into_iter()
            .map(|peer| (peer.peer, peer.state))
            .collect();
        let expected = [("rover_c", PeerState::Connected), ("rover_b", PeerState::Down)];
        assert_eq!(peers, expected.map(|(peer, state)| (peer.to_owned(), state)));
    }

    #[test]
    fn deadlines_keep_their_grid_and_leave_out_what_was_slept_through() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let period = Duration::from_millis(500);
        assert_eq!(next_deadline(at(0), period, at(30)), at(500));
        assert_eq!(next_deadline(at(0), period, at(4000)), at(4500));
    }
}
