"""Finding and loading: what each form of a name means, what lists cost, which error says what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from trainpoint import (
    Checkpoint,
    CheckpointDeletedError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    InvalidArgumentError,
)
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.claim.won import Claim
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.handle.load import Reference
from trainpoint.testing import MemoryStore


def save_steps(url: str, *steps: int, run: str = "r", task: str = "main") -> list[str]:
    names = []
    with Checkpoint(workflow="w", run=run, task=task, store=url, load_policy=None) as ckpt:
        for step in steps:
            (ckpt.path / "step").write_text(str(step))
            (ckpt.path / "model.bin").write_bytes(bytes([step]) * 10)
            names.append(ckpt.save(step=step, name="even" if step % 2 == 0 else None).name)
    return names


def test_every_form_of_a_reference_loads_the_same_checkpoint(url: str) -> None:
    names = save_steps(url, 1, 2, 3)
    with Checkpoint(store=url) as reader:
        info = reader.list(task="w/r/main")[1]
        forms: list[Reference] = [info, info.ref, info.ref.to_json(), json.dumps(info.ref.to_json()), names[1]]
        forms.append(f"checkpoint.trainpoint.dev/{names[1]}")  # kubectl get ckpt -l … -o name
        for form in forms:
            assert reader.load(form).step == 2
            assert (reader.path / "step").read_text() == "2"


def test_a_load_into_the_own_directory_is_a_line_of_the_log(
    url: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    name = save_steps(url, 1, 2)[1]

    def said(where: Path | None = None, include: Sequence[str] = ()) -> str:
        caplog.clear()
        with caplog.at_level("INFO", "trainpoint"), Checkpoint(store=url) as reader:
            reader.load(name, where, include=include)
        return caplog.text

    assert "loaded step 2 of w/r/main (attempt 0, sequence 2, 11 B in " in said()
    assert "sequence 2, 10 B in " in said(include=["model*"]), "of what was asked for"
    assert "verified; the program chose it)" in said()
    assert said(tmp_path / "there") == "", "a copy somewhere else is no state to go on from"


def test_latest_and_best_speak_of_the_own_task(url: str) -> None:
    save_steps(url, 1, 2, 3)
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert ckpt.load("latest").step == 3
        assert ckpt.load("latest:even").step == 2
        with pytest.raises(CheckpointNotFoundError):
            ckpt.load("latest:odd")
        with pytest.raises(InvalidArgumentError, match="which end is better"):
            ckpt.load("best:loss")
    with Checkpoint(store=url) as reader, pytest.raises(InvalidArgumentError, match="own task"):
        reader.load("latest")


def test_deleted_missing_and_corrupt_are_three_different_errors(url: str, store: MemoryStore) -> None:
    names = save_steps(url, 1, 2, 3)
    catalog = BucketCatalog(store, clock=SystemClock(), chance=SystemChance())
    first, second = (catalog.find(name, namespace="_") for name in names[:2])
    catalog.delete(first.task, first.id, by="test")
    for info in store.list(f"{second.task.data}{second.id}/"):
        store.delete(info.key)
    with Checkpoint(store=url) as reader:
        with pytest.raises(CheckpointDeletedError, match="was deleted"):
            reader.load(first)
        with pytest.raises(CorruptCheckpointError):
            reader.load(second)
        with pytest.raises(CheckpointNotFoundError, match="no checkpoint is named"):
            reader.load("r-00000000-0-9-abcde")
        assert reader.load(names[2]).step == 3


def test_a_load_into_a_given_path_replaces_it_whole_and_include_takes_a_part(url: str, tmp_path: Path) -> None:
    names = save_steps(url, 7)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("x")
    with Checkpoint(store=url) as reader:
        reader.load(names[0], tmp_path / "out", include=["model*"])
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["model.bin"]
        reader.load(names[0], tmp_path / "out", merge=True)
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["model.bin", "step"]
        assert not reader.is_loaded, "the handle's own directory holds nothing"
        assert [f.path for f in reader.files(names[0])] == ["model.bin", "step"]
        with reader.open(names[0], "model.bin") as stream:
            stream.seek(4)
            assert stream.read(3) == b"\x07\x07\x07"


def test_second_and_third_loads_keep_the_one_path_and_stored_checkpoints_never_change(url: str) -> None:
    names = save_steps(url, 1, 2, 3)
    with Checkpoint(store=url) as reader:
        path = reader.path
        for number in (2, 0, 1):
            reader.load(names[number])
            assert reader.path == path
            assert (path / "step").read_text() == str(number + 1)
            (path / "step").write_text("scribbled")
        reader.load(names[2])
        assert (path / "step").read_text() == "3"


def test_what_is_meant_by_list(url: str) -> None:
    save_steps(url, 1, 2, run="a")
    save_steps(url, 3, run="b")
    save_steps(url, 4, run="b", task="eval")
    with Checkpoint(store=url) as reader:
        assert [i.step for i in reader.list(task="w/a/main")] == [2, 1]
        assert {i.step for i in reader.list(workflow="w")} == {1, 2, 3, 4}
        assert [i.step for i in reader.list(task="eval", workflow="w")] == [4]
        assert [i.step for i in reader.list(task="w/a/main", name="even")] == [2]
        assert [i.step for i in reader.list(task="w/a/main", attempt="0")] == [2, 1]
        assert len(reader.list(task="w/a/main", attempt=1)) == 0
        assert not reader.list(task="w/a/main", attempt=1)
        with pytest.raises(InvalidArgumentError):
            reader.list(task="w/a/main", attempt="x")
        with pytest.raises(CheckpointNotFoundError):
            reader.list(task="w/a/nothing")
        with pytest.raises(InvalidArgumentError):
            reader.list()


@pytest.mark.parametrize("count", [10, 3000])
def test_latest_is_one_page_and_one_manifest_whatever_the_number(
    url: str, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    # They come by the clock, and would be counted.
    monkeypatch.setattr(Claim, "start_beat", lambda claim, for_ranks: None)
    task = TaskPath("w", "r", "main")
    catalog = BucketCatalog(store, clock=SystemClock(), chance=SystemChance())
    with Checkpoint(workflow="w", run="r", store=url, load_policy=None) as ckpt:
        for number in range(1, count + 1):
            snapshot = Snapshot(task, SnapshotId(0, number, f"{number:016x}"), step=number)
            catalog.record(Manifest(snapshot, "2026-01-01T00:00:00Z", (), ()))
        store.requests.clear()
        latest = ckpt.latest()
        assert latest is not None
        assert latest.step == count
        assert dict(store.requests) == {"list": 1, "get": 1}
        store.requests.clear()
        assert ckpt.list()[0].step == count
        assert sum(store.requests.values()) <= 4
        assert [i.step for i in ckpt.list()[:3]] == [count, count - 1, count - 2]
        assert len(ckpt.list()) == count
