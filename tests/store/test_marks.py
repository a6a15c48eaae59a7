"""What is said of checkpoints after they were saved: later metrics, pins, deletion, in a directory and on a server."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.place import Place
from tools.s3server import DEFAULT_BUCKET, READER, WRITER, Credentials, S3Server
from trainpoint import (
    Checkpoint,
    CheckpointDeletedError,
    CheckpointNotFoundError,
    CheckpointRef,
    InvalidArgumentError,
    MetricRecordedError,
    PinnedError,
    StorePermissionError,
)
from trainpoint.format.layout import TaskPath, snapshot_data

TASK = TaskPath("w", "r", "main")


def save(url: str, *steps: int, run: str = "r") -> list[CheckpointRef]:
    refs = []
    with Checkpoint(workflow="w", run=run, store=url) as ckpt:
        for step in steps:
            (ckpt.path / "step").write_text(str(step))
            refs.append(CheckpointRef.from_json(ckpt.save(step=step, metrics={"loss": 1 / step}).to_json()))
    return refs


# --- later metrics ----------------------------------------------------------------------------------------------------


def test_a_metric_that_is_recorded_later_counts_wherever_metrics_do(url: str) -> None:
    refs = save(url, 1, 2, 3)
    with Checkpoint(store=url) as reader:
        reader.record_metrics(refs[0], {"accuracy": 0.5, "val/bleu": 31})
        reader.record_metrics(refs[1].name, {"accuracy": 0.9})
        reader.record_metrics(refs[2].to_json(), {"accuracy": math.nan})
        listed = reader.list(task="w/r/main")
        assert [info.metrics.get("accuracy") for info in listed[1:]] == [0.9, 0.5]
        assert math.isnan(listed[0].metrics["accuracy"])
        assert dict(listed[2].metrics) == {"loss": 1.0, "accuracy": 0.5, "val/bleu": 31.0}
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        best = ckpt.best("accuracy", "max")
        assert best is not None
        assert best.step == 2
        assert ckpt.load("best:accuracy:min").step == 1
        latest = ckpt.latest()
        assert latest is not None
        assert math.isnan(latest.metrics["accuracy"])


def test_a_metric_is_written_once(url: str) -> None:
    (ref,) = save(url, 4)
    with Checkpoint(store=url) as reader:
        reader.record_metrics(ref, {"accuracy": 0.9})
        reader.record_metrics(ref, {"accuracy": 0.9, "loss": 0.25})  # the same again, saved or recorded
        with pytest.raises(MetricRecordedError, match=r"'accuracy' of checkpoint r-.* was recorded as 0\.9 .* 0\.91"):
            reader.record_metrics(ref, {"bleu": 3.0, "accuracy": 0.91})
        with pytest.raises(MetricRecordedError, match=r"'loss' .* was saved as 0\.25 and cannot become 0\.5"):
            reader.record_metrics(ref, {"loss": 0.5})
        assert dict(reader.list(task="w/r/main")[0].metrics) == {"loss": 0.25, "accuracy": 0.9}


def test_evaluators_at_once_lose_nothing(url: str) -> None:
    (ref,) = save(url, 1)

    def evaluate(number: int) -> None:
        with Checkpoint(store=url) as reader:
            reader.record_metrics(ref, {f"metric{number}": number, "shared": 7})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(evaluate, range(16)))
    with Checkpoint(store=url) as reader:
        metrics = reader.list(task="w/r/main")[0].metrics
    assert metrics == {"loss": 1.0, "shared": 7.0, **{f"metric{n}": float(n) for n in range(16)}}


def test_what_could_never_be_a_metric_is_refused_before_anything_is_written(url: str) -> None:
    (ref,) = save(url, 1)
    many = {f"m{number}": 0.0 for number in range(32)}
    with Checkpoint(store=url) as reader:
        with pytest.raises(InvalidArgumentError, match="would have 33 metrics"):
            reader.record_metrics(ref, many)
        with pytest.raises(InvalidArgumentError, match="not a number"):
            reader.record_metrics(ref, {"a": 1.0, "b": "x"})  # type: ignore[dict-item]
        with pytest.raises(CheckpointNotFoundError):
            reader.record_metrics("r-00000000-0-1-aaaaa", {"a": 1.0})
        assert dict(reader.list(task="w/r/main")[0].metrics) == {"loss": 1.0}


# --- pins -------------------------------------------------------------------------------------------------------------


def test_a_pinned_checkpoint_is_deleted_only_after_somebody_unpins_it(url: str) -> None:
    first, second = save(url, 1, 2)
    with Checkpoint(workflow="w", run="r", owner="ada", store=url) as ckpt:
        ckpt.pin(first, reason=" table 2 of the paper ")
        ckpt.pin(first, reason="table 2 of the paper")
        assert [info.pinned for info in ckpt.list()] == ["", "table 2 of the paper"]
    with Checkpoint(store=url) as reader:
        with pytest.raises(PinnedError, match=r"is pinned \(table 2 of the paper, by ada\)"):
            reader.delete(first)
        with pytest.raises(PinnedError, match="pinned already"):
            reader.pin(first, reason="mine")
        with pytest.raises(InvalidArgumentError, match="1 to 256 characters"):
            reader.pin(second, reason="  ")
        assert reader.load(first).step == 1
        reader.unpin(first)
        reader.unpin(first)
        reader.delete(first)
        with pytest.raises(CheckpointDeletedError):
            reader.pin(first, reason="too late")
        assert [info.step for info in reader.list(task="w/r/main")] == [2]


# --- deletion ---------------------------------------------------------------------------------------------------------


def test_latest_is_the_previous_one_and_nothing_when_all_are_deleted(url: str, place: Place) -> None:
    refs = save(url, 1, 2, 3)
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert ckpt.step == 3
        ckpt.record_metrics(refs[2], {"accuracy": 1.0})
        ckpt.delete(refs[2])
        latest = ckpt.latest()
        assert latest is not None
        assert latest.step == 2
        assert (ckpt.path / "step").read_text() == "3", "what was loaded is a copy"
    assert not list(place.store().list(snapshot_data(TASK, refs[2].id)))
    left = [row.key.rpartition(".")[2] for row in place.store().list(TASK.manifests) if refs[2].id.uid in row.key]
    assert left == ["tombstone"]

    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert ckpt.step == 2
        ckpt.delete("latest")
        ckpt.delete(refs[0].name)
        ckpt.delete(refs[0])  # twice is fine
        assert ckpt.latest() is None
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert not ckpt.is_loaded
        for ref in refs:
            with pytest.raises(CheckpointDeletedError):
                ckpt.load(ref)
        with pytest.raises(CheckpointNotFoundError):
            ckpt.delete("r-00000000-0-1-aaaaa")
        assert not ckpt.is_loaded
        assert list(ckpt.path.iterdir()) == []


def test_one_that_is_still_being_saved_is_not_deleted_by_halves(url: str) -> None:
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        (ckpt.path / "x").write_text("x")
        ref = ckpt.save(step=1)
        never = CheckpointRef(ref.task, type(ref.id)(0, 99, "ab" * 8))
        with pytest.raises(CheckpointNotFoundError, match="still being saved"):
            ckpt.delete(never)


def test_keys_that_only_read_say_nothing_of_a_checkpoint_and_change_nothing(
    s3_server: S3Server, s3_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys(credentials: Credentials) -> None:
        for name, value in s3_server.env(credentials).items():
            monkeypatch.setenv(name, value)

    keys(WRITER)
    url = f"s3://{DEFAULT_BUCKET}/{s3_prefix}"
    first, second = save(url, 1, 2)
    with Checkpoint(store=url) as writer:
        writer.pin(second, reason="good")
    keys(READER)
    with Checkpoint(store=url) as reader:
        with pytest.raises(StorePermissionError):
            reader.record_metrics(first, {"accuracy": 1.0})
        with pytest.raises(StorePermissionError):
            reader.pin(first, reason="mine")
        with pytest.raises(StorePermissionError, match="stays pinned"):
            reader.unpin(second)
        with pytest.raises(StorePermissionError, match="is not deleted"):
            reader.delete(first)
        listed = reader.list(task="w/r/main")
        assert [(info.step, info.pinned, dict(info.metrics)) for info in listed] == [
            (2, "good", {"loss": 0.5}),
            (1, "", {"loss": 1.0}),
        ]
        assert reader.load(first).step == 1


# --- series and names (scenario 17) -----------------------------------------------------------------------------------


def test_a_retry_loads_the_last_one_that_was_saved_to_be_latest(url: str) -> None:
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        (ckpt.path / "which").write_text("best")
        ckpt.save(step=1, name="best-loss")
        (ckpt.path / "which").write_text("epoch")
        kept = ckpt.save(step=2, name="epoch.1", latest=False)
        with pytest.raises(InvalidArgumentError, match="a/b"):
            ckpt.save(step=3, name="a/b")
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert ckpt.step == 1
        assert (ckpt.path / "which").read_text() == "best"
        assert [info.step for info in ckpt.list(name="best-loss")] == [1]
        assert [info.name for info in ckpt.list(name="epoch.1")] == [kept.name]
        assert ckpt.load(kept.name).series == "epoch.1"
        assert ckpt.load("latest:epoch.1").step == 2
        assert (ckpt.path / "which").read_text() == "epoch"
