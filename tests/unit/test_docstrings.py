"""Every public class, method and function has an example, and the example runs."""

from __future__ import annotations

import ast
import doctest
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainpoint
import trainpoint.testing
from tools.sdk_surface import REACHED, SPECIAL, Member, surface
from trainpoint import Checkpoint
from trainpoint.format.layout import run_end_key
from trainpoint.format.records import RunEndRecord
from trainpoint.store.directory import DirectoryStore

CHAPTERS = surface()
MEMBERS: list[Member] = [m for names in CHAPTERS.values() for members in names for m in members]
EXAMPLES = [m for m in MEMBERS if ">>>" in m.doc]

NEED_NO_EXAMPLE = {cls.__name__ for cls in REACHED} - {"CheckpointList", "RunList"} | {"ObjectInfo", "Clock", "Chance"}
"""Records that a caller is handed, whose fields say it all; and what a test's double stands for."""
OF_DOUBLES = set(trainpoint.testing.__all__)
"""One example for each of these suffices: their methods are those of what they stand for."""


def save_state(path: Path) -> None:
    path.write_text("weights")


class Example:
    """What an example finds: an open handle in a run of its own, and an earlier run that has succeeded."""

    def __init__(self, folder: Path) -> None:
        state = folder / "state"
        state.mkdir()
        save_state(state / "model.txt")
        (state / "log.txt").write_text("loss 0.25\n")
        with Checkpoint(run="digits-1") as earlier:
            self._train(earlier, state)
            earlier.publish("accuracy", 0.9)
            earlier.publish("best", earlier.latest())
        end = RunEndRecord("Succeeded", "", "2026-11-22T09:12:09.000000Z")
        DirectoryStore(folder / "store").put(run_end_key("_", "digits", "digits-1"), end.to_bytes())
        self.ckpt = Checkpoint(run="digits-2")
        self.ref = self._train(self.ckpt, state)

    def _train(self, ckpt: Checkpoint, state: Path) -> trainpoint.CheckpointRef:
        ckpt.save(state, step=100, metrics={"loss": 0.5, "accuracy": 0.8})
        return ckpt.save(state, step=200, metrics={"loss": 0.25, "accuracy": 0.9})

    def names(self) -> dict[str, object]:
        return {
            **{name: getattr(trainpoint, name) for name in trainpoint.__all__},
            **{name: getattr(trainpoint.testing, name) for name in trainpoint.testing.__all__},
            "Path": Path,
            "ckpt": self.ckpt,
            "ref": self.ref,
            "total": 3,
            "train_one": lambda step: None,
            "save_state": save_state,
        }


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Example]:
    for name in list(os.environ):
        if name.startswith("TRAINPOINT_") or name in ("RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)
    for name, value in {"STORE": str(tmp_path / "store"), "WORKFLOW": "digits", "OWNER": "ada"}.items():
        monkeypatch.setenv(f"TRAINPOINT_{name}", value)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # most of the time otherwise, and nobody cuts the power here
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    made = Example(tmp_path)
    yield made
    made.ckpt.close()


def run(text: str, names: dict[str, object], title: str) -> str:
    """What is wrong with the examples in ``text``; empty if nothing is."""
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    found = doctest.DocTestParser().get_doctest(text, names, title, None, None)
    runner.run(found, out=said.append)
    return "".join(said)


@pytest.mark.parametrize("member", EXAMPLES, ids=lambda m: m.title)
def test_an_example_does_what_it_shows(member: Member, example: Example) -> None:
    wrong = run(member.doc, example.names(), member.title)
    assert not wrong, wrong


def test_the_example_of_the_package_does_what_it_shows(example: Example) -> None:
    wrong = run(trainpoint.__doc__ or "", example.names(), "trainpoint")
    assert not wrong, wrong


def test_an_example_that_is_wrong_is_found(example: Example) -> None:
    assert "Expected:\n    201\nGot:\n    200" in run(">>> ckpt.latest().step\n201\n", example.names(), "wrong")


def test_no_example_is_left_out() -> None:
    assert not [m.title for m in MEMBERS if "+SKIP" in m.doc]
    assert "+SKIP" not in (trainpoint.__doc__ or "")


def test_every_public_name_has_an_example() -> None:
    without = [
        m.title
        for m in MEMBERS
        if m.kind in ("class", "function", "method", "classmethod")
        and not {m.owner, m.title} & NEED_NO_EXAMPLE
        and m.owner not in OF_DOUBLES
        and m.name not in SPECIAL - {"__getitem__"}
        and not (m.name == "__getitem__" and not m.doc)
        and ">>>" not in m.doc
    ]
    assert not without, "give each an example in its docstring; see the others"


def test_every_public_name_says_what_it_is() -> None:
    """Attributes whose names say all there is to say need no words; options are those of the handle."""
    plain = {"name", "run", "task", "index", "workflow", "attempt", "sequence", "step", "epoch", "namespace", "message"}
    without = [
        m.title for m in MEMBERS if not m.doc and m.name not in plain | SPECIAL and m.owner != "CheckpointOptions"
    ]
    assert not without


def test_an_error_that_a_docstring_names_exists() -> None:
    errors = {name for name in vars(trainpoint.errors) if name.endswith("Error")}
    builtin = {"ValueError", "KeyError", "AttributeError"}
    words = {word.strip("`.,:;()") for m in MEMBERS for word in m.doc.split()}
    assert not {word for word in words if word.endswith("Error") and word.isalpha()} - errors - builtin - {"Error"}


def test_an_argument_that_a_docstring_explains_exists() -> None:
    wrong = []
    for member in MEMBERS:
        _, _, args = member.doc.partition("Args:\n")
        known = {a.arg for a in ast.walk(ast.parse(f"def f{member.signature.splitlines()[-1]}: ..."))
                 if isinstance(a, ast.arg)} if args else set()  # fmt: skip
        for line in args.splitlines():
            if not line.startswith("    "):
                break
            if not line.startswith("     ") and ": " in line:
                wrong += [f"{member.title}: {n}" for n in line.strip().partition(":")[0].split(", ") if n not in known]
    assert not wrong
