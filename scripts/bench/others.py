"""What other programs measure: the simulator, and the link without ROS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.links import LADDER, SCENARIOS
from bench.programs import example
from bench.row import Row
from demo.part import PartError

ROOT = Path(__file__).resolve().parents[2]
SHOWN = {"bulk": ("goodput_ratio",), "control": ("latency_p50", "latency_p99")}
SIMULATOR = "simulator"  # as a policy: rover_link in the simulator
LINK_EXAMPLE, LINK_TASKS = "bench_link", ("throughput", "memory")


def simulated(seeds: int, folder: Path) -> Iterator[Row]:
    """The links of the ladder in virtual time, so long as each scenario says."""
    file = folder / "simulated.json"
    for name in LADDER:
        command = [example("simulate"), SCENARIOS / f"load-{name}.toml", f"--seeds={seeds}"]
        options = [f"--json={file}", "--policy=rover_link"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise PartError(f"the simulator fails with {name}: {done.stderr.strip()}")
        for row in json.loads(file.read_text()):
            if row["metric"] in SHOWN.get(row["case"], ()):
                case = f"{name}, {row['case']}"
                of = {key: row[key] for key in ("metric", "value", "unit", "target", "met")}
                yield Row(name="load", case=case, policy=SIMULATOR, runs=seeds, **of)


def without_ros(runs: int) -> Iterator[Row]:
    """What examples/bench_link prints: a row as JSON on each line."""
    for task in LINK_TASKS:
        done = subprocess.run([example(LINK_EXAMPLE), task, f"--runs={runs}"], capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise PartError(f"{LINK_EXAMPLE} {task} ended with status {done.returncode}: {done.stderr.strip()}")
        yield from parsed(done.stdout)


def parsed(lines: str) -> list[Row]:
    """Rows, one as JSON on each line."""
    return [Row(**json.loads(line)) for line in lines.splitlines() if line.startswith("{")]
