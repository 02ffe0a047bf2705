"""Figures: of single runs, and their medians as rows of a table and of target/bench.json."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

UNITS = {
    "latency_p50": "s", "latency_p99": "s", "latency_max": "s", "setup": "s", "cpu": "s", "first_after": "s",
    "delivered": "ratio", "of_what_fits": "ratio", "goodput_ratio": "ratio", "cpu_share": "ratio",
    "goodput": "B/s", "idle": "B/s", "rss": "B", "lost": "1", "duplicates": "1", "reordered": "1",
}  # fmt: skip
MORE_IS_BETTER = {"delivered", "of_what_fits", "goodput", "goodput_ratio"}

HEAD = ["what", "case", "policy", "metric", "median", "least", "most", "runs", "target", "met"]


@dataclass(frozen=True)
class Figure:
    """What one run told of one thing; `None` where there was nothing to measure."""

    name: str
    case: str
    policy: str  # rover_link, dds, or simulator: rover_link there
    metric: str
    value: float | None
    target: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table: the median over all runs that had this figure."""

    name: str
    case: str
    policy: str
    metric: str
    value: float | None
    unit: str
    target: float | None = None
    met: bool | None = None
    runs: int = 1
    least: float | None = None
    most: float | None = None


@dataclass
class Figures:
    """The figures of all runs, in the order in which each was told first."""

    _runs: dict[Figure, list[float | None]] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        of = Figure(figure.name, figure.case, figure.policy, figure.metric, None, figure.target)
        self._runs.setdefault(of, []).append(figure.value)

    def rows(self) -> list[Row]:
        return [_row(figure, values) for figure, values in self._runs.items()]


def _row(of: Figure, values: list[float | None]) -> Row:
    """A run without a figure counts as one that missed every target, so it is worse than any other."""
    known = [value for value in values if value is not None]
    worst = -math.inf if of.metric in MORE_IS_BETTER else math.inf
    median = statistics.median([worst if value is None else value for value in values])
    value = median if math.isfinite(median) else None
    least, most = min(known, default=None), max(known, default=None)
    unit = UNITS[of.metric]
    met = None if of.target is None else is_met(of.metric, value, of.target)
    return Row(of.name, of.case, of.policy, of.metric, value, unit, of.target, met, len(values), least, most)


def is_met(metric: str, value: float | None, target: float) -> bool:
    """What could not be measured meets no target."""
    if value is None:
        return False
    return value >= target if metric in MORE_IS_BETTER else value <= target


def table(rows: list[Row]) -> list[list[str]]:
    """Cells, the head first; sorted so that a figure of the link is beside that of plain DDS and of the simulator."""
    places = {}
    for row in rows:
        places.setdefault((row.name, row.case, row.metric), len(places))
    cells = [HEAD]
    for row in sorted(rows, key=lambda row: places[row.name, row.case, row.metric]):
        met = {None: "", True: "yes", False: "NO"}[row.met]
        values = [readable(value, row.unit) for value in (row.value, row.least, row.most)]
        target = "" if row.target is None else readable(row.target, row.unit)
        cells.append([row.name, row.case, row.policy, row.metric, *values, str(row.runs), target, met])
    return cells


def readable(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    match unit:
        case "s":
            return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.2f} s"
        case "B":
            return f"{value / 1e6:.1f} MB"
        case "B/s":
            return f"{value * 8 / 1e6:.3g} Mbit/s" if value >= 1e5 else f"{value:.0f} B/s"
        case "ratio":
            return f"{value * 100:.1f} %"
    return f"{value:.4g}" if unit == "1" else f"{value:.4g} {unit}"
