"""The commands of `graph_worker.py` about parameters of another node: rclpy's own client of the parameter services, which
is what `ros2 param` uses too."""

from __future__ import annotations

import threading

from messages import plain
from rcl_interfaces.msg import ParameterEvent
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import qos_profile_parameter_events
from std_srvs.srv import Trigger

# Far beyond what an answer takes, s.
PATIENCE = 60.0


def parameter(name: str, value) -> Parameter:
    """A parameter as `ros2 param set` makes it; None takes a value away, an empty list is one of texts."""
    if value is None:
        return Parameter(name, Parameter.Type.NOT_SET)
    return Parameter(name, Parameter.Type.STRING_ARRAY if value == [] else None, value)


class ParameterCommands:
    """Each method is a command."""

    def __init__(self, node) -> None:
        self._node = node
        self._clients: dict[str, AsyncParameterClient] = {}
        self._events: list = []

    def set_parameters(self, node, values, atomically=False):
        """Sets them in one request; gives a result for each, or one for all."""
        parameters = [parameter(name, value) for name, value in values.items()]
        if atomically:
            return plain(self._answer(self._client(node).set_parameters_atomically(parameters)).result)
        return [plain(result) for result in self._answer(self._client(node).set_parameters(parameters)).results]

    def load_parameters(self, node, file):
        """What `ros2 param load` does."""
        response = self._answer(self._client(node).load_parameter_file(file, use_wildcard=True))
        return [plain(result) for result in response.results]

    def get_parameters(self, node, names):
        return [plain(value) for value in self._answer(self._client(node).get_parameters(names)).values]

    def list_parameters(self, node, prefixes=(), depth=0):
        return plain(self._answer(self._client(node).list_parameters(list(prefixes), depth)).result)

    def describe_parameters(self, node, names):
        return [plain(one) for one in self._answer(self._client(node).describe_parameters(names)).descriptors]

    def parameter_types(self, node, names):
        return list(self._answer(self._client(node).get_parameter_types(names)).types)

    def watch_parameter_events(self):
        self._node.create_subscription(
            ParameterEvent, "/parameter_events", self._events.append, qos_profile_parameter_events
        )

    def parameter_events(self, node):
        """Names of the parameters that this node has told of, in all events so far."""
        kinds = ("new_parameters", "changed_parameters", "deleted_parameters")
        events = [event for event in self._events if event.node == node]
        return {kind: [one.name for event in events for one in getattr(event, kind)] for kind in kinds}

    def trigger(self, service):
        """What a service of the type Trigger answers."""
        client = self._node.create_client(Trigger, service)
        if not client.wait_for_service(PATIENCE):
            raise TimeoutError(f"there is no service {service}")
        response = plain(self._answer(client.call_async(Trigger.Request())))
        self._node.destroy_client(client)
        return response

    def _client(self, node: str) -> AsyncParameterClient:
        if node not in self._clients:
            client = AsyncParameterClient(self._node, node)
            if not client.wait_for_services(PATIENCE):
                raise TimeoutError(f"there are no parameter services of {node}")
            self._clients[node] = client
        return self._clients[node]

    def _answer(self, future):
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(PATIENCE):
            raise TimeoutError("no answer")
        return future.result()
