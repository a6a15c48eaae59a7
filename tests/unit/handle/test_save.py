"""What save and stage promise."""

from __future__ import annotations

import logging
import math
import os
import threading
from pathlib import Path

import pytest

from trainpoint import (
    Checkpoint,
    CheckpointRef,
    ClosedError,
    InvalidArgumentError,
    NotInJobError,
    SaveFailedError,
    StoreUnreachableError,
    SupersededError,
    UnstorableError,
)
from trainpoint.claim.won import Claim
from trainpoint.format.layout import SnapshotId, manifest_key
from trainpoint.testing import MemoryStore


def test_save_returns_a_committed_reference_that_json_carries(url: str) -> None:
    with Checkpoint(workflow="w", store=url) as ckpt:
        (ckpt.path / "a").write_text("1")
        ref = ckpt.save(step=3, metrics={"loss": 0.5}, metadata={"lr": 0.1}, name="kept", epoch=1)
        assert ref.committed
        again = CheckpointRef.from_json(ref.to_json())
        assert again == ref
        info = ckpt.list()[0]
        assert (info.ref, info.step, info.epoch, info.series) == (ref, 3, 1, "kept")
        assert (info.metrics, info.metadata) == ({"loss": 0.5}, {"lr": 0.1})


def test_stage_uploads_behind_training_and_wait_returns_when_all_is_committed(url: str, store: MemoryStore) -> None:
    release = threading.Event()

    def hold(verb: str, key: str) -> None:
        if "/manifests/" in key and key.endswith(".json"):
            assert release.wait(30)

    with Checkpoint(workflow="w", store=url) as ckpt:
        store.before = hold
        with ckpt.stage(step=1) as folder:
            (folder / "a").write_text("1")
        assert not folder.exists(), "sealed: whoever kept the path cannot write into it"
        assert len(ckpt.list()) == 0
        release.set()
        ckpt.wait()
        assert [info.step for info in ckpt.list()] == [1]


def test_an_exception_in_a_stage_discards_it_and_is_not_masked(url: str) -> None:
    with Checkpoint(workflow="w", store=url) as ckpt:
        with pytest.raises(ZeroDivisionError), ckpt.stage(step=1) as folder:
            (folder / "a").write_text("1")
            _ = 1 / 0
        assert not folder.exists()
        assert len(ckpt.list()) == 0


def test_a_failed_background_save_surfaces_once_at_the_next_call(url: str, store: MemoryStore) -> None:
    def fail(verb: str, key: str) -> None:
        if key.endswith("manifests/") or "/manifests/" in key:
            raise StoreUnreachableError("the store is away")

    with Checkpoint(workflow="w", store=url) as ckpt:
        store.before = fail
        with ckpt.stage(step=1) as folder:
            (folder / "a").write_text("1")
        ckpt._writer.flush()  # type: ignore[union-attr]
        store.before = None
        with pytest.raises(SaveFailedError, match="the store is away") as caught:
            ckpt.save(step=2)
        assert isinstance(caught.value.__cause__, StoreUnreachableError)
        assert ckpt.save(step=2).committed
    assert [i.step for i in Checkpoint(store=url).list(workflow="w")] == [2]


def test_on_error_warn_logs_the_failure_and_goes_on(
    url: str, store: MemoryStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(verb: str, key: str) -> None:
        if "/data/" in key:
            raise StoreUnreachableError("the store is away")

    with Checkpoint(workflow="w", store=url, on_error="warn") as ckpt:
        ckpt._writer._saver._deadline_seconds = 0.0  # type: ignore[union-attr]
        store.before = fail
        with ckpt.stage(step=1) as folder:
            (folder / "a").write_text("1")
        ckpt._writer.flush()  # type: ignore[union-attr]
        store.before = None
        monkeypatch.setattr(logging.getLogger("trainpoint"), "propagate", True)
        with caplog.at_level("WARNING", logger="trainpoint"):
            assert ckpt.save(step=2).committed
        assert "the store is away" in caplog.text


def test_an_error_at_the_end_of_the_block_is_raised_but_never_masks_the_users(url: str, store: MemoryStore) -> None:
    def fail(verb: str, key: str) -> None:
        if "/manifests/" in key:
            raise StoreUnreachableError("the store is away")

    def fail_in_background(ckpt: Checkpoint) -> None:
        store.before = fail
        with ckpt.stage(step=1) as folder:
            (folder / "a").write_text("1")

    with pytest.raises(SaveFailedError), Checkpoint(workflow="w", run="a", store=url) as ckpt:
        fail_in_background(ckpt)
    store.before = None
    with pytest.raises(ZeroDivisionError), Checkpoint(workflow="w", run="b", store=url) as ckpt:
        fail_in_background(ckpt)
        _ = 1 / 0


def test_a_superseded_writer_commits_nothing_and_every_further_save_says_so(url: str, store: MemoryStore) -> None:
    with pytest.raises(SupersededError), Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert ckpt.save(step=1).committed
        task = ckpt._own_task
        assert task is not None
        store.put(manifest_key(task, SnapshotId(1, 1, "0" * 16), "fence"), b"{}")
        with pytest.raises(SupersededError, match="attempt 1 has claimed"):
            ckpt.save(step=2)
        with pytest.raises(SupersededError), ckpt.stage(step=3):
            pytest.fail("the block of a superseded writer is not entered")
        with pytest.raises(SupersededError):
            ckpt.wait()
    assert [i.step for i in Checkpoint(store=url).list(task="w/r/main", all=True)] == [1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"step": -1}, "out of range"),
        ({"step": 1.5}, "not a whole number"),
        ({"step": True}, "not a whole number"),
        ({"metrics": {"loss": "low"}}, "not a number"),
        ({"metrics": {"loss": True}}, "not a number"),
        ({"metrics": {f"m{n}": 1 for n in range(33)}}, "33 metrics"),
        ({"metrics": {"a b": 1}}, "cannot name a metric"),
        ({"metadata": {"x": "y" * 3000}}, "2048"),
        ({"metadata": {"x": {1, 2}}}, "not plain JSON"),
        ({"name": "latest"}, "load"),
        ({"name": "a/b"}, "cannot be used"),
        ({"path": "/nonexistent/x"}, "does not exist"),
    ],
)
def test_a_callers_mistake_raises_at_once_and_saves_nothing(url: str, wrong: dict[str, object], said: str) -> None:
    with Checkpoint(workflow="w", store=url) as ckpt:
        with pytest.raises(InvalidArgumentError, match=said):
            ckpt.save(**wrong)  # type: ignore[arg-type]
        assert len(ckpt.list()) == 0


def test_nan_is_kept_and_never_best_and_ties_go_to_the_newer(url: str) -> None:
    class Tensor:
        def item(self) -> float:
            return 0.25

    with Checkpoint(workflow="w", store=url) as ckpt:
        for step, loss in enumerate([math.nan, Tensor(), 0.25, math.inf], start=1):
            ckpt.save(step=step, metrics={"loss": loss})  # type: ignore[dict-item]
        best = ckpt.best("loss", "min")
        assert best is not None
        assert best.step == 3
        assert math.isnan(ckpt.list()[3].metrics["loss"])
        assert ckpt.load("best:loss:max").step == 4


def test_devices_and_pipes_are_refused_with_their_path(url: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with Checkpoint(workflow="w", store=url) as ckpt, pytest.raises(UnstorableError, match="pipe"):
        ckpt.save(tmp_path)


def test_save_wait_false_copies_first_so_that_the_program_may_go_on_writing(url: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    with Checkpoint(workflow="w", store=url) as ckpt:
        ref = ckpt.save(tmp_path, wait=False)
        (tmp_path / "a").write_text("after")
        ckpt.wait()
        assert ref.committed
        ckpt.load(ref)
        assert (ckpt.path / "a").read_text() == "before"
        ckpt.save(tmp_path, move=True)
        assert not tmp_path.exists()


def test_a_reader_is_refused_to_save_and_told_both_ways_out(url: str, store: MemoryStore) -> None:
    with Checkpoint(store=url) as reader:
        with pytest.raises(NotInJobError) as caught:
            reader.save()
        assert 'workflow="name"' in str(caught.value)
        assert "trainpoint run" in str(caught.value)
    assert not list(store.list(""))


def test_a_closed_handle_says_so(url: str) -> None:
    with Checkpoint(workflow="w", store=url) as ckpt:
        path = ckpt.path
    with pytest.raises(ClosedError):
        ckpt.save()
    assert not path.exists()


def test_the_temporary_directory_is_gone_after_an_exception(url: str, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Checkpoint(workflow="w", store=url, temp_dir_root=tmp_path) as ckpt:
        (ckpt.path / "x").write_text("1")
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_a_holder_gives_signs_of_life_until_it_closes(
    url: str, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Claim.start_beat
    monkeypatch.setattr(Claim, "start_beat", lambda claim, for_ranks: quick(claim, 0.01))
    beaten = threading.Event()

    def watch(verb: str, key: str) -> None:
        if verb == "put" and key.endswith(".beat"):
            beaten.set()

    store.before = watch
    with Checkpoint(workflow="w", store=url):
        assert beaten.wait(30), "another host would take this process for dead"
    for thread in [t for t in threading.enumerate() if t.name == "trainpoint-beat"]:
        thread.join(30)
        assert not thread.is_alive()
