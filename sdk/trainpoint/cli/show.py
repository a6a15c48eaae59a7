"""``trainpoint list``, ``show`` and ``rm``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

import click

from trainpoint.catalog.base import CheckpointInfo, info_of
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.marks import delete, read_info
from trainpoint.cli.scope import tasks_in, tasks_of_newest_run
from trainpoint.cli.table import output_option, show_json, show_table
from trainpoint.cli.words import age, metrics_text, open_catalog, optional, quantity, store_option
from trainpoint.clock import rfc3339
from trainpoint.errors import CorruptRecordError
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import snapshot_data
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.latest import latest_of
from trainpoint.handle.listing import checkpoints
from trainpoint.handle.load import read_manifest
from trainpoint.handle.watching import Watch
from trainpoint.identity import login_name

LIST_LIMIT = 50


@click.command("list")
@click.argument("scope", required=False)
@click.option("--all", "everything", is_flag=True, help="With corrupt and superseded ones.")
@click.option("-n", "--limit", default=LIST_LIMIT, show_default=True, help="Rows at most; 0 for all.")
@click.option("-w", "--watch", is_flag=True, help="Of the newest run: go on with those to come, a line each.")
@store_option
@output_option
def list_(
    scope: str | None, everything: bool, limit: int, watch: bool, store: str | None, namespace: str, output: str
) -> None:
    """Checkpoints, newest run first, then newest first.

    SCOPE is a workflow, a run, workflow/run, workflow/run/task or workflow/run/task/index; without it, everything.
    """
    catalog = open_catalog(store)
    if watch:
        follow(Watch(catalog, tasks_of_newest_run(catalog, scope, namespace), existing=True).until(None), output)
        return
    found = checkpoints(catalog, tasks_in(catalog, scope, namespace), everything=everything)
    shown = list(islice(found, limit or None))
    more = limit > 0 and next(found, None) is not None
    if output == "json":
        show_json([as_json(info) for info in shown])
    elif not shown:
        click.echo(f"no checkpoints in {catalog.store.url}" + (f" of {scope}" if scope else ""))
    else:
        show_rows(shown, catalog.clock.now())
    if more:
        click.echo(f"… and more: trainpoint list{' ' + scope if scope else ''} -n 0", err=True)


def follow(infos: Iterator[CheckpointInfo], output: str) -> None:
    """A line for each as it comes."""
    for info in infos:
        if output == "json":
            click.echo(json.dumps(as_json(info), ensure_ascii=False))
            continue
        step = f"step {info.step}" if info.step is not None else ""
        index = f"[{info.index}]" if info.index else ""
        what = [f"{info.time.astimezone():%H:%M:%S}", f"{info.task}{index}", f"attempt {info.attempt}", step]
        click.echo("  ".join(filter(None, [*what, metrics_text(info.metrics), quantity(info.size), info.name])))


def show_rows(infos: Sequence[CheckpointInfo], now: datetime) -> None:
    """The table of checkpoints."""
    indexed = any(info.index for info in infos)
    titles = [
        "RUN",
        "TASK",
        *(["INDEX"] if indexed else []),
        "ATTEMPT",
        "STEP",
        "METRIC",
        "SIZE",
        "STATUS",
        "AGE",
        "NAME",
    ]
    rows = [
        [
            info.run,
            info.task,
            *([info.index] if indexed else []),
            str(info.attempt),
            optional(info.step),
            metrics_text(info.metrics),
            quantity(info.size),
            info.status,
            age(info.time, now),
            info.name,
        ]
        for info in infos
    ]
    show_table(titles, rows, right={"ATTEMPT", "STEP", "SIZE", "AGE"})


def as_json(info: CheckpointInfo) -> JsonObject:
    """A record as programs read it; ``ref`` is what ``Checkpoint.load`` takes."""
    return {
        "name": info.name,
        "workflow": info.workflow,
        "run": info.run,
        "task": info.task,
        "index": info.index,
        "attempt": info.attempt,
        "sequence": info.sequence,
        "series": info.series,
        "step": info.step,
        "epoch": info.epoch,
        # NaN and Infinity are no JSON; their names are what the store holds too.
        "metrics": {k: v if v - v == 0 else str(v) for k, v in info.metrics.items()},
        "metadata": info.metadata,
        "owner": info.owner,
        "parents": list(info.parents),
        "time": rfc3339(info.time),
        "sizeBytes": info.size,
        "files": info.files,
        "status": info.status,
        "latest": info.latest,
        "pinned": info.pinned,
        "createdBy": dict(info.created_by),
        "ref": info.ref.to_json(),
    }


@click.command()
@click.argument("name")
@store_option
@output_option
def show(name: str, store: str | None, namespace: str, output: str) -> None:
    """One checkpoint with its files. NAME is the last column of `trainpoint list`."""
    catalog = open_catalog(store)
    ref = catalog.find(name, namespace=namespace)
    found = read_manifest(catalog, ref)
    entry = next((entry for entry in catalog.entries(ref.task) if entry.id == ref.id), None)
    info = read_info(catalog.store, ref.task, entry)[0] if entry is not None else info_of(found)
    if output == "json":
        files = [{"path": f.path, "size": f.size, "mode": f"{f.mode:o}", "digest": f.digest} for f in found.files]
        show_json({**as_json(info), "contents": files})
        return
    facts = [
        ("checkpoint", info.name),
        ("task", str(ref.task)),
        ("attempt", f"{info.attempt}, sequence {info.sequence}"),
        ("step", optional(info.step)),
        ("epoch", optional(info.epoch)),
        ("series", info.series),
        ("metrics", metrics_text(info.metrics)),
        ("metadata", ", ".join(f"{k}={v}" for k, v in info.metadata.items())),
        ("status", info.status + ("" if info.latest else ", never chosen as latest")),
        ("pinned", info.pinned),
        ("saved", f"{rfc3339(info.time)} by {info.owner or 'unknown'} on {info.created_by.get('host', 'unknown')}"),
        ("loaded before", ", ".join(info.parents)),
        ("store", f"{catalog.store.url}/{snapshot_data(ref.task, ref.id)}"),
        ("files", f"{info.files}, {quantity(info.size)}"),
    ]
    for label, text in facts:
        if text:
            click.echo(f"{label:<14}{text}")
    show_table(
        ["  SIZE", "MODE", "PATH"],
        [[quantity(f.size), f"{f.mode:o}", f.path] for f in found.files],
        right={"  SIZE"},
    )


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@store_option
def rm(names: Sequence[str], yes: bool, store: str | None, namespace: str) -> None:
    """Delete checkpoints for good. NAMES are from the last column of `trainpoint list`.

    A deletion that was broken off is finished by the same command again. A pinned one has to be unpinned first.
    """
    catalog = open_catalog(store)
    refs = [catalog.find(name, namespace=namespace) for name in names]
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("rm asks before it deletes, and nobody is there to answer; pass --yes")
        click.confirm(f"delete {len(refs)} for good: {', '.join(names)}?", abort=True)
    for ref in refs:
        removed = delete(catalog, ref, by=login_name() or "unknown")
        click.echo(f"deleted {ref} ({removed} objects)")
    for line in _what_is_newest_now(catalog, refs):
        click.echo(line)


def _what_is_newest_now(catalog: BucketCatalog, refs: Sequence[CheckpointRef]) -> Iterator[str]:
    """After a deletion people want to know what a retry would start from."""
    for task in dict.fromkeys(ref.task for ref in refs):
        try:
            info = latest_of(catalog, task)
        except CorruptRecordError:
            continue
        text = f"{info.name} (step {info.step})" if info else "nothing: a retry would start from the beginning"
        yield f"newest of {task} is now {text}"
