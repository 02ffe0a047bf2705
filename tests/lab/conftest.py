"""Where the lab finds what it shares with the other tests and with the demo, what its tests share, and what they do where
no radios can be emulated: they are skipped, and that is said loudly, whoever starts them."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT / "tests/ros"), str(ROOT / "scripts")]

from failed_logs import pytest_runtest_makereport  # noqa: F401  (pytest finds it here)
from late import late_msgs  # noqa: F401
from radios import NoRadiosError  # found by the line above

IN_USER_NAMESPACE = "unshare --user --map-root-user --net python3 -m pytest tests/lab"

_not_tested: dict[str, str] = {}


def _unless_impossible(item):
    try:
        return (yield)
    except NoRadiosError as reason:
        _not_tested[item.nodeid] = str(reason)
        pytest.skip(f"NOT TESTED: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from _unless_impossible(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _unless_impossible(item))


def pytest_terminal_summary(terminalreporter):
    if not _not_tested:
        return
    terminalreporter.section("NOT TESTED: rovers with emulated radios", sep="!", red=True, bold=True)
    for test, reason in _not_tested.items():
        terminalreporter.line(f"{test}: {reason}")
    terminalreporter.line(f"They need root, or a user namespace: {IN_USER_NAMESPACE}")


@pytest.fixture
def tell(capsys):
    """Says what was measured, of tests that pass too."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="", flush=True)

    return say
