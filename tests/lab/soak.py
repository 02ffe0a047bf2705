#!/usr/bin/env python3
"""Loads the link between two rovers with all kinds of topics for long while their networks fail, and checks that nothing
grows, that all adds up and that nothing reliable is lost. Run it by: make soak

Two rovers, each in a network namespace, joined by an emulated Wi-Fi and LTE as in load-wifi and load-lte of tests/scenarios.
Topics of every kind cross in both directions (tests/lab/load.py), some of them beyond what may cross, so that
messages are dropped for each of the reasons that ~/topic_statistics names. Every 5 to 20 s something happens to the
networks (tests/lab/random_faults.py), drawn by a seed. Each minute and each fault print a line. Fails if

  - a counter falls, or those of a topic do not add up at either rover: taken = messages + waiting + all dropped;
  - at the end, when nothing is under way, not all that one side has sent has arrived at the other, or other than what was
    published was taken, or other than what was published at the far side arrived;
  - a message is missing of a topic that has room for all that is published during an outage, whatever happens;
  - more waits than the bounds of a queue allow;
  - a message comes twice or out of order;
  - the memory of a node is not flat: the median of its last 10 minutes differs from that of the minutes 5 to 15 by more than
    5 %, be it all that is resident (RSS) or what is its own, without the memory that Fast DDS shares; not judged in runs of
    less than 25 minutes;
  - a session ends, for none of the faults lasts as long as one lives without a path;
  - a program logs an error.

Writes target/soak.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

LAB = Path(__file__).resolve().parent
ROOT = LAB.parents[1]
sys.path[1:1] = [str(ROOT / "tests/ros"), str(ROOT / "scripts")]

try:
    import ledger
    from bench.links import WIFI_AND_LTE
    from demo.namespaces import why_no_namespaces
    from demo.part import Part, PartError
    from demo.screen import aligned
    from lab import ROVERS, Lab
    from load import LOADS, topics
    from random_faults import Fault, draw_faults
    from rovers import LAUNCH, Rover, wait_until
except ImportError as error:
    sys.exit(f"{error}. Source the environment first: . ./env.sh, or run: make soak")

ANSWER_LIMIT = 20.0  # s for a program of the load to answer
ALONE = 2.0  # s that one rover publishes before there is another
REST_LIMIT = 60.0  # s until nothing is under way any more, once nothing is published
# The nodes tell of their topics so often, Hz; what stayed the same for so many s is at rest.
STATUS_RATE, REST = 2.0, 3.0

MINUTE = 60.0  # s
SAMPLE_PERIOD = 10.0  # s between two looks at memory and CPU time
# Memory is compared between these parts of the run, and may change by so much.
BASE = (5 * MINUTE, 15 * MINUTE)
END = 10 * MINUTE
MEMORY_CHANGE = 0.05
ERROR = re.compile(r"\[(ERROR|FATAL)\b|panicked at|^Traceback")
# Beyond it a report of failures says nothing more.
MOST_FAILURES = 50


def main() -> int:
    description, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long messages flow (default: %(default).0f)")
    parser.add_argument(
        "--faults", choices=["random", "none"], default="random", help="what happens to the networks (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, help="of the faults; the same seed gives the same ones (default: a new one)")
    parser.add_argument("--json", type=Path, default=ROOT / "target/soak.json", help="where the figures go (%(default)s)")
    parser.add_argument("--logs", type=Path, help="folder that keeps the logs of all programs (default: none is kept)")
    arguments = parser.parse_args()
    if reason := why_no_namespaces():
        print(f"the soak needs network namespaces: {reason}", file=sys.stderr)
        return 1
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    result = soak(arguments.seconds, seed if arguments.faults == "random" else None, arguments.logs)
    print(f"\n{table(result)}\n")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(result.figures(), indent=1) + "\n")
    for failure in result.failures[:MOST_FAILURES]:
        print(f"failed: {failure}")
    print(f"{len(result.failures)} failures" if result.failures else "all adds up")
    return 1 if result.failures else 0


def soak(seconds: float, seed: int | None, logs: Path | None = None) -> Result:
    """Runs all of it, with the faults of a seed or without any; a folder for `logs` keeps those of all programs."""
    faults = [] if seed is None else draw_faults(seed, seconds, WIFI_AND_LTE.radios)
    print(f"[soak] {seconds:.0f} s, " + (f"{len(faults)} faults of --seed={seed}" if faults else "no faults"), flush=True)
    with tempfile.TemporaryDirectory(prefix="rover_link_soak_") as folder:
        lab = RoomyLab(Path(folder), WIFI_AND_LTE.devices)
        try:
            result = Soak(lab, Result(seconds, seed), faults).run()
        except BaseException:
            for name, log in lab.logs().items():
                print(f"--- the end of {name}.log\n{log[-2000:]}", file=sys.stderr)
            raise
        finally:
            killed = lab.end()
            if logs:
                keep(lab.logs(), logs)
        result.failures += [f"{name} had to be killed" for name in killed]
        for name, log in lab.logs().items():
            result.failures += [f"{name} logs: {line}" for line in errors_in(log)]
        return result


def keep(logs: dict[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, log in logs.items():
        (folder / f"{name}.log").write_text(log)


def errors_in(log: str) -> list[str]:
    """Lines that tell of what must not happen, whatever happens to the networks."""
    return [line for line in log.splitlines() if ERROR.search(line)]


class RoomyLab(Lab):
    """A lab where Fast DDS has room for bursts of large messages. Without it they fill its shared memory, and what is
    published meanwhile comes seconds later, more at once than a queue holds."""

    def environment(self) -> dict[str, str]:
        profiles = LAUNCH.parent / "config/fastdds_large_messages.xml"
        return {**super().environment(), "FASTRTPS_DEFAULT_PROFILES_FILE": str(profiles)}


@dataclass(frozen=True)
class Sample:
    """What a node used."""

    at: float  # s since the load began
    rss: int  # B
    own: int  # B, of it without shared memory
    cpu: float  # s since it was started


@dataclass(frozen=True)
class Happened:
    """A fault, and what was seen of it."""

    at: float  # s since the load began
    duration: float  # s
    name: str
    gaps: dict[str, float]  # longest until the next one began, s, by receiver and topic


@dataclass
class Result:
    """What came of a run."""

    seconds: float
    seed: int | None
    faults: list[Happened] = field(default_factory=list)
    samples: dict[str, list[Sample]] = field(default_factory=lambda: {rover: [] for rover in ROVERS})
    reports: dict[str, dict] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def memory(self, rover: str) -> dict[str, tuple[float, float]]:
        """Medians of the base and of the end, B, of what a node has and of what is its own; nothing if the run was too short
        to tell."""
        if self.seconds < BASE[1] + END:
            return {}
        base = [sample for sample in self.samples[rover] if BASE[0] <= sample.at < BASE[1]]
        end = [sample for sample in self.samples[rover] if sample.at >= self.seconds - END]

        def medians(of: Callable[[Sample], int]) -> tuple[float, float]:
            return statistics.median(map(of, base)), statistics.median(map(of, end))

        return {"RSS": medians(lambda sample: sample.rss), "own": medians(lambda sample: sample.own)}

    def cpu(self, rover: str) -> float:
        """Part of one core."""
        first, last = self.samples[rover][0], self.samples[rover][-1]
        return (last.cpu - first.cpu) / (last.at - first.at)

    def figures(self) -> dict:
        return {
            "seconds": self.seconds,
            "seed": self.seed,
            "faults": [vars(happened) for happened in self.faults],
            "failures": self.failures,
            "memory_base_and_end": {rover: self.memory(rover) for rover in ROVERS},
            "cpu": {rover: self.cpu(rover) for rover in ROVERS},
            "samples": {rover: [vars(sample) for sample in self.samples[rover]] for rover in ROVERS},
            "reports": self.reports,
        }


class Soak:
    """One run."""

    def __init__(self, lab: Lab, result: Result, faults: Sequence[Fault]) -> None:
        self._lab, self._result, self._faults = lab, result, faults
        self._rovers: dict[str, Rover] = {}
        self._ends: dict[str, Part] = {}

    def run(self) -> Result:
        for device, conditions in WIFI_AND_LTE.radios.items():
            self._lab.radios.set(device, **conditions)
        try:
            begin = self._start()
            self._load()
            self._finish(begin)
        finally:
            for end in self._ends.values():
                end.process.stdin.close()
                end.process.wait(ANSWER_LIMIT)
        return self._result

    def _start(self) -> dict[str, dict]:
        """Starts all, lets each topic find its way, and gives the reports once all is at rest."""
        one, other = ROVERS
        self._start_rover(one, other)
        # What it publishes before the other one is there must be counted as well.
        self._await_matched(one)
        self._tell(one, "start")
        time.sleep(ALONE)
        self._start_rover(other, one)
        self._await_matched(other)
        self._tell(other, "start")
        wait_until(self._is_all_open, "messages of each topic arrive")
        return self._rest()

    def _start_rover(self, rover_id: str, peer: str) -> None:
        described = self._lab.described_rover(
            rover_id, topics(peer), peers=[peer], link_quality={"publish_rate": STATUS_RATE}
        )
        rover = self._rovers[rover_id] = self._lab.started(described)
        argv = [sys.executable, str(LAB / "load_worker.py"), rover_id, peer, rover.node]
        log = self._lab.folder / f"{rover_id}_load.log"
        self._ends[rover_id] = Part(f"load of {rover_id}", [*self._lab.enter(rover_id), *argv], rover.described.env, log)

    def _await_matched(self, rover_id: str) -> None:
        wait_until(lambda: self._tell(rover_id, "report")["is_matched"], f"{rover_id} subscribes to all topics")

    def _is_all_open(self) -> bool:
        for rover in ROVERS:
            received = self._tell(rover, "report")["received"]
            if not all(received[load.name]["count"] for load in LOADS if load.must_arrive):
                return False
        return True

    def _load(self) -> None:
        """Lets messages flow for as long as is wanted, lets faults happen, and looks at all of it meanwhile."""
        for rover in ROVERS:
            self._tell(rover, "start")
        began, reports = time.monotonic(), {}
        passed = 0.0
        self._take_samples(passed)
        self._gaps()
        changes = self._changes()
        while passed < self._result.seconds:
            due = min(passed + SAMPLE_PERIOD, self._result.seconds)
            while changes and changes[0][0] <= due:
                at, change = changes.pop(0)
                sleep_until(began + at)
                change()
            sleep_until(began + due)
            self._take_samples(due)
            if due % MINUTE < passed % MINUTE or due == self._result.seconds:
                reports = self._look(reports)
                print(f"[soak] {due / MINUTE:5.1f} min  {self._line(reports)}", flush=True)
            passed = due
        self._note_gaps()

    def _changes(self) -> list[tuple[float, Callable[[], None]]]:
        """What is to be done to the networks, and when, s since the load began."""
        begins = [(fault.at, partial(self._begin, fault)) for fault in self._faults]
        ends = [(fault.over, partial(fault.end, self._lab)) for fault in self._faults]
        return sorted(begins + ends, key=lambda change: change[0])

    def _begin(self, fault: Fault) -> None:
        self._note_gaps()
        print(f"[soak] {fault.at:7.1f} s  {fault.name}, {fault.duration:.1f} s", flush=True)
        fault.begin(self._lab)
        self._result.faults.append(Happened(fault.at, fault.duration, fault.name, {}))

    def _note_gaps(self) -> None:
        """Ends the time in which gaps count as those of the last fault."""
        gaps = self._gaps()
        if self._result.faults:
            self._result.faults[-1].gaps.update(gaps)

    def _gaps(self) -> dict[str, float]:
        """Longest of each topic that tells by it how the link fares, since the last call, s."""
        return {f"{name} at {rover}": gap for rover in ROVERS for name, gap in self._tell(rover, "gaps").items()}

    def _look(self, earlier: dict[str, dict]) -> dict[str, dict]:
        reports = {rover: self._tell(rover, "report") for rover in ROVERS}
        for rover, peer in zip(ROVERS, reversed(ROVERS)):
            self._fail(ledger.at_any_time(rover, peer, reports[rover], earlier.get(rover)))
        return reports

    def _rest(self) -> dict[str, dict]:
        """Stops the load and waits until nothing is under way."""
        for rover in ROVERS:
            self._tell(rover, "stop")
        deadline = time.monotonic() + REST_LIMIT
        reports: dict[str, dict] = {}
        while time.monotonic() < deadline:
            time.sleep(REST)
            earlier, reports = reports, self._look(reports)
            if all(rover in earlier and is_same(earlier[rover], reports[rover]) for rover in ROVERS):
                return reports
        self._fail([f"not at rest within {REST_LIMIT:.0f} s"])
        return reports

    def _finish(self, begin: dict[str, dict]) -> None:
        reports = self._result.reports = self._rest()
        for sender, receiver in (ROVERS, ROVERS[::-1]):
            self._fail(ledger.at_rest(sender, receiver, reports, begin))
        # The first one alone was there before its peer.
        self._fail(ledger.without_effect(*ROVERS, reports))
        self._fail(self._memory())
        # In the end the nodes end it themselves.
        for rover in ROVERS:
            lines = self._rovers[rover].log().splitlines()
            self._fail(f"{rover} has lost the session: {line}" for line in lines if "disconnected: peer=" in line)

    def _memory(self) -> Iterator[str]:
        for rover in ROVERS:
            for what, (base, end) in self._result.memory(rover).items():
                if abs(end / base - 1) > MEMORY_CHANGE:
                    yield f"{rover}: {what} was {base / 1e6:.1f} MB and is {end / 1e6:.1f} MB"

    def _take_samples(self, at: float) -> None:
        for rover in ROVERS:
            self._result.samples[rover].append(self._sample(rover, at))

    def _sample(self, rover_id: str, at: float) -> Sample:
        rover = self._rovers[rover_id]
        rover.must_run()
        self._ends[rover_id].check()
        process = Path(f"/proc/{rover.process.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        rss, shared = (int(status[key].split()[0]) * 1024 for key in ("VmRSS", "RssShmem"))
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        cpu = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
        return Sample(at, rss, rss - shared, cpu)

    def _line(self, reports: dict[str, dict]) -> str:
        samples = [self._result.samples[rover] for rover in ROVERS]
        rss = " ".join(f"{of[-1].rss / 1e6:.1f}" for of in samples)
        own = " ".join(f"{of[-1].own / 1e6:.1f}" for of in samples)
        causes = ledger.causes(reports)
        lost = " ".join(f"{cause} {count}" for cause, count in causes.items() if count)
        sent, given = (ledger.crossed(reports, direction) for direction in (ledger.SEND, ledger.RECEIVE))
        cpu = " ".join(f"{self._result.cpu(rover):.0%}" for rover in ROVERS)
        failures = len(self._result.failures)
        return (
            f"RSS {rss} MB, own {own} MB, CPU {cpu}, sent {sent}, delivered {given}, dropped: {lost}, "
            f"waiting {ledger.waiting(reports)}, {failures} failures"
        )

    def _tell(self, rover: str, command: str) -> dict:
        end = self._ends[rover]
        end.say(command)
        return json.loads(end.next_line(ANSWER_LIMIT)) or {}

    def _fail(self, failures) -> None:
        for failure in failures:
            self._result.failures.append(failure)
            print(f"[soak] failed: {failure}", flush=True)


def is_same(one: dict, other: dict) -> bool:
    """Has nothing happened between two reports, and has the node told so?"""

    def counters(report: dict) -> list[dict]:
        return [{key: value for key, value in row.items() if key not in ("stamp", "peak")} for row in report["statistics"]]

    def newest(report: dict) -> float:
        return max((row["stamp"] for row in report["statistics"]), default=0.0)

    is_newer = newest(other) > newest(one)
    return is_newer and counters(one) == counters(other) and one["received"] == other["received"]


def table(result: Result) -> str:
    """What became of each topic, and what the nodes used."""
    rows = [["from", "topic", "published", "taken", "sent", "arrived", "delivered", "got", *ledger.CAUSES, "waiting"]]
    for sender, receiver in (ROVERS, ROVERS[::-1]):
        for load in LOADS:
            sent = ledger.row(result.reports[sender], load.topic, ledger.SEND)
            received = ledger.row(result.reports[receiver], load.received_as(sender), ledger.RECEIVE)
            if sent is None or received is None:
                continue
            published = result.reports[sender]["published"][load.name]
            got = result.reports[receiver]["received"][load.name]["count"]
            counts = [published, sent["taken"], sent["messages"], received["taken"], received["messages"], got]
            counts += [sent[f"dropped_{cause}"] + received[f"dropped_{cause}"] for cause in ledger.CAUSES]
            rows.append([sender, load.name, *map(str, counts), str(sent["waiting"] + received["waiting"])])
    used = []
    for rover in ROVERS:
        memory = [
            f"{what} {base / 1e6:.1f} MB, at the end {end / 1e6:.1f} MB ({end / base - 1:+.1%})"
            for what, (base, end) in result.memory(rover).items()
        ]
        judged = "; ".join(memory) or "memory not judged: the run was too short"
        used.append(f"{rover}: {judged}; CPU {result.cpu(rover):.1%} of a core")
    return "\n".join([*aligned(rows), "", *used, *fault_table(result)])


def fault_table(result: Result) -> list[str]:
    """What happened to the networks, and how long topics that lose nothing stood still."""
    if not result.faults:
        return []
    streams = list(result.faults[0].gaps)
    rows = [["at", "lasts", "fault", *streams]]
    for happened in result.faults:
        gaps = [f"{happened.gaps[stream] * 1e3:.0f} ms" for stream in streams]
        rows.append([f"{happened.at:.1f} s", f"{happened.duration:.1f} s", happened.name, *gaps])
    return ["", "What happened, and the longest time without a message until the next fault:", *aligned(rows)]


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


if __name__ == "__main__":
    sys.exit(main())
