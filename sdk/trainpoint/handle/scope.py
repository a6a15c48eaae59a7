"""Which task somebody means: in ``list(task=…)``, ``run=…``, ``workflow=…``, and on the command line."""

from __future__ import annotations

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.errors import CheckpointNotFoundError, IdentityError, InvalidArgumentError
from trainpoint.format.layout import TaskPath, check_name


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
    """The tasks that are meant, those of the newest run first.

    ``task`` is a task, ``"workflow/run/task"``, ``"workflow/run/task/index"``, ``"workflow/run"``, ``"workflow"``, or
    the bare name of a task. Nothing at all means this process's own task.

    Raises:
        CheckpointNotFoundError: there is no such workflow, run or task.
        InvalidArgumentError: it does not say which workflow, and this process has none.
    """
    if isinstance(task, TaskPath):
        return [task]
    if task is None and run is None and workflow is None:
        if own is None:
            raise InvalidArgumentError(
                "this process has no task of its own, so it has to be said which one is meant",
                remedy="list(task='workflow/run/main'), or list(workflow='name')",
            )
        return [own]
    parts = task.split("/") if task else []
    if len(parts) > 4:
        raise InvalidArgumentError(f"{task!r} is no task", remedy="write workflow/run/task or workflow/run/task/index")
    index = parts[3] if len(parts) == 4 else None
    if len(parts) > 1:
        workflow, run, parts = parts[0], parts[1], parts[2:3]
    elif len(parts) == 1 and own is None and workflow is None and run is None:
        workflow, parts = parts[0], []
    named = parts[0] if parts else None
    workflow = workflow or (own.workflow if own else None)
    if workflow is None:
        raise InvalidArgumentError("no workflow is named", remedy="list(task='workflow/run/main')")
    try:
        check_name("workflow", workflow)
        runs = [check_name("run", run)] if run else [r.run for r in catalog.runs(namespace, workflow)]
    except IdentityError as error:
        raise InvalidArgumentError(error.message, remedy=error.remedy) from None
    found = [
        path
        for one in runs
        for path in catalog.tasks(namespace, workflow, one)
        if (named is None or path.task == named) and (index is None or path.index == index.replace("_", ""))
    ]
    if not found:
        where = "/".join(part for part in (workflow, run or "*", named or "*") if part)
        raise CheckpointNotFoundError(
            f"there is no task {where} in {catalog.store.url}", remedy="see what there is: trainpoint list"
        )
    return found
