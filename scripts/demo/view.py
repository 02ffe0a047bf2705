"""What both sides have reported last: as tables, as a line, and as a verdict."""

from __future__ import annotations

import math

from demo.arrivals import Arrivals
from demo.screen import aligned
from demo.stage import ROVERS
from demo.topics import BEST_EFFORT_RATIO, SENDER, TOPICS, Topic

# A topic has to begin within so long after the first one, s.
BEGIN_LIMIT = 5.0

TOPIC_HEAD = "topic,promise,sent,arrived,Hz,latency ms,max ms,lost,twice,disorder,spoilt,dropped".split(",")
PATH_HEAD = "rover,link,interface,used,RTT ms,out Mbit/s,in Mbit/s".split(",")


class View:
    """The latest report of each side, and what follows from them."""

    def __init__(self) -> None:
        nothing = {"link": "down", "paths": {}, "handovers": [], "dropped": {}}
        self._publisher = nothing | {"sent": {topic.name: 0 for topic in TOPICS}, "done": False}
        self._subscriber = nothing | {"arrivals": {topic.name: Arrivals().report() for topic in TOPICS}}
        self._silences: dict[str, float] = {}  # s, by topic
        self.watches_silence = False

    def take(self, report: dict) -> None:
        """Takes a report of either side."""
        if "sent" in report:
            self._publisher |= report
        else:
            self._subscriber |= report
            if self.watches_silence:
                for name, arrival in report["arrivals"].items():
                    self._silences[name] = max(self._silences.get(name, 0.0), arrival["silence"] or 0.0)

    def silence(self, topic: Topic) -> float:
        """The longest time between two arrivals while silence was watched, s."""
        return self._silences.get(topic.name, 0.0)

    def handovers(self, rover: str) -> list[dict]:
        """What a rover told of handovers, the oldest first."""
        return (self._publisher if rover == SENDER else self._subscriber)["handovers"]

    @property
    def has_arrivals(self) -> bool:
        return any(self._arrival(topic)["received"] for topic in TOPICS)

    @property
    def is_published(self) -> bool:
        """Has everything been sent that was to be sent?"""
        return self._publisher["done"]

    @property
    def is_complete(self) -> bool:
        """Has the last message of each topic that promises it arrived?"""
        return self.is_published and not any(self._tail(topic) for topic in TOPICS if topic.is_reliable)

    @property
    def is_good(self) -> bool:
        """Did every topic arrive as its QoS promises?"""
        return not any(self.complaints(topic) for topic in TOPICS)

    def complaints(self, topic: Topic) -> list[str]:
        """How the topic broke what its QoS promises; empty if it did not."""
        arrival, lost = self._arrival(topic), self.lost(topic)
        received = arrival["received"]
        if not received:
            return ["nothing arrived"]
        begin = min(self._arrival(other)["since"] or math.inf for other in TOPICS)
        is_poor = not topic.is_reliable and received < BEST_EFFORT_RATIO * (received + lost)
        is_late = not topic.is_latched and arrival["since"] > begin + BEGIN_LIMIT
        possible = {
            f"{arrival['duplicates']} came twice": arrival["duplicates"],
            f"{arrival['spoilt']} spoilt": arrival["spoilt"],
            f"{lost} lost": lost and topic.is_reliable,
            f"{arrival['disordered']} out of order": arrival["disordered"] and topic.is_reliable,
            f"only {received} of {received + lost}": is_poor,
            f"began more than {BEGIN_LIMIT:.0f} s after the first topic": is_late,
        }
        return [text for text, applies in possible.items() if applies]

    def lost(self, topic: Topic) -> int:
        """Messages lost since the first that arrived; what is sent but may still be on its way counts at the end only."""
        return self._arrival(topic)["missing"] + (self._tail(topic) if self.is_published else 0)

    def table(self) -> str:
        """Both tables, with the figures of this moment."""
        rows = [self._topic_row(topic, "rate", "latency") for topic in TOPICS]
        return self._tables([TOPIC_HEAD, *rows])

    def verdict(self) -> str:
        """Both tables, with the figures of the whole run and what is wrong with each topic."""
        rows = [
            [*self._topic_row(topic, "rate_mean", "latency_mean"), "; ".join(self.complaints(topic)) or "ok"]
            for topic in TOPICS
        ]
        return self._tables([[*TOPIC_HEAD, "verdict"], *rows])

    def line(self) -> str:
        """The figures of this moment in one line."""
        texts = []
        for topic in TOPICS:
            arrival = self._arrival(topic)
            flow = f"{arrival['rate']:.0f} Hz {milliseconds(arrival['latency'])} ms " if topic.rate else ""
            texts.append(f"{topic.name} {flow}{arrival['received']} arrived {self.lost(topic)} lost")
        for rover, _, interface, used, round_trip_time, *_ in self._path_rows():
            if rover == SENDER:
                texts.append(f"{interface}{'*' if used else ''} {round_trip_time} ms")
        return " | ".join(texts)

    def _arrival(self, topic: Topic) -> dict:
        return self._subscriber["arrivals"][topic.name]

    def _tail(self, topic: Topic) -> int:
        """Messages sent after the last that arrived."""
        return max(0, self._publisher["sent"][topic.name] - 1 - self._arrival(topic)["last"])

    def _tables(self, topics: list[list[str]]) -> str:
        return "\n".join([*aligned(topics), "", *aligned([PATH_HEAD, *self._path_rows()])])

    def _topic_row(self, topic: Topic, rate: str, latency: str) -> list[str]:
        arrival = self._arrival(topic)
        flow = [f"{arrival[rate]:.1f}", milliseconds(arrival[latency]), milliseconds(arrival["latency_max"])]
        dropped = sum(side["dropped"].get(f"/{SENDER}/{topic.name}", 0) for side in (self._publisher, self._subscriber))
        counts = [self.lost(topic), *(arrival[what] for what in ("duplicates", "disordered", "spoilt")), dropped]
        sent = self._publisher["sent"][topic.name] - (arrival["first"] or 0)
        # What is latched arrives when somebody asks for it: its rate and latency say nothing.
        flow = flow if topic.rate else [""] * len(flow)
        return [topic.name, topic.promise, str(sent), str(arrival["received"]), *flow, *map(str, counts)]

    def _path_rows(self) -> list[list[str]]:
        rows = []
        for rover, side in zip(ROVERS, (self._publisher, self._subscriber)):
            for interface, path in sorted(side["paths"].items()):
                rates = [f"{path[rate] / 1e6:.2f}" for rate in ("outgoing_bitrate", "incoming_bitrate")]
                used = "yes" if path["selected"] else ""
                rows.append([rover, side["link"], interface, used, milliseconds(path["round_trip_time"]), *rates])
        return rows


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None or math.isnan(seconds) else f"{seconds * 1e3:.1f}"
