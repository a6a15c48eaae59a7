from __future__ import annotations

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.format.layout import SnapshotId, TaskPath, attempt_key
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.records import AttemptRecord, Holder
from trainpoint.testing import FakeChance, FakeClock, MemoryStore
from trainpoint_operator.inventory import look

TASK = TaskPath("llm", "llm-1", "main", namespace="team")
NONCE = "ab" * 8
TIME = "2026-11-22T09:12:05.000000Z"


def test_a_checkpoint_whose_object_went_on_purpose_gets_no_new_one() -> None:
    catalog = BucketCatalog(MemoryStore(), clock=FakeClock(), chance=FakeChance())
    holder = Holder("host", 7, "1", "boot", "cd" * 8)
    record = AttemptRecord(TASK, 0, NONCE, holder, TIME, {}, 1)
    catalog.store.put(attempt_key(TASK, 0, NONCE), record.to_bytes())
    for sequence in (1, 2):
        catalog.record(Manifest(Snapshot(TASK, SnapshotId(0, sequence, f"{sequence:016x}")), TIME, (), ()))
    found = look(catalog, TASK, recorded=(), nonces={NONCE})
    assert [m.snapshot.id.sequence for m in found.missing] == [1, 2]

    catalog.archive(TASK, SnapshotId(0, 1, f"{1:016x}"), by="the operator")
    found = look(catalog, TASK, recorded=(), nonces={NONCE})
    assert [m.snapshot.id.sequence for m in found.missing] == [2]
    assert [e.id.sequence for e in catalog.entries(TASK) if e.eligible] == [2, 1], "it can be loaded as before"

    catalog.delete(TASK, SnapshotId(0, 1, f"{1:016x}"), by="me")
    assert not [e for e in catalog.entries(TASK) if "archived" in e.markers]
