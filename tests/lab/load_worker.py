"""The ROS node beside one rover in the soak: publishes the load, counts what arrives, and keeps what the node tells of its
topics.

    python3 load_worker.py ROVER PEER NODE

Each line of standard input is a command: `start`, `stop`, `report` or `gaps`; a line of JSON on standard output answers it. The
messages are made and read as bytes, which costs little. Each carries its number.
"""

from __future__ import annotations

import random
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "ros"))

from load import LOADS, Load
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rover_link.msg import TopicStatistics
from std_msgs.msg import UInt8MultiArray
from worker import run

# CDR, little endian: no dimensions, no offset, then the bytes with their length before them.
ENCAPSULATION = bytes([0, 1, 0, 0])
LAYOUT = struct.Struct("<III")
# The data begins with the number of the message.
NUMBER = struct.Struct("<Q")
NUMBER_AT = len(ENCAPSULATION) + LAYOUT.size
DEPTH = 1000

COUNTERS = [name for name in TopicStatistics.get_fields_and_field_types() if name.startswith("dropped_")]
COUNTERS += ["taken", "messages", "waiting", "waiting_bytes"]


def profile(load: Load) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1 if load.is_latched else DEPTH,
        reliability=ReliabilityPolicy[load.reliability.upper()],
        durability=DurabilityPolicy[load.durability.upper()],
    )


class Sender:
    """Publishes one topic."""

    def __init__(self, node, load: Load) -> None:
        self._load = load
        self._publisher = node.create_publisher(UInt8MultiArray, load.topic, profile(load))
        self._contents = [content(size, load.is_compressible) for size in load.sizes]
        self._timer = node.create_timer(load.period, self._publish)
        self._timer.cancel()
        self.count = 0

    def start(self) -> None:
        self._timer.reset()

    def stop(self) -> None:
        self._timer.cancel()

    def is_matched(self) -> bool:
        return self._publisher.get_subscription_count() > 0

    def _publish(self) -> None:
        for _ in range(self._load.burst):
            message = self._contents[self.count % len(self._contents)]
            NUMBER.pack_into(message, NUMBER_AT, self.count)
            self._publisher.publish(bytes(message))
            self.count += 1


def content(size: int, is_compressible: bool) -> bytearray:
    """A message with so many bytes of data, its number still zero."""
    data = bytes(size) if is_compressible else random.Random(size).randbytes(size)
    return bytearray(ENCAPSULATION + LAYOUT.pack(0, 0, size) + data)


@dataclass
class Arrivals:
    """What came of one topic."""

    count: int = 0
    duplicates: int = 0
    reordered: int = 0
    last: int = -1
    came: float = 0.0  # when the last one came, by the monotonic clock
    gap: float = 0.0  # the longest between two of them since it was last asked for, s

    def take(self, message: bytes) -> None:
        (number,) = NUMBER.unpack_from(message, NUMBER_AT)
        self.count += 1
        self.duplicates += number == self.last
        self.reordered += number < self.last
        self.last = max(self.last, number)
        now = time.monotonic()
        self.gap, self.came = max(self.gap, now - self.came), now

    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("count", "duplicates", "reordered")}

    def take_gap(self) -> float:
        """The longest time without a message since the last call, s."""
        now = time.monotonic()
        gap, self.gap, self.came = max(self.gap, now - self.came), 0.0, now
        return gap


class Worker:
    """Each method without an underscore is a command."""

    def __init__(self, node, peer: str, rover_link: str) -> None:
        self._senders = {load.name: Sender(node, load) for load in LOADS}
        self._arrivals = {load.name: Arrivals() for load in LOADS}
        self._statistics: dict[tuple[str, int], dict] = {}
        self._peaks: dict[tuple[str, int], list[int]] = {}
        for load in LOADS:
            node.create_subscription(
                UInt8MultiArray, load.received_as(peer), self._arrivals[load.name].take, profile(load), raw=True
            )
        node.create_subscription(TopicStatistics, f"{rover_link}/topic_statistics", self._take, 200)

    def start(self) -> None:
        for sender in self._senders.values():
            sender.start()

    def stop(self) -> None:
        for sender in self._senders.values():
            sender.stop()

    def report(self) -> dict:
        """Everything; the peaks are those since the last report."""
        peaks, self._peaks = self._peaks, {}
        statistics = [{**self._statistics[key], "peak": peaks.get(key, [0, 0])} for key in list(self._statistics)]
        return {
            "published": {name: sender.count for name, sender in self._senders.items()},
            "is_matched": all(sender.is_matched() for sender in self._senders.values()),
            "received": {name: arrivals.counts() for name, arrivals in self._arrivals.items()},
            "statistics": statistics,
        }

    def gaps(self) -> dict:
        """The longest time without a message of the topics that tell by it how the link fares, since the last call, s."""
        return {load.name: self._arrivals[load.name].take_gap() for load in LOADS if load.is_steady}

    def _take(self, message: TopicStatistics) -> None:
        key = (message.topic, message.direction)
        waiting = (message.waiting, message.waiting_bytes)
        self._peaks[key] = list(map(max, waiting, self._peaks.get(key, [0, 0])))
        counters = {name: getattr(message, name) for name in COUNTERS}
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        self._statistics[key] = {"topic": message.topic, "direction": message.direction, "stamp": stamp, **counters}


_, rover, peer, rover_link = sys.argv
run(f"load_of_{rover}", lambda node: Worker(node, peer, rover_link), lambda worker, line: getattr(worker, line.strip())())
