"""Makes a bag of what a rover's sensors say, or gives out what is in one. Runs with `rosbags` and without ROS.

    bag.py write FOLDER SEED SECONDS
    bag.py read FOLDER

`read` writes each message to standard output: a line of JSON with topic, type, time and the number of bytes, then the bytes.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy
from rosbags.rosbag2 import Reader, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types


def make(type_name: str, /, **fields):
    return TYPES[type_name](**fields)


class Sensors:
    """What each topic says at a time, s, with noise that the seed decides."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._count = 0

    def header(self, at: float, frame: str):
        self._count += 1
        stamp = make("builtin_interfaces/msg/Time", sec=int(at), nanosec=int(at % 1 * 1e9))
        return make("std_msgs/msg/Header", stamp=stamp, frame_id=f"{frame}_{self._count}")

    def noise(self, size: int):
        return numpy.frombuffer(self._random.randbytes(size), dtype=numpy.uint8)

    def covariance(self, size: int):
        return numpy.array([self._random.gauss(0.0, 1.0) for _ in range(size)])

    def vector(self):
        x, y, z = (self._random.gauss(0.0, 10.0) for _ in range(3))
        return make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)

    def rotation(self):
        x, y, z, w = (self._random.uniform(-1.0, 1.0) for _ in range(4))
        return make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)

    def image(self, at: float):
        """1 MiB."""
        return make(
            "sensor_msgs/msg/Image", header=self.header(at, "camera"), height=1024, width=1024, encoding="mono8",
            is_bigendian=0, step=1024, data=self.noise(1024 * 1024),
        )  # fmt: skip

    def points(self, at: float):
        """20,000 points with intensity, of a LiDAR with 16 rings."""
        fields = [
            make("sensor_msgs/msg/PointField", name=name, offset=4 * place, datatype=7, count=1)
            for place, name in enumerate(["x", "y", "z", "intensity"])
        ]
        return make(
            "sensor_msgs/msg/PointCloud2", header=self.header(at, "lidar"), height=16, width=1250, fields=fields,
            is_bigendian=False, point_step=16, row_step=16 * 1250, data=self.noise(16 * 16 * 1250), is_dense=True,
        )  # fmt: skip

    def transform(self, at: float):
        transform = make("geometry_msgs/msg/Transform", translation=self.vector(), rotation=self.rotation())
        return make(
            "geometry_msgs/msg/TransformStamped", header=self.header(at, "odom"), child_frame_id="base_link",
            transform=transform,
        )  # fmt: skip

    def odometry(self, at: float):
        position = self.vector()
        point = make("geometry_msgs/msg/Point", x=position.x, y=position.y, z=position.z)
        pose = make("geometry_msgs/msg/Pose", position=point, orientation=self.rotation())
        twist = make("geometry_msgs/msg/Twist", linear=self.vector(), angular=self.vector())
        return make(
            "nav_msgs/msg/Odometry", header=self.header(at, "odom"), child_frame_id="base_link",
            pose=make("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=self.covariance(36)),
            twist=make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=self.covariance(36)),
        )  # fmt: skip

    def gps(self, at: float):
        return make(
            "sensor_msgs/msg/NavSatFix", header=self.header(at, "gps"),
            status=make("sensor_msgs/msg/NavSatStatus", status=0, service=1),
            latitude=47.0 + self._random.random(), longitude=8.0 + self._random.random(), altitude=400.0,
            position_covariance=self.covariance(9), position_covariance_type=2,
        )  # fmt: skip


# Topic, type, messages per second, what it says.
TOPICS = [
    ("/camera/image_raw", "sensor_msgs/msg/Image", 5.0, Sensors.image),
    ("/lidar/points", "sensor_msgs/msg/PointCloud2", 10.0, Sensors.points),
    ("/tf", "geometry_msgs/msg/TransformStamped", 100.0, Sensors.transform),
    ("/odom", "nav_msgs/msg/Odometry", 50.0, Sensors.odometry),
    ("/gps/fix", "sensor_msgs/msg/NavSatFix", 10.0, Sensors.gps),
]


def write(folder: Path, seed: str, seconds: float) -> None:
    sensors = Sensors(seed)
    moments = sorted(
        (number / rate, place) for place, (_, _, rate, _) in enumerate(TOPICS) for number in range(int(seconds * rate))
    )
    with Writer(folder, version=9) as bag:
        connections = [bag.add_connection(topic, type_name, typestore=STORE) for topic, type_name, _, _ in TOPICS]
        for at, place in moments:
            _, type_name, _, say = TOPICS[place]
            data = STORE.serialize_cdr(say(sensors, at), type_name)
            bag.write(connections[place], int(at * 1e9), data)


def read(folder: Path) -> None:
    out = sys.stdout.buffer
    with Reader(folder) as bag:
        for connection, at, data in bag.messages():
            head = {"topic": connection.topic, "type": connection.msgtype, "at": at * 1e-9, "size": len(data)}
            out.write(json.dumps(head).encode() + b"\n" + bytes(data))


match sys.argv[1:]:
    case ["write", folder, seed, seconds]:
        write(Path(folder), seed, float(seconds))
    case ["read", folder]:
        read(Path(folder))
    case _:
        sys.exit(__doc__)
