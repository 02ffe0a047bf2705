"""One run of one workload."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.network import Network, cpu_time, resident
from bench.row import Figure
from bench.samples import Samples
from bench.tcp_flow import goodput
from bench.way import Way
from bench.workloads import DDS, ROVER_LINK, Stream, Workload
from demo.part import PartError
from demo.stage import Stage

FIRST_LIMIT = {ROVER_LINK: 20.0, DDS: 4.0}  # s to the first message; what DDS cannot bring over the link never comes
DDS_WARM_UP = 2.0  # s at most
DRAIN_TIME = 0.7  # s for the last messages to arrive, on top of some round trips
DRAIN_ROUND_TRIPS = 4


def run(stage: Stage, network: Network, workload: Workload, policy: str, duration: float) -> list[Figure]:
    """Starts all, measures, and stops all but the network."""
    with Way(stage, network, workload, policy) as way:
        way.start_nodes()
        way.start_subscribers()
        way.start_publishers()
        for stream in workload.streams:
            if stream.targets and not way.await_first(stream, FIRST_LIMIT[policy]) and policy == ROVER_LINK:
                raise PartError(f"{workload.name} on {network.link.name}: nothing of {stream.name} arrived")
        if workload.tcp is not None:
            way.start_tcp()
        way.check()
        time.sleep(workload.warm_up if policy == ROVER_LINK else min(DDS_WARM_UP, workload.warm_up))
        if workload.falls_to:
            network.set_radios(rate=workload.falls_to)
            time.sleep(workload.settles)
        meter = Meter(network, way)
        if workload.outage:
            network.set_radios(up=False)
            time.sleep(workload.outage)
            network.set_radios(up=True)
        back = time.monotonic()
        time.sleep(workload.duration or duration)
        meter.stop()
        time.sleep(DRAIN_TIME + DRAIN_ROUND_TRIPS * network.link.round_trip)
        way.check()
        samples = way.stop_ends()
        if workload.falls_to:
            network.set_radios(rate=workload.link.rate)
    return [*_figures_of_streams(workload, policy, samples, meter, back), *meter.figures(workload, policy, samples)]


class Meter:
    """What the machine spends during the time that is measured."""

    def __init__(self, network: Network, way: Way) -> None:
        self._network, self._tcp_record = network, way.tcp_record
        self._pids = {rover: part.process.pid for rover, part in way.spenders().items()}
        self._before = self._look()
        self.start = time.monotonic()

    def stop(self) -> None:
        self.end = time.monotonic()
        self._after = self._look()
        self._resident = {rover: resident(pid) for rover, pid in self._pids.items()}

    def _look(self) -> tuple[dict[str, float], float, dict[str, int]]:
        spent = {rover: cpu_time(pid) for rover, pid in self._pids.items()}
        return spent, self._network.emulator_cpu(), self._network.offered()

    def figures(self, workload: Workload, policy: str, samples: dict[str, Samples]) -> Iterator[Figure]:
        """CPU, memory and bytes of those who spend them."""
        (cpu, emulator, offered), (cpu_after, emulator_after, offered_after) = self._before, self._after
        seconds = self.end - self.start
        case = _case(workload)

        def figure(of: str, metric: str, value: float, target: float | None = None) -> Figure:
            target = None if policy == DDS else target
            return Figure(workload.name, f"{case}, {of}", policy, metric, value, target)

        published = sum(self.start <= at < self.end for of in samples.values() for at in of.published)
        for rover in self._pids:
            if "cpu" in workload.costs and published:
                spent = (cpu_after[rover] - cpu[rover]) / published
                yield figure(f"{rover}, a message", "cpu", spent, workload.costs["cpu"])
            if "rss" in workload.costs:
                yield figure(rover, "rss", self._resident[rover], workload.costs["rss"])
        if workload.tcp is not None:
            ratio = goodput(self._tcp_record, self.start, self.end) / workload.link.rate
            yield figure("tcp", "goodput_ratio", ratio, workload.tcp)
        for device, target in workload.idle.items():
            yield figure(device, "idle", (offered_after[device] - offered[device]) / seconds, target)
        if workload.link.radios:
            yield figure("emulator", "cpu_share", (emulator_after - emulator) / seconds)


def _case(workload: Workload) -> str:
    return ", ".join(filter(None, [workload.link.name, workload.case]))


def _figures_of_streams(
    workload: Workload, policy: str, samples: dict[str, Samples], meter: Meter, back: float
) -> Iterator[Figure]:
    for stream in (of for of in workload.streams if of.targets):
        of = samples[stream.name]
        figures = of.figures(meter.start, meter.end, stream.size)
        figures["first_after"] = of.first_arrival(back)
        if rate := workload.link.rate:
            figures["goodput_ratio"] = figures["goodput"] / rate
            figures["of_what_fits"] = figures["delivered"] * _part_that_fits(stream, rate)
        case = _case(workload) if len(workload.streams) == 1 else f"{_case(workload)}, {stream.name}"
        for metric, target in stream.targets.items():
            yield Figure(workload.name, case, policy, metric, figures[metric], None if policy == DDS else target)


def _part_that_fits(stream: Stream, rate: float) -> float:
    """How many times as much is published as the link carries."""
    return max(1.0, stream.rate * stream.size / rate)
