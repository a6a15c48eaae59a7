"""``trainpoint run --resume``: which run is gone on with, found before anything is launched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trainpoint.api.names import LOCAL_NAMESPACE
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.errors import IdentityError
from trainpoint.format.layout import TaskPath, check_name
from trainpoint.handle.requested import no_such_run
from trainpoint.handle.visible import newest_first


class NoOriginError(Exception):
    """A mistake on the command line, in words: there is nothing that could be gone on with."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A run to go on with."""

    workflow: str
    run: str
    task: str = ""
    """only this one; empty: all"""
    having: tuple[str, ...] = ()
    """its tasks that have checkpoints"""

    @property
    def request(self) -> str:
        """The resume request that means it."""
        return "/".join(part for part in (self.workflow, self.run, self.task) if part)

    @property
    def text(self) -> str:
        """For the first line of what is told."""
        which = f", task {self.task} only" if self.task else ""
        having = f"checkpoints of {', '.join(self.having)}" if self.having else "no checkpoint"
        return f"{self.workflow}/{self.run}{which} ({having})"


def origin(catalog: BucketCatalog, wanted: str, *, workflow: str, owner: str, task: str = "") -> Origin:
    """The run that is meant.

    Args:
        wanted: a run of the workflow, ``workflow/run``, or ``latest``: the newest one of the owner's with a checkpoint.
        task: only of this one.

    Raises:
        NoOriginError: there is none.
        StoreError: the store cannot be asked.
    """
    if wanted == "latest":
        return _latest(catalog, workflow, owner, task)
    parts = wanted.split("/")
    if len(parts) > 2:
        raise NoOriginError(f"{wanted!r} is no run; write its name, or workflow/run")
    named, run = parts if len(parts) == 2 else (workflow, parts[0])
    try:
        check_name("workflow", named)
        check_name("run", run)
    except IdentityError as error:
        raise NoOriginError(f"{error.message}; {error.remedy}") from None
    tasks = list(catalog.tasks(LOCAL_NAMESPACE, named, run))
    if not tasks and catalog.run_record(LOCAL_NAMESPACE, named, run) is None:
        raise NoOriginError("; ".join(no_such_run(catalog, LOCAL_NAMESPACE, named, run)))
    there = sorted({path.task for path in tasks})
    if task and there and task not in there:
        raise NoOriginError(f"run {named}/{run} has no task {task}; it has: {', '.join(there)}")
    return Origin(named, run, task, tuple(_having(catalog, tasks, task)))


def _latest(catalog: BucketCatalog, workflow: str, owner: str, task: str) -> Origin:
    others = set()
    for one in newest_first(catalog, catalog.runs(LOCAL_NAMESPACE, workflow)):
        record = catalog.run_record(LOCAL_NAMESPACE, workflow, one.run)
        if record is None or record.owner != owner:
            others.add((record.owner if record else "") or "unknown")
            continue
        having = tuple(_having(catalog, catalog.tasks(LOCAL_NAMESPACE, workflow, one.run), task))
        if having:
            return Origin(workflow, one.run, task, having)
    of = f" of task {task}" if task else ""
    hint = f"; there are runs of {', '.join(sorted(others))}: name one" if others else ""
    raise NoOriginError(f"no run of {workflow} that {owner or 'nobody known'} has launched has a checkpoint{of}{hint}")


def _having(catalog: BucketCatalog, tasks: Iterable[TaskPath], task: str) -> Iterator[str]:
    for path in tasks:
        if task in ("", path.task) and any(entry.eligible for entry in catalog.entries(path)):
            yield path.task + (f"[{path.index}]" if path.index else "")
