#!/usr/bin/env python3
"""Measures what the link costs, beside plain DDS between the same programs. Run it by: make bench

Two rovers on this machine, over loopback; the programs at both ends are examples/bench_endpoint.rs. Prints a table and
writes target/bench.json. The figures are those of an idle machine only if the machine is idle.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent

try:
    from ament_index_python.packages import get_package_prefix
    from demo.screen import aligned
    from demo.part import Part, PartError
    from demo.stage import ROVERS, Stage, environment, free_domains, free_port
except ImportError as error:
    sys.exit(f"{error}. Source the environment first: . ./env.sh, or run: make bench")

ENDPOINT = ROOT / "build/rover_link/cargo/release/examples/bench_endpoint"
READY_LIMIT = 10.0  # s for a program to be ready
ARRIVAL_LIMIT = 30.0  # s for the first message
END_LIMIT = 20.0  # s for a program to tell its figures once it should have ended

START_ROUNDS = 5
SMALL, SMALL_RATE = 256, 100.0  # B, Hz
LARGE = 64 * 1024  # B
WARM_UP = 2.0  # s

# What we aim at.
START_TARGET = 1.0  # s from the start of both nodes to the first message
GOODPUT_TARGET = 25e6  # B/s of large messages, 200 Mbit/s
CPU_TARGET = 1e-4  # s for a small message, at each rover
RSS_TARGET = 25e6  # B at each rover

SERVER = f"127.0.0.1:{free_port()}"

LATENCIES = ("latency_p50", "latency_p99", "latency_max")
FAULTS = ("lost", "duplicates", "reordered")

PARAMETERS = """
/**:
  ros__parameters:
    rover_id: {rover}
    peers: [{peer}]
    interfaces: {{allow: [lo]}}
"""
SENT = """
    topic_ids: [bench]
    topics:
      bench: {name: /bench, type: std_msgs/msg/UInt8MultiArray}
"""


@dataclass
class Row:
    """One figure, as in target/bench.json."""

    name: str
    case: str
    policy: str  # rover_link or dds
    metric: str
    value: float
    unit: str
    target: float | None = None
    met: bool | None = None

    def __post_init__(self) -> None:
        if self.target is not None:
            self.met = self.value >= self.target if self.metric == "goodput" else self.value <= self.target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--duration", type=float, default=20.0, help="of each measurement, s (default: %(default).0f)")
    arguments = parser.parse_args()
    build()
    try:
        with Stage(ROOT / "log/bench", namespaces=False) as stage:
            rows = [row for measurement in measurements(stage, arguments.duration) for row in measurement]
    except PartError as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    show(rows)
    target = ROOT / "target/bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    say(f"written to {target.relative_to(ROOT)}")
    return 0


def build() -> None:
    """Builds the endpoint in the same way as the node, so that both share what is built."""
    say("building the endpoint (a few minutes the first time)")
    subprocess.run(["cmake", "--build", ROOT / "build/rover_link", "--target", "rover_link_benchmark"], check=True)


def measurements(stage: Stage, duration: float) -> Iterator[list[Row]]:
    signaling = stage.start("signaling_server", [program("signaling_server"), f"--bind={SERVER}"], environment(stage))
    signaling.next_line(READY_LIMIT)
    say(f"start to first message, {START_ROUNDS} times")
    yield start_to_first_message(stage)
    for policy in ("dds", "rover_link"):
        bench = Bench(stage, policy)
        bench.start_rovers()
        bench.measure(SMALL, SMALL_RATE, WARM_UP)
        say(f"{policy}: {SMALL} B at {SMALL_RATE:.0f} Hz for {duration:.0f} s")
        yield small_messages(bench, duration)
        say(f"{policy}: {LARGE} B as fast as it goes for {duration / 2:.0f} s")
        yield large_messages(bench, duration / 2)
        stage.stop(bench.rovers)


def start_to_first_message(stage: Stage) -> list[Row]:
    """Both ends and the server run already; the clock starts with the nodes."""
    times = []
    for _ in range(START_ROUNDS):
        bench = Bench(stage, "rover_link")
        publisher, subscriber = bench.start_ends(SMALL, SMALL_RATE, seconds=ARRIVAL_LIMIT)
        began = time.monotonic()
        bench.start_rovers()
        times.append(answer(subscriber, ARRIVAL_LIMIT)["first"] - began)
        stage.stop([publisher, subscriber, *bench.rovers])
    case = f"loopback, {START_ROUNDS} rounds"
    median, longest = statistics.median(times), max(times)
    return [
        Row("start", f"{case}, median", "rover_link", "setup", median, "s", START_TARGET),
        Row("start", f"{case}, longest", "rover_link", "setup", longest, "s", START_TARGET),
    ]


def small_messages(bench: Bench, duration: float) -> list[Row]:
    case = f"{SMALL} B at {SMALL_RATE:.0f} Hz"
    before = [cpu_time(node) for node in bench.rovers]
    figures = bench.measure(SMALL, SMALL_RATE, duration)
    rows = [Row("small", case, bench.policy, metric, figures[metric], "s") for metric in LATENCIES]
    rows += [Row("small", case, bench.policy, metric, figures[metric], "1", target=0) for metric in FAULTS]
    for node, earlier in zip(bench.rovers, before):
        cpu = (cpu_time(node) - earlier) / figures["received"]
        rows.append(Row("small", f"{case}, {node.name}, a message", bench.policy, "cpu", cpu, "s", CPU_TARGET))
        rows.append(Row("small", f"{case}, {node.name}", bench.policy, "rss", resident(node), "B", RSS_TARGET))
    return rows


def large_messages(bench: Bench, duration: float) -> list[Row]:
    case = f"{LARGE // 1024} KiB reliable, as fast as it goes"
    figures = bench.measure(LARGE, 0, duration)
    target = GOODPUT_TARGET if bench.rovers else None
    rows = [Row("large", case, bench.policy, "goodput", figures["goodput"], "B/s", target)]
    rows += [Row("large", case, bench.policy, metric, figures[metric], "1") for metric in FAULTS]
    return rows


class Bench:
    """The way from one end to the other: two domains joined by two rovers, or (`dds`) one domain."""

    def __init__(self, stage: Stage, policy: str) -> None:
        self.policy, self.rovers = policy, []
        self._stage = stage
        domains = free_domains()
        self._domains = dict(zip(ROVERS, domains)) if policy == "rover_link" else dict.fromkeys(ROVERS, next(domains))

    def start_rovers(self) -> None:
        """Starts both nodes, if there are any; they need some time to be connected."""
        if self.policy == "dds":
            return
        for rover, peer, topic in zip(ROVERS, reversed(ROVERS), (SENT, "")):
            file = self._stage.folder / f"{rover}.yaml"
            file.write_text(PARAMETERS.format(rover=rover, peer=peer) + topic)
            own = [program("rover_link_node"), f"--signaling-url=ws://{SERVER}"]
            argv = [*own, "--ros-args", "--params-file", str(file)]
            self.rovers.append(self._start(rover, argv, rover))

    def start_ends(self, size: int, rate: float, seconds: float) -> tuple[Part, Part]:
        """Starts publisher and subscriber, and waits until both are ready. The publisher stays longer by what the first
        message may need to arrive."""
        take_from = "/rover_a/bench" if self.policy == "rover_link" else "/bench"
        common = [str(ENDPOINT), "--topic"]
        subscriber = [*common, take_from, "--seconds", str(seconds), "subscribe"]
        publisher = [*common, "/bench", "--seconds", str(seconds + 1), "publish", f"--size={size}", f"--rate={rate}"]
        ends = self._start("publisher", publisher, "rover_a"), self._start("subscriber", subscriber, "rover_b")
        for end in ends:
            end.next_line(READY_LIMIT)
        return ends

    def measure(self, size: int, rate: float, seconds: float) -> dict:
        """What the subscriber tells of the messages of some seconds."""
        publisher, subscriber = self.start_ends(size, rate, seconds)
        answer(subscriber, ARRIVAL_LIMIT)
        figures = answer(subscriber, seconds + END_LIMIT)
        self._stage.stop([publisher, subscriber])
        return figures

    def _start(self, name: str, argv: list[str], rover: str) -> Part:
        return self._stage.start(name, argv, {**environment(self._stage), "ROS_DOMAIN_ID": self._domains[rover]})


def program(name: str) -> str:
    return str(Path(get_package_prefix("rover_link"), "lib/rover_link", name))


def answer(part: Part, limit: float) -> dict:
    return json.loads(part.next_line(limit))


def cpu_time(part: Part) -> float:
    """CPU time that a program has used so far, s."""
    fields = Path(f"/proc/{part.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def resident(part: Part) -> int:
    """Memory that a program holds, B."""
    return int(Path(f"/proc/{part.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def show(rows: list[Row]) -> None:
    cells = [["what", "case", "policy", "metric", "value", "target", "met"]]
    for row in rows:
        met = {None: "", True: "yes", False: "no"}[row.met]
        target = "" if row.target is None else readable(row.target, row.unit)
        cells.append([row.name, row.case, row.policy, row.metric, readable(row.value, row.unit), target, met])
    print("\n".join(aligned(cells)))


def readable(value: float, unit: str) -> str:
    match unit:
        case "s":
            return f"{value * 1e3:.3f} ms"
        case "B":
            return f"{value / 1e6:.1f} MB"
        case "B/s":
            return f"{value * 8 / 1e6:.1f} Mbit/s"
    return f"{value:.0f}"


def say(text: str) -> None:
    print(f"[bench] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
