"""Whose runs are looked at: one's own, unless others' are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from itertools import groupby, islice
from typing import Final, TypeVar

from trainpoint.catalog.bucket import BucketCatalog, RunSummary
from trainpoint.errors import NotVisibleError, RunNotFoundError
from trainpoint.format.records import RunRecord

EVERYONE: Final = "*"
EVERY_WORKFLOW: Final = "*"
READ_AHEAD: Final = 16
"""The most records that are read at once."""
_T = TypeVar("_T")
_R = TypeVar("_R")


def runs_of(catalog: BucketCatalog, namespace: str, workflow: str, owner: str) -> Iterator[RunSummary]:
    """Runs of a workflow that ``owner`` has launched, newest first by the server's clock. Lazy.

    One listing, and for each run that is looked at or passed over one read of its record; none where ``owner`` is
    ``"*"``. An empty owner is the unknown one.

    Args:
        workflow: ``"*"`` for all of the namespace, which may have none.

    Raises:
        RunNotFoundError: there is no such workflow; where the first run is asked for.
        NotVisibleError: all runs are somebody else's; where the first run is asked for.
    """
    all_of_them = workflow == EVERY_WORKFLOW
    everyone = catalog.all_runs(namespace) if all_of_them else catalog.runs(namespace, workflow)
    if not everyone and all_of_them:
        return
    if not everyone:
        raise _no_workflow(catalog, namespace, workflow)
    ordered = newest_first(catalog, everyone)
    if owner == EVERYONE:
        yield from ordered
        return
    others: Counter[str] = Counter()
    seen = False
    for run, found in _each(catalog, ordered):
        if found is not None and found.owner == owner:
            seen = True
            yield run
        elif found is not None:
            others[found.owner] += 1
    if not seen:
        what = _place(catalog, namespace) if all_of_them else f"workflow {workflow!r}"
        raise _not_visible(what, owner, others)


def newest_first(catalog: BucketCatalog, runs: Iterable[RunSummary]) -> Iterator[RunSummary]:
    """Runs as a catalog lists them, those of the same instant put in order. Lazy.

    The server's clock orders runs, and servers tell whole seconds only. Within one second the clocks of those that
    launched them decide, which their records have: one read for each run of such a second, and none else.
    """
    for _, group in groupby(runs, key=lambda run: run.begun):
        tied = list(group)
        if len(tied) > 1:
            times = {run: found.time for run, found in _each(catalog, iter(tied)) if found is not None}
            tied.sort(key=lambda run: (times.get(run, ""), run.run, run.workflow), reverse=True)
        yield from tied


def _each(catalog: BucketCatalog, runs: Iterator[RunSummary]) -> Iterator[tuple[RunSummary, RunRecord | None]]:
    def read(run: RunSummary) -> tuple[RunSummary, RunRecord | None]:
        return run, catalog.run_record(run.namespace, run.workflow, run.run)

    return read_ahead(read, runs)


def read_ahead(read: Callable[[_T], _R], items: Iterator[_T]) -> Iterator[_R]:
    """``read`` of each, in their order. Lazy: the first alone, since it is what most want, then ever more at once."""
    count = 1
    while batch := list(islice(items, count)):
        if count == 1:
            yield read(batch[0])
        else:
            with ThreadPoolExecutor(count) as pool:
                yield from pool.map(read, batch)
        count = min(2 * count, READ_AHEAD)


def _no_workflow(catalog: BucketCatalog, namespace: str, workflow: str) -> RunNotFoundError:
    there = [name for name in catalog.workflows(namespace) if name != workflow]  # it may have begun just now
    near = get_close_matches(workflow, there)
    if near:
        remedy = "did you mean " + " or ".join(repr(name) for name in near) + "?"
    elif there:
        remedy = f"there: {', '.join(there[:8])}" + (", …" if len(there) > 8 else "")
    else:
        remedy = "nothing has been saved there; see whether store and namespace are the right ones"
    return RunNotFoundError(f"there is no run of workflow {workflow!r} in {_place(catalog, namespace)}", remedy=remedy)


def _not_visible(what: str, owner: str, others: Counter[str]) -> NotVisibleError:
    count = sum(others.values())
    whose = ", ".join(f"{name or 'unknown'} ({number})" for name, number in others.most_common(5))
    more = ", …" if len(others) > 5 else ""
    who = f"of {owner}" if owner else "of an unknown owner, as this process has"
    return NotVisibleError(
        f"{what} has {count} run{'s' if count != 1 else ''}, none {who}; owners: {whose}{more}",
        remedy='to see everyone\'s: owner="*"; one person\'s: owner="name"',
    )


def _place(catalog: BucketCatalog, namespace: str) -> str:
    return catalog.store.url + (f", namespace {namespace}" if namespace != "_" else "")
