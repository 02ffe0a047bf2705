"""What the demo sends: four topics, each with what its QoS promises and how a message proves itself.

Each message carries its number and a checksum of its content in `header.frame_id`, so that the far side can tell what was
lost, came twice, came out of order or was spoilt; `header.stamp` tells when it was sent.
"""

from __future__ import annotations

import math
import os
import struct
import time
import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, LaserScan

SENDER = "rover_a"
RECEIVER = "rover_b"
NANOSECONDS = 1_000_000_000

# Reliable publishers and subscribers keep so many messages: 10 s of the quickest topic, should a busy machine leave them
# no time.
RELIABLE_DEPTH = 500
# What a best effort topic has to deliver, as a ratio: everything but a moment of a busy machine.
BEST_EFFORT_RATIO = 0.95

IMAGE_SIDE = 1000  # pixels of one byte: 1 MB
MAP_SIDE = 200  # cells
SCAN_POINTS = 720


@dataclass(frozen=True)
class Topic:
    """One topic of the demo, named relative to the sender's namespace."""

    name: str
    type: type
    qos: QoSProfile
    rate: float  # Hz; 0: published once, latched
    make: Callable[[int], Any]  # the message of a number, without its header
    content: Callable[[Any], Any]  # what the checksum is made of

    @property
    def is_latched(self) -> bool:
        return self.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL

    @property
    def is_reliable(self) -> bool:
        return self.qos.reliability == ReliabilityPolicy.RELIABLE

    @property
    def promise(self) -> str:
        return "latched" if self.is_latched else "reliable" if self.is_reliable else "best effort"


def stamped(topic: Topic, number: int) -> Any:
    """The message of a number, ready to be published."""
    message = topic.make(number)
    message.header.frame_id = f"{number} {zlib.crc32(topic.content(message)):08x}"
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), NANOSECONDS)
    return message


def examined(topic: Topic, message: Any) -> tuple[int, float, bool]:
    """The number of a message that has just arrived, its latency in s, and whether its content is what was sent."""
    stamp = message.header.stamp
    latency = (time.time_ns() - stamp.sec * NANOSECONDS - stamp.nanosec) / NANOSECONDS
    number, checksum = message.header.frame_id.split()
    return int(number), latency, int(checksum, 16) == zlib.crc32(topic.content(message))


def _odometry(number: int) -> Odometry:
    """A drive on a circle."""
    message = Odometry()
    angle = number / 100
    message.pose.pose.position.x, message.pose.pose.position.y = math.cos(angle), math.sin(angle)
    message.twist.twist.linear.x = 0.5
    return message


def _pose(message: Odometry) -> bytes:
    position = message.pose.pose.position
    return struct.pack("<4d", position.x, position.y, position.z, message.twist.twist.linear.x)


def _scan(number: int) -> LaserScan:
    """A wall that comes and goes."""
    distance = 2 + math.sin(number / 10)
    return LaserScan(
        angle_min=-math.pi,
        angle_max=math.pi,
        angle_increment=2 * math.pi / SCAN_POINTS,
        range_max=10.0,
        ranges=array("f", [distance]) * SCAN_POINTS,
    )


@cache
def _pictures() -> list[array]:
    """Noise, as the worst case for whatever is on the way; a few of them, since making one takes as long as sending it."""
    return [array("B", os.urandom(IMAGE_SIDE * IMAGE_SIDE)) for _ in range(4)]


def _image(number: int) -> Image:
    pictures = _pictures()
    data = pictures[number % len(pictures)]
    return Image(height=IMAGE_SIDE, width=IMAGE_SIDE, encoding="mono8", step=IMAGE_SIDE, data=data)


def _map(_: int) -> OccupancyGrid:
    message = OccupancyGrid(data=array("b", [0, 100]) * (MAP_SIDE * MAP_SIDE // 2))
    message.info.width = message.info.height = MAP_SIDE
    message.info.resolution = 0.05
    return message


RELIABLE = QoSProfile(depth=RELIABLE_DEPTH)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

TOPICS = [
    Topic("odom", Odometry, RELIABLE, 50.0, _odometry, _pose),
    Topic("scan", LaserScan, BEST_EFFORT, 10.0, _scan, lambda message: message.ranges),
    Topic("camera/image_raw", Image, RELIABLE, 5.0, _image, lambda message: message.data),
    Topic("map", OccupancyGrid, LATCHED, 0.0, _map, lambda message: message.data),
]
