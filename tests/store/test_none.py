"""Scenario 8 and acceptance 6: who says None chooses alone, on every attempt, whatever else is said and saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.place import Place
from trainpoint import Checkpoint, PolicyError, checkpoint, current
from trainpoint.policies.load import UNSET, LoadPolicy, LoadPolicyArgument
from trainpoint.policies.settings import LoadSettings, PolicySettings, to_json


@pytest.fixture(autouse=True)
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process uses the place, as one run of a workflow that has been run before."""
    for name, value in {**place.environ, "TRAINPOINT_STORE": place.url, "TRAINPOINT_WORKFLOW": "counter"}.items():
        monkeypatch.setenv(name, value)
    attempt("earlier", "fresh")


def attempt(run: str, policy: LoadPolicyArgument = UNSET, *, fail: bool = False) -> tuple[bool, list[str], str]:
    """One that saves once: whether it began loaded, what its directory held, and who decided that."""
    try:
        with Checkpoint(run=run, load_policy=policy) as ckpt:
            why = ckpt.why
            assert why is not None
            seen = ckpt.is_loaded, sorted(p.name for p in ckpt.path.iterdir()), f"{why.policy}, from {why.source}"
            with ckpt.stage(step=ckpt.step + 1) as folder:
                (folder / "number").write_text(str(ckpt.step + 1))
            if fail:
                raise RuntimeError("flaky")
    except RuntimeError:
        pass
    return seen


def in_force(folder: Path, monkeypatch: pytest.MonkeyPatch, policy: LoadPolicy, *allowed: LoadPolicy) -> None:
    """A policy file, as ``trainpoint run --policy`` hands it to its child."""
    settings = replace(PolicySettings(), load=LoadSettings(policy, allowed), source="CheckpointPolicy default")
    (folder / "policy.json").write_text(to_json(settings))
    monkeypatch.setenv("TRAINPOINT_POLICY", str(folder / "policy.json"))


@pytest.mark.parametrize("said", [None, "none", "None"])
def test_none_as_argument_loads_nothing_on_any_attempt_although_the_policy_says_eager(
    said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_force(tmp_path, monkeypatch, "eager")
    for _ in range(2):
        assert attempt("r", said, fail=True) == (False, [], "none, from the argument load_policy")
    assert attempt("r") == (True, ["number"], "eager, from CheckpointPolicy default"), "they were there all along"


def test_none_by_variable_or_policy_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_force(tmp_path, monkeypatch, "none")
    for _ in range(2):
        assert attempt("r", fail=True) == (False, [], "none, from CheckpointPolicy default")
    in_force(tmp_path, monkeypatch, "eager")
    monkeypatch.setenv("TRAINPOINT_LOAD_POLICY", "none")
    for _ in range(2):
        assert attempt("s", fail=True) == (False, [], "none, from TRAINPOINT_LOAD_POLICY")


def test_the_program_then_loads_what_it_wants_and_that_is_a_parent() -> None:
    with Checkpoint(run="r", load_policy=None) as ckpt:
        ckpt.load(ckpt.list(run="earlier")[0])
        assert (ckpt.is_loaded, ckpt.step) == (True, 1)
        ckpt.save(step=2)
        assert ckpt.list()[0].parents == (ckpt.list(run="earlier")[0].name,)


def test_a_policy_that_is_not_allowed_or_not_known_ends_it_before_user_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    in_force(tmp_path, monkeypatch, "fresh", "fresh", "none")
    began: list[str] = []

    @checkpoint(run="r", load_policy="eager")
    def train() -> None:
        began.append(repr(current.checkpoint))

    with pytest.raises(PolicyError, match=r"'eager' .* is not allowed by .*; allowed: fresh, none"):
        train()
    with pytest.raises(PolicyError) as caught:
        Checkpoint(run="r", load_policy="newest")
    assert 'choose "fresh", "eager" or None' in str(caught.value)
    assert caught.value.exit_code == 86
    assert began == []
    assert [run.run for run in place.catalog().runs("_", "counter")] == ["earlier"]
