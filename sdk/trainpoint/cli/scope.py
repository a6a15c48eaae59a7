"""Which tasks a SCOPE on the command line means."""

from __future__ import annotations

from trainpoint.catalog.bucket import BucketCatalog, RunSummary
from trainpoint.errors import CheckpointNotFoundError
from trainpoint.format.layout import TaskPath
from trainpoint.handle.scope import tasks_meant


def tasks_in(catalog: BucketCatalog, scope: str | None, namespace: str) -> list[TaskPath]:
    """Tasks, those of the newest run first.

    ``scope`` is a workflow, a run, workflow/run, workflow/run/task or workflow/run/task/index; None is everything.

    Raises:
        CheckpointNotFoundError: there is nothing of that name.
    """
    if scope is not None and "/" in scope:
        return tasks_meant(catalog, None, namespace=namespace, task=scope)
    return [
        task for run in _runs(catalog, scope, namespace) for task in catalog.tasks(run.namespace, run.workflow, run.run)
    ]


def tasks_of_newest_run(catalog: BucketCatalog, scope: str | None, namespace: str) -> list[TaskPath]:
    """As :func:`tasks_in`, of the newest run alone."""
    tasks = tasks_in(catalog, scope, namespace)
    if not tasks:
        raise CheckpointNotFoundError(f"there are no runs in {catalog.store.url}", remedy="start one: trainpoint run")
    return [task for task in tasks if (task.workflow, task.run) == (tasks[0].workflow, tasks[0].run)]


def _runs(catalog: BucketCatalog, name: str | None, namespace: str) -> list[RunSummary]:
    runs = [run for workflow in catalog.workflows(namespace) for run in catalog.runs(namespace, workflow)]
    runs.sort(key=lambda run: run.begun, reverse=True)
    if name is None:
        return runs
    named = [run for run in runs if run.workflow == name] or [run for run in runs if run.run == name]
    if not named:
        raise CheckpointNotFoundError(
            f"there is no workflow or run {name!r} in {catalog.store.url}", remedy="see what there is: trainpoint list"
        )
    return named
