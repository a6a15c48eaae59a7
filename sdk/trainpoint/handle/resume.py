"""What a new attempt starts from: the policies choose, this fetches; what is corrupt is passed over with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainpoint.api import reasons
from trainpoint.catalog.bucket import BucketCatalog, manifest
from trainpoint.catalog.entries import Entry
from trainpoint.claim.store import AttemptView
from trainpoint.clock import Clock
from trainpoint.errors import CorruptCheckpointError, CorruptRecordError, ObjectNotFoundError, UnsafePathError
from trainpoint.format.digest import digest_of
from trainpoint.format.layout import TaskPath, run_key
from trainpoint.format.manifest import Manifest
from trainpoint.format.records import LoadedRecord, RunRecord, Skipped
from trainpoint.format.reference import CheckpointRef
from trainpoint.identity import Identity
from trainpoint.policies.choice import EarlierChoice, Scope, Skip, search_order, skip_listed, skip_snapshot
from trainpoint.policies.load import PolicyDecision
from trainpoint.transfer.download import download

RUNS_LOOKED_AT = 20
"""How many earlier runs eager looks through, newest first, for one with an eligible checkpoint."""
RUNS_MENTIONED = 5
"""How many earlier runs fresh looks through in order to say what it ignores."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What was loaded, if anything, and the record of why."""

    manifest: Manifest | None
    record: LoadedRecord
    seconds: float = 0.0


@dataclass(slots=True)
class Resume:
    """One search for a starting point."""

    catalog: BucketCatalog
    identity: Identity
    attempt: int
    claim_uid: str
    decision: PolicyDecision
    earlier: Sequence[AttemptView]
    target: Path
    clock: Clock
    skipped: list[Skipped] = field(default_factory=list)

    def run(self) -> Resumed:
        """Search, fetch, verify. Access and network errors are raised: they never mean that nothing is there."""
        choices = [
            EarlierChoice(view.number, view.loaded.task, view.loaded.snapshot)
            for view in self.earlier
            if view.loaded is not None
        ]
        search = search_order(self.decision.policy, attempt=self.attempt, owner=self.identity.owner, earlier=choices)
        begun = self.clock.monotonic()
        for scope in search.scopes:
            for task in self._tasks(scope):
                found = self._newest_good(task, scope)
                if found is not None:
                    seconds = self.clock.monotonic() - begun
                    return Resumed(found, self._record(_reason(scope), found, _message(found, scope)), seconds)
        message = search.message
        if self.skipped:
            message += f"; {len(self.skipped)} passed over: {self.skipped[0].checkpoint} {self.skipped[0].message}"
        return Resumed(None, self._record(search.nothing, None, message))

    def _tasks(self, scope: Scope) -> Iterator[TaskPath]:
        own = self.identity.task
        if scope.own:
            yield own
        if scope.repeat is not None and scope.repeat.task is not None:
            yield scope.repeat.task
        if scope.earlier_runs:
            for run in self.catalog.runs(own.namespace, own.workflow)[:RUNS_LOOKED_AT]:
                if run.run != own.run and self._same_owner(run.run):
                    yield TaskPath(own.workflow, run.run, own.task, own.index, own.namespace)

    def _same_owner(self, run: str) -> bool:
        own = self.identity.task
        key = run_key(own.namespace, own.workflow, run)
        try:
            return RunRecord.from_bytes(self.catalog.store.get(key), key=key).owner == self.identity.owner
        except ObjectNotFoundError:
            return False

    def _newest_good(self, task: TaskPath, scope: Scope) -> Manifest | None:
        for entry in self.catalog.entries(task):
            if scope.repeat is not None and scope.repeat.snapshot is not None and entry.id > scope.repeat.snapshot:
                continue  # a concurrent run's newer ones must not change what a retry repeats
            skip = skip_listed(entry)
            if skip is not None:
                self._note(task, entry, None, skip)
                continue
            found = self._read(task, entry)
            if found is None:
                continue
            skip = skip_snapshot(found.snapshot)
            if skip is not None:
                self._note(task, entry, found, skip)
            elif self._fetch(task, entry, found):
                return found
        return None

    def _read(self, task: TaskPath, entry: Entry) -> Manifest | None:
        try:
            try:
                return manifest(self.catalog.store, task, entry.id)
            except CorruptRecordError:
                return manifest(self.catalog.store, task, entry.id)  # once more: the network may have done it
        except ObjectNotFoundError:
            return None  # deleted since it was listed
        except (CorruptRecordError, UnsafePathError) as error:
            self.catalog.mark_corrupt(task, entry.id, error.message)
            self._note(task, entry, None, Skip(reasons.UNREADABLE, f"has a damaged manifest: {error.message}"))
            return None

    def _fetch(self, task: TaskPath, entry: Entry, found: Manifest) -> bool:
        try:
            download(self.catalog.store, found, self.target, clock=self.clock, chance=self.catalog.chance)
        except CorruptCheckpointError as error:
            self.catalog.mark_corrupt(task, entry.id, error.message)
            self._note(task, entry, found, Skip(reasons.CORRUPT, f"is corrupt: {error.message}"))
            return False
        return True

    def _note(self, task: TaskPath, entry: Entry, found: Manifest | None, skip: Skip) -> None:
        if skip.worth_telling and len(self.skipped) < 20:
            name = CheckpointRef(task, entry.id).name
            self.skipped.append(Skipped(name, found.snapshot.step if found else None, skip.reason, skip.message))

    def _record(self, reason: str, found: Manifest | None, message: str) -> LoadedRecord:
        snapshot = found.snapshot if found else None
        return LoadedRecord(
            attempt=self.attempt,
            uid=self.claim_uid,
            policy=self.decision.policy,
            source=self.decision.source,
            reason=reason,
            message=message,
            checkpoint=CheckpointRef(snapshot.task, snapshot.id).name if snapshot else "",
            task=snapshot.task if snapshot else None,
            snapshot=snapshot.id if snapshot else None,
            digest=digest_of(found.to_bytes()) if found else "",
            step=snapshot.step if snapshot else None,
            skipped=tuple(self.skipped),
        )


def _reason(scope: Scope) -> str:
    if scope.own:
        return reasons.NEWEST
    return reasons.SAME_AS_FIRST_ATTEMPT if scope.repeat else reasons.NEWEST_OF_EARLIER_RUN


def _message(found: Manifest, scope: Scope) -> str:
    if scope.own:
        return "newest that verifies"
    if scope.repeat is not None:
        return f"what attempt {scope.repeat.attempt} chose, since this run has saved nothing of its own"
    return f"newest of run {found.snapshot.task.run}, the newest earlier run that has one"


def ignored_run(catalog: BucketCatalog, own: TaskPath) -> tuple[str, int] | None:
    """The newest other run of this workflow with checkpoints of this task, and how many it has."""
    others = [r for r in catalog.runs(own.namespace, own.workflow) if r.run != own.run]
    for run in others[:RUNS_MENTIONED]:
        task = TaskPath(own.workflow, run.run, own.task, own.index, own.namespace)
        count = sum(1 for entry in catalog.entries(task) if entry.eligible)
        if count:
            return run.run, count
    return None
