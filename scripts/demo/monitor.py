"""Follows what one rover says of itself: the quality of its link and paths, and its statistics of each topic."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from rover_link.msg import HandoverEvent, LinkQuality, PathQuality, TopicStatistics

# New paths show up after so long at most, s.
LOOK_PERIOD = 0.5
# One message for each topic comes at once; more than the demo has.
STATISTICS_DEPTH = 50

# As many phases of handovers as a rover keeps.
HANDOVER_DEPTH = 20

LINK_STATES = {
    getattr(LinkQuality, name): name.removeprefix("STATE_").lower()
    for name in ("STATE_DOWN", "STATE_CONNECTING", "STATE_CONNECTED", "STATE_DEGRADED", "STATE_OUTAGE")
}
REASONS = {
    getattr(HandoverEvent, f"REASON_{name.upper()}"): name
    for name in (
        "unknown", "interface_down", "interface_up", "silence", "loss", "delay", "preference", "peer_request", "manual",
        "address_changed", "peer_restarted",
    )
}  # fmt: skip


class Monitor:
    """Subscriptions of `node` to the status topics of `rover`."""

    def __init__(self, node: Node, rover: str) -> None:
        self._node = node
        self._prefix = f"/{rover}/rover_link/"
        self._kinds = {"link_quality": (LinkQuality, self._take_link), "path_quality": (PathQuality, self._take_path)}
        self._subscribed: set[str] = set()
        self._link = "down"
        self._paths: dict[str, dict] = {}
        self._dropped: dict[str, int] = {}
        self._handovers: list[dict] = []
        node.create_subscription(
            HandoverEvent,
            self._prefix + "handover_event",
            self._take_handover,
            QoSProfile(depth=HANDOVER_DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL),
        )
        node.create_subscription(
            TopicStatistics, self._prefix + "topic_statistics", self._take_topic, QoSProfile(depth=STATISTICS_DEPTH)
        )
        node.create_timer(LOOK_PERIOD, self._look)

    def report(self) -> dict:
        """The state of the link, its paths by interface, its handovers, and how many messages of each topic the rover
        has dropped."""
        return {"link": self._link, "paths": self._paths, "handovers": self._handovers, "dropped": self._dropped}

    def _look(self) -> None:
        """Subscribes to the topics of peers and interfaces, whose names are known only when they appear."""
        for topic, _ in self._node.get_topic_names_and_types():
            kind = self._kinds.get(topic.rpartition("/")[2])
            if kind and topic.startswith(self._prefix) and topic not in self._subscribed:
                self._subscribed.add(topic)
                message_type, take = kind
                self._node.create_subscription(message_type, topic, take, QoSProfile(depth=10))

    def _take_link(self, message: LinkQuality) -> None:
        proof = "" if message.authenticated else ", not proven"
        self._link = LINK_STATES.get(message.state, "unknown") + proof

    def _take_path(self, message: PathQuality) -> None:
        self._paths[message.interface] = {
            "selected": message.selected,
            "round_trip_time": message.round_trip_time,
            "outgoing_bitrate": message.outgoing_bitrate,
            "incoming_bitrate": message.incoming_bitrate,
        }

    def _take_handover(self, message: HandoverEvent) -> None:
        self._handovers.append(
            {
                "id": message.handover_id,
                "phase": message.phase,
                "completed": message.phase == HandoverEvent.PHASE_COMPLETED,
                "reason": REASONS.get(message.reason, "unknown"),
                "text": message.reason_text,
                "from": message.from_interface,
                "to": message.to_interface,
                "preserved": message.session_preserved,
                "outage": message.outage_duration,
                "lost": message.messages_lost,
            }
        )

    def _take_topic(self, message: TopicStatistics) -> None:
        self._dropped[message.topic] = (
            message.dropped_queue
            + message.dropped_expired
            + message.dropped_rate
            + message.dropped_oversize
            + message.dropped_interface
            + message.dropped_old
            + message.dropped_closed
        )
