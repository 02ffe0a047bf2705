#!/usr/bin/env python3
"""Plays scenarios with real kernels, real sockets and real ROS, and measures what arrives. Run it by: make lab

Two rovers, each in a network namespace; their radios are emulated in user space (tests/lab/emulator). Without a file it
plays all faults: the scenarios lab-* of tests/scenarios. With one file, played once, it shows a live table and draws a
picture. Prints tables and writes target/lab.json. The percentiles of gaps are over the runs, each with rovers started
anew.

Exit status 1 if messages got lost, came twice or out of order beyond what the file allows, or if ~/handover_event tells
other than what the emulator did (tests/lab/truth.py); with --strict also if a time misses its target, if a duration in
an event is more than 20 ms from the truth, or if a handover has no cause. 77 if nothing can be played on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

LAB = Path(__file__).resolve().parent
ROOT = LAB.parents[1]
sys.path[1:1] = [str(ROOT / "tests/ros"), str(ROOT / "scripts")]

try:
    import summary
    from demo.namespaces import why_no_namespaces
    from demo.part import PartError
    from graph import GraphError
    from lab import ROVERS, Lab
    from live import Live
    from player import Played, Player, Watch
    from plot import draw
    from radios import why_no_radios
    from scenario import Scenario, ScenarioError
    from truth import LOOSE, STRICT, Truth, compare
except ImportError as error:
    sys.exit(f"{error}. Source the environment first: . ./env.sh, or run: make lab")

SCENARIOS = ROOT / "tests/scenarios"
NOT_PLAYED = 77  # exit status of what was skipped


def main() -> int:
    arguments = parsed()
    # A user namespace may be needed, and then this program starts anew inside it.
    if reason := why_no_namespaces() or why_no_radios():
        print(f"NOT PLAYED: the lab needs network namespaces with TUN devices: {reason}", file=sys.stderr)
        return NOT_PLAYED
    try:
        scenarios = [Scenario(file) for file in arguments.file or sorted(SCENARIOS.glob("lab-*.toml"))]
    except ScenarioError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    if arguments.realtime and (reason := why_not_realtime()):
        print(f"lab: --realtime: {reason}", file=sys.stderr)
        return 1
    rows: list[dict] = []
    failures: list[str] = []
    for scenario in scenarios:
        runs = Runs(scenario, arguments, is_watched=len(arguments.file) == 1 and arguments.runs == 1)
        runs.play()
        print(f"\n{runs.name}\n{summary.table(scenario, runs.played)}\n{runs.story()}\n", flush=True)
        rows += summary.rows(scenario, runs.played, runs.name)
        failures += runs.failures
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        if row["met"] is False:
            what = f"{row['name']} {row['case']} {row['metric']} {row['value']}, target {row['target']}"
            if arguments.strict or row["unit"] in summary.COUNTS:
                failures.append(what)
            else:
                print(f"beyond its target, which counts with --strict only: {what}")
    for failure in failures:
        print(f"failed: {failure}")
    return 1 if failures else 0


def parsed() -> argparse.Namespace:
    description, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description.replace("\n", " "), epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="*", type=Path, help="scenario (default: tests/scenarios/lab-*.toml)")
    parser.add_argument("--runs", type=at_least_one, default=1, metavar="N", help="of each scenario (default: 1)")
    parser.add_argument("--strict", action="store_true", help="fail on times as well")
    parser.add_argument(
        "--without-signaling", action="store_true", help="stop the signaling server before each scenario begins"
    )
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="let nothing else on the machine come before what is measured; needs root",
    )
    parser.add_argument(
        "--json", type=Path, default=ROOT / "target/lab.json", metavar="FILE", help="where the figures go (%(default)s)"
    )
    parser.add_argument(
        "--plot", type=Path, default=ROOT / "target", metavar="FOLDER", help="where the picture goes (%(default)s)"
    )
    return parser.parse_args()


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of runs; at least 1")
    return int(text)


def why_not_realtime() -> str:
    """Empty if this program, and all that it starts, goes before others from now on; else what the system says."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except OSError as error:
        return error.strerror
    return ""


class Runs:
    """All runs of a scenario."""

    def __init__(self, scenario: Scenario, arguments: argparse.Namespace, is_watched: bool) -> None:
        self.name = scenario.name + (", without signaling" if arguments.without_signaling else "")
        self.played: list[Played] = []
        self.failures: list[str] = []
        self._truths: list[Truth] = []
        self._scenario, self._arguments = scenario, arguments
        self._live = Live(scenario) if is_watched else None

    def play(self) -> None:
        """Plays them all, with a line for each."""
        for number in range(1, self._arguments.runs + 1):
            which = f"{self.name} {number}/{self._arguments.runs}"
            try:
                played = play(self._scenario, without_signaling=self._arguments.without_signaling, watch=self._live)
            except (AssertionError, GraphError, PartError) as error:
                self._fail(which, f"could not be played: {error}")
                if self.played:
                    continue
                # What cannot begin once cannot begin again.
                return
            truth = compare(played, STRICT if self._arguments.strict else LOOSE)
            self.played.append(played)
            self._truths.append(truth)
            print(f"[lab] {which}  {summary.line(played)}", flush=True)
            for wrong in truth.wrong:
                self._fail(which, wrong)
            for unexplained in truth.unexplained:
                if self._arguments.strict:
                    self._fail(which, unexplained)
                else:
                    print(f"[lab] {which}  {unexplained}", flush=True)
        if self._live:
            file = self._arguments.plot / f"{self._scenario.name}.svg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(draw(self._scenario, self.played[-1], self._live.qualities))
            print(f"[lab] the picture: {file}", flush=True)

    def story(self) -> str:
        """What the rovers told of handovers, beside what was done to their paths: all of it if there was one run, else
        the times seen from outside."""
        if len(self.played) == 1:
            (played,), (truth,) = self.played, self._truths
            told = [f"{handover.at:7.3f} s  {handover.rover}  {handover}" for handover in played.handovers]
            return "\n".join([*told, *map(str, truth.notices)])
        lines = []
        for rover in ROVERS:
            notices = [notice for truth in self._truths for notice in truth.notices if notice.fault.rover == rover]
            sudden = sorted(notice.detection for notice in notices if notice.fault.is_sudden)
            if sudden:
                shown = [summary.milliseconds(summary.percentile(sudden, part)) for part in (0.5, 0.95, 1.0)]
                lines.append(f"{rover} left a lost path after {shown[0]} (p50), {shown[1]} (p95), {shown[2]} (max)")
        return "\n".join(lines)

    def _fail(self, which: str, what: str) -> None:
        self.failures.append(f"{which}: {what}")
        print(f"[lab] {which}  failed: {what}", flush=True)


def play(scenario: Scenario, *, without_signaling: bool = False, watch: Watch | None = None) -> Played:
    """Plays a scenario with rovers that are started for it."""
    with tempfile.TemporaryDirectory(prefix="rover_link_lab_") as folder:
        lab = Lab(Path(folder), [scenario.device(path) for path in scenario.paths])
        try:
            return Player(scenario, lab, without_signaling=without_signaling, watch=watch).play()
        except BaseException:
            for name, log in lab.logs().items():
                print(f"--- the end of {name}.log\n{log[-2000:]}", file=sys.stderr)
            raise
        finally:
            lab.end()


if __name__ == "__main__":
    sys.exit(main())
