"""What is measured: topics, the link they cross, and what we aim at. Data only.

A message of the size of a `Twist` or an `Odometry` stands for one: the node never looks inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.links import CABLE, HUGE, LADDER, LOOPBACK, LTE, SHARED, WIFI, WIFI_AND_LTE, Link, scenario

TWIST, ODOMETRY = 48, 720  # B
LARGE = 64 * 1024  # B
IMAGE = 1_000_000  # B
HUGE_MESSAGE = 16 * 1024 * 1024  # B, longer under way than any run
KEEP_ALL = 0

# A topic that sends more than the link carries sends so many times of that.
OVERLOAD = 1.5

DDS, ROVER_LINK = "dds", "rover_link"


@dataclass(frozen=True)
class Stream:
    """One topic from rover_a to rover_b: how it is published, and how rover_link shall treat it."""

    name: str
    size: int  # B
    rate: float  # Hz; 0: as fast as messages are taken
    targets: dict[str, float | None] = field(default_factory=dict)  # the figures that are shown
    is_reliable: bool = True
    depth: int = 10  # of publisher and subscriber, as is usual in ROS
    settings: dict[str, str | float] = field(default_factory=dict)  # of the topic, for rover_link


@dataclass(frozen=True)
class Workload:
    """What is sent over a link at the same time."""

    name: str
    link: Link
    streams: tuple[Stream, ...]
    policies: tuple[str, ...] = (ROVER_LINK, DDS)
    case: str = ""  # what tells it from others of its name on the same link
    # How long it runs before it is measured, s: longer where rover_link has to find out what a long link carries. DDS
    # has no rate control that would have to.
    warm_up: float = 1.0
    duration: float | None = None  # measured, s; None: as told on the command line
    outage: float = 0.0  # s without a link before the measured time, which then begins with the outage
    falls_to: float = 0.0  # B/s that the radio carries from the warm-up on; 0: as before
    settles: float = 0.0  # s from then to the measured time
    tcp: float | None = None  # part of the link that a TCP connection beside it is to have at least; None: none is there
    costs: dict[str, float] = field(default_factory=dict)  # of each node: cpu (s for a message), rss (B)
    idle: dict[str, float | None] = field(default_factory=dict)  # B/s of both directions, by device


def twist(targets: dict[str, float | None], rate: float = 1000.0, **settings: str | float) -> Stream:
    return Stream("twist", TWIST, rate, targets, settings=settings)


def latencies(p50: float, p99: float, delivered: float = 1.0) -> dict[str, float | None]:
    return {"delivered": delivered, "latency_p50": p50, "latency_p99": p99}


def odometry(normal: float, critical: float) -> tuple[Stream, ...]:
    """Two topics that differ in nothing but their priority, with the p99 that each shall have."""
    return tuple(
        Stream(priority, ODOMETRY, 100.0, {"delivered": 1.0, "latency_p99": p99}, settings={"priority": priority})
        for priority, p99 in (("normal", normal), ("critical", critical))
    )


def bulk(link: Link, targets: dict[str, float | None]) -> Stream:
    """64 KiB, more than the link carries, or as fast as it goes where there is no limit."""
    rate = OVERLOAD * link.rate / LARGE
    return Stream("bulk", LARGE, rate, targets, depth=KEEP_ALL if rate == 0.0 else 100, settings={"priority": "low"})


def images(size: int, targets: dict[str, float | None], **settings: str | float) -> Stream:
    return Stream("images", size, 30.0, targets, is_reliable=False, settings=settings)


def control(targets: dict[str, float | None]) -> Stream:
    """A stop command: small, urgent, and never missing."""
    return Stream("control", 64, 50.0, {"delivered": 1.0, **targets}, settings={"priority": "critical"})


def fallen(settles: float, p99: float) -> Workload:
    """So long after Wi-Fi has fallen to a tenth of its rate."""
    streams = (bulk(WIFI, {"goodput": None}), control({"latency_p99": p99}))
    return Workload(
        "fall", WIFI, streams, (ROVER_LINK,), f"{settles:g} s after", warm_up=5.0, duration=5.0,
        falls_to=WIFI.rate / 10, settles=settles,
    )  # fmt: skip


def overloaded(name: str, link: Link) -> Workload:
    """The scenario of the simulator, in reality."""
    file = scenario(f"load-{name}")
    targets = file.get("target", {})
    streams = (
        bulk(link, {"goodput_ratio": targets.get("bulk", {}).get("goodput_ratio"), "goodput": GOODPUTS.get(name)}),
        control({"latency_p50": None, "latency_p99": targets.get("control", {}).get("latency_p99")}),
    )
    needed = LEAST_MESSAGES * LARGE / link.rate
    duration = needed if needed > SHORT else None
    return Workload("load", link, streams, warm_up=min(MOST_WARM_UP, file["warm_up"]), duration=duration)


# The simulator lets a long link run for longer before it counts, s.
MOST_WARM_UP = 10.0

# A link has to carry so many messages for its goodput to be told; one that does so within this time, s, is measured as
# others are.
LEAST_MESSAGES, SHORT = 12, 4.0

GOODPUTS = {"wifi": 42e6 / 8, "lte": 8e6 / 8}  # B/s

WORKLOADS = [
    Workload(
        "cost", LOOPBACK, (twist({"latency_p50": None, "latency_p99": None}, 100.0),), costs={"cpu": 1e-4, "rss": 25e6}
    ),
    Workload("twist", CABLE, (twist(latencies(0.35e-3, 1.0e-3)),), costs={"cpu": 1e-4}),
    Workload("images 1 MB", CABLE, (images(IMAGE, {"delivered": 1.0, "latency_p50": None}),)),
    Workload("bulk", CABLE, (bulk(CABLE, {"goodput": 25e6}),)),
    Workload("twist", WIFI, (twist(latencies(5.9e-3, 20e-3)),)),
    Workload("odometry", WIFI, odometry(normal=20e-3, critical=12e-3)),
    Workload("images 100 kB", WIFI, (images(100_000, {"delivered": 0.99, "latency_p50": 25e-3}),)),
    Workload(
        "too many images",
        WIFI,
        (
            images(IMAGE, {"of_what_fits": 0.8}, priority="low"),
            twist({"delivered": 1.0, "latency_p99": 25e-3}, 50.0, priority="high"),
        ),
        warm_up=2.0,
    ),
    Workload(
        "hole",
        WIFI,
        (
            twist({"lost": 0, "first_after": 60e-3}, 100.0),
            Stream("command", TWIST, 100.0, {"latency_max": 0.52}, settings={"lifespan": 0.5, "priority": "critical"}),
        ),
        outage=3.0,
    ),
    Workload("twist", LTE, (twist(latencies(33e-3, 110e-3)),)),
    Workload(
        "twist", LTE, (twist(latencies(33e-3, 45e-3, delivered=0.98), delivery="latest"),), (ROVER_LINK,), "latest"
    ),
    Workload("odometry", LTE, odometry(normal=105e-3, critical=50e-3)),
    *(overloaded(name, link) for name, link in LADDER.items()),
    fallen(settles=1.0, p99=36e-3),
    fallen(settles=3.0, p99=12e-3),
    Workload(
        "tcp", SHARED, (bulk(SHARED, {"goodput_ratio": 0.1}), control({"latency_p99": None})), (ROVER_LINK,),
        warm_up=10.0, duration=20.0, tcp=0.3,
    ),
    Workload(
        "huge", HUGE,
        (Stream("cloud", HUGE_MESSAGE, 0.05, settings={"priority": "low"}), control({"latency_p99": 105e-3})),
        (ROVER_LINK,), duration=15.0,
    ),
    Workload(
        "idle", WIFI_AND_LTE, (twist({"delivered": 1.0}, 1.0),), (ROVER_LINK,), warm_up=4.0, duration=8.0,
        idle={"wlan0": 4000.0, "wwan0": 300.0},
    ),
    Workload("idle", WIFI, (twist({"delivered": None}, 1.0),), (DDS,), warm_up=4.0, duration=8.0, idle={"wlan0": None}),
]  # fmt: skip
