#!/usr/bin/env python3
"""Shows the main job: two rovers, each with its own ROS 2 graph, share real topics. Run it by: make demo

Starts what launch/demo.launch.xml starts (signaling server, two rovers), a ROS program that publishes on rover_a and
one that subscribes on rover_b, and shows what arrives. Takes one radio away meanwhile and brings it back. Exit status 0
only if every topic arrived as its QoS promises, and the rovers told of the handover.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
sys.path.insert(1, str(ROOT / "tests/ros"))

try:
    from ament_index_python.packages import get_package_share_directory
    from demo.handover import RADIO, RadioLoss
    from demo.namespaces import why_no_namespaces
    from demo.part import Part, PartError
    from demo.screen import Screen
    from demo.stage import RADIOS, ROVERS, Stage, environment, free_domains, free_port
    from demo.view import View
    from launch_expand import expand
except ImportError as error:
    sys.exit(f"{error}. Source the environment first: . ./env.sh, or run: make demo")

SHARE = Path(get_package_share_directory("rover_link"))

SERVER_LIMIT = 5.0  # s for the signaling server to listen
LINK_LIMIT = 20.0  # s for the first message to arrive
DRAIN_LIMIT = 5.0  # s for the last messages to arrive
PERIOD = 0.5  # s between two looks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--duration", type=float, default=20.0, help="of publishing, s (default: %(default).0f)")
    parser.add_argument("--keep", action="store_true", help="go on until Ctrl-C")
    arguments = parser.parse_args()

    reason = why_no_namespaces()
    view, loss = View(), None
    try:
        with Stage(ROOT / "log/demo", namespaces=not reason) as stage:
            say(introduction(reason))
            loss = RadioLoss(stage) if stage.has_namespaces else None
            started = time.monotonic()
            publisher, subscriber, domains = start_all(stage, math.inf if arguments.keep else arguments.duration)
            say(f"logs: {stage.logs.relative_to(ROOT)}/")
            if arguments.keep:
                say(how_to_look(stage, domains))
            try:
                watch(stage, publisher, subscriber, view, loss, started)
            except KeyboardInterrupt:
                if not arguments.keep:
                    raise
    except PartError as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    print(view.verdict())
    for text in stage.unclean:
        say(f"warning: {text}; see {stage.logs.relative_to(ROOT)}/")
    is_shown = True
    if reason:
        say(f"handover not shown: {reason}")
    elif loss and loss.taken_at:
        print("\n".join(["", *loss.story(view)]))
        is_shown = loss.is_shown(view)
    say("every topic arrived as its QoS promises" if view.is_good else "failed: see the verdict of each topic")
    if not is_shown:
        say(f"failed: {ROVERS[0]} told of no handover away from {RADIO}")
    return 0 if view.is_good and is_shown else 1


def start_all(stage: Stage, duration: float) -> tuple[Part, Part, dict[str, str]]:
    """Starts everything; returns the publishing and the subscribing program, and the rovers' domains."""
    domains = dict(zip(ROVERS, free_domains()))
    # In namespaces, the server is at the far end of one of rover_a's radios.
    bind = f"{RADIOS['wwan0'][1]}:3001" if stage.has_namespaces else f"127.0.0.1:{free_port()}"
    launch_arguments = {"bind": bind, "domain_a": domains["rover_a"], "domain_b": domains["rover_b"]}
    server, *rovers = expand(SHARE / "launch/demo.launch.xml", launch_arguments, demo_environment(stage))

    server = stage.start("signaling_server", server.argv, server.env, "rover_b")
    server.next_line(SERVER_LIMIT)
    for name, rover in zip(ROVERS, rovers):
        only_radios = ["-p", f"interfaces.allow:={json.dumps(list(RADIOS))}"] if stage.has_namespaces else []
        stage.start(name, [*rover.argv, *only_radios], rover.env, name)
    subscriber = start_endpoint(stage, "subscribe", "rover_b", domains)
    publisher = start_endpoint(stage, "publish", "rover_a", domains, "--duration", str(duration))
    return publisher, subscriber, domains


def start_endpoint(stage: Stage, role: str, rover: str, domains: dict[str, str], *more: str) -> Part:
    env = demo_environment(stage) | {"ROS_DOMAIN_ID": domains[rover]}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SCRIPTS), env.get("PYTHONPATH")]))
    return stage.start(role, [sys.executable, "-m", "demo.endpoints", role, *more], env, rover)


def demo_environment(stage: Stage) -> dict[str, str]:
    """As for any program here, and ready for large images."""
    return {"FASTRTPS_DEFAULT_PROFILES_FILE": str(SHARE / "config/fastdds_large_messages.xml")} | environment(stage)


def watch(
    stage: Stage, publisher: Part, subscriber: Part, view: View, loss: RadioLoss | None, started: float
) -> None:
    """Shows what both sides report, until everything has been published and has arrived, or had its time to."""
    screen = Screen()
    last_seen_publishing = math.inf
    while not view.is_complete and time.monotonic() < last_seen_publishing + DRAIN_LIMIT:
        time.sleep(PERIOD)
        stage.check()
        for line in [*publisher.lines(), *subscriber.lines()]:
            view.take(json.loads(line))
        if view.is_published and last_seen_publishing == math.inf:
            last_seen_publishing = time.monotonic()
        if loss and (told := loss.step(time.monotonic(), view)):
            screen.clear()
            say(told)
        elapsed = time.monotonic() - started
        if elapsed > LINK_LIMIT and not view.has_arrivals:
            tails = [part.tail() for part in stage.parts if part.name in ROVERS]
            raise PartError("\n".join([f"nothing arrived within {LINK_LIMIT:.0f} s", *tails]))
        screen.show(elapsed, view.table, view.line)
    screen.clear()


def introduction(reason: str) -> str:
    if reason:
        return f"two rovers over loopback, for network namespaces cannot be made here ({reason})"
    return f"two rovers in a network namespace each, joined by two radios: {', '.join(RADIOS)}"


def how_to_look(stage: Stage, domains: dict[str, str]) -> str:
    lines = ["running until Ctrl-C. To look around, in another shell:"]
    for rover, domain in domains.items():
        enter = stage.enter_command(rover)
        lines += [f"  {rover}:  {enter + ' bash' if enter else 'bash'}"]
        lines += [f"            . {ROOT}/env.sh; export ROS_DOMAIN_ID={domain} ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST"]
    lines.append("  then, where ROS 2's tools are installed: ros2 topic list; ros2 topic echo /rover_a/odom")
    return "\n".join(lines)


def say(text: str) -> None:
    print(f"[demo] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
