"""What both sides have reported last, as tables and as a verdict."""

from __future__ import annotations

import math

from demo.screen import aligned
from demo.stage import ROVERS
from demo.topics import BEST_EFFORT_RATIO, SENDER, TOPICS, Topic

# A topic has to begin within so long after the first one, s.
BEGIN_LIMIT = 5.0

TOPIC_HEAD = ["topic", "promise", "sent", "arrived", "Hz", "latency ms", "max ms", "lost", "twice", "disorder", "spoilt", "dropped"]
PATH_HEAD = ["rover", "interface", "used", "RTT ms", "out Mbit/s", "in Mbit/s"]


class View:
    """What both sides have reported last."""

    def __init__(self) -> None:
        self.publisher: dict = {}
        self.subscriber: dict = {}

    def take(self, report: dict) -> None:
        """Takes a report of either side."""
        if "sent" in report:
            self.publisher = report
        else:
            self.subscriber = report

    @property
    def has_arrivals(self) -> bool:
        return any(arrival["received"] for arrival in self.subscriber.get("arrivals", {}).values())

    @property
    def is_published(self) -> bool:
        """Has everything been sent that was to be sent?"""
        return self.publisher.get("done", False)

    @property
    def is_complete(self) -> bool:
        """Has the last message of each topic that promises it arrived?"""
        return self.is_published and not any(self._tail(topic) for topic in TOPICS if topic.is_reliable)

    def complaints(self, topic: Topic) -> list[str]:
        """How the topic broke what its QoS promises; empty if it did not."""
        arrival = self.subscriber.get("arrivals", {}).get(topic.name, {})
        if not arrival.get("received"):
            return ["nothing arrived"]
        found = [f"{arrival[what]} {words}" for what, words in (("duplicates", "came twice"), ("spoilt", "spoilt")) if arrival[what]]
        lost = self.lost(topic)
        if topic.is_reliable:
            found += [f"{lost} lost"] * bool(lost) + [f"{arrival['disordered']} out of order"] * bool(arrival["disordered"])
        elif arrival["received"] < BEST_EFFORT_RATIO * (arrival["received"] + lost):
            found.append(f"only {arrival['received']} of {arrival['received'] + lost}")
        begins = [other["since"] for other in self.subscriber["arrivals"].values() if other["since"]]
        if not topic.is_latched and arrival["since"] > min(begins) + BEGIN_LIMIT:
            found.append(f"began {arrival['since'] - min(begins):.0f} s after the first topic")
        return found

    def lost(self, topic: Topic) -> int:
        """Messages lost since the first that arrived; what is sent but may still be on its way counts at the end only."""
        missing = self.subscriber.get("arrivals", {}).get(topic.name, {}).get("missing", 0)
        return missing + (self._tail(topic) if self.is_published else 0)

    def table(self) -> str:
        """Both tables, of topics and of paths."""
        topics = [self._topic_row(topic, "latency") for topic in TOPICS]
        return "\n".join([*aligned([TOPIC_HEAD, *topics]), "", *aligned([PATH_HEAD, *self._path_rows()])])

    def line(self) -> str:
        """The same in one line."""
        texts = []
        for topic in TOPICS:
            arrival = self.subscriber.get("arrivals", {}).get(topic.name, {})
            figures = f"{arrival.get('rate', 0):.0f} Hz" if topic.rate else f"{arrival.get('received', 0)} arrived"
            latency = f" {milliseconds(arrival['latency'])} ms" if arrival.get("latency") is not None else ""
            texts.append(f"{topic.name} {figures}{latency} lost {self.lost(topic)} twice {arrival.get('duplicates', 0)}")
        paths = (f"{row[1]}{'*' if row[2] else ''} {row[3]} ms" for row in self._path_rows() if row[0] == ROVERS[0])
        return " | ".join([*texts, *paths])

    def verdict(self) -> str:
        """The last table: each topic over the whole run, with what is wrong with it."""
        rows = [[*self._topic_row(topic, "latency_mean"), "; ".join(self.complaints(topic)) or "ok"] for topic in TOPICS]
        return "\n".join([*aligned([[*TOPIC_HEAD, "verdict"], *rows]), "", *aligned([PATH_HEAD, *self._path_rows()])])

    @property
    def is_good(self) -> bool:
        return not any(self.complaints(topic) for topic in TOPICS)

    def _tail(self, topic: Topic) -> int:
        """Messages sent after the last that arrived."""
        sent = self.publisher.get("sent", {}).get(topic.name, 0)
        return max(0, sent - 1 - self.subscriber.get("arrivals", {}).get(topic.name, {}).get("last", -1))

    def _topic_row(self, topic: Topic, latency: str) -> list[str]:
        arrival = self.subscriber.get("arrivals", {}).get(topic.name, {})
        counts = [str(arrival.get(what, 0)) for what in ("duplicates", "disordered", "spoilt")]
        return [
            topic.name,
            topic.promise,
            str(self.publisher.get("sent", {}).get(topic.name, 0) - (arrival.get("first") or 0)),
            str(arrival.get("received", 0)),
            f"{arrival.get('rate', 0):.1f}" if topic.rate else "",
            milliseconds(arrival.get(latency)) if not topic.is_latched else "",
            milliseconds(arrival.get("latency_max")) if not topic.is_latched else "",
            str(self.lost(topic)),
            *counts,
            str(sum(report.get("topics", {}).get(f"/{SENDER}/{topic.name}", {}).get("dropped", 0) for report in self._sides)),
        ]

    @property
    def _sides(self) -> tuple[dict, dict]:
        return self.publisher, self.subscriber

    def _path_rows(self) -> list[list[str]]:
        rows = []
        for rover, report in zip(ROVERS, self._sides):
            for interface, path in sorted(report.get("paths", {}).items()):
                rates = [f"{path[rate] / 1e6:.2f}" for rate in ("outgoing_bitrate", "incoming_bitrate")]
                used = "yes" if path["selected"] else ""
                rows.append([rover, interface, used, milliseconds(path["round_trip_time"]), *rates])
        return rows


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None or math.isnan(seconds) else f"{seconds * 1e3:.1f}"
