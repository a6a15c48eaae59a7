"""Which task somebody means: in ``list(task=…)``, ``run=…``, ``workflow=…``, and on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from trainpoint.api.names import LOCAL_NAMESPACE
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.errors import IdentityError, InvalidArgumentError, RunNotFoundError
from trainpoint.format.layout import NO_INDEX, TaskPath, check_index, check_name
from trainpoint.handle.visible import EVERY_WORKFLOW, EVERYONE, runs_of


def attempt_number(attempt: object) -> int | None:
    """``0`` and ``"0"`` are equal; anything that is no number is a mistake."""
    if attempt is None:
        return None
    if isinstance(attempt, int) and not isinstance(attempt, bool) and attempt >= 0:
        return attempt
    if isinstance(attempt, str) and attempt.isascii() and attempt.isdigit():
        return int(attempt)
    raise InvalidArgumentError(f"attempt {attempt!r} is not a number", remedy="attempts count from 0")


def tasks_meant(
    catalog: BucketCatalog,
    own: TaskPath | None,
    *,
    namespace: str,
    task: str | TaskPath | None = None,
    run: str | None = None,
    workflow: str | None = None,
) -> list[TaskPath]:
    """All of :func:`find_tasks`, of every owner."""
    return list(
        find_tasks(catalog, own, namespace=namespace, task=task, run=run, workflow=workflow, owner=EVERYONE, me="")
    )


def find_tasks(
    catalog: BucketCatalog,
    own: TaskPath | None,
    *,
    namespace: str,
    me: str,
    task: str | TaskPath | None = None,
    run: str | None = None,
    workflow: str | None = None,
    index: str | None = None,
    owner: str | None = None,
) -> Iterator[TaskPath]:
    """The tasks that are meant, those of the newest run first. Lazy: a run is asked for when the one before is done.

    Args:
        own: this process's task, which is meant where nothing is said; None in a reader.
        me: whose runs are looked at where neither a run nor an owner is named.
        task: a path, ``"workflow/run/task"``, ``"workflow/run/task/index"``, ``"workflow/run"``, ``"workflow"``, or the
            bare name of a task.
        workflow: ``"*"`` for all of the namespace.
        index: only this one; empty for the one without. Alone, it is that one of this process's own task.
        owner: only runs of this owner; ``"*"`` for everyone's.

    Raises:
        RunNotFoundError: there is no such workflow, run, task or index.
            Not so where all workflows are meant, and nothing more is said: a namespace may be empty.
        NotVisibleError: there is, and it is somebody else's.
        InvalidArgumentError: it does not say which workflow, and this process has none.
    """
    here = own is None or namespace == own.namespace
    if (task, run, workflow, index, owner) == (None, None, None, None, None) and here:
        if own is None:
            raise InvalidArgumentError(
                "this process has no task of its own, so it has to be said which one is meant",
                remedy="list(task='workflow/run/main'), or list(workflow='name')",
            )
        return iter([own])
    try:
        if namespace != LOCAL_NAMESPACE:
            check_name("namespace", namespace)
        wanted = _wanted(own, task, run, workflow, index)
    except IdentityError as error:
        raise InvalidArgumentError(error.message, remedy=error.remedy) from None
    if isinstance(task, TaskPath):
        namespace = task.namespace
    workflow, run, name, index = wanted
    if run is not None and owner in (None, EVERYONE) and workflow != EVERY_WORKFLOW:
        runs = iter([(workflow, run)])  # who names a run means it, whoever launched it
    else:
        whose = EVERYONE if run is not None and owner is None else owner if owner is not None else me
        visible = runs_of(catalog, namespace, workflow, whose)
        runs = ((one.workflow, one.run) for one in visible if run in (None, one.run))
    found = (path for one in runs for path in catalog.tasks(namespace, *one, task=name, index=index))
    first = next(found, None)
    if first is None and (workflow, run, name, index) == (EVERY_WORKFLOW, None, None, None):
        return iter(())
    if first is None:
        where = "/".join(part for part in (workflow, run or "*", name or "*", index or "") if part)
        raise RunNotFoundError(
            f"there is no task {where} in {catalog.store.url}"
            + (_there(catalog, namespace, workflow, run) if workflow != EVERY_WORKFLOW else ""),
            remedy="see what there is: trainpoint list",
        )
    return chain([first], found)


def _wanted(
    own: TaskPath | None,
    task: str | TaskPath | None,
    run: str | None,
    workflow: str | None,
    index: str | None,
) -> tuple[str, str | None, str | None, str | None]:
    """(workflow, run, task, index), None for any; checked, since they become parts of keys."""
    name: str | None = None
    if own is not None and (task, run, workflow) == (None, None, None) and index is not None:
        run, name = own.run, own.task
    if isinstance(task, TaskPath):
        workflow, run, name, index = task.workflow, task.run, task.task, task.index
    elif task is not None:
        parts = task.split("/")
        if not all(parts) or len(parts) > 4:
            raise InvalidArgumentError(
                f"{task!r} is no task", remedy="write workflow/run/task or workflow/run/task/index"
            )
        if len(parts) == 1 and (own or workflow or run):
            name = task
        else:
            workflow, run, name, said = (*parts, None, None, None)[:4]
            if said is not None:
                index = "" if said == NO_INDEX else said
    workflow = workflow or (own.workflow if own else None)
    if workflow is None:
        raise InvalidArgumentError("no workflow is named", remedy="list(task='workflow/run/main')")
    if workflow != EVERY_WORKFLOW:
        check_name("workflow", workflow)
    if run is not None:
        check_name("run", run)
    if name is not None:
        check_name("task", name)
    if index is not None:
        check_index(index)
    return workflow, run, name, index


def _there(catalog: BucketCatalog, namespace: str, workflow: str, run: str | None) -> str:
    """What there is instead, in words; nothing where no single run is meant."""
    if run is None:
        return ""
    paths = [str(path).partition(f"{run}/")[2] for path in catalog.tasks(namespace, workflow, run)]
    return f" (of that run there: {', '.join(paths[:8])}{', …' if len(paths) > 8 else ''})" if paths else ""
