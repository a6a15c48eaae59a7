"""``trainpoint explain``."""

from __future__ import annotations

import json

import pytest

from tests.support import command_line
from trainpoint.errors import error_classes


def explain(*arguments: str) -> tuple[int, str, str]:
    done = command_line.invoke("explain", *arguments)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("code", ["TP021", "tp021", "PolicyError"])
def test_an_entry_says_name_exit_code_and_what_to_do(code: str) -> None:
    status, out, _ = explain(code)
    assert status == 0
    assert out.startswith(
        "TP021  PolicyError\nexit code 86; can also be caught as ValueError\n\nA load policy is unknown"
    )
    assert "``" not in out


@pytest.mark.parametrize("code", error_classes())
def test_every_code_has_an_entry(code: str) -> None:
    status, out, _ = explain(code, "-o", "json")
    assert status == 0
    entry = json.loads(out)
    cls = error_classes()[code]
    assert (entry["code"], entry["name"], entry["exitCode"]) == (code, cls.__name__, cls.exit_code)
    assert entry["text"]


def test_an_unknown_code_is_a_mistake_of_the_command_line_that_lists_the_known_ones() -> None:
    status, out, err = explain("TP999")
    assert (status, out) == (2, "")
    assert "TP999 is no error code of trainpoint" in err
    assert all(code in err for code in error_classes())


def test_without_a_code_all_are_listed() -> None:
    status, out, _ = explain()
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["CODE", *error_classes()]
    assert len(json.loads(explain("-o", "json")[1])) == len(error_classes())
