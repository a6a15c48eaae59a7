"""Format version 1, frozen: fixed inputs, and where what is written of them lies in ``golden/``.

``golden/store`` is a whole store: one object of every kind, each at its own key. ``golden/keys.txt`` has one key of
every form, ``golden/reference.json`` a reference. They were written once and stay as they are. Where a test says that
they differ, what the code writes differs from the stores that people have: that is a decision
(docs/reference/format.md, "What may change"), and almost always a mistake. After the decision::

    python -m tests.unit.format.golden_files
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from tests.support.repository import ROOT
from trainpoint.format.artifacts import ArtifactRecord, artifact_key
from trainpoint.format.digest import JsonObject, digest_of
from trainpoint.format.layout import (
    EVERY_SEQUENCE,
    STORE_MARKER,
    MetricMark,
    SnapshotId,
    TaskPath,
    attempt_key,
    file_key,
    log_key,
    manifest_key,
    metric_key,
    pack_key,
    run_end_key,
    run_key,
    save_request_key,
    vote_key,
)
from trainpoint.format.manifest import (
    DirectoryEntry,
    Extent,
    FileEntry,
    LinkEntry,
    Manifest,
    Snapshot,
    StoredObject,
    task_from_json,
)
from trainpoint.format.marks import LateMetricRecord, PinRecord, SaveRequestRecord, number_text
from trainpoint.format.ranks import GoRecord, VoteRecord, derived_uid
from trainpoint.format.records import (
    AttemptRecord,
    EndRecord,
    Holder,
    IntentRecord,
    LoadedRecord,
    RunEndRecord,
    RunRecord,
    Skipped,
    StoreMarker,
    archived_mark,
    claim_mark,
    corrupt_mark,
    log_entry,
    read_record,
    tombstone,
)
from trainpoint.format.reference import CheckpointRef, checkpoint_name, run_object_name

GOLDEN: Final = ROOT / "tests" / "unit" / "format" / "golden"


class Record(Protocol):
    def to_bytes(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Golden:
    """One object: what is written, and what its reader makes of it."""

    kind: str
    written: bytes
    meant: object
    read: Callable[..., object]
    """of the bytes and ``key=``; gives ``meant``"""


def record(kind: str, meant: Record, read: Callable[..., object]) -> Golden:
    return Golden(kind, meant.to_bytes(), meant, read)


def mark(kind: str, written: bytes, **fields: object) -> Golden:
    """One that no class reads back: its fields are compared, with ``task`` as a reader would take it."""

    def read(data: bytes, *, key: str) -> JsonObject:
        value = read_record(kind, data, key=key)
        return {name: task_from_json(value[name]) if name == "task" else value[name] for name in fields}

    return Golden(kind, written, fields, read)


# --- fixed inputs -----------------------------------------------------------------------------------------------------


def at(second: int) -> str:
    return f"2026-11-22T09:12:{second:02d}.000000Z"


TASK: Final = TaskPath("digits", "digits-7f3a90c21e", "main")
SWEPT: Final = TaskPath("Sweep_2", "sweep.7-4c1d9e02ab", "fit.model", index="2.1", namespace="team-a")
FIRST, SECOND = "5d0c3f9a17be42d8", "b81f0e6a4c2d9735"
"""uids of the claims of attempts 0 and 1"""
DAMAGED: Final = SnapshotId(0, 1, "00d1e2f3a4b5c6d7")
GOOD: Final = SnapshotId(0, 2, "a3f19c0d27be5846")
GONE: Final = SnapshotId(0, 3, "77aa10b2c3d4e5f6")
KEPT: Final = SnapshotId(0, 4, "c4b3a29180706f5e")
LAST: Final = SnapshotId(1, 5, derived_uid(SECOND, 5))
ALONE: Final = SnapshotId(0, 1, "0f1e2d3c4b5a6978")
HOLDER: Final = Holder(
    host="laptop",
    pid=4711,
    started="8812345",
    boot="0e5b7c1e-8f6a-4a51-9d5e-3b1c9f0a7d42/4026531836",
    uid="93c1f0a2b4d5e687",
    user="me",
)
MET: Final = MetricMark.of("accuracy", number_text(0.93))

LOG: Final = b"step 200: loss 0.51\n"
NOTES: Final = "größer\n".encode()
WEIGHTS: Final = bytes(range(256)) * 4
CUT: Final = 1000
"""Where the two extents of the weights meet. (A writer cuts at 16 MiB; a reader takes any.)"""
SMALL: Final = b"{}"

_PACKED = pack_key(TASK, GOOD, 0, 0)
_WHOLE = file_key(TASK, GOOD, "model/weights (1).bin")
_ALONE = file_key(SWEPT, ALONE, "config.json")
DATA: Final[Mapping[str, bytes]] = {_PACKED: LOG + NOTES, _WHOLE: WEIGHTS, _ALONE: SMALL}
"""The data objects of the store."""


def _parts(data: bytes, stored: int, *cuts: tuple[int, int]) -> tuple[Extent, ...]:
    """Extents of ``data``: for each (offset in the object, length)."""
    extents, begin = [], 0
    for offset, length in cuts:
        extents.append(Extent(stored, offset, length, digest_of(data[begin : begin + length])))
        begin += length
    return tuple(extents)


EVERYTHING: Final = Manifest(
    snapshot=Snapshot(
        TASK,
        GOOD,
        series="best",
        step=200,
        epoch=3,
        metrics={"loss": "0.51", "diverged": "NaN", "high": "Infinity", "low": "-Infinity", "tiny": "1e-300"},
        metadata={"lr": 0.1, "größe": "groß", "nested": [1, None, True, {"deep": "value"}]},
        parents=("digits-00c1d2e3f4-5e0b1464-0-7-12345", "digits-7f3a90c21e-5e0b1464-0-1-00d1e"),
        owner="ada@example.com",
        world_size=4,
        created_by={"host": "laptop", "pid": "4711", "python": "3.12.1", "user": "me"},
    ),
    time=at(5),
    objects=(StoredObject(_PACKED, len(LOG + NOTES)), StoredObject(_WHOLE, len(WEIGHTS))),
    files=(
        FileEntry("empty", 0, 0o600, digest_of(b""), ()),
        FileEntry("log.txt", len(LOG), 0o644, digest_of(LOG), _parts(LOG, 0, (0, len(LOG)))),
        FileEntry("model/größe.txt", len(NOTES), 0o444, digest_of(NOTES), _parts(NOTES, 0, (len(LOG), len(NOTES)))),
        FileEntry(
            "model/weights (1).bin",
            len(WEIGHTS),
            0o755,
            digest_of(WEIGHTS),
            _parts(WEIGHTS, 1, (0, CUT), (CUT, len(WEIGHTS) - CUT)),
        ),
    ),
    directories=(DirectoryEntry("model", 0o755), DirectoryEntry("model/none", 0o700)),
    links=(LinkEntry("best.bin", "model/weights (1).bin"), LinkEntry("model/up", "../log.txt")),
)


def nothing_in(task: TaskPath, snapshot: SnapshotId, *, latest: bool = True) -> Manifest:
    """The smallest manifest."""
    return Manifest(Snapshot(task, snapshot, latest=latest), at(6), (), ())


ONE_FILE: Final = Manifest(
    snapshot=Snapshot(SWEPT, ALONE, step=0, owner="ada"),
    time=at(7),
    objects=(StoredObject(_ALONE, len(SMALL)),),
    files=(FileEntry("config.json", len(SMALL), 0o644, digest_of(SMALL), _parts(SMALL, 0, (0, len(SMALL)))),),
)
LOADED: Final = LoadedRecord(
    attempt=1,
    uid=SECOND,
    policy="fresh",
    source="the default (argument, environment and policy not set)",
    reason="Newest",
    message="newest that verifies",
    checkpoint=checkpoint_name(TASK, GOOD),
    task=TASK,
    snapshot=GOOD,
    digest=digest_of(EVERYTHING.to_bytes()),
    step=200,
    skipped=(Skipped(checkpoint_name(TASK, DAMAGED), None, "Corrupt", "log.txt differs from what was saved"),),
    ranks=4,
    round=2,
    request="digits/digits-00c1d2e3f4",
    request_by="Annotation",
    since=1,
)
REFERENCE: Final = CheckpointRef(TASK, GOOD)


# --- the store --------------------------------------------------------------------------------------------------------


def manifest(meant: Manifest) -> tuple[str, Golden]:
    return manifest_key(meant.snapshot.task, meant.snapshot.id), record("Manifest", meant, Manifest.from_bytes)


def log(action: Any, task: TaskPath, snapshot: SnapshotId, second: int) -> tuple[str, Golden]:
    where = log_key(task.namespace, datetime(2026, 11, 22, 9, 12, second, tzinfo=UTC), snapshot.uid)
    fields = {"action": action, "task": task, "snapshot": str(snapshot), "time": at(second)}
    return where, mark("Log", log_entry(action, task, snapshot, at(second)), **fields)


def claimed(kind: Any, attempt: int, uid: str) -> Golden:
    written = claim_mark(kind, attempt=attempt, uid=uid, time=at(6))
    return mark(kind, written, attempt=attempt, uid=uid, time=at(6))


def attempt(task: TaskPath, number: int, uid: str, seen: Mapping[int, int], first: int) -> tuple[str, Golden]:
    meant = AttemptRecord(task, number, uid, HOLDER, at(6), seen, first)
    return attempt_key(task, number, uid), record("Attempt", meant, AttemptRecord.from_bytes)


def run(task: TaskPath, owner: str) -> tuple[str, Golden]:
    meant = RunRecord(task.namespace, task.workflow, task.run, owner, at(0))
    return run_key(task.namespace, task.workflow, task.run), record("Run", meant, RunRecord.from_bytes)


def artifact(task: TaskPath, name: str, value: object) -> tuple[str, Golden]:
    meant = ArtifactRecord(task, name, value, 1, SECOND, at(8))
    return meant.key, record("Artifact", meant, ArtifactRecord.from_bytes)


OBJECTS: Final[Mapping[str, Golden]] = dict(
    [
        (STORE_MARKER, record("Store", StoreMarker("4e8c1a7b90d2f365"), StoreMarker.from_bytes)),
        run(TASK, "ada@example.com"),
        (
            run_end_key("_", TASK.workflow, TASK.run),
            record("RunEnd", RunEndRecord("Succeeded", "all steps done", at(59)), RunEndRecord.from_bytes),
        ),
        run(SWEPT, "ada"),
        # the claims
        (
            attempt_key(TASK, 0, FIRST, "intent"),
            record("Intent", IntentRecord(TASK, 0, FIRST, HOLDER, at(0)), IntentRecord.from_bytes),
        ),
        attempt(TASK, 0, FIRST, {}, 1),
        (attempt_key(TASK, 0, FIRST, "beat"), claimed("Beat", 0, FIRST)),
        (
            attempt_key(TASK, 0, FIRST, "end"),
            record("End", EndRecord(0, FIRST, "Killed", None, 9, "killed", 217, at(5)), EndRecord.from_bytes),
        ),
        (attempt_key(TASK, 1, "e9d8c7b6a5f40312", "lost"), claimed("Lost", 1, "e9d8c7b6a5f40312")),
        attempt(TASK, 1, SECOND, {0: 4}, 5),
        (attempt_key(TASK, 1, SECOND, "loaded"), record("Loaded", LOADED, LoadedRecord.from_bytes)),
        (
            attempt_key(TASK, 1, SECOND, "go"),
            record("Go", GoRecord(1, SECOND, 2, {1: "e02b6d4f9a1c8357", 12: "7c1e93f0a2b4d5e6"}), GoRecord.from_bytes),
        ),
        (
            attempt_key(TASK, 1, SECOND, "end"),
            record("End", EndRecord(1, SECOND, "Completed", 0, None, "", None, at(9)), EndRecord.from_bytes),
        ),
        (
            vote_key(TASK, 1, SECOND, 12),
            record(
                "Vote",
                VoteRecord(12, "7c1e93f0a2b4d5e6", 1, "Unusable", "log.txt differs", "Corrupt"),
                VoteRecord.from_bytes,
            ),
        ),
        attempt(SWEPT, 0, FIRST, {}, 1),
        # what people ask of an attempt
        (
            save_request_key(TASK, 0, FIRST),
            record("SaveRequest", SaveRequestRecord("7c1e93f0a2b4d5e6", "me", at(12)), SaveRequestRecord.from_bytes),
        ),
        # the checkpoints, and what is said of them
        manifest(nothing_in(TASK, DAMAGED)),
        (
            manifest_key(TASK, DAMAGED, "corrupt"),
            mark("Corrupt", corrupt_mark(at(6), "log.txt differs"), time=at(6), message="log.txt differs"),
        ),
        manifest(EVERYTHING),
        (
            manifest_key(TASK, GOOD, "pin"),
            record("Pin", PinRecord("table 2 of the paper", "me", at(20), True), PinRecord.from_bytes),
        ),
        (
            metric_key(TASK, GOOD, MET),
            record(
                "Metric",
                LateMetricRecord(TASK, GOOD, "accuracy", number_text(0.93), "me", at(14)),
                LateMetricRecord.from_bytes,
            ),
        ),
        (manifest_key(TASK, GONE, "tombstone"), mark("Tombstone", tombstone(at(9), "me"), time=at(9), by="me")),
        manifest(nothing_in(TASK, KEPT, latest=False)),
        (
            manifest_key(TASK, KEPT, "archived"),
            mark("Archived", archived_mark(at(9), "the operator"), time=at(9), by="the operator"),
        ),
        (manifest_key(TASK, SnapshotId(1, 4, SECOND), "fence"), claimed("Fence", 1, SECOND)),
        manifest(nothing_in(TASK, LAST)),
        manifest(ONE_FILE),
        # what a task has published
        artifact(TASK, "best_checkpoint", REFERENCE.to_json()),
        artifact(TASK, "v1.2", [0.97, None, "größer"]),
        # the log
        log("Commit", TASK, GOOD, 5),
        log("Delete", TASK, GONE, 9),
    ]
)


# --- keys -------------------------------------------------------------------------------------------------------------

KEYS: Final[Mapping[str, str]] = {
    "store": STORE_MARKER,
    "run": run_key("_", "digits", "digits-7f3a90c21e"),
    "run of a namespace": run_key("team-a", "Sweep_2", "sweep.7-4c1d9e02ab"),
    "end of a run": run_end_key("_", "digits", "digits-7f3a90c21e"),
    "log": log_key("_", datetime(2026, 11, 22, 9, 12, 5, 6789, tzinfo=UTC), GOOD.uid),
    **{
        f"attempt: {suffix}": attempt_key(TASK, 10, SECOND, suffix)
        for suffix in ("intent", "lost", "json", "beat", "loaded", "go", "end")
    },
    "vote": vote_key(TASK, 10, SECOND, 12),
    "request to save": save_request_key(TASK, 10, SECOND),
    "artifact": artifact_key(TASK, "best_checkpoint", 10, SECOND),
    **{
        f"manifest: {suffix}": manifest_key(TASK, GOOD, suffix)
        for suffix in ("json", "tombstone", "archived", "pin", "corrupt", "fence")
    },
    "manifest of an index and a namespace": manifest_key(SWEPT, SnapshotId(12, 3456, ALONE.uid)),
    "fence that bars every sequence": manifest_key(TASK, SnapshotId(2, EVERY_SEQUENCE, SECOND), "fence"),
    "later metric": metric_key(TASK, GOOD, MET),
    "file": file_key(TASK, GOOD, "model/weights.bin"),
    "file with odd characters": file_key(SWEPT, ALONE, "a b/%41+~/größe 模型.bin/\u200b\x07.x"),
    "pack": pack_key(TASK, GOOD, 3, 11),
    "uid of a checkpoint of several ranks": derived_uid(SECOND, 5),
    "name of a run object": run_object_name(TASK),
    "name of a run object, from a run with capitals and dots": run_object_name(TaskPath("w", "My.Run_7", "t", "2.1")),
    "name of a checkpoint": checkpoint_name(TASK, GOOD),
}
"""One key of every form, and the names that are made like keys."""


def expected() -> dict[str, bytes]:
    """Every file beneath ``golden/``, by its path, as the code of today writes it."""
    store = {**DATA, **{key: golden.written for key, golden in OBJECTS.items()}}
    return {
        **{f"store/{key}": data for key, data in store.items()},
        "keys.txt": "".join(f"{form}\n    {key}\n" for form, key in KEYS.items()).encode(),
        "reference.json": (json.dumps(REFERENCE.to_json(), indent=2, ensure_ascii=False) + "\n").encode(),
    }


def found(folder: Path = GOLDEN) -> dict[str, bytes]:
    """The same, as it lies there."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def main() -> int:
    wanted = expected()
    for path in set(found()) - set(wanted):
        (GOLDEN / path).unlink()
    for path, data in wanted.items():
        target = GOLDEN / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
