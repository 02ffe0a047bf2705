"""Do the rovers tell the truth? Compares ~/handover_event with the journal of the emulator.

The journal has the moment at which each command was carried out, by the clock of the machine, which is that of the
events' stamps too. From it follows what can be said honestly of an event:

  - Reason. A rover that sends by a path has to leave it when the path is lost to it: its cable is pulled, its address
    goes, its direction falls silent or loses a good part. The first handover away from there has to have a reason that
    fits. Where the kernel takes its time to tell of a cable (it does so at most once a second for all devices of a
    machine), silence is true too, once there was as much of it as makes a path dead.
  - Cause. No handover without something in the journal that explains its reason.
  - `detection_duration`, from the last good datagram to the decision. The last good one cannot be younger than the loss
    of the path, but for what was on its way then; on a busy path it is hardly older either. So it is the time from the
    loss in the journal to the stamp of the phase `started`. A fading path has no such moment: there only the reason is
    compared.
  - `switch_duration`, from the decision to the first datagram confirmed on the new path. It is the time between the
    stamps of both phases. It cannot be shorter than the delays of the new path and of the quickest way back, as the
    emulator has them, and is to be hardly longer than a round trip on the new path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from journal import Done
from lab import ROVERS
from player import Handover, Played

# How far what is claimed may be from the journal, s: on a quiet machine, and on any.
STRICT, LOOSE = 0.020, 1.0

# A path that loses more than this is worth leaving; below it repair is enough. A path that is poor for a shorter time
# than so many s need not be left.
LOSS_WORTH_LEAVING, LOSSY_FOR, LOST_FOR = 0.05, 2.0, 0.4
# Silence of so many s makes a path dead, by default.
DEAD_SILENCE = 0.12
# Clocks are compared to this accuracy, s.
EARLY = 0.001
# What is counted over a window tells of times so long ago, s.
MEMORY = 3.0

DIRECTIONS = dict(zip(ROVERS, ("a_to_b", "b_to_a")))


@dataclass(frozen=True)
class Fault:
    """A path is lost to a rover that sends by it, or not worth using any more."""

    began: float  # s since the beginning of the run
    settled: float  # when it was complete: later, where it takes several commands
    ended: float  # when the path was back
    rover: str
    device: str
    what: str
    reasons: frozenset[str]  # that a rover may tell
    is_sudden: bool = True


@dataclass(frozen=True)
class Notice:
    """A fault and what the rover told of it."""

    fault: Fault
    started: Handover
    completed: Handover | None

    @property
    def detection(self) -> float:
        """As seen from outside, s."""
        return self.started.at - self.fault.began

    def __str__(self) -> str:
        fault, event = self.fault, self.started.event
        claimed = milliseconds(event["detection_duration"])
        text = f"{fault.rover}: {fault.device} {fault.what}, left for {self.started.reason}"
        if fault.is_sudden:
            text += f" after {milliseconds(self.detection)} ms (tells {claimed})"
        if self.completed:
            text += f", confirmed after {milliseconds(self.completed.event['switch_duration'])} ms"
        return text


@dataclass(frozen=True)
class Truth:
    """What came of the comparison."""

    notices: list[Notice]
    wrong: list[str]  # what is not true, or missing
    unexplained: list[str]  # handovers without a cause in the journal


def compare(played: Played, tolerance: float) -> Truth:
    """Compares the events of a run with the journal; durations may differ by `tolerance`, s."""
    air = Air(played.journal)
    notices, wrong = [], []
    for fault in faults(air, played.duration):
        if not is_concerned(fault, played, air):
            continue
        if notice := noticed(fault, played):
            notices.append(notice)
            wrong += complaints(notice, air, tolerance)
        else:
            wrong.append(
                f"{fault.rover} tells of no handover away from {fault.device}, {fault.what} at {fault.began:.3f} s"
            )
    started = [handover for handover in played.handovers if handover.phase == "started"]
    unexplained = [
        f"{handover.rover} at {handover.at:.3f} s without a cause: {handover}"
        for handover in started
        if not is_explained(handover, air)
    ]
    return Truth(notices, wrong, unexplained)


class Air:
    """The links as the journal says they were."""

    def __init__(self, journal: list[Done]) -> None:
        self.journal = journal
        self.devices = sorted({done.words[1] for done in journal if done.words[0] == "set"})
        self._history: dict[tuple[str, str], list[tuple[float, dict]]] = {}
        for done in journal:
            if done.words[0] != "set":
                continue
            _, device, where, *changes = done.words
            for direction in DIRECTIONS.values() if where == "both" else [where]:
                history = self._history.setdefault((device, direction), [])
                before = history[-1][1] if history else {}
                history.append((done.at, before | dict(change.split("=") for change in changes)))

    def history(self, device: str, direction: str) -> list[tuple[float, dict]]:
        """All conditions of a link, each with its moment."""
        return self._history.get((device, direction), [])

    def at(self, moment: float, device: str, direction: str) -> dict:
        """The conditions of a link at a moment."""
        past = [conditions for at, conditions in self.history(device, direction) if at <= moment]
        return past[-1] if past else {}

    def within(self, start: float, end: float, device: str, direction: str) -> list[dict]:
        """All conditions that a link had in that time."""
        later = [conditions for at, conditions in self.history(device, direction) if start < at <= end]
        return [self.at(start, device, direction), *later]

    def is_up(self, moment: float, device: str) -> bool:
        """Does something pass in both directions?"""
        return all(self.at(moment, device, direction).get("up") != "false" for direction in DIRECTIONS.values())

    def delay(self, moment: float, device: str, direction: str) -> float:
        """One way, s."""
        return float(self.at(moment, device, direction).get("delay", 0.0))

    def commands(self, start: float, end: float, *words: str) -> list[Done]:
        """All commands of that time that begin so."""
        return [done for done in self.journal if start <= done.at <= end and done.words[: len(words)] == words]


def faults(air: Air, duration: float) -> Iterator[Fault]:
    """All that was done to a path so that a rover has to leave it."""
    for done in air.journal:
        match done.words:
            case ("carrier", device, side, "off") if done.at >= 0.0:
                ended = next(
                    (later.at for later in air.commands(done.at, duration, "carrier", device, side, "on")), duration
                )
                yield from _told_by_kernel(done, done.at, ended, device, "without carrier", {"interface_down"})
            case ("note", "address", device, side, "changes"):
                settled = next(
                    (later.at for later in air.commands(done.at, duration, "note", "address", device, side, "changed")),
                    duration,
                )
                reasons = {"interface_down", "address_changed"}
                yield from _told_by_kernel(done, settled, duration, device, "changes its address", reasons)
    for device in air.devices:
        for rover, direction in DIRECTIONS.items():
            yield from _silences(air, device, rover, direction, duration)
            yield from _fades(air, device, rover, direction, duration)


def _told_by_kernel(
    done: Done, settled: float, ended: float, device: str, what: str, reasons: set[str]
) -> Iterator[Fault]:
    # The far side is told by the near one.
    for rover in ROVERS:
        yield Fault(done.at, settled, ended, rover, device, what, frozenset(reasons))


def _silences(air: Air, device: str, rover: str, direction: str, duration: float) -> Iterator[Fault]:
    down_since = None
    for at, conditions in air.history(device, direction):
        is_down = conditions.get("up") == "false"
        if is_down and down_since is None:
            down_since = at
        elif not is_down and down_since is not None:
            yield from _silence(air, device, rover, down_since, at)
            down_since = None
    if down_since is not None:
        yield from _silence(air, device, rover, down_since, duration)


def _silence(air: Air, device: str, rover: str, began: float, ended: float) -> Iterator[Fault]:
    # A pulled cable is a fault of its own.
    if began >= 0.0 and not air.commands(began - LOST_FOR, began, "carrier", device):
        yield Fault(began, began, ended, rover, device, "falls silent", frozenset({"silence"}))


def _fades(air: Air, device: str, rover: str, direction: str, duration: float) -> Iterator[Fault]:
    lossy = [(at, float(of.get("loss", 0.0)) >= LOSS_WORTH_LEAVING) for at, of in air.history(device, direction)]
    began = next((at for at, is_lossy in lossy if is_lossy), None)
    if began is None or began < 0.0:
        return
    ended = next((at for at, is_lossy in lossy if at > began and not is_lossy), duration)
    if ended - began >= LOSSY_FOR:
        yield Fault(began, began, ended, rover, device, "loses much", frozenset({"loss"}), is_sudden=False)


def is_concerned(fault: Fault, played: Played, air: Air) -> bool:
    """Was the rover sending by that path, is it lost for long, and is there another one?"""
    is_long = fault.ended - fault.began >= LOST_FOR
    has_other = any(air.is_up(fault.settled, other) for other in air.devices if other != fault.device)
    return is_long and has_other and played.selected(fault.rover, fault.began) == fault.device


def noticed(fault: Fault, played: Played) -> Notice | None:
    """The handover that followed."""
    of_rover = [handover for handover in played.handovers if handover.rover == fault.rover]
    for started in of_rover:
        is_it = started.phase == "started" and started.event["from_interface"] == fault.device
        if is_it and fault.began - EARLY <= started.at <= fault.ended + LOOSE:
            same = (later for later in of_rover if later.event["handover_id"] == started.event["handover_id"])
            return Notice(fault, started, next((later for later in same if later.phase == "completed"), None))
    return None


def complaints(notice: Notice, air: Air, tolerance: float) -> Iterator[str]:
    """What of the events is not true."""
    fault, event, completed = notice.fault, notice.started.event, notice.completed
    who = f"{fault.rover}, {fault.device} {fault.what} at {fault.began:.3f} s"
    was_silent = notice.started.reason == "silence" and notice.started.at >= fault.settled + DEAD_SILENCE
    if notice.started.reason not in fault.reasons and not (was_silent and fault.is_sudden):
        yield f"{who}: left for {notice.started.reason}, not for {' or '.join(sorted(fault.reasons))}"
    if completed is None:
        yield f"{who}: the handover was not completed"
        return
    if not completed.event["session_preserved"] or completed.event["ice_restart"]:
        yield f"{who}: the session did not live on, or ICE was restarted"
    if fault.is_sudden:
        least, most = notice.started.at - fault.settled - tolerance, notice.detection + tolerance
        yield from _beyond(f"{who}: detection_duration", event["detection_duration"], least, most)
    switch = completed.event["switch_duration"]
    between = completed.at - notice.started.at
    yield from _beyond(f"{who}: switch_duration, by the stamps", switch, between - tolerance, between + tolerance)
    there = DIRECTIONS[fault.rover]
    (back,) = set(DIRECTIONS.values()) - {there}
    device, at = event["to_interface"], completed.at
    alive = [other for other in air.devices if air.at(at, other, back).get("up") != "false"]
    quickest = air.delay(at, device, there) + min((air.delay(at, other, back) for other in alive), default=0.0)
    round_trip = air.delay(at, device, there) + air.delay(at, device, back)
    yield from _beyond(f"{who}: switch_duration, by the delays", switch, quickest - EARLY, round_trip + tolerance)


def _beyond(what: str, value: float, least: float, most: float) -> Iterator[str]:
    # NaN is within no limits.
    if not least <= value <= most:
        limits = f"{milliseconds(least)} to {milliseconds(most)} ms"
        yield f"{what} is {milliseconds(value)} ms, the journal says {limits}"


def is_explained(handover: Handover, air: Air) -> bool:
    """Is there something in the journal that explains why this rover left this path, or took that one?"""
    left, taken, at = handover.event["from_interface"], handover.event["to_interface"], handover.at
    directions = DIRECTIONS.values()
    recent = [of for direction in directions for of in air.within(at - MEMORY, at, left, direction)]
    was_down = any(of.get("up") == "false" for of in recent)
    match handover.reason:
        case "silence":
            return was_down
        case "loss":
            return was_down or any(float(of.get("loss", 0.0)) > 0.0 for of in recent)
        case "interface_down" | "address_changed":
            is_gone = any(air.commands(at - MEMORY, at, "carrier", left, side, "off") for side in "ab")
            return is_gone or bool(air.commands(at - MEMORY, at, "note", "address", left))
        case "preference" | "delay" | "interface_up":
            return air.is_up(at, taken)
        case _:
            return False


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"
