"""A run as a picture: how long each message took, what the paths lost, and by which path each rover sent, over time.

It looks like those that the simulator draws (examples/simulate/plot.rs), and needs nothing but text: SVG.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from xml.sax.saxutils import escape

from lab import ROVERS
from live import Quality
from player import Played
from scenario import Scenario

WIDTH, MARGIN = 1000.0, 60.0
# Of the parts, and the space between two: delay, loss, paths.
DELAY_HEIGHT, LOSS_HEIGHT, PATH_HEIGHT, SPACE = 320.0, 80.0, 24.0, 24.0
# Labels of what happens stand in so many rows above it, each so high; a letter is so wide.
LABEL_ROWS, ROW_HEIGHT, LETTER_WIDTH = 6, 13.0, 6.2

# The axis of delays is logarithmic and begins here; that of losses shows at least so much.
SHORTEST, LEAST_LOSS = 1e-3, 0.05
# A drawing wants no more points of one stream than that.
MAX_POINTS = 3000

COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
HAPPENING, STARTED, COMPLETED = "#888888", "#d62728", "#2ca02c"


class Drawing:
    """Lines of SVG."""

    def __init__(self, height: float) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" font-family="sans-serif" '
            f'font-size="12">\n<rect width="{WIDTH:g}" height="{height:g}" fill="white"/>'
        ]

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, title: str = "", dash: str = "") -> None:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        tip = f"<title>{escape(title)}</title>"
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="1.5"'
            f"{dashes}>{tip if title else ''}</line>"
        )

    def text(self, x: float, y: float, text: str, colour: str = "black", size: int = 12) -> None:
        sized = "" if size == 12 else f' font-size="{size}"'
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{sized}>{escape(text)}</text>')

    def band(self, x1: float, x2: float, y: float, height: float, colour: str, title: str) -> None:
        self._parts.append(
            f'<rect x="{x1:.1f}" y="{y:.1f}" width="{max(0.0, x2 - x1):.1f}" height="{height:g}" fill="{colour}">'
            f"<title>{escape(title)}</title></rect>"
        )

    def points(self, points: list[tuple[float, float]], colour: str) -> None:
        path = "".join(f"M{x:.1f} {y:.1f}h2" for x, y in points)
        self._parts.append(f'<path stroke="{colour}" stroke-width="2" d="{path}"/>')

    def curve(self, points: list[tuple[float, float]], colour: str, dash: str = "") -> None:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5"{dashes} points="{path}"/>')

    def svg(self) -> str:
        return "\n".join([*self._parts, "</svg>\n"])


def draw(scenario: Scenario, played: Played, qualities: list[Quality]) -> str:
    """Draws a run as SVG."""
    top = MARGIN + LABEL_ROWS * ROW_HEIGHT
    loss_top = top + DELAY_HEIGHT + SPACE
    path_top = loss_top + LOSS_HEIGHT + SPACE
    bottom = path_top + 2 * PATH_HEIGHT
    drawing = Drawing(bottom + 40.0)

    def x(at: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * min(max(at / played.duration, 0.0), 1.0)

    drawing.text(MARGIN, 20.0, f"{scenario.name}, in the lab", size=15)
    for at in range(0, int(played.duration) + 1, max(1, round(played.duration / 10))):
        drawing.text(x(at) - 4.0, bottom + 20.0, f"{at} s")
    _delays(drawing, played, x, top)
    _losses(drawing, scenario, played, qualities, x, loss_top)
    _paths(drawing, scenario, played, x, path_top)
    _happenings(drawing, scenario, played, x, top, bottom)
    return drawing.svg()


def _delays(drawing: Drawing, played: Played, x: Callable[[float], float], top: float) -> None:
    longest = max((max(of.latencies, default=0.0) for of in played.streams.values()), default=0.0)
    decades = max(2, math.ceil(math.log10(max(longest, SHORTEST) / SHORTEST)))

    def y(delay: float) -> float:
        part = math.log10(max(delay, SHORTEST) / SHORTEST) / decades
        return top + DELAY_HEIGHT * (1.0 - min(part, 1.0))

    drawing.text(MARGIN + 4.0, top + 16.0, "from publishing to arrival")
    for decade in range(decades + 1):
        delay = SHORTEST * 10**decade
        drawing.line(x(0.0), y(delay), x(played.duration), y(delay), "#dddddd")
        drawing.text(4.0, y(delay) + 4.0, f"{delay * 1e3:g} ms" if delay < 1.0 else f"{delay:g} s")
    for index, (stream, measured) in enumerate(played.streams.items()):
        colour = COLOURS[index % len(COLOURS)]
        drawing.text(MARGIN + 150.0 * index, 40.0, stream.case, colour)
        stride = max(1, math.ceil(len(measured.deliveries) / MAX_POINTS))
        drawing.points([(x(at), y(delay)) for at, delay in measured.deliveries[::stride]], colour)


def _losses(
    drawing: Drawing,
    scenario: Scenario,
    played: Played,
    qualities: list[Quality],
    x: Callable[[float], float],
    top: float,
) -> None:
    """What each rover told of losses on its way out, solid for rover A and dashed for rover B, and the messages that
    did not arrive."""
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for quality in qualities:
        ratio = quality.message["loss_ratio_sent"]
        if 0.0 <= quality.at <= played.duration and not math.isnan(ratio):
            curves.setdefault((quality.rover, quality.interface), []).append((quality.at, ratio))
    highest = max([LEAST_LOSS, *(ratio for curve in curves.values() for _, ratio in curve)])

    def y(ratio: float) -> float:
        return top + LOSS_HEIGHT * (1.0 - ratio / highest)

    drawing.text(
        MARGIN + 4.0,
        top + 16.0,
        "lost on the way out, as rover a (solid) and b (dashed) tell; dots: messages that did not arrive",
    )
    for ratio in (0.0, highest):
        drawing.line(x(0.0), y(ratio), x(played.duration), y(ratio), "#dddddd")
        drawing.text(4.0, y(ratio) + 4.0, f"{ratio * 1e2:.0f} % lost")
    for (rover, interface), curve in curves.items():
        dash = "" if rover == ROVERS[0] else "4 3"
        drawing.curve([(x(at), y(ratio)) for at, ratio in curve], _colour(scenario, interface), dash)
    for measured in played.streams.values():
        if measured.missing:
            drawing.points([(x(at), top + LOSS_HEIGHT + 6.0) for at in measured.missing], "black")


def _paths(drawing: Drawing, scenario: Scenario, played: Played, x: Callable[[float], float], top: float) -> None:
    for row, rover in enumerate(ROVERS):
        y = top + row * PATH_HEIGHT
        drawing.text(4.0, y + 14.0, f"by {'ab'[row]}")
        selections = [*played.selections(rover), (played.duration, "")]
        for (start, interface), (end, _) in zip(selections, selections[1:]):
            drawing.band(
                x(start), x(end), y, PATH_HEIGHT - 4.0, _colour(scenario, interface), f"{rover} by {interface}"
            )
    for row, path in enumerate(scenario.paths):
        device = scenario.device(path)
        drawing.text(WIDTH - MARGIN + 4.0, top + 14.0 + row * PATH_HEIGHT, device, _colour(scenario, device))


def _happenings(
    drawing: Drawing, scenario: Scenario, played: Played, x: Callable[[float], float], top: float, bottom: float
) -> None:
    """What was done to the paths, and what the rovers told of it, each as a line; with a label where there is room."""
    marks = [(at, text, HAPPENING) for at, text in scenario.happenings()]
    for handover in played.handovers:
        if handover.phase in ("started", "completed"):
            colour = STARTED if handover.phase == "started" else COMPLETED
            what = f"{handover.rover[-1]}: {handover.phase}"
            if handover.phase == "started":
                what = f"{handover.rover[-1]} to {handover.event['to_interface']}: {handover.reason}"
            marks.append((handover.at, what, colour))
    taken = [0.0] * LABEL_ROWS
    for at, text, colour in sorted(marks):
        drawing.line(x(at), top, x(at), bottom, colour, f"{at:.3f} s {text}", "" if colour == HAPPENING else "2 3")
        label = f"{at:.3f} {text}"
        row = next((row for row in range(LABEL_ROWS) if taken[row] <= x(at)), None)
        if row is not None and x(at) + LETTER_WIDTH * len(label) < WIDTH:
            taken[row] = x(at) + LETTER_WIDTH * len(label)
            drawing.text(x(at) + 2.0, top - 4.0 - (LABEL_ROWS - 1 - row) * ROW_HEIGHT, label, colour)


def _colour(scenario: Scenario, device: str) -> str:
    devices = [scenario.device(path) for path in scenario.paths]
    return COLOURS[devices.index(device) % len(COLOURS)] if device in devices else "#dddddd"
