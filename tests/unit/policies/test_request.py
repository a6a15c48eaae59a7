"""What a resume request says: every form, and for which task."""

from __future__ import annotations

import pytest

from trainpoint.errors import InvalidArgumentError
from trainpoint.format.layout import TaskPath
from trainpoint.policies.request import Asked, Request, first_of, parse_request

OWN = TaskPath("llm", "llm-2", "main", "3")
NAME = "llm-1-4da09133-2-118-4e8c1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NAME, Request(NAME, "Environment", "Checkpoint")),
        (f" {NAME}\n", Request(NAME, "Environment", "Checkpoint")),
        ("latest", Request("latest", "Environment", "Latest")),
        ("best", Request("best", "Environment", "Best")),
        ("best:val/loss:min", Request("best:val/loss:min", "Environment", "Best", metric="val/loss", mode="min")),
        ("best:a:b:max", Request("best:a:b:max", "Environment", "Best", metric="a:b", mode="max")),
        ("llm-1", Request("llm/llm-1", "Environment", "Run", "llm", "llm-1")),
        ("llm/llm-1", Request("llm/llm-1", "Environment", "Run", "llm", "llm-1")),
        ("gpt/g-1", Request("gpt/g-1", "Environment", "Run", "gpt", "g-1")),
        ("llm/llm-1/main", Request("llm/llm-1", "Environment", "Run", "llm", "llm-1")),
        ("llm/llm-1/other", None),
    ],
)
def test_every_form_in_its_one_spelling(text: str, expected: Request | None) -> None:
    assert parse_request(text, "Environment", OWN) == expected


@pytest.mark.parametrize("text", ["", "/", "a b", "llm/", "llm/r/main/3", "best:", "best:loss", "best:loss:low", "-x"])
def test_what_cannot_be_read_says_where_it_stands_and_what_may_stand_there(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse_request(text, "Annotation", OWN)
    assert caught.value.message.startswith(f"the annotation trainpoint.dev/resume-from={text!r}")
    assert "best:<metric>:" in caught.value.remedy
    assert caught.value.exit_code == 86


def test_the_argument_goes_before_the_environment_and_that_before_the_annotation() -> None:
    assert first_of(argument="a", environment="b", annotation="c") == Asked("a", "Argument")
    assert first_of(argument=None, environment="b", annotation="c") == Asked("b", "Environment")
    assert first_of(argument="", environment=" ", annotation="c") == Asked("c", "Annotation")
    assert first_of(argument=None, environment=None, annotation="") is None
