"""One ROS node in a process of its own that serves and calls: services and actions, as a test says.

Commands and answers are those of `graph_worker.py`. Each request carries a text, which its response returns, so that each
call can be told from all others. `calls.py` is the other end.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections import Counter

from rcl_interfaces.msg import ParameterValue
from rclpy.action import ActionClient, ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from worker import obey, run

GET_PARAMETERS = "rcl_interfaces/srv/GetParameters"

# A client gets the responses to all clients of a service, of which it keeps ten by default: while its process gets no
# time, those of other processes push its own out.
DEEP = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)


def class_of(type_name: str):
    package, folder, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.{folder}"), name)


def request_of(type_name: str, text: str):
    request = class_of(type_name).Request()
    if type_name == GET_PARAMETERS:
        request.names = [text]
    return request


def text_in(type_name: str, message) -> str:
    """The text in a request or in a response."""
    if type_name != GET_PARAMETERS:
        return getattr(message, "message", "")
    return message.names[0] if hasattr(message, "names") else message.values[0].string_value


def fill_response(type_name: str, response, text: str) -> None:
    if type_name == GET_PARAMETERS:
        response.values = [ParameterValue(type=4, string_value=text)]
    else:
        response.success, response.message = True, text


class Load:
    """Clients of one service, each of which calls as soon as its last call is answered or has waited too long."""

    def __init__(self, node, service: str, type_name: str, clients: int, count: int, name: str, patience: float) -> None:
        self._node = node
        self._type_name = type_name
        self._name = name
        self._patience = patience
        self._per_client = count // clients
        self._clients = [
            node.create_client(class_of(type_name), service, qos_profile=DEEP) for _ in range(clients)
        ]
        self._current = [""] * clients
        self._since = [time.monotonic()] * clients
        self._called = [0] * clients
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.timed_out: list[str] = []
        self.durations: list[float] = []
        self._watch = node.create_timer(0.1, self._give_up)
        self._start = node.create_timer(0.05, self._begin)

    def done(self) -> int:
        return sum(self._called) - sum(map(bool, self._current))

    def is_over(self) -> bool:
        return self.done() == self._per_client * len(self._clients)

    def destroy(self) -> None:
        self._node.destroy_timer(self._watch)
        for client in self._clients:
            self._node.destroy_client(client)

    def _begin(self) -> None:
        # What is asked before there is a server is lost in ROS itself.
        if not all(client.service_is_ready() for client in self._clients):
            return
        self._start.cancel()
        for index in range(len(self._clients)):
            self._call(index)

    def _call(self, index: int) -> None:
        if self._called[index] == self._per_client:
            self._current[index] = ""
            return
        self._called[index] += 1
        text = f"{self._name} {index} {self._called[index]}"
        self._current[index], self._since[index] = text, time.monotonic()
        future = self._clients[index].call_async(request_of(self._type_name, text))
        future.add_done_callback(lambda future: self._take(index, text, future))

    def _take(self, index: int, text: str, future: Future) -> None:
        answered = text_in(self._type_name, future.result())
        self.answers[text] += 1
        if answered != text:
            self.wrong.append(f"{text!r} was answered by {answered!r}")
        if self._current[index] == text:
            self.durations.append(time.monotonic() - self._since[index])
            self._call(index)

    def _give_up(self) -> None:
        now = time.monotonic()
        for index, text in enumerate(self._current):
            if text and now - self._since[index] > self._patience:
                self.timed_out.append(text)
                self._call(index)


class Goal:
    """A goal of ours."""

    def __init__(self) -> None:
        self.handle = None
        self.feedback: list[int] = []
        self.result = None


class Worker:
    """Each method is a command."""

    def __init__(self, node) -> None:
        self._node = node
        # Whoever waits here lets others go on.
        self._concurrent = ReentrantCallbackGroup()
        self._servers: dict[str, object] = {}
        self._requests: dict[str, list[str]] = {}
        self._clients: dict[str, object] = {}
        self._load: Load | None = None
        self._action_servers: dict[str, ActionServer] = {}
        self._action_clients: dict[str, ActionClient] = {}
        self._goals: dict[str, Goal] = {}
        self._executed: list[str] = []

    def serve(self, service, type=GET_PARAMETERS, delay=0.0):
        """Answers each request after `delay`, s, without making others wait; a negative one means never."""
        requests = self._requests.setdefault(service, [])

        async def answer_request(request, response):
            text = text_in(type, request)
            requests.append(text)
            if delay:
                await self._after(delay)
            fill_response(type, response, text)
            return response

        self._servers[service] = self._node.create_service(
            class_of(type), service, answer_request, callback_group=self._concurrent
        )

    def unserve(self, service):
        self._node.destroy_service(self._servers.pop(service))

    def requests(self, service):
        """The texts of all requests that came."""
        return list(self._requests[service])

    def is_ready(self, service, type=GET_PARAMETERS):
        return self._client(service, type).service_is_ready()

    def call(self, service, text, type=GET_PARAMETERS, patience=60.0):
        """The text of the answer, or None if there is none."""
        return self.call_all(service, [text], type, patience)[0]

    def call_all(self, service, texts, type=GET_PARAMETERS, patience=60.0):
        """Calls all at once; gives the text of each answer, None where there is none."""
        client = self._client(service, type)
        if not client.wait_for_service(60.0):
            raise TimeoutError(f"there is no service {service}")
        futures = [client.call_async(request_of(type, text)) for text in texts]
        deadline = time.monotonic() + patience
        while not all(future.done() for future in futures) and time.monotonic() < deadline:
            time.sleep(0.01)
        return [text_in(type, future.result()) if future.done() else None for future in futures]

    def begin_call(self, service, text, type=GET_PARAMETERS):
        """Calls and does not wait."""
        self._client(service, type).call_async(request_of(type, text))

    def start_load(self, service, clients, count, name, patience, type=GET_PARAMETERS):
        self._load = Load(self._node, service, type, clients, count, name, patience)

    def load(self):
        """How the load is going."""
        load = self._load
        return {"done": load.done(), "is_over": load.is_over()}

    def end_load(self):
        """What came of it."""
        load, self._load = self._load, None
        load.destroy()
        return {
            "answers": load.answers,
            "wrong": load.wrong,
            "timed_out": load.timed_out,
            "durations": load.durations,
        }

    def serve_action(self, action, type):
        kind = class_of(type)

        async def execute(goal):
            log = []
            for step in range(1, goal.request.steps + 1):
                await self._after(goal.request.period)
                if goal.is_cancel_requested:
                    goal.canceled()
                    break
                log.append(str(step))
                goal.publish_feedback(kind.Feedback(step=step))
            else:
                goal.succeed()
            self._executed.append(bytes(goal.goal_id.uuid).hex())
            return kind.Result(reached=len(log), log=" ".join(log))

        self._action_servers[action] = ActionServer(
            self._node,
            kind,
            action,
            execute,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=self._concurrent,
        )

    def unserve_action(self, action):
        self._action_servers.pop(action).destroy()

    def executed(self):
        """The goals that were executed to their end, by their id."""
        return list(self._executed)

    def has_action_server(self, action, type):
        return self._action_client(action, type).server_is_ready()

    def send_goal(self, action, type, name, steps, period):
        """Sends a goal, to be called by this name here; gives its id, or None if it is not accepted."""
        client = self._action_client(action, type)
        if not client.wait_for_server(60.0):
            raise TimeoutError(f"there is no action {action}")
        goal = self._goals[name] = Goal()
        request = class_of(type).Goal(steps=steps, period=period)

        def feedback(message):
            goal.feedback.append(message.feedback.step)

        goal.handle = wait_for(client.send_goal_async(request, feedback), "the goal is answered")
        if not goal.handle.accepted:
            return None
        goal.handle.get_result_async().add_done_callback(lambda future: setattr(goal, "result", future.result()))
        return bytes(goal.handle.goal_id.uuid).hex()

    def cancel_goal(self, name):
        """Asks to cancel a goal; gives the number of goals that will be."""
        return len(wait_for(self._goals[name].handle.cancel_goal_async(), "the cancel is answered").goals_canceling)

    def goal(self, name):
        """What is known of a goal; its status is None until it is over."""
        goal = self._goals[name]
        if goal.result is None:
            return {"status": None, "feedback": list(goal.feedback)}
        result = goal.result.result
        return {
            "status": goal.result.status,
            "reached": result.reached,
            "log": result.log,
            "feedback": list(goal.feedback),
        }

    def _client(self, service, type):
        if service not in self._clients:
            self._clients[service] = self._node.create_client(class_of(type), service)
        return self._clients[service]

    def _action_client(self, action, type):
        if action not in self._action_clients:
            self._action_clients[action] = ActionClient(self._node, class_of(type), action)
        return self._action_clients[action]

    def _after(self, delay: float) -> Future:
        future = Future(executor=self._node.executor)
        if delay < 0.0:
            return future

        def done():
            self._node.destroy_timer(timer)
            future.set_result(None)

        timer = self._node.create_timer(delay, done, callback_group=self._concurrent)
        return future


def wait_for(future: Future, what: str, patience: float = 60.0):
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not done.wait(patience):
        raise TimeoutError(f"not within {patience} s: {what}")
    return future.result()


run(f"calls_{os.getpid()}", Worker, obey)
