"""What pytest adds to the report of a test that fails: the ends of all logs of its fleet."""

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    fleet = getattr(item, "funcargs", {}).get("fleet")
    if report.failed and fleet is not None:
        for name, log in fleet.logs().items():
            report.sections.append((f"end of {name}.log", log[-4000:]))
    return report
