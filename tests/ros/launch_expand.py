"""Expands an XML launch file into the processes that `ros2 launch` would start, without ROS's launch packages.

Only the elements that this package's launch files use are known; anything else is an error. Where launch has rules that
surprise, they are kept: arguments of an include stay set after it, and only a group ends their scope.

One thing differs from `ros2 launch`, not in effect: single parameters become `-p name:=value` here, a temporary
parameter file there.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from ament_index_python.packages import get_package_prefix, get_package_share_directory

# Attributes of each element; `if` and `unless` go with all of them.
_ATTRIBUTES = {
    "launch": set(),
    "arg": {"name", "default", "value", "description"},
    "let": {"name", "value"},
    "group": {"scoped"},
    "push-ros-namespace": {"namespace"},
    "include": {"file"},
    "node": {"pkg", "exec", "name", "namespace", "args", "output"},
    "param": {"name", "value", "from"},
    "remap": {"from", "to"},
    "env": {"name", "value"},
}
_SUBSTITUTION = re.compile(r"\$\(([a-z-]+)\s+([^()]+?)\s*\)")


class LaunchFileError(ValueError):
    """The launch file asks for something that cannot be expanded."""


@dataclass
class Process:
    """A process to start: `subprocess.Popen(process.argv, env=process.env)`."""

    executable: str
    argv: list[str]  # the executable first
    env: dict[str, str]  # complete


@dataclass
class _Context:
    environment: dict[str, str]
    configurations: dict[str, str]
    namespace: str | None = None
    processes: list[Process] = field(default_factory=list)


def expand(path: str | Path, arguments: dict[str, str] | None = None, environment: dict[str, str] | None = None) -> list[Process]:
    """Returns the processes in the order of the file.

    `arguments` are those given on the command line of `ros2 launch`; `environment` is the shell's, by default this
    process's own.
    """
    context = _Context(dict(os.environ if environment is None else environment), dict(arguments or {}))
    _expand_file(Path(path), context)
    return context.processes


def _expand_file(path: Path, context: _Context) -> None:
    root = ElementTree.parse(path).getroot()
    _check(root, "launch")
    _expand_children(root, context)


def _expand_children(parent: ElementTree.Element, context: _Context) -> None:
    for element in parent:
        _check(element)
        if not _applies(element, context):
            continue
        match element.tag:
            case "arg":
                _declare(element, context)
            case "let":
                context.configurations[element.attrib["name"]] = _attribute(element, "value", context)
            case "group":
                _expand_group(element, context)
            case "push-ros-namespace":
                context.namespace = _joined(context.namespace, _attribute(element, "namespace", context))
            case "include":
                _include(element, context)
            case "node":
                context.processes.append(_node(element, context))
            case other:
                raise LaunchFileError(f"<{other}> is out of place in <{parent.tag}>")


def _expand_group(element: ElementTree.Element, context: _Context) -> None:
    configurations, namespace = dict(context.configurations), context.namespace
    _expand_children(element, context)
    if element.get("scoped", "true") == "true":
        context.configurations, context.namespace = configurations, namespace


def _declare(element: ElementTree.Element, context: _Context) -> None:
    name = element.attrib["name"]
    if name in context.configurations:
        return
    if "default" not in element.attrib:
        raise LaunchFileError(f"the launch argument {name} has no default and is not given")
    context.configurations[name] = _attribute(element, "default", context)


def _include(element: ElementTree.Element, context: _Context) -> None:
    for argument in element:
        _check(argument, "arg")
        context.configurations[argument.attrib["name"]] = _attribute(argument, "value", context)
    _expand_file(Path(_attribute(element, "file", context)), context)


def _node(element: ElementTree.Element, context: _Context) -> Process:
    package, program = _attribute(element, "pkg", context), _attribute(element, "exec", context)
    executable = str(Path(get_package_prefix(package), "lib", package, program))
    ros_arguments: list[str] = []
    if "name" in element.attrib:
        ros_arguments += ["-r", f"__node:={_attribute(element, 'name', context)}"]
    namespace = context.namespace
    if "namespace" in element.attrib:
        namespace = _joined(namespace, _attribute(element, "namespace", context))
    if namespace is not None:
        ros_arguments += ["-r", f"__ns:={namespace}"]

    parameters: list[str] = []
    remaps: list[str] = []
    env = dict(context.environment)
    for child in element:
        _check(child)
        if not _applies(child, context):
            continue
        match child.tag:
            case "param" if "from" in child.attrib:
                parameters += ["--params-file", _attribute(child, "from", context)]
            case "param":
                parameters += ["-p", f"{_attribute(child, 'name', context)}:={_attribute(child, 'value', context)}"]
            case "remap":
                remaps += ["-r", f"{_attribute(child, 'from', context)}:={_attribute(child, 'to', context)}"]
            case "env":
                env[_attribute(child, "name", context)] = _attribute(child, "value", context)
            case other:
                raise LaunchFileError(f"<{other}> is out of place in <node>")

    arguments = _split_arguments(element.get("args", ""), context)
    return Process(executable, [executable, *arguments, "--ros-args", *ros_arguments, *parameters, *remaps], env)


def _check(element: ElementTree.Element, tag: str | None = None) -> None:
    known = _ATTRIBUTES.get(element.tag)
    if known is None or (tag is not None and element.tag != tag):
        raise LaunchFileError(f"<{element.tag}> is not known here")
    unknown = set(element.attrib) - known - {"if", "unless"}
    if unknown:
        raise LaunchFileError(f"<{element.tag}> does not know {', '.join(sorted(unknown))}")


def _applies(element: ElementTree.Element, context: _Context) -> bool:
    for condition, wanted in (("if", True), ("unless", False)):
        if condition in element.attrib and _truth(_attribute(element, condition, context)) != wanted:
            return False
    return True


def _truth(text: str) -> bool:
    match text.strip().lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    raise LaunchFileError(f"a condition must be true or false, not {text!r}")


def _joined(base: str | None, namespace: str) -> str:
    """The absolute namespace that `namespace` means below `base`."""
    if base and not namespace.startswith("/"):
        namespace = f"{base.rstrip('/')}/{namespace}"
    return "/" + namespace.strip("/")


def _attribute(element: ElementTree.Element, name: str, context: _Context) -> str:
    if name not in element.attrib:
        raise LaunchFileError(f"<{element.tag}> lacks {name}")
    return "".join(text for text, _ in _pieces(element.attrib[name], context))


def _pieces(text: str, context: _Context) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether a substitution brought it."""
    pieces, end = [], 0
    for match in _SUBSTITUTION.finditer(text):
        pieces.append((text[end : match.start()], False))
        pieces.append((_substituted(match[1], match[2], context), True))
        end = match.end()
    pieces.append((text[end:], False))
    if any("$(" in piece for piece, is_substituted in pieces if not is_substituted):
        raise LaunchFileError(f"{text!r} holds a substitution that is not known here")
    return [(piece, is_substituted) for piece, is_substituted in pieces if piece or is_substituted]


def _substituted(kind: str, operand: str, context: _Context) -> str:
    match kind:
        case "var":
            if operand not in context.configurations:
                raise LaunchFileError(f"the launch configuration {operand} is not set")
            return context.configurations[operand]
        case "find-pkg-share":
            return get_package_share_directory(operand)
        case "env":
            name, *default = operand.split(maxsplit=1)
            if name not in context.environment and not default:
                raise LaunchFileError(f"the environment variable {name} is not set")
            return context.environment.get(name, *default)
    raise LaunchFileError(f"the substitution {kind} is not known here")


def _split_arguments(text: str, context: _Context) -> list[str]:
    """Splits as a shell would, but never what a substitution brought: that stays one argument, an empty one too."""
    arguments: list[str] = []
    current: str | None = None  # the argument that the next piece may continue
    for piece, is_substituted in _pieces(text, context):
        if is_substituted:
            current = (current or "") + piece
            continue
        words = shlex.split(piece)
        if current is not None and (piece[0].isspace() or not words):
            arguments.append(current)
            current = None
        if words:
            *finished, last = [(current or "") + words[0], *words[1:]]
            arguments += finished
            current = last
            if piece[-1].isspace():
                arguments.append(current)
                current = None
    return arguments if current is None else [*arguments, current]
