"""The runs of one scenario in figures, each beside its target, in the form that all measuring programs write."""

from __future__ import annotations

import math

from demo.screen import aligned
from measure import Measured, percentile
from player import Played
from scenario import Scenario, Stream

# Units of counts. They hold on any machine; times only on one that has nothing else to do.
COUNTS = ("1", "ratio")

SHOWN = ("gap_p50", "gap_p95", "gap_max", "latency_p50", "latency_p99", "lost", "duplicates", "reordered")


def rows(scenario: Scenario, runs: list[Played], name: str) -> list[dict]:
    """The figures of all streams and of the runs as such, under this name."""
    found = []

    def add(case: str, metric: str, value: float, unit: str, target: float | None) -> None:
        # JSON has no NaN; what could not be measured reaches no target.
        met = None if target is None else value <= target
        known = None if math.isnan(value) else value
        row = {"name": name, "case": case, "policy": "rover_link", "metric": metric}
        found.append({**row, "value": known, "unit": unit, "target": target, "met": met})

    for stream in _streams(runs):
        targets = scenario.targets(stream.name)
        for metric, (value, unit) in figures([played.streams[stream] for played in runs]).items():
            if metric in targets or metric != "lost_ratio":
                add(stream.case, metric, value, unit, targets.get(metric))
    switches = percentile(sorted(float(played.switches()) for played in runs), 0.99)
    add("run", "switches", switches, "1", scenario.run_targets().get("switches"))
    return found


def figures(runs: list[Measured]) -> dict[str, tuple[float, str]]:
    """Value and unit by metric, of one stream: gaps are of each run, latencies of all messages, counts of all runs."""
    gaps = sorted(run.gap for run in runs)
    latencies = sorted(latency for run in runs for latency in run.latencies)
    parts = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    lost, published = sum(run.lost for run in runs), sum(run.published for run in runs)
    return {
        **{f"gap_{name}": (percentile(gaps, part), "s") for name, part in parts.items()},
        **{f"latency_{name}": (percentile(latencies, parts[name]), "s") for name in ("p50", "p99", "max")},
        "lost": (float(lost), "1"),
        "lost_ratio": (lost / published if published else math.nan, "ratio"),
        "duplicates": (float(sum(run.duplicates for run in runs)), "1"),
        "reordered": (float(sum(run.reordered for run in runs)), "1"),
    }


def table(scenario: Scenario, runs: list[Played]) -> str:
    """The figures for people."""
    lines = [["messages", "published", *SHOWN, "gap target"]]
    for stream in _streams(runs):
        measured = [played.streams[stream] for played in runs]
        values = figures(measured)
        shown = [milliseconds(value) if unit == "s" else f"{value:.0f}" for value, unit in map(values.get, SHOWN)]
        targets = scenario.targets(stream.name).items()
        limits = [f"{metric} {milliseconds(value)}" for metric, value in targets if metric.startswith("gap_")]
        lines.append([stream.case, str(sum(run.published for run in measured)), *shown, ", ".join(limits)])
    return "\n".join(aligned(lines))


def line(played: Played) -> str:
    """One run in short: the largest gap of each stream, and all that must not be."""
    gaps = ", ".join(f"{stream.case} {milliseconds(measured.gap)}" for stream, measured in played.streams.items())
    counts = {
        what: sum(getattr(measured, what) for measured in played.streams.values())
        for what in ("lost", "duplicates", "reordered")
    }
    return f"gaps: {gaps}; {', '.join(f'{count} {what}' for what, count in counts.items())}"


def _streams(runs: list[Played]) -> list[Stream]:
    return list(runs[0].streams) if runs else []


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"
