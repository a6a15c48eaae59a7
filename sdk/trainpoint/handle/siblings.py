"""A task that finds nothing to load, although checkpoints of the same program lie beside it: what it may have meant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.claim.history import read_attempts
from trainpoint.format.layout import TaskPath, tasks_prefix
from trainpoint.identity import Identity
from trainpoint.policies.load import LoadPolicy
from trainpoint.policies.siblings import former_selves

LOOKED_AT = 3
"""Other tasks of a run that are looked into; a pipeline of many steps is not searched through."""
RUNS_LOOKED_AT = 20
"""Newest other runs of which it is read whose they are: a hint must not cost more where a workflow has many."""
RUNS_MENTIONED = 5
"""How many earlier runs fresh looks through in order to say what it ignores."""
COUNTED = 1000


def former_self(catalog: BucketCatalog, identity: Identity, policy: LoadPolicy) -> tuple[TaskPath, int] | None:
    """Where checkpoints lie that the task may have meant, and how many; None if nowhere.

    Looks where the policy has looked: in the own run, unless this process has just begun it; under ``eager`` also in
    the newest earlier run of the owner. A run of one task costs two small listings.
    """
    if policy == "none":
        return None  # the program chooses
    own = identity.task
    if not identity.launched:
        found = _in_run(catalog, own, own.run)
        if found is not None:
            return found
    if policy != "eager" or not identity.owner:
        return None
    run = next(_earlier_runs(catalog, identity), None)
    return _in_run(catalog, own, run) if run else None


def ignored_run(catalog: BucketCatalog, identity: Identity) -> tuple[str, int] | None:
    """The newest other run of the same owner with checkpoints of this task, and how many it has."""
    own = identity.task
    for run in islice(_earlier_runs(catalog, identity), RUNS_MENTIONED):
        count = _eligible(catalog, TaskPath(own.workflow, run, own.task, own.index, own.namespace))
        if count:
            return run, count
    return None


def _earlier_runs(catalog: BucketCatalog, identity: Identity) -> Iterator[str]:
    """The owner's among the newest other runs of the workflow, newest first. Lazy; the record of each is read."""
    own = identity.task
    others = (run.run for run in catalog.runs(own.namespace, own.workflow) if run.run != own.run)
    for run in islice(others, RUNS_LOOKED_AT):
        record = catalog.run_record(own.namespace, own.workflow, run)
        if record is not None and record.owner == identity.owner:
            yield run


def _eligible(catalog: BucketCatalog, task: TaskPath) -> int:
    return sum(1 for entry in islice(catalog.entries(task), COUNTED) if entry.eligible)


def _in_run(catalog: BucketCatalog, own: TaskPath, run: str) -> tuple[TaskPath, int] | None:
    for task in former_selves(own, _tasks(catalog, own, run)):
        count = _eligible(catalog, task)
        if count and not (run == own.run and task.task != own.task and _is_done(catalog, task)):
            return task, count
    return None


def _tasks(catalog: BucketCatalog, own: TaskPath, run: str) -> list[TaskPath]:
    root = f"{tasks_prefix(own.namespace)}{own.workflow}/{run}/"
    names = list(catalog.store.children(root))
    looked_at = [name for name in names if name == own.task] + [name for name in names if name != own.task][:LOOKED_AT]
    return [path for task in looked_at for path in catalog.tasks(own.namespace, own.workflow, run, task=task)]


def _is_done(catalog: BucketCatalog, task: TaskPath) -> bool:
    """A step of the same run that has completed is the step before this one, not this one's former self."""
    attempts = read_attempts(catalog.store, task)
    end = attempts[-1].end if attempts else None
    return end is not None and end.how == "Completed"
