"""Where checkpoints come from, in a directory and on a server: chains, gaps, runs that saved nothing."""

from __future__ import annotations

import pytest

from trainpoint import Checkpoint, CheckpointNotFoundError, CheckpointRef


@pytest.fixture(autouse=True)
def by_ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINPOINT_OWNER", "ada")


def go_on(url: str, run: str, step: int, policy: str = "eager") -> CheckpointRef:
    """One attempt of a run, which saves one checkpoint."""
    with Checkpoint(workflow="w", run=run, store=url, load_policy="eager" if policy == "eager" else "fresh") as ckpt:
        (ckpt.path / "step").write_text(str(step))
        return CheckpointRef.from_json(ckpt.save(step=step).to_json())


def test_a_chain_over_runs_and_retries_with_the_reason_of_each_load(url: str) -> None:
    refs = [go_on(url, "a", 1), go_on(url, "a", 2), go_on(url, "b", 3), go_on(url, "c", 4)]
    with Checkpoint(store=url) as reader:
        chain = reader.lineage(refs[-1])
        assert [entry.name for entry in chain] == [ref.name for ref in reversed(refs)]
        assert [(entry.run, entry.attempt, entry.step) for entry in chain] == [
            ("c", 0, 4),
            ("b", 0, 3),
            ("a", 1, 2),
            ("a", 0, 1),
        ]
        assert [entry.why for entry in chain] == [
            "",
            "eager: newest of run b, the newest earlier run that has one",
            "eager: newest of run a, the newest earlier run that has one",
            "eager: newest that verifies",
        ]
        assert {(entry.state, entry.owner) for entry in chain} == {("there", "ada")}
        assert [entry.parents for entry in chain] == [(r.name,) for r in refs[-2::-1]] + [()]
        assert [entry.name for entry in reader.lineage(refs[-1].name, depth=1)] == [refs[3].name, refs[2].name]


def test_deleting_an_ancestor_leaves_a_gap_with_a_name_and_stops_nothing(url: str) -> None:
    refs = [go_on(url, "a", 1), go_on(url, "b", 2), go_on(url, "c", 3)]
    with Checkpoint(store=url) as reader:
        reader.delete(refs[1])
    with Checkpoint(workflow="w", run="d", store=url, load_policy="eager") as ckpt:
        assert ckpt.step == 3, "a deleted ancestor stops no later run"
        last = ckpt.save(step=4)
        chain = ckpt.lineage(last)
    assert [(entry.step, entry.state) for entry in chain] == [
        (4, "there"),
        (3, "there"),
        (2, "deleted"),
        (1, "there"),
    ]
    assert chain[2].run == "b"


def test_what_the_program_loads_itself_is_a_parent_too(url: str) -> None:
    other, base = go_on(url, "a", 5, "fresh"), go_on(url, "b", 6, "fresh")
    with Checkpoint(workflow="w", run="c", store=url, load_policy=None) as ckpt:
        ckpt.load(other)
        ckpt.load(base, ckpt.path / "beside")
        merged = ckpt.save(step=7)
        chain = ckpt.lineage(merged)
    assert [(entry.name, entry.why) for entry in chain[1:]] == [
        (base.name, "named by the program"),
        (other.name, "none: as the program chose"),
    ]
    assert [entry.depth for entry in chain] == [0, 1, 1]
    with Checkpoint(workflow="w", run="d", store=url, load_policy=None) as ckpt:
        ckpt.load(merged)  # and saves nothing
        assert [entry.name for entry in ckpt.lineage("w/d/main")] == [merged.name, base.name, other.name]


def test_a_run_that_saved_nothing_has_a_lineage(url: str) -> None:
    ref = go_on(url, "a", 10)
    for _ in range(2):
        with Checkpoint(workflow="w", run="b", store=url, load_policy="eager") as ckpt:
            assert ckpt.step == 10
    with Checkpoint(store=url) as reader:
        (entry,) = reader.lineage("w/b/main")
        assert (entry.name, entry.step) == (ref.name, 10)
        assert entry.why.startswith("attempt 1: eager: what attempt 0 chose")
        with pytest.raises(CheckpointNotFoundError):
            reader.lineage("w/x/main")
        with pytest.raises(CheckpointNotFoundError):
            reader.lineage("a-00000000-0-1-aaaaa")
