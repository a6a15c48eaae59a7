"""The API of the SDK is frozen: a test says when a name, an argument or a type changes."""

from __future__ import annotations

import difflib
import inspect

import pytest

import trainpoint
from tools.sdk_reference import SNAPSHOT, markdown, snapshot
from tools.sdk_surface import ALIASES, CHAPTERS, Member, alias, members_of, not_in_a_chapter, surface
from trainpoint import Checkpoint
from trainpoint.handle.decorator import CheckpointOptions

MEMBERS: list[Member] = [m for names in surface().values() for members in names for m in members]


def test_the_api_is_what_it_was() -> None:
    then, now = SNAPSHOT.read_text(encoding="utf-8").splitlines(), snapshot().splitlines()
    differs = "\n".join(
        line for line in difflib.unified_diff(then, now, lineterm="", n=0) if line[:2] not in ("--", "++")
    )
    assert not differs, (
        f"the public API is not what it was:\n{differs}\n"
        "It is frozen. An argument with a default, or one more name, breaks nobody; anything else breaks programs. "
        "If this is a decision, run: make generate; and say so in CHANGELOG.md"
    )


def test_every_public_name_is_on_the_page() -> None:
    assert not not_in_a_chapter()
    assert {name for names in CHAPTERS.values() for name in names} <= set(trainpoint.__all__)


def test_what_the_sources_say_is_what_python_sees() -> None:
    """The surface is read from the sources; this compares its names with the objects'."""
    there = {name for name in dir(Checkpoint) if not name.startswith("_")}
    assert {m.name for m in members_of(Checkpoint) if not m.name.startswith("_")} == there
    (save,) = [m for m in members_of(Checkpoint) if m.name == "save"]
    for name in inspect.signature(Checkpoint.save).parameters:
        assert name == "self" or f"{name}: " in save.signature


def test_the_decorator_takes_what_the_handle_takes() -> None:
    handle = set(inspect.signature(Checkpoint).parameters) - {"clock", "chance"}
    assert set(CheckpointOptions.__annotations__) == handle


@pytest.mark.parametrize("name", ALIASES)
def test_a_type_that_signatures_name_is_found(name: str) -> None:
    assert alias(name).signature


def test_no_signature_names_a_module_of_the_inside() -> None:
    inside = ("catalog.", "handle.", "lineage.", "format.", "BucketCatalog", "Manifest", "Role")
    assert not [m.title for m in MEMBERS if any(word in m.signature for word in inside)]


def test_a_docstring_becomes_markdown() -> None:
    doc = (
        "One of :class:`~trainpoint.Checkpoint` and ``x``.\n\n>>> 1\n1\n\n"
        "Args:\n    a, b: first\n        and more.\nRaises:\n    SomeError: why."
    )
    shown = "\n".join(markdown(doc))
    assert "One of `Checkpoint` and `x`." in shown
    assert "```pycon\n>>> 1\n1\n```" in shown
    assert "- `a`, `b`: first\n  and more." in shown
    assert "- `SomeError`: why." in shown
