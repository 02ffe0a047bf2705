//! The same state for `/diagnostics`, where an operator sees at a glance what needs attention.

use r2r::diagnostic_msgs::msg::{DiagnosticStatus, KeyValue};
use r2r::rover_link::msg::{HandoverEvent, TopicStatistics};

use crate::config::MAX_ROUTES;
use crate::link::{PeerSnapshot, PeerState, SignalingState};
use crate::ros::text::ros_text;

const OK: u8 = DiagnosticStatus::OK as u8;
const WARN: u8 = DiagnosticStatus::WARN as u8;
const ERROR: u8 = DiagnosticStatus::ERROR as u8;

/// Most topics that are named for needing attention; more would bury the first.
const MAX_NAMED: usize = 50;

/// The connection with the signaling server. Without it links that are up stay up, so that it is
/// an error only while there is none.
pub(super) fn signaling(
    rover_id: &str,
    url: &str,
    state: &SignalingState,
    is_any_peer_connected: bool,
) -> DiagnosticStatus {
    let (level, message) = match state {
        SignalingState::Connected => (OK, "connected".to_owned()),
        SignalingState::Connecting => (WARN, "connecting".to_owned()),
        SignalingState::Failed(why) if is_any_peer_connected => (WARN, why.clone()),
        SignalingState::Failed(why) => (ERROR, why.clone()),
    };
    status(rover_id, "signaling", level, &message, &[("url", url.to_owned())])
}

/// The link to one peer, with the last phase of a handover there was.
pub(super) fn peer(
    rover_id: &str,
    peer: &PeerSnapshot,
    last_handover: Option<&HandoverEvent>,
) -> DiagnosticStatus {
    let (level, message) = match peer.state {
        PeerState::Connected if peer.authenticated => (OK, "connected"),
        PeerState::Connected => (WARN, "connected, but it has not proven a fleet key"),
        PeerState::Degraded => (WARN, "connected, but something is wrong with the path in use"),
        PeerState::Outage => (ERROR, "no path carries anything; waiting for one to come back"),
        PeerState::Connecting if peer.reason.is_empty() => (WARN, "connecting"),
        PeerState::Down if peer.reason.is_empty() => (WARN, "not connected"),
        // A reason is known: the peer was refused, or was there and is gone.
        PeerState::Connecting | PeerState::Down => (ERROR, peer.reason.as_str()),
    };
    let mut values = vec![
        ("authenticated", peer.authenticated.to_string()),
        ("time_since_received", peer.time_since_received.to_string()),
        ("messages_sent", peer.messages_sent.to_string()),
        ("messages_received", peer.messages_received.to_string()),
        ("messages_dropped", peer.messages_dropped.to_string()),
        ("buffered_bytes", peer.buffered_bytes.to_string()),
        ("datagrams_repaired", peer.datagrams_repaired.to_string()),
        ("duplicates_received", peer.duplicates_received.to_string()),
        ("frames_rejected", peer.frames_rejected.to_string()),
        ("datagrams_refused", peer.datagrams_refused.to_string()),
        ("handovers", peer.handovers.to_string()),
        ("routes_open", peer.routes.iter().filter(|route| route.open).count().to_string()),
    ];
    if let Some(path) = peer.selected() {
        values.extend([
            ("interface", path.interface.clone()),
            ("local_address", path.local_address.to_string()),
            ("remote_address", path.remote_address.to_string()),
            ("round_trip_time", path.round_trip_time.to_string()),
        ]);
    }
    if let Some(handover) = last_handover {
        let at = &handover.header.stamp;
        values.extend([
            ("last_handover", format!("{}.{:09}", at.sec, at.nanosec)),
            ("last_handover_from", handover.from_interface.clone()),
            ("last_handover_to", handover.to_interface.clone()),
            ("last_handover_reason", handover.reason_text.clone()),
        ]);
    }
    status(rover_id, &format!("peer {}", peer.peer), level, message, &values)
}

/// All topics: those that do not cross as they should are named, with the reason.
pub(super) fn topics(
    rover_id: &str,
    statistics: &[TopicStatistics],
    left_out: usize,
) -> DiagnosticStatus {
    let needs_attention = |topic: &&TopicStatistics| {
        topic.type_mismatch || topic.qos_mismatch || !topic.remark.is_empty()
    };
    let troubled: Vec<_> = statistics.iter().filter(needs_attention).collect();
    let sum = |count: fn(&TopicStatistics) -> u64| statistics.iter().map(count).sum::<u64>();
    let mut values = vec![
        ("topics".to_owned(), statistics.len().to_string()),
        ("messages".to_owned(), sum(|topic| topic.messages).to_string()),
        ("dropped_queue".to_owned(), sum(|topic| topic.dropped_queue).to_string()),
        ("dropped_expired".to_owned(), sum(|topic| topic.dropped_expired).to_string()),
        ("dropped_rate".to_owned(), sum(|topic| topic.dropped_rate).to_string()),
        ("dropped_oversize".to_owned(), sum(|topic| topic.dropped_oversize).to_string()),
        ("dropped_interface".to_owned(), sum(|topic| topic.dropped_interface).to_string()),
        ("dropped_old".to_owned(), sum(|topic| topic.dropped_old).to_string()),
        ("dropped_closed".to_owned(), sum(|topic| topic.dropped_closed).to_string()),
        ("left_out".to_owned(), left_out.to_string()),
    ];
    values.extend(troubled.iter().take(MAX_NAMED).map(|topic| {
        let way =
            if topic.direction == TopicStatistics::DIRECTION_SEND as u8 { "to" } else { "from" };
        (format!("{} {way} {}", topic.topic, topic.peer_id), trouble(topic))
    }));
    let (level, message) = match (troubled.len(), left_out) {
        (0, 0) => (OK, "all as configured".to_owned()),
        (n, 0) => (WARN, format!("{n} of {} need attention", statistics.len())),
        (_, n) => (
            WARN,
            format!(
                "{n} topics that patterns match are left out, for {MAX_ROUTES} are sent already"
            ),
        ),
    };
    status(rover_id, "topics", level, &message, &values)
}

fn trouble(topic: &TopicStatistics) -> String {
    let parts = [
        (topic.type_mismatch, "type mismatch"),
        (topic.qos_mismatch, "QoS mismatch"),
        (!topic.remark.is_empty(), topic.remark.as_str()),
    ];
    let said: Vec<&str> = parts.iter().filter(|(is, _)| *is).map(|(_, text)| *text).collect();
    said.join(": ")
}

fn status<K: AsRef<str>>(
    rover_id: &str,
    component: &str,
    level: u8,
    message: &str,
    values: &[(K, String)],
) -> DiagnosticStatus {
    let values = values
        .iter()
        .map(|(key, value)| KeyValue { key: ros_text(key.as_ref()), value: ros_text(value) });
    DiagnosticStatus {
        level,
        name: ros_text(&format!("rover_link: {component}")),
        message: ros_text(message),
        hardware_id: rover_id.to_owned(),
        values: values.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::unknown_peer;
    use super::*;

    #[test]
    fn a_lost_signaling_server_is_an_error_only_while_no_peer_is_connected() {
        let failed = SignalingState::Failed("connection refused".to_owned());
        let level = |state, up| signaling("rover_a", "ws://a", state, up).level;
        assert_eq!(level(&failed, false), ERROR);
        assert_eq!(level(&failed, true), WARN);
        assert_eq!(level(&SignalingState::Connected, false), OK);
        let status = signaling("rover_a", "ws://a", &failed, false);
        assert_eq!(status.name, "rover_link: signaling");
        assert_eq!(status.message, "connection refused");
        assert_eq!(status.hardware_id, "rover_a");
    }

    #[test]
    fn a_refused_peer_is_an_error_with_its_reason() {
        let refused =
            PeerSnapshot { reason: "wrong fleet key".to_owned(), ..unknown_peer("rover_b") };
        let status = peer("rover_a", &refused, None);
        assert_eq!((status.level, status.name.as_str()), (ERROR, "rover_link: peer rover_b"));
        assert_eq!(status.message, "wrong fleet key");
        assert_eq!(peer("rover_a", &unknown_peer("rover_b"), None).level, WARN);
    }

    #[test]
    fn a_poor_path_is_a_warning_and_none_is_an_error_and_the_last_handover_is_shown() {
        let in_state = |state| PeerSnapshot { state, ..unknown_peer("rover_b") };
        assert_eq!(peer("rover_a", &in_state(PeerState::Degraded), None).level, WARN);
        assert_eq!(peer("rover_a", &in_state(PeerState::Outage), None).level, ERROR);
        let mut event = HandoverEvent {
            from_interface: "wlan0".to_owned(),
            to_interface: "wwan0".to_owned(),
            reason_text: "nothing for 130 ms".to_owned(),
            ..HandoverEvent::default()
        };
        (event.header.stamp.sec, event.header.stamp.nanosec) = (12, 34);
        let status = peer("rover_a", &in_state(PeerState::Connected), Some(&event));
        let value = |key| {
            let found = status.values.iter().find(|value| value.key == key);
            found.map(|value| value.value.as_str())
        };
        assert_eq!(value("last_handover"), Some("12.000000034"));
        assert_eq!(value("last_handover_from"), Some("wlan0"));
        assert_eq!(value("last_handover_to"), Some("wwan0"));
        assert_eq!(value("last_handover_reason"), Some("nothing for 130 ms"));
    }

    #[test]
    fn a_topic_that_is_refused_or_does_not_match_is_named() {
        let fine = TopicStatistics { topic: "/odom".to_owned(), messages: 3, ..Default::default() };
        let refused = TopicStatistics {
            topic: "/map".to_owned(),
            peer_id: "rover_b".to_owned(),
            qos_mismatch: true,
            remark: "not accepted".to_owned(),
            ..Default::default()
        };
        assert_eq!(topics("rover_a", std::slice::from_ref(&fine), 0).level, OK);
        let status = topics("rover_a", &[fine, refused], 0);
        assert_eq!((status.level, status.message.as_str()), (WARN, "1 of 2 need attention"));
        let named = status.values.last().expect("the troubled topic");
        assert_eq!(named.key, "/map to rover_b");
        assert_eq!(named.value, "QoS mismatch: not accepted");
        assert_eq!(status.values[1].value, "3");
        let status = topics("rover_a", &[], 3);
        assert_eq!(status.level, WARN);
        assert!(status.message.starts_with("3 topics that patterns match are left out"));
    }
}
