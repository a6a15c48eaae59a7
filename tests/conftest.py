"""Fixtures of every rung."""

from __future__ import annotations

import secrets
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.place import Place
from tools.s3server import DEFAULT_BUCKET, S3Server

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_configure() -> None:
    """Programs under test begin with the usual signals, also where nohup or a background shell has us ignore some."""
    for number, usual in (
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGINT, signal.default_int_handler),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Figures that tests have noted with ``record_property``."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {name} {value}")


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty store for programs: a directory, then a prefix on a real S3 server."""
    if request.param == "directory":
        return Place(f"file://{tmp_path}/store")
    server: S3Server = request.getfixturevalue("s3_server")
    return Place(f"s3://{DEFAULT_BUCKET}/{secrets.token_hex(4)}", environ=dict(server.env()))
