"""One ROS node in a process of its own, which does what a test says: publish, subscribe, look at the graph.

Each line of standard input is a command in JSON, `{"do": NAME, ...}`; each line of standard output its answer,
`{"result": ...}` or `{"error": TEXT}`. The process ends when its standard input does. `graph.py` is the other end.
"""

from __future__ import annotations

import os
import threading
import time

from bag_player import BagPlayer
from messages import digest, message_class, plain, random_message
from parameter_commands import ParameterCommands
from rcl_interfaces.srv import GetParameters
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy
from rover_link.srv import SelectPath
from worker import obey, run


def profile(
    reliability: str = "reliable",
    durability: str = "volatile",
    depth: int = 1000,
    history: str = "keep_last",
    deadline: float | None = None,
    liveliness: str = "automatic",
    lease: float | None = None,
) -> QoSProfile:
    """`deadline` and `lease`, the lease duration of liveliness, are in s; `None` for no limit."""
    return QoSProfile(
        history=HistoryPolicy[history.upper()],
        depth=depth,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy[durability.upper()],
        deadline=duration(deadline),
        liveliness=LivelinessPolicy[liveliness.upper()],
        liveliness_lease_duration=duration(lease),
    )


def duration(seconds: float | None) -> Duration:
    return Duration() if seconds is None else Duration(nanoseconds=round(seconds * 1e9))


def seconds(duration: Duration) -> float | None:
    limited = duration < Duration(seconds=2**31 - 1)
    return duration.nanoseconds * 1e-9 if limited else None


class Received:
    """What a subscription has got."""

    def __init__(self) -> None:
        self.digests: list[str] = []
        self.times: list[float] = []
        self.messages: list = []

    def take(self, message, keeps: int) -> None:
        self.times.append(time.monotonic())
        self.digests.append(digest(message))
        self.messages = [*self.messages, message][-keeps:]


class Worker(ParameterCommands):
    """Each method is a command."""

    def __init__(self, node) -> None:
        super().__init__(node)
        self._publishers: dict[str, list] = {}
        self._types: dict[str, str] = {}
        self._received: dict[str, Received] = {}
        self._subscriptions: dict[str, object] = {}
        self._going_on: dict[str, tuple] = {}
        self._publishing = threading.Lock()
        self._departures: dict[str, list[float]] = {}

    def advertise(self, topic, type, **qos):
        """Makes one more publisher of a topic; `qos` is that of `profile`."""
        made = self._node.create_publisher(message_class(type), topic, profile(**qos))
        self._publishers.setdefault(topic, []).append(made)
        self._types[topic] = type

    def unadvertise(self, topic, which=None):
        """Ends one publisher of a topic, all without `which`."""
        made = self._publishers.pop(topic)
        left = [] if which is None else [one for number, one in enumerate(made) if number != which]
        for publisher in made:
            if publisher not in left:
                self._node.destroy_publisher(publisher)
        if left:
            self._publishers[topic] = left

    def publish(self, topic, count=1, seed=0, size=None, which=0):
        """Publishes at once; gives the digests."""
        digests = []
        for index in range(count):
            message = random_message(self._types[topic], f"{seed} {index}", size)
            self._publishers[topic][which].publish(message)
            digests.append(digest(message))
        return digests

    def publish_fields(self, topic, fields):
        """Publishes one message of which some fields are given, nested ones as dicts."""
        message = message_class(self._types[topic])()
        fill(message, fields)
        self._publishers[topic][0].publish(message)
        return digest(message)

    def keep_publishing(self, topic, rate, seed, size=None):
        """Publishes at this rate, Hz, until told to stop."""
        digests: list[str] = []
        times: list[float] = []

        def publish():
            with self._publishing:
                if self._going_on.get(topic, (None, None))[1] is digests:
                    times.append(time.monotonic())
                    digests.extend(self.publish(topic, seed=f"{seed} {len(digests)}", size=size))

        self._going_on[topic] = (self._node.create_timer(1.0 / rate, publish), digests)
        self._departures[topic] = times

    def stop_publishing(self, topic):
        # Nothing is published any more when this is answered.
        with self._publishing:
            timer, digests = self._going_on.pop(topic)
        timer.cancel()
        self._node.destroy_timer(timer)
        return digests

    def published_count(self, topic):
        """How many messages `keep_publishing` has published."""
        return len(self._going_on[topic][1])

    def published(self, topic, first=0):
        """The digests of the messages that `keep_publishing` has published, from this number on."""
        return self._going_on[topic][1][first:]

    def departures(self, topic):
        """When each message was published that `keep_publishing` has, by the monotonic clock of the machine."""
        return list(self._departures[topic])

    def subscribe(self, topic, type, keeps=1, key=None, **qos):
        """Subscribes; `qos` is that of `profile`. Where a topic has several subscriptions, a `key` stands for the topic
        in the commands that ask for what came."""
        key = key or topic
        received = self._received[key] = Received()
        self._subscriptions[key] = self._node.create_subscription(
            message_class(type), topic, lambda message: received.take(message, keeps), profile(**qos)
        )

    def open_bag(self, command):
        """Advertises what a bag holds, which the command writes out; gives what is in it."""
        self._bag = BagPlayer(command)
        for topic, type_name in self._bag.types.items():
            self.advertise(topic, type=type_name)
        return self._bag.about()

    def play_first(self, topic):
        """Publishes the first message of a topic of the bag."""
        self._publishers[topic][0].publish(self._bag.first(topic))

    def play_bag(self):
        """Begins to publish all of the bag."""
        self._bag.play({topic: self._publishers[topic][0] for topic in self._bag.types})

    def unsubscribe(self, topic):
        self._node.destroy_subscription(self._subscriptions.pop(topic))

    def received(self, topic):
        return list(self._received[topic].digests)

    def has_any(self, topic, digests):
        return not set(digests).isdisjoint(self._received[topic].digests)

    def count(self, topic):
        return len(self._received[topic].digests)

    def arrivals(self, topic, first=0):
        """When each message came, from this number on, by the monotonic clock of the machine."""
        return self._received[topic].times[first:]

    def messages(self, topic):
        """The last messages, as many as the subscription keeps, the newest at the end."""
        return [plain(message) for message in self._received[topic].messages]

    def publishers(self, topic):
        return [endpoint(info) for info in self._node.get_publishers_info_by_topic(topic)]

    def subscriptions(self, topic):
        return [endpoint(info) for info in self._node.get_subscriptions_info_by_topic(topic)]

    def nodes(self):
        return sorted(f"{namespace.rstrip('/')}/{name}" for name, namespace in self._node.get_node_names_and_namespaces())

    def topics(self):
        return dict(self._node.get_topic_names_and_types())

    def interface_of(self, node):
        """Topics and services of a node by name, with their types."""
        namespace, name = node.rsplit("/", 1)
        node_of = (name, namespace or "/")
        return {
            "publishes": first_types(self._node.get_publisher_names_and_types_by_node(*node_of)),
            "subscribes": first_types(self._node.get_subscriber_names_and_types_by_node(*node_of)),
            "serves": first_types(self._node.get_service_names_and_types_by_node(*node_of)),
        }

    def parameters(self, node, names):
        """The values of parameters of another node."""
        response = self._request(GetParameters, f"{node}/get_parameters", names=names)
        return [plain(value) for value in response.values]

    def select_path(self, service, peer, interface=""):
        """What a service of the type SelectPath answers."""
        return plain(self._request(SelectPath, service, peer=peer, interface=interface))

    def _request(self, type_of_service, name, timeout=60.0, **fields):
        client = self._node.create_client(type_of_service, name)
        if not client.wait_for_service(timeout):
            raise TimeoutError(f"there is no service {name}")
        done = threading.Event()
        future = client.call_async(type_of_service.Request(**fields))
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout):
            raise TimeoutError(f"{name} does not answer")
        self._node.destroy_client(client)
        return future.result()


def first_types(names_and_types) -> dict[str, str]:
    return {name: types[0] for name, types in names_and_types}


def fill(message, fields) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        else:
            setattr(message, name, value)


def endpoint(info) -> dict:
    return {
        "node": f"{info.node_namespace.rstrip('/')}/{info.node_name}",
        "type": info.topic_type,
        "reliability": info.qos_profile.reliability.name.lower(),
        "durability": info.qos_profile.durability.name.lower(),
        "lifespan": info.qos_profile.lifespan < Duration(seconds=2**31 - 1),
        "deadline": seconds(info.qos_profile.deadline),
        "liveliness": info.qos_profile.liveliness.name.lower(),
        "lease": seconds(info.qos_profile.liveliness_lease_duration),
    }


run(f"test_{os.getpid()}", Worker, obey)
