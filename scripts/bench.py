#!/usr/bin/env python3
"""Measures the link under load, beside plain DDS between the same programs. Run it by: make bench

Two rovers on this machine: over loopback, over a cable between two network namespaces, and over emulated radios; the
programs at both ends are examples/bench_endpoint.rs. Beside that, the simulator on the same links, and the link without
ROS. Prints a table of medians and writes target/bench.json. The figures are those of an idle machine only if it is, and
those of a link only while the emulator has CPU to spare: its share of one core stands beside them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
sys.path[1:1] = [str(ROOT / "tests/lab"), str(ROOT / "tests/ros")]

try:
    from bench import others, start
    from bench.links import LOOPBACK, Link
    from bench.network import Network
    from bench.programs import build_examples, example
    from bench.row import UNITS, Figure, Figures, Row, readable, table
    from bench.run import run
    from bench.way import start_server
    from bench.workloads import DDS, ROVER_LINK, WORKLOADS
    from demo.namespaces import why_no_namespaces
    from demo.part import PartError
    from demo.screen import aligned
    from demo.stage import Stage
except ImportError as error:
    sys.exit(f"{error}. Source the environment first: . ./env.sh, or run: make bench")

WITHOUT_ROS = "link"
NAMES = [start.NAME, *dict.fromkeys(workload.name for workload in WORKLOADS), others.SIMULATOR, WITHOUT_ROS]


def main() -> int:
    arguments = parse()
    left_out = []
    if reason := why_no_namespaces():
        left_out.append(f"all but loopback, for there are no network namespaces: {reason}")
    bench = Bench(arguments, has_namespaces=not reason)
    try:
        say("building what measures (a few minutes the first time)")
        build_examples()
        rows = list(bench.rows(left_out))
    except (PartError, subprocess.CalledProcessError) as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    print("\n".join(aligned(table(rows))))
    for what in left_out:
        say(f"NOT MEASURED: {what}")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    say(f"{sum(row.met is True for row in rows)} of {sum(row.met is not None for row in rows)} targets are met")
    say(f"written to {arguments.json}")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=NAMES, help="measure only this; may be repeated")
    parser.add_argument("--link", action="append", help="measure only on this link, such as wifi; may be repeated")
    parser.add_argument("--policy", choices=[ROVER_LINK, DDS], help="measure only this (default: both)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each measurement (default: %(default)s)")
    parser.add_argument("--duration", type=float, default=3.0, help="of each run, s (default: %(default)s)")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "target/bench.json", help="where the figures go (%(default)s)"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.duration <= 0.0:
        parser.error("there has to be at least one round, and some time")
    return arguments


class Bench:
    """All that is asked for, round by round: so that what disturbs the machine for a while spoils one run of each."""

    def __init__(self, arguments: argparse.Namespace, has_namespaces: bool) -> None:
        self._arguments = arguments
        policies = [arguments.policy] if arguments.policy else [DDS, ROVER_LINK]
        workloads = [of for of in WORKLOADS if self._is_asked_for(of.name, of.link.name)]
        workloads = [of for of in workloads if has_namespaces or not of.link.needs_namespaces]
        self._runs = [(of, policy) for of in workloads for policy in policies if policy in of.policies]
        self._starts = policies if self._is_asked_for(start.NAME, LOOPBACK.name) else []
        self._figures = Figures()

    def _is_asked_for(self, name: str, link: str = "") -> bool:
        only, links = self._arguments.only, self._arguments.link
        return (not only or name in only) and (not links or link in links)

    def rows(self, left_out: list[str]) -> Iterator[Row]:
        """Measures; adds what cannot be measured to `left_out`."""
        with Stage(ROOT / "log/bench", namespaces=False) as stage:
            for number in range(self._arguments.rounds):
                self._play(stage, f"round {number + 1} of {self._arguments.rounds}")
            for what in stage.unclean:
                say(f"not in order: {what}")
            yield from self._figures.rows()
            if self._is_asked_for(others.SIMULATOR):
                say("the simulator")
                yield from others.simulated(self._arguments.rounds, stage.folder)
        if not self._is_asked_for(WITHOUT_ROS):
            return
        if example(others.LINK_EXAMPLE).exists():
            say("the link without ROS")
            yield from others.without_ros(self._arguments.rounds)
        else:
            left_out.append(f"the link without ROS, for there is no example {others.LINK_EXAMPLE}")

    def _play(self, stage: Stage, label: str) -> None:
        links = {of.link.name: of.link for of, _ in self._runs}
        if self._starts:
            links = {LOOPBACK.name: LOOPBACK, **links}
        for link in links.values():
            with self._network(stage, link) as network:
                for policy in self._starts if link == LOOPBACK else []:
                    self._add(f"{label}: start, {policy}", start.start(stage, network, policy))
                for workload, policy in self._runs:
                    if workload.link == link:
                        what = ", ".join(filter(None, [workload.name, link.name, workload.case, policy]))
                        self._add(f"{label}: {what}", run(stage, network, workload, policy, self._arguments.duration))

    @contextmanager
    def _network(self, stage: Stage, link: Link) -> Iterator[Network]:
        """With its signaling server."""
        with Network(link, example("link_emulator"), stage.logs) as network:
            server = start_server(stage, network)
            try:
                yield network
            finally:
                stage.stop([server])

    def _add(self, what: str, figures: list[Figure]) -> None:
        shown = [f"{figure.metric} {readable(figure.value, UNITS[figure.metric])}" for figure in figures]
        say(f"{what}: {', '.join(shown)}")
        for figure in figures:
            self._figures.add(figure)


def say(text: str) -> None:
    print(f"[bench] {time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
