"""A workflow and its runs, for programs that choose a checkpoint themselves."""

from __future__ import annotations

from collections.abc import Iterator

from trainpoint.catalog.bucket import BucketCatalog, RunSummary
from trainpoint.clock import Chance, Clock
from trainpoint.context import open_context
from trainpoint.errors import RunNotFoundError
from trainpoint.format.layout import check_name
from trainpoint.handle.lazy import LazySequence
from trainpoint.handle.runs import WorkflowRun
from trainpoint.handle.visible import EVERYONE, read_ahead, runs_of


class RunList(LazySequence[WorkflowRun]):
    """Runs, newest first. ``[0]`` costs one listing and one record.

    >>> runs = Workflow("digits").runs()
    >>> len(runs), runs[0].name
    (2, 'digits-2')
    """

    COLUMNS = ("RUN", "OWNER", "BEGUN", "OUTCOME")
    NOUN = "runs"

    def _row(self, item: WorkflowRun) -> tuple[str, ...]:
        return item.name, item.owner or "unknown", f"{item.begun:%Y-%m-%d %H:%M:%S}", item.outcome or "-"


class Workflow:
    """The runs of a workflow: newest, newest successful, all. Only reads; works where nothing may be saved.

    >>> run = Workflow("digits").latest_successful_run
    >>> run.name, run["main"].task["accuracy"].data
    ('digits-1', 0.9)
    >>> with Checkpoint(load_policy=None) as ckpt:
    ...     ckpt.load(run["main"].task["latest_checkpoint"]).step
    200

    Args:
        name: of the workflow.
        owner: whose runs: one's own by default, a name, or ``"*"`` for everyone's.
        namespace: of Kubernetes, in the same store; one's own by default. A reader without a store finds that of the
            namespace, as in :class:`~trainpoint.Checkpoint`.
        store: as for :class:`~trainpoint.Checkpoint`.
        clock, chance: time and randomness, for tests; see ``trainpoint.testing``.

    Raises:
        IdentityError: the name or the namespace cannot be one.
        StoreUrlError, StoreError: the store is named wrongly, or cannot be reached.
    """

    def __init__(
        self,
        name: str,
        *,
        owner: str | None = None,
        namespace: str | None = None,
        store: str | None = None,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        self.name: str = check_name("workflow", name)
        """of the workflow"""
        context = open_context(store=store, namespace=namespace, clock=clock, chance=chance)
        self.owner: str = owner if owner is not None else context.owner
        """whose runs are looked at; empty: those whose owner is unknown"""
        self.namespace: str = context.namespace if namespace in (None, context.namespace) else _namespace(namespace)
        """of Kubernetes; ``_`` without a cluster"""
        self._catalog = context.catalog
        context.first_contact(reads_only=True)

    def runs(self) -> RunList:
        """The runs, newest first by the server's clock; fetched as they are looked at.

        Raises, when the first is looked at:
            RunNotFoundError: there is no such workflow.
            NotVisibleError: all its runs are somebody else's.

        >>> [run.name for run in Workflow("digits").runs()]
        ['digits-2', 'digits-1']
        """
        return RunList(WorkflowRun(self._catalog, run) for run in self._summaries())

    @property
    def latest_run(self) -> WorkflowRun:
        """The run that was begun last. Raises as :meth:`runs`.

        One listing (a page for each 500 runs), and one read for each run that is passed over because it is of another
        owner; none of the others.

        >>> Workflow("digits").latest_run.name
        'digits-2'
        """
        return WorkflowRun(self._catalog, next(self._summaries()))

    @property
    def latest_successful_run(self) -> WorkflowRun:
        """The newest run that has succeeded; those that go on or have failed are passed over.

        Costs what :attr:`latest_run` does, and one read for each run that has ended since, and for this one.

        Raises:
            RunNotFoundError: none has succeeded; the message counts those that have not. NotVisibleError.

        >>> Workflow("digits").latest_successful_run.name
        'digits-1'
        """
        going_on = failed = 0
        for run, ended in _outcomes(self._catalog, self._summaries()):
            if ended is None:
                going_on += 1
            elif ended == "Succeeded":
                return run
            else:
                failed += 1
        raise RunNotFoundError(
            f"no run of workflow {self.name!r} has succeeded: {going_on} go on, {failed} failed or were stopped",
            remedy="take the newest one, whatever became of it: latest_run",
        )

    def __getitem__(self, run: str) -> WorkflowRun:
        """The run of that name, whoever launched it. RunNotFoundError (a KeyError) where there is none.

        >>> Workflow("digits")["digits-1"].outcome
        'Succeeded'
        """
        for found in runs_of(self._catalog, self.namespace, self.name, EVERYONE):
            if found.run == run:
                return WorkflowRun(self._catalog, found)
        raise RunNotFoundError(
            f"workflow {self.name!r} has no run {run!r}", remedy=f"see what there is: trainpoint list {self.name}"
        )

    def __contains__(self, run: object) -> bool:
        return any(found.run == run for found in self._catalog.runs(self.namespace, self.name))

    def __iter__(self) -> Iterator[WorkflowRun]:
        return iter(self.runs())

    def __repr__(self) -> str:
        whose = "everyone" if self.owner == EVERYONE else self.owner or "unknown"
        return f"<workflow {self.name}, runs of {whose}>"

    def _summaries(self) -> Iterator[RunSummary]:
        return runs_of(self._catalog, self.namespace, self.name, self.owner)


Flow = Workflow
"""The same under the name that Metaflow has for it."""


def _outcomes(catalog: BucketCatalog, runs: Iterator[RunSummary]) -> Iterator[tuple[WorkflowRun, str | None]]:
    """Runs with their outcomes, nothing being read of those that go on."""

    def read(summary: RunSummary) -> tuple[WorkflowRun, str | None]:
        run = WorkflowRun(catalog, summary)
        return run, run.outcome if summary.ended else None

    return read_ahead(read, runs)


def _namespace(name: str) -> str:
    return check_name("namespace", name)


__all__ = ["Flow", "RunList", "Workflow"]
