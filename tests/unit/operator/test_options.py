"""What the operator is told by its environment."""

from __future__ import annotations

import socket

import pytest

from trainpoint.errors import InvalidArgumentError
from trainpoint_operator.options import PREFIX, Options


def options(**given: str) -> Options:
    return Options.of({PREFIX + name: text for name, text in given.items()})


def test_the_defaults() -> None:
    assert options() == Options(namespace="default", pod=socket.gethostname())
    assert options().watch == (), "all namespaces"


def test_everything_given() -> None:
    made = options(
        NAMESPACE="trainpoint-system",
        POD="operator-0",
        WATCH_NAMESPACES=" team-a, team-b,,team-a ",
        LEASE_SECONDS="4.5",
        WORKERS="3",
        PORT="0",
        HOST="127.0.0.1",
        LOG_FORMAT="json",
        LOG_LEVEL="debug",
    )
    assert made == Options(
        namespace="trainpoint-system",
        pod="operator-0",
        watch=("team-a", "team-b"),
        lease_seconds=4.5,
        workers=3,
        port=0,
        host="127.0.0.1",
        log_format="json",
        log_level="DEBUG",
    )


def test_an_empty_variable_is_none() -> None:
    assert options(PORT=" ", LOG_FORMAT="", WATCH_NAMESPACES=" ") == options()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("LEASE_SECONDS", "1", "a number of at least 3"),
        ("LEASE_SECONDS", "soon", "'soon' is not a number of at least 3"),
        ("LEASE_SECONDS", "nan", "a number of at least 3"),
        ("WORKERS", "0", "a number of at least 1"),
        ("WORKERS", "2.5", "2.5 is not a whole number"),
        ("PORT", "-1", "a number of at least 0"),
        ("PORT", "70000", "at most 65535"),
        ("LOG_FORMAT", "xml", "neither text nor json"),
        ("LOG_LEVEL", "loud", "'LOUD' is no level"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        options(**{name: text})
    assert PREFIX + name in caught.value.message
    assert said in caught.value.message
    assert caught.value.remedy
