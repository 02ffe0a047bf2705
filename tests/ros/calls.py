"""The test's end of `calls_worker.py`: a ROS node that serves and calls, in the domain of a rover."""

from __future__ import annotations

from graph import Graph
from rovers import Fleet, Rover

# As action_msgs/msg/GoalStatus has them.
SUCCEEDED, CANCELED = 4, 5


class Calls(Graph):
    """Each command of the worker is a method: `calls.call(service="/rover_b/echo", text="hello")`."""

    worker = "calls_worker.py"


def calls_beside(fleet: Fleet, rover: Rover, name: str = "calls") -> Calls:
    """A node beside a rover, which ends with the fleet."""
    log = rover.log_file.with_name(f"{rover.rover_id}_{name}.log")
    calls = Calls(rover.described.env, log, rover.enter)
    fleet.workers.append(calls)
    return calls
