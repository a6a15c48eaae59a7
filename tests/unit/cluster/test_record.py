"""Records follow the saves, in order, also where the API server is away for a while, and never hold a save up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog.cluster import info_of_object
from trainpoint.catalog.record import REFUSALS, Recorder, checkpoint_body, snapshot_spec
from trainpoint.clock import SystemClock
from trainpoint.errors import ClusterPermissionError, ClusterUnreachableError, TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.reference import run_object_name
from trainpoint.testing import FakeChance

TASK = TaskPath("w", "r", "main", namespace="team-a")


class Objects:
    """An API server in memory; ``fault`` may raise instead of answering."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.bodies: list[Mapping[str, object]] = []
        """of what was created"""
        self.fault: Callable[[], None] = lambda: None

    def create(self, plural: str, body: Mapping[str, object]) -> JsonObject | None:
        self.fault()
        metadata = body["metadata"]
        assert isinstance(metadata, dict)
        self.done.append(("create", metadata["name"]))
        self.bodies.append(body)
        return dict(body)

    def patch_status(self, plural: str, name: str, body: Mapping[str, object]) -> JsonObject:
        self.fault()
        self.done.append(("commit", name))
        return dict(body)


def manifest(sequence: int) -> Manifest:
    return Manifest(Snapshot(TASK, SnapshotId(0, sequence, f"{sequence:016x}")), "2026-01-01T00:00:00Z", (), ())


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def recorder(objects: Objects, warned: list[str], monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr("trainpoint.catalog.record.FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr("trainpoint.catalog.record.LONGEST_PAUSE_SECONDS", 0.002)
    return Recorder(objects, store_ref="main", policy="", clock=SystemClock(), chance=FakeChance(), warn=warned.append)


def save(recorder: Recorder, *sequences: int) -> None:
    for sequence in sequences:
        recorder.begin(manifest(sequence).snapshot)
        recorder.commit(manifest(sequence))


def test_each_save_is_created_and_committed_in_order(recorder: Recorder, objects: Objects) -> None:
    save(recorder, 1, 2, 3)
    assert recorder.close(30) == 0
    verbs = [(verb, int(name.split("-")[-2])) for verb, name in objects.done]
    assert verbs == [("create", 1), ("commit", 1), ("create", 2), ("commit", 2), ("create", 3), ("commit", 3)]


@pytest.mark.parametrize("error", [ClusterUnreachableError("away"), ClusterPermissionError("not yet")])
def test_an_outage_and_a_server_that_just_started_delay_records_and_lose_none(
    recorder: Recorder, objects: Objects, warned: list[str], error: TrainpointError
) -> None:
    left = iter(range(REFUSALS - 1))

    def away() -> None:
        if next(left, None) is not None:
            raise error

    objects.fault = away
    save(recorder, 1, 2, 3)
    assert recorder.close(30) == 0
    assert [verb for verb, _ in objects.done] == ["create", "commit"] * 3
    assert warned == []


def test_what_is_refused_again_and_again_is_told_once_and_the_rest_goes_on(
    recorder: Recorder, objects: Objects, warned: list[str]
) -> None:
    def fault() -> None:
        if not warned:
            raise ClusterPermissionError("may not")

    objects.fault = fault
    save(recorder, 1, 2)
    assert recorder.close(30) == 0
    assert len(warned) == 1
    assert "is not recorded: may not" in warned[0]
    assert [int(name.split("-")[-2]) for _, name in objects.done] == [2, 2]


@pytest.mark.parametrize("finalizer", [DATA_FINALIZER, ""])
def test_an_object_has_the_finalizer_of_the_operator_from_its_first_moment_where_one_runs(
    objects: Objects, warned: list[str], finalizer: str
) -> None:
    """One request of the operator less a save; and no moment in which an object could go without its bytes."""
    recorder = Recorder(
        objects,
        store_ref="main",
        policy="default",
        finalizer=finalizer,
        clock=SystemClock(),
        chance=FakeChance(),
        warn=warned.append,
    )
    save(recorder, 1)
    assert recorder.close(30) == 0
    (body,) = objects.bodies
    expected = checkpoint_body(manifest(1).snapshot, store_ref="main", policy="default", finalizer=finalizer)
    assert body == expected, "the operator that records for a pod makes the same object"
    metadata = expected["metadata"]
    assert metadata.get("finalizers") == ([finalizer] if finalizer else None)
    assert metadata["labels"]["trainpoint.dev/policy"] == "default"
    assert expected["spec"]["snapshot"]["storeRef"] == {"name": "main"}
    assert "status" not in expected


def test_a_save_that_failed_stays_without_a_commit(recorder: Recorder, objects: Objects) -> None:
    recorder.begin(manifest(1).snapshot)
    recorder.fail(manifest(1).snapshot)
    save(recorder, 2)
    assert recorder.close(30) == 0
    assert [verb for verb, _ in objects.done] == ["create", "create", "commit"]


def test_the_end_of_a_program_does_not_wait_for_ever(recorder: Recorder, objects: Objects) -> None:
    def away() -> None:
        raise ClusterUnreachableError("away")

    objects.fault = away
    save(recorder, 1, 2)
    assert recorder.close(0.05) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [("after the fix", "after the fix"), ("0.1", '"0.1"'), (0.1, "0.1"), (["ä"], '["ä"]'), (None, "null"), ("{", "{")],
)
def test_metadata_on_an_object_reads_back_as_what_it_was(value: object, text: str) -> None:
    snapshot = Snapshot(TASK, SnapshotId(0, 1, "0" * 16), metadata={"note": value})
    spec = snapshot_spec(snapshot, "")
    assert spec["metadata"] == {"note": text}
    assert "storeRef" not in spec
    metadata = {"namespace": "team-a", "creationTimestamp": "2026-01-01T00:00:00Z"}
    read = info_of_object({"metadata": metadata, "spec": {"snapshot": spec}})
    assert read.metadata == {"note": value}


@pytest.mark.parametrize("run", ["a..b", "x_.5", "UPPER_case", "v1.2"])
def test_a_runs_object_has_a_name_that_the_server_takes(run: str) -> None:
    name = run_object_name(TaskPath("w", run, "main"))
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
