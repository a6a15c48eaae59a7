"""What a new attempt starts from: the policies choose, this fetches; what is corrupt is passed over with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainpoint.api import reasons
from trainpoint.catalog.bucket import BucketCatalog, manifest
from trainpoint.catalog.entries import Entry
from trainpoint.claim.store import AttemptView
from trainpoint.clock import Clock
from trainpoint.context import FindAsked
from trainpoint.errors import (
    EXIT_REFUSED,
    CorruptCheckpointError,
    CorruptRecordError,
    NotMatchingError,
    ObjectNotFoundError,
    UnsafePathError,
)
from trainpoint.format.digest import digest_of
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest
from trainpoint.format.records import LoadedRecord, Skipped
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.narrate import logger
from trainpoint.handle.requested import Requested, earlier_runs
from trainpoint.identity import Identity
from trainpoint.policies.choice import (
    NO_MATCH,
    EarlierChoice,
    Scope,
    Skip,
    mismatch,
    search_order,
    skip_listed,
    skip_snapshot,
)
from trainpoint.policies.load import PolicyDecision
from trainpoint.policies.request import Asked, Request, parse_request
from trainpoint.policies.settings import MetricSettings
from trainpoint.transfer.download import download


@dataclass(frozen=True, slots=True)
class Resumed:
    """What was loaded, if anything, and the record of why."""

    manifest: Manifest | None
    record: LoadedRecord
    seconds: float = 0.0

    def chosen(self, found: Manifest) -> Resumed:
        """The same where the program was to choose, and has chosen ``found``."""
        snapshot = found.snapshot
        record = replace(
            self.record,
            message="as the program chose",
            checkpoint=CheckpointRef(snapshot.task, snapshot.id).name,
            task=snapshot.task,
            snapshot=snapshot.id,
            digest=digest_of(found.to_bytes()),
            step=snapshot.step,
        )
        return Resumed(found, record, self.seconds)


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
    request: Request | None = None
    match: Mapping[str, object] = field(default_factory=dict)
    metric: MetricSettings = field(default_factory=MetricSettings)
    refused: Mapping[tuple[TaskPath, SnapshotId], str] = field(default_factory=dict)
    """what another rank could not use, though this one could, and why"""
    find: FindAsked | None = None
    """looks up what an app names"""
    skipped: list[Skipped] = field(default_factory=list)
    _since: int = 0
    _rollback: EarlierChoice | None = None
    _remark: str = ""
    _is_file: bool = False

    def run(self) -> Resumed:
        """Search, fetch, verify. Access and network errors are raised: they never mean that nothing is there.

        Raises:
            ResumeRequestError: what a resume request names cannot be started from.
            NotMatchingError: it has other metadata than ``match`` asks for.
        """
        choices = [
            EarlierChoice(view.number, loaded.task, loaded.snapshot, loaded.request, loaded.is_file)
            for view in self.earlier
            if (loaded := view.loaded) is not None and not self._did_not_begin(view)
        ]
        search = search_order(
            self.decision.policy,
            attempt=self.attempt,
            owner=self.identity.owner,
            earlier=choices,
            request=self.request,
        )
        self._since, self._rollback = search.since, search.rollback
        begun = self.clock.monotonic()
        for scope in search.scopes:
            found = self._look(scope)
            if found is not None:
                seconds = self.clock.monotonic() - begun
                return Resumed(found, self._record(self._reason(scope), found, self._message(found, scope)), seconds)
        if self._is_file and self.request is not None:
            text = f"a file, which is no checkpoint of this store, as {self.request.source} says"
            return Resumed(None, self._record(reasons.REQUESTED, None, text))
        message = search.message + self._remark
        if self.skipped:
            first = self.skipped[0]
            message = (
                f"nothing to load{self._remark}; {len(self.skipped)} passed over: {first.checkpoint} {first.message}"
            )
        return Resumed(None, self._record(search.nothing, None, message))

    def _did_not_begin(self, view: AttemptView) -> bool:
        """It was refused what it had loaded, before it saved anything: that says nothing about those after it."""
        if view.end is None or view.end.exit_code != EXIT_REFUSED:
            return False
        return not any(entry.id.attempt == view.number for entry in self.catalog.entries(self.identity.task))

    def _look(self, scope: Scope) -> Manifest | None:
        if scope.requested is not None:
            return self._requested(self._lookup(scope.requested))
        if scope.exact and scope.repeat is not None and self.request is not None:
            task, snapshot = scope.repeat.task, scope.repeat.snapshot
            if task is None or snapshot is None:
                return None
            return self._exactly(self._lookup(self.request), CheckpointRef(task, snapshot))
        for task in self._tasks(scope):
            found = self._newest_good(task, scope)
            if found is not None:
                return found
        return None

    def _tasks(self, scope: Scope) -> Iterator[TaskPath]:
        if scope.own:
            yield self.identity.task
        if scope.repeat is not None and scope.repeat.task is not None:
            yield scope.repeat.task
        if scope.earlier_runs:
            yield from earlier_runs(self.catalog, self.identity)

    # --- what a request names -----------------------------------------------------------------------------------------

    def _lookup(self, request: Request) -> Requested:
        return Requested(self.catalog, self.identity, request, self.metric, self.find)

    def _requested(self, wanted: Requested) -> Manifest | None:
        """What a request names, fetched.

        None: the run that it names is there and has saved nothing of this task; or it is a file, which is the app's.
        """
        ref = wanted.one()
        if ref is not None:
            return self._exactly(wanted, ref)
        if wanted.request.of_app:
            self._is_file = True
            return None
        there = False
        for task in wanted.tasks():
            for entry in self.catalog.entries(task):
                there = True
                found = self._good(task, entry, match=NO_MATCH)
                if found is None:
                    continue
                self._check_match(wanted, found)
                if self._fetch(task, entry, found):
                    return found
        told = f" ({self.skipped[0].checkpoint} {self.skipped[0].message})" if self.skipped else ""
        if wanted.request.kind == "Latest":
            raise wanted.nothing_latest(told)
        if there:
            message = f"none of its checkpoints of this task can be loaded{told}"
            raise wanted.failed(message, wanted.look_at(wanted.in_run))
        siblings = ", ".join(wanted.siblings())
        self._remark = f" ({wanted.request.source}: that run has no checkpoint of this task" + (
            f"; its tasks: {siblings})" if siblings else ")"
        )
        return None

    def _exactly(self, wanted: Requested, ref: CheckpointRef) -> Manifest:
        found = wanted.read(ref)
        self._check_match(wanted, found)
        try:
            self._download(found)
        except CorruptCheckpointError as error:
            self.catalog.mark_corrupt(ref.task, ref.id, error.message)
            wanted.read(ref)  # deleted while it was being loaded?
            raise wanted.failed(f"checkpoint {ref} is corrupt: {error.message}", wanted.look_at(ref.task)) from None
        return found

    def _check_match(self, wanted: Requested, found: Manifest) -> None:
        difference = mismatch(found.snapshot.metadata, self.match)
        if difference:
            ref = CheckpointRef(found.snapshot.task, found.snapshot.id)
            raise NotMatchingError(
                f"{wanted.request.source}: checkpoint {ref} {difference} (match=)",
                remedy="resume from another one, or correct match=",
            )

    # --- the newest good one of a task --------------------------------------------------------------------------------

    def _newest_good(self, task: TaskPath, scope: Scope) -> Manifest | None:
        for entry in self.catalog.entries(task):
            if scope.own and entry.id.attempt < scope.since:
                return None  # newest first: from here on, all are older than the last rollback
            if scope.repeat is not None and scope.repeat.snapshot is not None and entry.id > scope.repeat.snapshot:
                continue  # a concurrent run's newer ones must not change what a retry repeats
            found = self._good(task, entry, match=self.match)
            if found is not None and self._fetch(task, entry, found):
                return found
        return None

    def _good(self, task: TaskPath, entry: Entry, *, match: Mapping[str, object]) -> Manifest | None:
        """The manifest of a checkpoint that nothing is said against; else why not is noted."""
        skip = skip_listed(entry)
        if skip is not None:
            self._note(task, entry, None, skip)
            return None
        found = self._read(task, entry)
        if found is None:
            return None
        skip = skip_snapshot(found.snapshot, match=match)
        if skip is not None:
            self._note(task, entry, found, skip)
            return None
        return found

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
            self._download(found)
        except CorruptCheckpointError as error:
            self.catalog.mark_corrupt(task, entry.id, error.message)
            self._note(task, entry, found, Skip(reasons.CORRUPT, f"is corrupt: {error.message}"))
            return False
        return True

    def _download(self, found: Manifest) -> None:
        refused = self.refused.get((found.snapshot.task, found.snapshot.id))
        if refused is not None:
            raise CorruptCheckpointError(refused)
        download(self.catalog.store, found, self.target, clock=self.clock, chance=self.catalog.chance)

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
            request=self.request.text if self.request else "",
            request_by=self.request.by if self.request else "",
            since=self._since,
        )

    def _message(self, found: Manifest, scope: Scope) -> str:
        s = found.snapshot
        if scope.requested is not None:
            if scope.requested.kind == "Checkpoint":
                return f"as {scope.requested.source} says"
            where = "this run" if s.task.run == self.identity.task.run else f"run {s.task.run}"
            what = "best" if scope.requested.kind == "Best" else "newest"
            return f"{what} of {where}, as {scope.requested.source} says"
        if scope.own:
            back = self._rollback
            return "newest that verifies" + (f", of those since {_told(back)}" if back is not None else "")
        if scope.repeat is not None and scope.repeat.snapshot not in (None, s.id):
            return f"newest before what attempt {scope.repeat.attempt} chose, which cannot be loaded any more"
        if scope.repeat is not None and scope.repeat.request:
            return f"once more what {_told(scope.repeat)}, since nothing was saved after that"
        if scope.repeat is not None:
            return f"what attempt {scope.repeat.attempt} chose, since this run has saved nothing of its own"
        return f"newest of run {s.task.run}, the newest earlier run that has one" + self._remark

    def _reason(self, scope: Scope) -> str:
        if scope.requested is not None:
            return reasons.REQUESTED
        if scope.own:
            return reasons.NEWEST if self._rollback is None else reasons.SINCE_REQUEST
        if scope.repeat is not None:
            return reasons.SAME_AS_REQUESTED if scope.repeat.request else reasons.SAME_AS_FIRST_ATTEMPT
        return reasons.NEWEST_OF_EARLIER_RUN


def _told(rollback: EarlierChoice) -> str:
    return f"attempt {rollback.attempt} resumed from ({rollback.request})"


def request_in_force(asked: Asked | None, run_object: str, own: TaskPath) -> Request | None:
    """The resume request that counts for this task; None: none.

    Args:
        asked: by argument, environment or annotation; it goes before the other.
        run_object: ``spec.resumeFrom`` of the CheckpointRun; empty for none.

    Raises:
        InvalidArgumentError: it cannot be read.
    """
    wanted = run_object.strip()
    request = asked.request(own) if asked is not None else None
    if request is None:  # or it is about another task
        return parse_request(wanted, "Run", own) if wanted else None
    if asked is not None and wanted not in ("", asked.text.strip(), request.text):
        logger.warning("spec.resumeFrom=%s is not followed: %s goes before it", wanted, request.source)
    return request
