"""Checkpoints in a store as a training process leaves them: data, manifest, log entry, and the claims around them."""

from __future__ import annotations

from pathlib import Path

from tests.support.trees import Description, File, make, pattern
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.claim.announce import put_fence
from trainpoint.format.layout import SnapshotId, TaskPath, attempt_key
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.records import AttemptRecord, Holder
from trainpoint.testing import FakeChance, FakeClock, MemoryStore
from trainpoint.transfer.tree import scan
from trainpoint.transfer.upload import upload

TASK = TaskPath("llm", "llm-4c1d9e02ab", "main", namespace="team-a")
TIME = "2026-11-22T09:12:05.000000Z"
TREE: Description = {"model.bin": File(pattern(3 * 1024 * 1024)), "config.json": File(b"{}"), "a/b.txt": File(b"b")}


class Saves:
    """A store, and what attempts save into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock, self.chance = FakeClock(), FakeChance()
        self.store = MemoryStore(clock=self.clock)
        self.catalog = BucketCatalog(self.store, clock=self.clock, chance=self.chance)

    def upload(self, attempt: int, sequence: int, tree: Description = TREE, *, task: TaskPath = TASK) -> Manifest:
        """The data of a save, and the manifest that would commit it."""
        snapshot = SnapshotId(attempt, sequence, f"{attempt:08x}{sequence:08x}")
        source = make(self.root / f"{attempt}-{sequence}", tree)
        up = upload(self.store, task, snapshot, scan(source), clock=self.clock, chance=self.chance)
        return Manifest(
            Snapshot(task, snapshot, step=sequence * 5), TIME, up.objects, up.files, up.directories, up.links
        )

    def save(self, attempt: int, sequence: int, tree: Description = TREE) -> Manifest:
        """One that is committed."""
        made = self.upload(attempt, sequence, tree)
        self.catalog.record(made)
        return made

    def claim(self, attempt: int, *, seen: int = 0) -> str:
        """A claim that was won, having seen that sequence; its nonce."""
        nonce = f"{attempt:016x}"
        put_fence(self.store, TASK, attempt=attempt, uid=nonce, seen=seen, time=TIME)
        holder = Holder("gpu-7", 1, "1", "boot", nonce)
        record = AttemptRecord(TASK, attempt, nonce, holder, TIME)
        self.store.put(attempt_key(TASK, attempt, nonce), record.to_bytes())
        return nonce
