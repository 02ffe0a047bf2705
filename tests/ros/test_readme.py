"""What the tables of the README say, against the programs, the launch files and the running node: nothing is missing on
either side. Fields of messages and services are documented where they are defined."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from rovers import wait_until, wait_until_connected

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SHARE = Path(get_package_share_directory("rover_link"))
PROGRAMS = Path(get_package_prefix("rover_link"), "lib", "rover_link")

# What a cell names in code: `~/reload`.
_CODE = re.compile(r"`([^`]+)`")


def tables(first_column: str, least: int = 1) -> list[list[list[str]]]:
    """The rows of each table whose first column has this title; there are so many of them at least."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", README, re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table.splitlines()]
        if head[0].strip("| ") == first_column:
            found.append([[cell.strip("| ") for cell in row] for row in rows])
    assert len(found) >= least, f"no table of the README begins with a column {first_column!r}"
    return found


def documented(first_column: str) -> dict[str, str]:
    """What the first column names, with the type that the second one names, over all tables of this kind."""
    found = {}
    for table in tables(first_column):
        for names, types, *_ in table:
            type_name = _CODE.search(types)
            found |= {name: type_name[1] if type_name else "" for name in _CODE.findall(names)}
    return found


def generic(name: str, node: str) -> str:
    """The name of a topic of the node as the README writes it."""
    name = name.replace(f"{node}/", "~/", 1)
    name = re.sub(r"^~/rover_b/(?=[^/]+/path_quality)[^/]+/", "~/<peer>/<interface>/", name)
    return name.replace("~/rover_b/", "~/<peer>/")


def test_topics_and_services_are_those_of_the_node(fleet):
    a, b = fleet.rover("rover_a"), fleet.rover("rover_b")
    wait_until_connected(a, b)
    assert a.path_quality("rover_b")
    topics, services = documented("topic"), documented("service")

    def there() -> tuple[dict, dict]:
        interface = a.graph.interface_of(node=a.node)
        found = {**interface["publishes"], **interface["subscribes"]}
        return {generic(name, a.node): type for name, type in found.items()}, {
            generic(name, a.node): type for name, type in interface["serves"].items()
        }

    # The graph is complete a moment after the node is.
    wait_until(lambda: [len(part) for part in there()] == [len(topics), len(services)], "as many as are documented")
    found_topics, found_services = there()
    assert found_topics == topics
    assert set(found_services) == set(services)
    for name, type_name in services.items():
        assert type_name in ("", found_services[name]), name


def test_launch_files_have_the_arguments_and_defaults_of_the_table():
    (table,) = tables("file")
    for file, arguments in table:
        tree = ElementTree.parse(SHARE / "launch" / _CODE.search(file)[1])
        defaults = {argument.get("name"): argument.get("default") for argument in tree.getroot().findall("arg")}
        written = re.findall(r"`(\w+)` \(([^)]*)\)", arguments)
        assert [name for name, _ in written] == list(defaults), file
        for name, default in written:
            # In words where there is no default.
            expected = default.strip("`") if default.startswith("`") else ""
            assert defaults[name].removeprefix("$(find-pkg-share rover_link)/") == expected, name
    assert {path.name for path in (SHARE / "launch").glob("*.xml")} == {_CODE.search(row[0])[1] for row in table}


def test_programs_have_the_options_of_the_table():
    (table,) = tables("program")
    assert {path.name for path in PROGRAMS.iterdir()} == {_CODE.search(row[0])[1] for row in table}
    written = {_CODE.search(row[0])[1]: set(re.findall(r"--[a-z-]+", row[1])) - {"--ros-args"} for row in table}
    for program, row in zip(written, table):
        if "as `rover_link_node`" in row[1]:
            written[program] |= written["rover_link_node"]
        text = subprocess.run([PROGRAMS / program, "--help"], capture_output=True, text=True, check=True).stdout
        options = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", text, re.MULTILINE))
        assert options == written[program], program


def test_the_environment_is_that_of_the_sources():
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    # Those of the project's own tests are of no use to anybody else.
    found = set(re.findall(r'"(ROVER_LINK_(?!TEST_)[A-Z_]+)"', sources))
    assert set(documented("environment")) == found


def test_parameters_that_the_readme_names_are_there():
    text = (SHARE / "config" / "rover.yaml").read_text()
    # With those that the file shows commented out.
    keys = set(re.findall(r"^ *(?:# )?([a-z_]+):", text, re.MULTILINE))
    blocks = ("handover", "interfaces", "link_quality", "qos", "peer_fingerprints")
    prose = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    named = [name.split(":")[0].split(".") for name in _CODE.findall(prose) if name.startswith(tuple(f"{b}." for b in blocks))]
    assert len(named) > 5
    for block, *fields in named:
        assert block in keys and set(fields) <= keys, ".".join([block, *fields])
    for names in (row[0] for table in tables("parameter", least=0) for row in table):
        for name in _CODE.findall(names):
            assert name in keys, name


@pytest.mark.parametrize("file", sorted([*ROOT.glob("msg/*.msg"), *ROOT.glob("srv/*.srv")]), ids=lambda file: file.name)
def test_every_field_of_a_message_is_documented(file):
    comment, fields = "", 0
    for line in file.read_text().splitlines():
        text, _, beside = line.partition("#")
        if not text.strip() or text.strip() == "---":
            # A comment goes for the fields right below it.
            comment = beside.strip() if beside else ""
        elif "=" not in text:
            fields += 1
            assert comment or beside.strip(), f"{text.strip()} of {file.name} has no comment"
    assert fields
