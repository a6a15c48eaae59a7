"""The error family: one code each, a text that helps, and a reference page that says the same."""

from __future__ import annotations

import re

import pytest

import trainpoint
import trainpoint.errors
from tests.support.repository import ROOT
from tools.errors_reference import TARGET, reference
from trainpoint.errors import (
    EXIT_REFUSED,
    EXIT_RETRY,
    EXIT_SUPERSEDED,
    EXIT_USAGE,
    CheckpointNotFoundError,
    ConflictError,
    PolicyError,
    StorePermissionError,
    StoreTimeoutError,
    TrainpointError,
    error_classes,
)

DEFINED = [
    value
    for name, value in vars(trainpoint.errors).items()
    if not name.startswith("_") and isinstance(value, type) and issubclass(value, TrainpointError)
    if value is not TrainpointError
]
every_error = pytest.mark.parametrize("cls", DEFINED, ids=lambda cls: cls.__name__)


def test_no_two_errors_share_a_code() -> None:
    codes = [cls.code for cls in DEFINED]
    assert sorted(codes) == sorted(set(codes))
    assert len(DEFINED) > 20
    assert set(error_classes().values()) == set(DEFINED)


def test_a_subclass_made_elsewhere_does_not_take_the_place_of_ours() -> None:
    class ThrottledError(StoreTimeoutError):
        pass

    assert error_classes()[ThrottledError.code] is StoreTimeoutError


@every_error
def test_an_error_has_a_code_of_its_own_and_a_name_ending_in_error(cls: type[TrainpointError]) -> None:
    assert cls.__name__.endswith("Error")
    assert re.fullmatch(r"TP[0-9]{3}", cls.code)
    assert "code" in vars(cls), "the code is inherited, so two classes share it"
    assert cls.exit_code in (EXIT_RETRY, EXIT_USAGE, EXIT_REFUSED, EXIT_SUPERSEDED)
    assert cls.__module__ == "trainpoint", "a traceback would show a module that nobody imports from"


@every_error
def test_an_error_can_be_imported_from_where_a_traceback_says_it_is(cls: type[TrainpointError]) -> None:
    assert getattr(trainpoint, cls.__name__) is cls
    assert cls.__name__ in trainpoint.__all__


@every_error
def test_an_error_says_what_happened_and_then_what_to_do(cls: type[TrainpointError]) -> None:
    what, _, to_do = (vars(cls).get("__doc__") or "").strip().partition("\n\n")
    assert what.endswith("."), f"{cls.__name__}: the docstring's first paragraph says in a sentence what happened"
    assert len(to_do.split()) >= 5, f"{cls.__name__}: the second paragraph says what to do"


@every_error
def test_an_error_can_be_caught_as_a_builtin(cls: type[TrainpointError]) -> None:
    builtins = [b for b in cls.__mro__ if b.__module__ == "builtins" and b not in (Exception, BaseException, object)]
    assert builtins, f"{cls.__name__} subclasses nothing that a caller would catch without knowing trainpoint"


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (PolicyError, ValueError),
        (CheckpointNotFoundError, FileNotFoundError),
        (StorePermissionError, PermissionError),
        (StoreTimeoutError, TimeoutError),
        (ConflictError, TimeoutError),
    ],
)
def test_the_builtin_is_the_one_a_caller_would_expect(cls: type[TrainpointError], builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise cls("something happened")


def test_a_report_has_name_code_message_remedy_and_where_to_read_more() -> None:
    error = PolicyError(
        'load_policy="newest" is not a policy', remedy='choose "fresh", "eager" or None\nor leave it out'
    )
    assert error.report().splitlines() == [
        'trainpoint.PolicyError [TP021]: load_policy="newest" is not a policy',
        '    choose "fresh", "eager" or None',
        "    or leave it out",
        "    more: trainpoint explain TP021",
    ]


def test_an_error_shown_in_a_traceback_has_its_code_and_remedy() -> None:
    assert str(PolicyError("no such policy", remedy="choose another")) == "[TP021] no such policy\n    choose another"
    assert str(PolicyError("no such policy")) == "[TP021] no such policy"


def test_the_reference_page_is_what_the_docstrings_say() -> None:
    assert TARGET.read_text(encoding="utf-8") == reference(), "run: make generate"


@every_error
def test_the_reference_page_has_an_entry_for_every_error(cls: type[TrainpointError]) -> None:
    assert f"\n## {cls.code} {cls.__name__}\n" in (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
