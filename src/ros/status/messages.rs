//! From snapshots to messages. What is not measured is NaN.

use r2r::builtin_interfaces::msg::Time;
use r2r::rover_link::msg::{HandoverEvent, LinkQuality, PathQuality, TopicStatistics};
use r2r::std_msgs::msg::Header;

use super::route::Route;
use super::window::Window;
use crate::config::InterfaceKind;
use crate::link::{
    Handover, HandoverPath, PathSnapshot, PeerSnapshot, PeerState, RefusalReason, RouteSnapshot,
};
use crate::net::Latency;
use crate::ros::text::ros_text;

const BITS_PER_BYTE: f64 = 8.0;

/// A configured peer that the link does not know of yet.
pub(super) fn unknown_peer(peer: &str) -> PeerSnapshot {
    PeerSnapshot {
        peer: peer.to_owned(),
        state: PeerState::Down,
        authenticated: false,
        reason: String::new(),
        connected_since: None,
        time_since_received: f64::NAN,
        bytes_sent: 0,
        bytes_received: 0,
        messages_sent: 0,
        messages_received: 0,
        messages_dropped: 0,
        datagrams_sent: 0,
        datagrams_repaired: 0,
        duplicates_received: 0,
        frames_rejected: 0,
        datagrams_refused: 0,
        bytes_first: 0,
        bytes_duplicated: 0,
        handovers: 0,
        buffered_bytes: 0,
        routes: Vec::new(),
        paths: Vec::new(),
    }
}

/// The link to one peer; `window` is over bytes sent and received.
pub(super) fn link_quality(
    header: Header,
    peer: &PeerSnapshot,
    connected_since: Time,
    window: Window<2>,
) -> LinkQuality {
    let path = peer.selected();
    let measured = |figure: fn(&PathSnapshot) -> f64| path.map_or(f64::NAN, figure);
    LinkQuality {
        header,
        peer_id: ros_text(&peer.peer),
        state: peer.state as u8,
        authenticated: peer.authenticated,
        interface: path.map(|path| ros_text(&path.interface)).unwrap_or_default(),
        local_address: path.map(|path| path.local_address.to_string()).unwrap_or_default(),
        remote_address: path.map(|path| path.remote_address.to_string()).unwrap_or_default(),
        connected_since,
        round_trip_time: measured(|path| path.round_trip_time),
        round_trip_time_min: measured(|path| path.round_trip_time_min),
        jitter: measured(|path| path.jitter),
        loss_ratio_sent: measured(|path| path.loss_ratio_sent),
        loss_ratio_received: measured(|path| path.loss_ratio_received),
        outgoing_bitrate: window.rates[0] * BITS_PER_BYTE,
        incoming_bitrate: window.rates[1] * BITS_PER_BYTE,
        available_bitrate: f64::NAN,
        time_since_received: peer.time_since_received,
        bytes_sent: peer.bytes_sent,
        bytes_received: peer.bytes_received,
        messages_sent: peer.messages_sent,
        messages_received: peer.messages_received,
        messages_dropped: peer.messages_dropped,
        datagrams_repaired: peer.datagrams_repaired,
        bytes_duplicated: peer.bytes_duplicated,
        buffered_bytes: u32::try_from(peer.buffered_bytes).unwrap_or(u32::MAX),
        handovers: peer.handovers,
    }
}

/// The path that stands for a network interface: the selected one, else the one with the lowest
/// RTT, else any.
pub(super) fn representative<'a>(paths: &[&'a PathSnapshot]) -> Option<&'a PathSnapshot> {
    let by_merit = |a: &&&PathSnapshot, b: &&&PathSnapshot| {
        // NaN compares as the largest.
        b.selected.cmp(&a.selected).then(a.round_trip_time.total_cmp(&b.round_trip_time))
    };
    paths.iter().min_by(by_merit).copied()
}

/// One network interface towards one peer; `window` is over bytes sent and received.
pub(super) fn path_quality(
    header: Header,
    peer: &str,
    paths: &[&PathSnapshot],
    path: &PathSnapshot,
    window: Window<2>,
) -> PathQuality {
    PathQuality {
        state: path.state as u8,
        selected: path.selected,
        path_id: path.id,
        path_count: u32::try_from(paths.len()).unwrap_or(u32::MAX),
        local_address: path.local_address.to_string(),
        remote_address: path.remote_address.to_string(),
        local_candidate_type: path.local_candidate as u8,
        remote_candidate_type: path.remote_candidate as u8,
        round_trip_time: path.round_trip_time,
        round_trip_time_min: path.round_trip_time_min,
        round_trip_time_max: path.round_trip_time_max,
        jitter: path.jitter,
        loss_ratio_sent: path.loss_ratio_sent,
        loss_ratio_received: path.loss_ratio_received,
        signal_strength: path.signal_strength,
        outgoing_bitrate: window.rates[0] * BITS_PER_BYTE,
        incoming_bitrate: window.rates[1] * BITS_PER_BYTE,
        time_since_received: path.time_since_received,
        bytes_sent: path.bytes_sent,
        bytes_received: path.bytes_received,
        ..lost_interface(header, peer, &path.interface, path.interface_kind)
    }
}

/// A network interface that had paths towards the peer and has none any more.
pub(super) fn lost_interface(
    header: Header,
    peer: &str,
    interface: &str,
    kind: InterfaceKind,
) -> PathQuality {
    PathQuality {
        header,
        peer_id: ros_text(peer),
        interface: ros_text(interface),
        interface_type: kind as u8,
        state: PathQuality::STATE_DOWN as u8,
        selected: false,
        path_id: 0,
        path_count: 0,
        local_address: String::new(),
        remote_address: String::new(),
        local_candidate_type: PathQuality::CANDIDATE_UNKNOWN as u8,
        remote_candidate_type: PathQuality::CANDIDATE_UNKNOWN as u8,
        round_trip_time: f64::NAN,
        round_trip_time_min: f64::NAN,
        round_trip_time_max: f64::NAN,
        jitter: f64::NAN,
        loss_ratio_sent: f64::NAN,
        loss_ratio_received: f64::NAN,
        outgoing_bitrate: 0.0,
        incoming_bitrate: 0.0,
        signal_strength: f64::NAN,
        time_since_received: f64::NAN,
        bytes_sent: 0,
        bytes_received: 0,
    }
}

/// One phase of a handover; the header's stamp says when it happened.
pub(super) fn handover_event(header: Header, handover: &Handover) -> HandoverEvent {
    let (from, to) = (handover.from.as_ref(), handover.to.as_ref());
    let interface = |path: Option<&HandoverPath>| {
        path.map(|path| ros_text(&path.interface)).unwrap_or_default()
    };
    let address = |path: Option<&HandoverPath>| {
        path.map(|path| path.remote_address.to_string()).unwrap_or_default()
    };
    let round_trip_time =
        |path: Option<&HandoverPath>| path.map_or(f64::NAN, |path| path.round_trip_time);
    let loss_ratio = |path: Option<&HandoverPath>| path.map_or(f64::NAN, |path| path.loss_ratio);
    HandoverEvent {
        header,
        handover_id: handover.id,
        peer_id: ros_text(&handover.peer),
        phase: handover.phase as u8,
        reason: handover.reason as u8,
        reason_text: ros_text(&handover.reason_text),
        from_interface: interface(from),
        to_interface: interface(to),
        from_remote_address: address(from),
        to_remote_address: address(to),
        make_before_break: handover.make_before_break,
        ice_restart: handover.ice_restart,
        session_preserved: handover.session_preserved,
        detection_duration: handover.detection_duration,
        switch_duration: handover.switch_duration,
        outage_duration: handover.outage_duration,
        messages_lost: handover.messages_lost,
        messages_repeated: handover.datagrams_repeated,
        from_round_trip_time: round_trip_time(from),
        to_round_trip_time: round_trip_time(to),
        from_loss_ratio: loss_ratio(from),
        to_loss_ratio: loss_ratio(to),
    }
}

/// One topic to or from one peer; `window` is over messages and bytes, `latency` of the messages that
/// came in it.
pub(super) fn topic_statistics(
    header: Header,
    route: &Route<'_>,
    window: Window<2>,
    latency: Latency,
) -> TopicStatistics {
    let Route { peer, direction, remote_topic, link, report, .. } = *route;
    let counts = link.map(|link| link.counts).unwrap_or_default();
    let is_refused_for_its_type = link.is_some_and(|link| {
        matches!(link.refusal, Some(RefusalReason::TypeMismatch | RefusalReason::TypeUnknown))
    });
    let waiting = |figure: fn(&RouteSnapshot) -> u64| {
        link.map_or(0, |link| u32::try_from(figure(link)).unwrap_or(u32::MAX))
    };
    let topic = report.map(|report| report.topic.as_str()).filter(|topic| !topic.is_empty());
    let mut remarks = vec![link.map(|link| &link.remark), report.map(|report| &report.remark)];
    remarks.retain(|remark| remark.is_some_and(|remark| !remark.is_empty()));
    // Either side may say the same: a refusal of ours is known to both.
    remarks.dedup();
    let remarks: Vec<&str> = remarks.into_iter().flatten().map(String::as_str).collect();
    TopicStatistics {
        header,
        topic: ros_text(topic.unwrap_or(remote_topic)),
        remote_topic: ros_text(remote_topic),
        type_: report.map(|report| ros_text(&report.type_name)).unwrap_or_default(),
        peer_id: ros_text(peer),
        direction: direction as u8,
        rate: window.rates[0],
        bitrate: window.rates[1] * BITS_PER_BYTE,
        latency_mean: latency.mean(),
        latency_max: latency.max(),
        age: window.age,
        taken: counts.taken,
        messages: counts.messages,
        waiting: waiting(|link| link.waiting),
        waiting_bytes: waiting(|link| link.waiting_bytes),
        dropped_queue: counts.dropped_queue,
        dropped_expired: counts.dropped_expired,
        dropped_rate: counts.dropped_rate,
        dropped_oversize: counts.dropped_oversize,
        dropped_interface: counts.dropped_interface,
        dropped_old: counts.dropped_old,
        dropped_closed: counts.dropped_closed,
        type_mismatch: is_refused_for_its_type || report.is_some_and(|report| report.type_mismatch),
        qos_mismatch: report.is_some_and(|report| report.qos_mismatch),
        remark: ros_text(&remarks.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{path as some_path, route};
    use super::*;
    use crate::link::{Counts, HandoverPhase, HandoverReason, PathState, RouteDirection, RouteId};
    use crate::ros::report::TopicReport;

    const WINDOW: Window<2> = Window { rates: [100.0, 50.0], age: 0.25 };

    fn path(id: u32, selected: bool, round_trip_time: f64) -> PathSnapshot {
        PathSnapshot { id, selected, round_trip_time, ..some_path("eth0.100", PathState::Suspect) }
    }

    #[test]
    fn a_connected_peer_shows_its_selected_path_and_rates_in_bits() {
        let peer = PeerSnapshot {
            state: PeerState::Degraded,
            authenticated: true,
            paths: vec![path(1, true, 0.02)],
            datagrams_repaired: 5,
            bytes_duplicated: 6,
            handovers: 7,
            buffered_bytes: u64::MAX,
            ..unknown_peer("rover_b")
        };
        let since = Time { sec: 5, nanosec: 0 };
        let message = link_quality(Header::default(), &peer, since.clone(), WINDOW);
        assert_eq!(message.peer_id, "rover_b");
        assert_eq!(message.state, LinkQuality::STATE_DEGRADED as u8);
        assert_eq!(message.connected_since, since);
        assert_eq!((message.round_trip_time, message.round_trip_time_min), (0.02, 0.001));
        assert_eq!((message.outgoing_bitrate, message.incoming_bitrate), (800.0, 400.0));
        assert_eq!(message.buffered_bytes, u32::MAX);
        assert_eq!(
            (message.jitter, message.loss_ratio_sent, message.loss_ratio_received),
            (0.002, 0.03, 0.04)
        );
        assert_eq!(
            (message.datagrams_repaired, message.bytes_duplicated, message.handovers),
            (5, 6, 7)
        );
    }

    #[test]
    fn a_peer_that_is_down_measures_nothing() {
        let message =
            link_quality(Header::default(), &unknown_peer("rover_b"), Time::default(), WINDOW);
        assert_eq!(message.state, LinkQuality::STATE_DOWN as u8);
        assert!(message.interface.is_empty());
        assert!(message.round_trip_time.is_nan() && message.time_since_received.is_nan());
    }

    #[test]
    fn the_selected_path_stands_for_an_interface_else_the_quickest() {
        let (slow, quick, unmeasured) =
            (path(1, false, 0.5), path(2, false, 0.1), path(3, false, f64::NAN));
        let selected = path(4, true, 0.9);
        let id = |paths: &[&PathSnapshot]| representative(paths).map(|path| path.id);
        assert_eq!(id(&[&unmeasured, &slow, &quick]), Some(2));
        assert_eq!(id(&[&quick, &selected, &unmeasured]), Some(4));
        assert_eq!(id(&[&unmeasured]), Some(3));
        assert_eq!(id(&[]), None);
    }

    #[test]
    fn an_interface_shows_its_path_and_is_down_when_all_are_gone() {
        let path = path(2, true, 0.1);
        let message = path_quality(Header::default(), "rover_b", &[&path, &path], &path, WINDOW);
        assert_eq!((message.path_id, message.path_count, message.selected), (2, 2, true));
        assert_eq!(message.state, PathQuality::STATE_SUSPECT as u8);
        assert_eq!(message.interface, "eth0.100");
        assert_eq!(message.interface_type, PathQuality::INTERFACE_ETHERNET as u8);
        assert_eq!(message.local_candidate_type, PathQuality::CANDIDATE_HOST as u8);
        assert_eq!(message.remote_candidate_type, PathQuality::CANDIDATE_PRFLX as u8);
        assert_eq!((message.round_trip_time_min, message.round_trip_time_max), (0.001, 0.9));
        let kind = InterfaceKind::Ethernet;
        let message = lost_interface(Header::default(), "rover_b", "eth0.100", kind);
        assert_eq!(message.state, PathQuality::STATE_DOWN as u8);
        assert_eq!(message.interface_type, PathQuality::INTERFACE_ETHERNET as u8);
        assert!(message.round_trip_time.is_nan());
    }

    #[test]
    fn a_handover_without_a_path_left_shows_where_it_came_from() {
        let handover = Handover {
            id: 3,
            peer: "rover_b".to_owned(),
            phase: HandoverPhase::PathLost,
            reason: HandoverReason::Silence,
            reason_text: "nothing for 130 ms".to_owned(),
            from: Some(HandoverPath {
                interface: "wlan0".to_owned(),
                remote_address: ([10, 0, 0, 2], 6000).into(),
                round_trip_time: 0.01,
                loss_ratio: 0.5,
            }),
            to: None,
            make_before_break: false,
            ice_restart: false,
            session_preserved: true,
            detection_duration: 0.13,
            switch_duration: f64::NAN,
            outage_duration: 0.2,
            messages_lost: 0,
            datagrams_repeated: 12,
        };
        let message = handover_event(Header::default(), &handover);
        assert_eq!(message.phase, HandoverEvent::PHASE_PATH_LOST as u8);
        assert_eq!(message.reason, HandoverEvent::REASON_SILENCE as u8);
        assert_eq!((message.handover_id, message.messages_repeated), (3, 12));
        assert_eq!(message.from_remote_address, "10.0.0.2:6000");
        assert_eq!((message.from_round_trip_time, message.from_loss_ratio), (0.01, 0.5));
        assert!(message.to_interface.is_empty() && message.to_remote_address.is_empty());
        assert!(message.to_round_trip_time.is_nan() && message.to_loss_ratio.is_nan());
    }

    #[test]
    fn a_route_shows_both_names_and_what_either_side_remarks() {
        let link = RouteSnapshot {
            remark: "refused\0 there".to_owned(),
            refusal: Some(RefusalReason::TypeMismatch),
            counts: Counts { taken: 9, messages: 4, dropped_closed: 2, ..Counts::default() },
            waiting: 3,
            waiting_bytes: u64::MAX,
            ..route(RouteId(1), RouteDirection::Send, "/rover_a/odom")
        };
        let report = TopicReport {
            topic: "/odom".to_owned(),
            type_name: "nav_msgs/msg/Odometry".to_owned(),
            qos_mismatch: true,
            remark: "a publisher is volatile".to_owned(),
            ..TopicReport::default()
        };
        let mut route = Route {
            peer: "rover_b",
            id: link.id,
            direction: link.direction,
            remote_topic: &link.topic,
            link: Some(&link),
            report: Some(&report),
        };
        let mut latency = Latency::default();
        latency.add(Duration::from_millis(10));
        latency.add(Duration::from_millis(30));
        let message = topic_statistics(Header::default(), &route, WINDOW, latency);
        assert_eq!((message.latency_mean, message.latency_max), (0.02, 0.03));
        assert_eq!(
            (message.topic.as_str(), message.remote_topic.as_str()),
            ("/odom", "/rover_a/odom")
        );
        assert_eq!(message.type_, "nav_msgs/msg/Odometry");
        assert_eq!(message.direction, TopicStatistics::DIRECTION_SEND as u8);
        assert_eq!((message.rate, message.bitrate, message.age), (100.0, 400.0, 0.25));
        assert!(message.qos_mismatch && message.type_mismatch, "the peer refused its type");
        assert_eq!(message.remark, "refused\u{fffd} there; a publisher is volatile");
        assert_eq!((message.taken, message.messages, message.dropped_closed), (9, 4, 2));
        assert_eq!((message.waiting, message.waiting_bytes), (3, u32::MAX));

        (route.link, route.report) = (None, None);
        let message =
            topic_statistics(Header::default(), &route, Window::UNKNOWN, Latency::default());
        assert!(message.latency_mean.is_nan() && message.latency_max.is_nan());
        assert_eq!((message.topic.as_str(), message.messages), ("/rover_a/odom", 0));
        assert!(message.rate.is_nan() && message.remark.is_empty());
    }
}
