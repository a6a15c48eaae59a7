"""What the store says about a run: which attempts there were, what each began from and committed.

A supervisor sees processes, the store sees claims. A process may claim no task, its own, or several one after the
other; this is where the two are brought together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.entries import Entry
from trainpoint.claim.history import AttemptView as Recorded
from trainpoint.claim.history import read_attempts
from trainpoint.claim.liveness import SystemProcesses, liveness, this_process
from trainpoint.clock import Chance
from trainpoint.errors import CheckpointNotFoundError, CorruptRecordError, UnsafePathError
from trainpoint.format.layout import TaskPath, attempt_key
from trainpoint.format.records import EndRecord, Holder

_MANIFESTS_READ: Final = 5
"""Per attempt, newest first, in search of one with a step."""
_OBJECTS_COUNTED: Final = 20_000
"""Sizes are added up for so many objects; beyond, a run's size is not worth the requests."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """One attempt at one task."""

    task: TaskPath
    number: int
    uid: str
    holder: Holder
    loaded: str = ""
    """name of the checkpoint it began from; empty: from nothing"""
    from_step: int | None = None
    to_step: int | None = None
    """step of the last checkpoint it committed, if that has one"""
    commits: int = 0
    ended: bool = False
    """its end is written down"""

    @property
    def key(self) -> tuple[TaskPath, int, str]:
        return self.task, self.number, self.uid

    @property
    def safe_step(self) -> int:
        """The step that no kill can take from it any more."""
        return max(self.from_step or 0, self.to_step or 0)


@dataclass(frozen=True, slots=True)
class Account:
    """All attempts of a run, tasks by name, attempts oldest first."""

    claims: tuple[Claimed, ...] = ()
    checkpoints: int = 0

    @property
    def step(self) -> int | None:
        """Steps committed, added up over the run's tasks; None where no checkpoint has a step.

        It rises with progress in any of them, which is all that it is good for where there are several.
        """
        best: dict[TaskPath, int] = {}
        for c in self.claims:
            if c.to_step is not None or c.from_step is not None:
                best[c.task] = max(best.get(c.task, 0), c.safe_step)
        return sum(best.values()) if best else None

    def since(self, earlier: Account) -> tuple[Claimed, ...]:
        """The attempts that ``earlier`` does not have."""
        known = {c.key for c in earlier.claims}
        return tuple(c for c in self.claims if c.key not in known)


def read_account(catalog: BucketCatalog, namespace: str, workflow: str, run: str) -> Account:
    """Read what there is of a run. Raises StoreError, or CorruptRecordError for a damaged record of an attempt."""
    claims: list[Claimed] = []
    checkpoints = 0
    for task in catalog.tasks(namespace, workflow, run):
        good = [e for e in catalog.entries(task) if e.committed and not e.deleted and not e.superseded]
        checkpoints += len(good)
        for recorded in read_attempts(catalog.store, task):
            claims.append(_claimed(catalog, task, recorded, [e for e in good if e.id.attempt == recorded.number]))
    return Account(tuple(claims), checkpoints)


def _claimed(catalog: BucketCatalog, task: TaskPath, recorded: Recorded, entries: Sequence[Entry]) -> Claimed:
    loaded = recorded.loaded
    return Claimed(
        task=task,
        number=recorded.number,
        uid=recorded.uid,
        holder=recorded.holder,
        loaded=loaded.checkpoint if loaded else "",
        from_step=loaded.step if loaded else None,
        to_step=_newest_step(catalog, task, entries),
        commits=len(entries),
        ended=recorded.end is not None,
    )


def _newest_step(catalog: BucketCatalog, task: TaskPath, entries: Sequence[Entry]) -> int | None:
    for entry in islice(entries, _MANIFESTS_READ):
        try:
            step = catalog.manifest(task, entry.id).snapshot.step
        except (CorruptRecordError, UnsafePathError, CheckpointNotFoundError):
            continue  # whoever loads will say so; here it is only about progress
        if step is not None:
            return step
    return None


def stored_bytes(catalog: BucketCatalog, tasks: Sequence[TaskPath]) -> int | None:
    """Bytes of all data of these tasks; None where there are too many objects to add up."""
    total = count = 0
    for task in tasks:
        for info in catalog.store.list(task.data):
            count += 1
            if count > _OBJECTS_COUNTED:
                return None
            total += info.size
    return total


def record_ends(catalog: BucketCatalog, claims: Sequence[Claimed], end: EndRecord, chance: Chance) -> None:
    """Write down how these attempts ended, for those that could not do so themselves and are gone.

    ``end`` says how; number and uid are filled in. Raises StoreError.
    """
    me, processes = this_process(chance), SystemProcesses()
    for claimed in claims:
        if claimed.ended or liveness(claimed.holder, me, processes) == "Alive":
            continue
        body = replace(end, attempt=claimed.number, uid=claimed.uid).to_bytes()
        catalog.store.put(attempt_key(claimed.task, claimed.number, claimed.uid, "end"), body)
