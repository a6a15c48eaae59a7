"""What a program loads itself, as the record of its attempt has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainpoint import Checkpoint, CheckpointRef, Workflow
from trainpoint.policies.load import LoadPolicyArgument


def made(url: str, *steps: int) -> list[CheckpointRef]:
    with Checkpoint(workflow="w", run="base", store=url) as ckpt:
        return [ckpt.save(step=step) for step in steps]


def started_from(url: str, run: str) -> list[tuple[str, str]]:
    with Checkpoint(store=url) as reader:
        return [(entry.name, entry.why) for entry in reader.lineage(f"w/{run}/main") if entry.depth == 0]


def test_what_it_chose_is_what_its_attempt_started_from_also_where_it_saves_nothing(url: str) -> None:
    first, second = made(url, 1, 2)
    with Checkpoint(workflow="w", run="r", store=url, load_policy=None) as ckpt:
        ckpt.load(first)
        ckpt.load(second)
        assert ckpt.why is not None
        assert (ckpt.why.reason, ckpt.why.checkpoint, ckpt.why.step) == ("ProgramChooses", second.name, 2)
    assert started_from(url, "r") == [(second.name, "attempt 0: none: as the program chose")]
    latest = Workflow("w", store=url)["r"]["main"].task.latest
    assert latest is not None
    assert latest.name == second.name


def test_what_it_loads_beside_or_after_a_save_is_not_what_it_started_from(url: str, tmp_path: Path) -> None:
    first, second = made(url, 1, 2)
    with Checkpoint(workflow="w", run="r", store=url, load_policy=None) as ckpt:
        ckpt.load(second, tmp_path / "beside")
        assert ckpt.why is not None
        assert ckpt.why.checkpoint == ""
        ckpt.load(first)
        saved = ckpt.save(step=3)
        ckpt.load(second)
        assert ckpt.why.checkpoint == first.name
        assert [info.parents for info in ckpt.list()] == [(second.name, first.name)]
    latest = Workflow("w", store=url)["r"]["main"].task.latest
    assert latest is not None
    assert latest.name == saved.name


@pytest.mark.parametrize("policy", ["fresh", "eager"])
def test_where_a_policy_chose_its_choice_stays(url: str, policy: LoadPolicyArgument) -> None:
    """A retry repeats what the policy chose, and the program loads its base model again."""
    (base,) = made(url, 1)
    for _ in range(2):
        with Checkpoint(workflow="other", run="r", store=url, load_policy=policy) as ckpt:
            assert not ckpt.is_loaded
            ckpt.load(base)
            assert ckpt.is_loaded
            assert ckpt.why is not None
            assert ckpt.why.reason == "NothingFound"
