"""Which resume request counts where there are several."""

from __future__ import annotations

import logging

import pytest

from trainpoint.errors import InvalidArgumentError
from trainpoint.format.layout import TaskPath
from trainpoint.handle.resume import request_in_force
from trainpoint.policies.request import Asked

OWN = TaskPath("llm", "r", "main")


@pytest.mark.parametrize(
    ("asked", "run_object", "expected", "warned"),
    [
        (None, "", None, False),
        (None, "llm/q", ("llm/q", "Run"), False),
        (Asked("q", "Environment"), "", ("llm/q", "Environment"), False),
        (Asked("q", "Environment"), "llm/q", ("llm/q", "Environment"), False),
        (Asked("q", "Annotation"), "latest", ("llm/q", "Annotation"), True),
        (Asked("llm/q/other", "Annotation"), "", None, False),
        (Asked("llm/q/other", "Annotation"), "latest", ("latest", "Run"), False),
    ],
)
def test_what_is_said_nearer_to_the_program_goes_before_what_stands_on_the_run_object(
    asked: Asked | None,
    run_object: str,
    expected: tuple[str, str] | None,
    warned: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "trainpoint"):
        found = request_in_force(asked, run_object, OWN)
    assert (found and (found.text, found.by)) == expected
    assert ("is not followed" in caplog.text) == warned


def test_one_that_cannot_be_read_is_a_mistake_wherever_it_stands() -> None:
    with pytest.raises(InvalidArgumentError, match=r"spec\.resumeFrom='a b'"):
        request_in_force(None, "a b", OWN)
