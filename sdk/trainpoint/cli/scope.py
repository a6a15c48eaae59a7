"""Which tasks a SCOPE on the command line means."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from trainpoint.catalog.bucket import BucketCatalog, RunSummary
from trainpoint.errors import CheckpointNotFoundError
from trainpoint.format.layout import TaskPath
from trainpoint.handle.scope import find_tasks, tasks_meant
from trainpoint.handle.visible import EVERY_WORKFLOW, EVERYONE, newest_first


def tasks_in(catalog: BucketCatalog, scope: str | None, namespace: str) -> Iterator[TaskPath]:
    """Tasks, those of the newest run first. Lazy: a run is asked for its tasks when the one before is done.

    ``scope`` is a workflow, a run, workflow/run, workflow/run/task or workflow/run/task/index; None is everything, as
    ``list(workflow="*", owner="*")`` has it.

    Raises:
        CheckpointNotFoundError: there is nothing of that name.
    """
    if scope is not None and "/" in scope:
        return iter(tasks_meant(catalog, None, namespace=namespace, task=scope))
    if scope is None:
        return find_tasks(catalog, None, namespace=namespace, workflow=EVERY_WORKFLOW, owner=EVERYONE, me="")
    runs = newest_first(catalog, _named(catalog, scope, namespace))
    return (path for run in runs for path in catalog.tasks(run.namespace, run.workflow, run.run))


def tasks_of_newest_run(catalog: BucketCatalog, scope: str | None, namespace: str) -> list[TaskPath]:
    """As :func:`tasks_in`, of the newest run alone."""
    runs = groupby(tasks_in(catalog, scope, namespace), key=lambda task: (task.workflow, task.run))
    for _, tasks in runs:
        return list(tasks)
    raise CheckpointNotFoundError(f"there are no runs in {catalog.store.url}", remedy="start one: trainpoint run")


def _named(catalog: BucketCatalog, name: str, namespace: str) -> list[RunSummary]:
    """Runs of the workflow of that name, else the run of that name."""
    runs = catalog.all_runs(namespace)
    named = [run for run in runs if run.workflow == name] or [run for run in runs if run.run == name]
    if not named:
        raise CheckpointNotFoundError(
            f"there is no workflow or run {name!r} in {catalog.store.url}", remedy="see what there is: trainpoint list"
        )
    return named
