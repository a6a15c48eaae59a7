"""Where what a resume request names lies: one checkpoint, or tasks to be looked through, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, islice

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.context import FindAsked
from trainpoint.errors import (
    CheckpointDeletedError,
    CheckpointNotFoundError,
    CorruptRecordError,
    ObjectNotFoundError,
    ResumeRequestError,
    RunNotFoundError,
    UnsafePathError,
)
from trainpoint.format.layout import TaskPath, run_key
from trainpoint.format.manifest import Manifest
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.load import best
from trainpoint.handle.visible import runs_of
from trainpoint.identity import Identity
from trainpoint.policies.request import Request
from trainpoint.policies.settings import MetricSettings

RUNS_LOOKED_AT = 20
"""How many earlier runs of the same owner are looked through, newest first, for one with an eligible checkpoint."""


def earlier_runs(catalog: BucketCatalog, identity: Identity) -> Iterator[TaskPath]:
    """This task and index in the newest other runs of the same owner. Lazy; the record of each run is read."""
    own = identity.task
    mine = runs_of(catalog, own.namespace, own.workflow, identity.owner)  # however many runs of others came between
    with suppress(RunNotFoundError):
        for run in islice((run.run for run in mine if run.run != own.run), RUNS_LOOKED_AT):
            yield TaskPath(own.workflow, run, own.task, own.index, own.namespace)


@dataclass(frozen=True, slots=True)
class Requested:
    """Looks up what one request names."""

    catalog: BucketCatalog
    identity: Identity
    request: Request
    metric: MetricSettings
    """of the policy, for ``best``"""
    find: FindAsked | None = None
    """looks up what an app names"""

    def one(self) -> CheckpointRef | None:
        """The one checkpoint that is meant; None where the request speaks of a run, or of the newest, or of a file.

        Raises:
            ResumeRequestError: there is no such checkpoint.
        """
        if self.find is not None and self.request.of_app:
            return self.find()
        if self.request.kind == "Best":
            return self._best()
        if self.request.kind != "Checkpoint":
            return None
        own = self.identity.task
        try:
            return self.catalog.find(self.request.text, namespace=own.namespace, near=own)
        except CheckpointNotFoundError as error:
            raise self.failed(error.message, error.remedy) from None

    def tasks(self) -> Iterator[TaskPath]:
        """Tasks to be looked through, the first that has a good checkpoint counts.

        Raises:
            ResumeRequestError: there is no such run.
        """
        own = self.identity.task
        if self.request.kind == "Latest":
            yield own
            if self.identity.owner:
                yield from earlier_runs(self.catalog, self.identity)
            return
        if self.request.kind == "Run":
            self._check_run()
            yield self.in_run

    @property
    def in_run(self) -> TaskPath:
        """This process's task and index in the run that is named."""
        own = self.identity.task
        return TaskPath(self.request.workflow, self.request.run, own.task, own.index, own.namespace)

    def siblings(self) -> list[str]:
        """Which tasks that run has, for a message."""
        own, request = self.identity.task, self.request
        found = self.catalog.tasks(own.namespace, request.workflow, request.run)
        return sorted(path.task + (f"[{path.index}]" if path.index else "") for path in found)

    def read(self, ref: CheckpointRef) -> Manifest:
        """The manifest of a checkpoint that is meant. Raises ResumeRequestError: deleted, or damaged."""
        try:
            return self.catalog.manifest(ref.task, ref.id)
        except (CheckpointDeletedError, CheckpointNotFoundError) as error:
            raise self.failed(error.message, error.remedy) from None
        except (CorruptRecordError, UnsafePathError) as error:
            raise self.failed(f"checkpoint {ref} is corrupt: {error.message}", self.look_at(ref.task)) from None

    def failed(self, message: str, remedy: str = "") -> ResumeRequestError:
        """What is raised, before any training code has run."""
        remedy = remedy or "see what there is: trainpoint list"
        return ResumeRequestError(f"{self.request.source}: {message}", remedy=remedy)

    @staticmethod
    def look_at(task: TaskPath) -> str:
        return f"see what there is: trainpoint list {task}"

    def nothing_latest(self, told: str) -> ResumeRequestError:
        """There is no newest one; ``told``: of one that was passed over."""
        who = f"run of {self.identity.owner}" if self.identity.owner else "run"
        hint = "" if self.identity.owner else "; the owner is unknown, so no earlier run was looked at"
        return self.failed(f"neither this run nor an earlier {who} has a good checkpoint of this task{told}{hint}")

    # --- runs and metrics ---------------------------------------------------------------------------------------------

    def _check_run(self) -> None:
        own, request = self.identity.task, self.request
        try:
            self.catalog.store.get(run_key(own.namespace, request.workflow, request.run))
            return
        except ObjectNotFoundError:
            pass
        if next(self.catalog.tasks(own.namespace, request.workflow, request.run), None) is not None:
            return
        raise self.failed(*no_such_run(self.catalog, own.namespace, request.workflow, request.run))

    def _best(self) -> CheckpointRef:
        metric = self.request.metric or self.metric.name
        if not metric:
            raise self.failed(
                "the policy names no metric by which one checkpoint is better than another",
                "write best:<metric>:<min|max>, or set metric in the CheckpointPolicy",
            )
        mode = self.request.mode or ("max" if self.metric.highest else "min")
        earlier = earlier_runs(self.catalog, self.identity) if self.identity.owner else iter(())
        for task in chain([self.identity.task], earlier):
            found = best(self.catalog, task, metric, mode)
            if found is not None:
                return found.ref
        raise self.failed(f"no checkpoint of this task has the metric {metric!r}")


def no_such_run(catalog: BucketCatalog, namespace: str, workflow: str, run: str) -> tuple[str, str]:
    """What to say, and what to do, where a run does not exist; with names that are near."""
    there = [one.run for one in catalog.runs(namespace, workflow)]
    near = get_close_matches(run, there, n=3, cutoff=0.5) or there[:3]
    hint = f"did you mean {', '.join(f'{workflow}/{name}' for name in near)}? " if near else ""
    return f"there is no run {workflow}/{run} in {catalog.store.url}", f"{hint}see what there is: trainpoint list"
