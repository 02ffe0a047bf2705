"""What all tests share: a fleet that ends with the test, and the logs of a test that fails."""

import pytest
from rovers import Fleet


@pytest.fixture
def fleet(tmp_path):
    fleet = Fleet(tmp_path)
    yield fleet
    killed = fleet.end()
    assert not killed, f"had to be killed: {killed}"
    for name, log in fleet.logs().items():
        assert "panicked at" not in log, f"a panic in {name}.log"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    fleet = getattr(item, "funcargs", {}).get("fleet")
    if report.failed and fleet is not None:
        for name, log in fleet.logs().items():
            report.sections.append((f"end of {name}.log", log[-4000:]))
    return report
