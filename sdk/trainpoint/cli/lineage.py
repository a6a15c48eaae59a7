"""``trainpoint lineage`` and ``kubectl trainpoint lineage``: where a checkpoint comes from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from trainpoint.catalog.cluster import ClusterCatalog, info_of_object
from trainpoint.cli.kube import namespace_options, open_namespace
from trainpoint.cli.scope import tasks_of_newest_run
from trainpoint.cli.table import output_option, show_json, show_table
from trainpoint.cli.words import age, open_catalog, optional, store_option
from trainpoint.clock import SystemClock, rfc3339
from trainpoint.errors import CheckpointNotFoundError
from trainpoint.format.digest import JsonObject
from trainpoint.format.reference import parse_checkpoint_name, run_object_name
from trainpoint.handle.lineage import (
    BY_PROGRAM,
    DEPTH,
    Found,
    LineageEntry,
    Loaded,
    assemble,
    is_cut,
    lineage_of,
    lineage_of_task,
)

_depth = click.option("--depth", default=DEPTH, show_default=True, type=click.IntRange(min=0), help="Loads to follow.")


@click.command()
@click.argument("ref")
@_depth
@store_option
@output_option
def lineage(ref: str, depth: int, store: str | None, namespace: str, output: str) -> None:
    """Where a checkpoint comes from: what its task had loaded, and what led to that.

    REF is a checkpoint's name; or workflow/run, workflow/run/task, workflow/run/task/index: what the attempts of that
    task started from, whether they saved anything or not.
    """
    catalog = open_catalog(store)
    if "/" in ref:
        tasks = tasks_of_newest_run(catalog, ref, namespace)
        entries = [entry for task in tasks for entry in lineage_of_task(catalog, task, depth=depth)]
    else:
        entries = list(lineage_of(catalog, catalog.find(ref, namespace=namespace), depth=depth))
    _show(entries, catalog.clock.now(), output, nothing=f"no attempt of {ref} loaded anything")


@click.command("lineage")
@click.argument("name")
@_depth
@namespace_options
@output_option
def kube_lineage(name: str, depth: int, namespace: str, context: str, output: str) -> None:
    """Where a checkpoint comes from, as far as objects tell. NAME is that of a Checkpoint or of a CheckpointRun.

    Of a run it is what its newest attempt started from. What has no object any more is shown as gone; the store knows
    more: trainpoint lineage.
    """
    catalog = open_namespace(namespace, context)
    lookup = OnCluster(catalog)
    if parse_checkpoint_name(name) is not None:
        catalog.checkpoint(name)  # an error where there is none
        starts = [Loaded(name)]
    else:
        starts = lookup.starts(name)
    entries = assemble(starts, lookup.look, depth=depth)
    _show(entries, SystemClock().now(), output, nothing=f"the newest attempt of {name} loaded nothing")


class OnCluster:
    """Looks checkpoints up among the objects of a namespace."""

    def __init__(self, catalog: ClusterCatalog) -> None:
        self._catalog = catalog
        self._runs: dict[str, JsonObject | None] = {}

    def look(self, loaded: Loaded) -> Found:
        """One checkpoint, and what its task had loaded."""
        value = self._catalog.kube.get("checkpoints", loaded.name)
        if value is None:
            return Found("gone")
        info = info_of_object(value)
        deleted = "deletionTimestamp" in value["metadata"]
        run = self._run(run_object_name(info.ref.task))
        start = _started_from(run, attempt=info.attempt)
        named = [
            start if start is not None and start.name == name else Loaded(name, BY_PROGRAM, near=info.ref.task)
            for name in reversed(info.parents)
        ]
        return Found("deleted" if deleted else "there", info.ref, info, tuple(named))

    def starts(self, name: str) -> list[Loaded]:
        """What the newest attempts of the runs of that name started from."""
        runs = self._catalog.runs(name)
        if not runs:
            raise CheckpointNotFoundError(
                f"namespace {self._catalog.kube.namespace} has no checkpoint and no run {name!r}",
                remedy="see what there is: kubectl get ckpt,ckptrun",
            )
        found = [start for run in runs if (start := _started_from(run)) is not None]
        return list({start.name: start for start in reversed(found)}.values())[::-1]

    def _run(self, name: str) -> JsonObject | None:
        if name not in self._runs:
            self._runs[name] = self._catalog.kube.get("checkpointruns", name)
        return self._runs[name]


def _started_from(run: JsonObject | None, *, attempt: int | None = None) -> Loaded | None:
    """What an attempt started from, the newest by default; None: nothing, or the run object does not say any more."""
    status = (run or {}).get("status", {})
    claim = status.get("claim", {})
    if attempt in (None, claim.get("attempt")):
        loaded = claim.get("loaded", {})
        if not loaded.get("checkpoint"):
            return None
        why = f"{str(loaded['policy']).lower()}: {loaded['message']}"
        return Loaded(str(loaded["checkpoint"]), why, step=loaded.get("step"))
    for past in status.get("attempts", ()):
        if past["attempt"] == attempt and past.get("loaded"):
            return Loaded(str(past["loaded"]), f"attempt {attempt} started from it", step=past.get("fromStep"))
    return None


def _show(entries: Sequence[LineageEntry], now: datetime, output: str, *, nothing: str) -> None:
    if output == "json":
        show_json([as_json(entry) for entry in entries])
        return
    if not entries:
        click.echo(nothing)
        return
    rows = [
        [
            optional(entry.step),
            entry.run,
            optional(entry.attempt),
            entry.owner,
            age(entry.time, now) if entry.time is not None else "",
            entry.state,
            entry.name,
            entry.why,
        ]
        for entry in entries
    ]
    titles = ["STEP", "RUN", "ATTEMPT", "OWNER", "AGE", "STATE", "NAME", "WHY IT WAS LOADED"]
    show_table(titles, rows, right={"STEP", "ATTEMPT", "AGE"})
    if is_cut(entries):
        click.echo("… and what led there: --depth", err=True)


def as_json(entry: LineageEntry) -> JsonObject:
    """An entry as programs read it."""
    return {
        "name": entry.name,
        "state": entry.state,
        "depth": entry.depth,
        "why": entry.why,
        "step": entry.step,
        "run": entry.run,
        "attempt": entry.attempt,
        "owner": entry.owner,
        "time": rfc3339(entry.time) if entry.time is not None else None,
        "parents": list(entry.parents),
        "ref": entry.ref.to_json() if entry.ref is not None else None,
    }
