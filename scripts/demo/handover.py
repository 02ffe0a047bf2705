"""Takes one radio away while topics flow and brings it back, and tells what that did."""

from __future__ import annotations

from demo.stage import ROVERS, Stage
from demo.topics import TOPICS
from demo.view import View, milliseconds

RADIO = "wlan0"

FLOW_TIME = 5.0  # s from the first message to the loss of the radio
AWAY_TIME = 5.0  # s without it
WATCH_TIME = 3.0  # s in which silence counts once it is back

PHASES = ("started", "completed", "failed", "no path left", "a path is back")


class RadioLoss:
    """Does it at its time, on rover_a."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._flowing_since: float | None = None
        self.taken_at: float | None = None  # s of the monotonic clock
        self.returned_at: float | None = None

    def step(self, now: float, view: View) -> str:
        """Does what is due at this moment of the monotonic clock; says what it did, if anything."""
        if self._flowing_since is None:
            self._flowing_since = now if view.has_arrivals else None
        elif self.taken_at is None:
            if now >= self._flowing_since + FLOW_TIME:
                self.taken_at = now
                view.watches_silence = True
                self._stage.set_radio(RADIO, is_up=False)
                return f"{RADIO} of {ROVERS[0]} is gone"
        elif self.returned_at is None:
            if now >= self.taken_at + AWAY_TIME:
                self.returned_at = now
                self._stage.set_radio(RADIO, is_up=True)
                return f"{RADIO} of {ROVERS[0]} is back"
        elif now >= self.returned_at + WATCH_TIME:
            view.watches_silence = False
        return ""

    def is_shown(self, view: View) -> bool:
        """Did data leave the lost radio, for the true reason, with the session living on?"""
        return any(
            event["completed"] and event["from"] == RADIO and event["reason"] == "interface_down" and event["preserved"]
            for event in view.handovers(ROVERS[0])
        )

    def story(self, view: View) -> list[str]:
        """What the subscribers saw of it, the ways through ROS on both rovers included, and what the rovers tell of the
        link alone; a line each."""
        lines = [f"subscribers on {ROVERS[1]}, from the loss of {RADIO} until {WATCH_TIME:.0f} s after its return:"]
        for topic in TOPICS:
            if topic.rate:
                silence = max(0.0, view.silence(topic) - 1 / topic.rate)
                gap = f"longest gap {milliseconds(silence)} ms beyond the period of {milliseconds(1 / topic.rate)} ms"
                lines.append(f"  {topic.name}: {gap}, {view.lost(topic)} lost")
        for rover in ROVERS:
            lines.append(f"{rover} tells:")
            for event in view.handovers(rover):
                lines.append(f"  handover {event['id']} {PHASES[event['phase']]}, {event['reason']}: {event['text']}")
                if event["completed"]:
                    lines[-1] += f"; nothing received for {milliseconds(event['outage'])} ms, {event['lost']} lost"
        return lines
