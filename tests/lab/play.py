#!/usr/bin/env python3
"""Plays scenarios with real kernels, real sockets and real ROS, and measures what arrives. Run it by: make lab

Two rovers, each in a network namespace; their radios are emulated in user space (tests/lab/emulator). Prints a table and
writes target/lab.json. Targets are those of the simulator, which knows neither DDS nor a scheduler.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

LAB = Path(__file__).resolve().parent
ROOT = LAB.parents[1]
sys.path[1:1] = [str(ROOT / "tests/ros"), str(ROOT / "scripts")]

try:
    from demo.namespaces import why_no_namespaces
    from demo.screen import aligned
    from lab import Lab
    from player import Played, Player
    from scenario import Scenario
except ImportError as error:
    sys.exit(f"{error}. Source the environment first: . ./env.sh, or run: make lab")

SHOWN = ("gap_max", "latency_p50", "latency_p99", "lost", "duplicates", "reordered")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="*", type=Path, help="scenario (default: 1-s and 2-s of tests/scenarios)")
    parser.add_argument("--json", type=Path, default=ROOT / "target/lab.json", help="where the figures go (%(default)s)")
    arguments = parser.parse_args()
    if reason := why_no_namespaces():
        print(f"the lab needs network namespaces: {reason}", file=sys.stderr)
        return 1
    files = arguments.file or [ROOT / f"tests/scenarios/{name}.toml" for name in ("1-s", "2-s")]
    rows = []
    for file in files:
        scenario = Scenario(file)
        played = play(scenario)
        rows += figures(scenario, played)
        print(f"\n{scenario.name}\n{table(scenario, played)}\n{story(played)}", flush=True)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(rows, indent=1))
    missed = [row for row in rows if row["met"] is False]
    for row in missed:
        print(f"missed: {row['name']} {row['case']} {row['metric']} {row['value']}, target {row['target']}")
    return 1 if missed else 0


def play(scenario: Scenario) -> Played:
    with tempfile.TemporaryDirectory(prefix="rover_link_lab_") as folder:
        lab = Lab(Path(folder), [scenario.device(path) for path in scenario.paths])
        try:
            return Player(scenario, lab).play()
        except BaseException:
            for name, log in lab.logs().items():
                print(f"--- the end of {name}.log\n{log[-2000:]}", file=sys.stderr)
            raise
        finally:
            lab.end()


def figures(scenario: Scenario, played: Played) -> list[dict]:
    """The figures of all streams, in the form that all measuring programs write."""
    rows = []
    for stream, measured in played.streams.items():
        targets = scenario.targets(stream.name)
        for metric, (value, unit) in measured.figures().items():
            target = targets.get(metric)
            row = {"name": scenario.name, "case": stream.name, "policy": "rover_link", "metric": metric}
            met = None if target is None else value <= target
            # JSON has no NaN.
            known = None if math.isnan(value) else value
            rows.append({**row, "value": known, "unit": unit, "target": target, "met": met})
    return rows


def table(scenario: Scenario, played: Played) -> str:
    rows = [["messages", "from", "published", *SHOWN, "gap target"]]
    for stream, measured in played.streams.items():
        values = measured.figures()
        shown = [f"{value * 1e3:.0f} ms" if unit == "s" else f"{value:.0f}" for value, unit in map(values.get, SHOWN)]
        target = scenario.targets(stream.name).get("gap_p99")
        limit = "" if target is None else f"{target * 1e3:.0f} ms"
        rows.append([stream.name, stream.sender, str(measured.published), *shown, limit])
    return "\n".join(aligned(rows))


def story(played: Played) -> str:
    """What the rovers told of handovers."""
    return "\n".join(f"{handover.at:7.3f} s  {handover.rover}  {handover}" for handover in played.handovers)


if __name__ == "__main__":
    sys.exit(main())
