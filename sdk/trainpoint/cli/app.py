"""``trainpoint app``: what apps have saved, and whether an app's code fits a state."""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path

import click

from trainpoint.api.names import ENV_CHECKPOINT, ENV_WORKFLOW
from trainpoint.app import start
from trainpoint.app.program import load_app
from trainpoint.app.state import differences, parse
from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.marks import read_info
from trainpoint.cli.app_table import LIST_LIMIT, show_apps
from trainpoint.cli.run import workflow_of
from trainpoint.cli.run_app import AppFileCommand
from trainpoint.cli.start import from_option, start_option
from trainpoint.cli.table import output_option
from trainpoint.cli.words import open_catalog, store_option
from trainpoint.errors import EXIT_REFUSED, CorruptRecordError, ObjectNotFoundError, RunNotFoundError


@click.group(short_help="Checkpoints of an app, and whether its code fits them.")
def app() -> None:
    """Checkpoints of apps, and whether an app's code fits them. `trainpoint run app FILE` runs one."""


@app.command("checkpoints", short_help="Checkpoints of apps, newest first.")
@click.argument("workflow", required=False)
@click.option("-n", "--limit", default=LIST_LIMIT, show_default=True, help="Rows at most; 0 for all.")
@store_option
@output_option
def checkpoints(workflow: str | None, limit: int, store: str | None, namespace: str, output: str) -> None:
    """Checkpoints of apps, newest first; of all workflows, or of WORKFLOW.

    The first column is what `trainpoint run app FILE --checkpoint` takes.
    """
    catalog = open_catalog(store)
    there = catalog.workflows(namespace)
    if workflow is not None and workflow not in there:
        raise RunNotFoundError(
            f"there is no workflow {workflow!r} in {catalog.store.url}",
            remedy=f"there: {', '.join(there[:8])}" if there else "nothing is saved there",
        )
    names = there if workflow is None else [workflow]
    found = [one for name in names for one in start.saved_by(catalog, namespace, name)]
    found.sort(key=lambda one: one.timestamp, reverse=True)
    good = start.committed(catalog, found)
    shown = [(one.file, info) for one in islice(good, limit or None) if (info := _info(catalog, one)) is not None]
    more = limit > 0 and next(good, None) is not None
    where = catalog.store.url + (f" of {workflow}" if workflow else "")
    show_apps(shown, output, empty=f"no checkpoints of apps in {where}", now=catalog.clock.now())
    if more:
        click.echo(f"… and more: trainpoint app checkpoints{f' {workflow}' if workflow else ''} -n 0", err=True)


@app.command("check", cls=AppFileCommand, short_help="Whether an app could start from a checkpoint.")
@click.argument("file", type=click.Path(path_type=Path))
@start_option
@from_option
@click.option("--workflow", metavar="NAME", help="The app; TRAINPOINT_WORKFLOW by default, else its file's name.")
@store_option
@click.pass_context
def check(
    ctx: click.Context,
    file: Path,
    checkpoint: str | None,
    checkpoint_from: str | None,
    workflow: str | None,
    store: str | None,
    namespace: str,
    arguments: tuple[str, ...],
) -> None:
    """Whether the app of a Python file could start from a checkpoint: its differences, as a tree.

    Without --checkpoint it is the latest one. Nothing is run, saved or written. In the tree, ! is a reason not to
    start, + is new in the code, ~ is restored. Exit code 86 where a strict start would not happen.
    """
    sys.argv = [str(file), *arguments]
    root = load_app(file)
    catalog = open_catalog(store)
    text = start.not_empty(checkpoint) or os.environ.get(ENV_CHECKPOINT) or start.LATEST
    own = workflow or os.environ.get(ENV_WORKFLOW) or workflow_of((str(file),))
    found = start.look_up(text, catalog, namespace=namespace, workflow=checkpoint_from or own)
    if found.path is not None:
        document = parse(start.read_local(found.path), str(found.path))
    elif found.stored is not None:
        document = parse(start.read_stored(catalog, found.stored), found.stored.file)
    result = differences(root, document)
    for line in result.lines():
        click.echo(line)
    name = str(found.path) if found.path is not None else found.stored.file if found.stored is not None else ""
    click.echo(f"{file} {'can' if result.compatible else 'cannot'} start from {name}")
    if not result.compatible:
        ctx.exit(EXIT_REFUSED)


def _info(catalog: BucketCatalog, one: start.Stored) -> CheckpointInfo | None:
    """What its manifest says; None where it is damaged, or gone since it was listed."""
    entry = next((e for e in catalog.entries(one.ref.task) if e.id == one.ref.id), None)
    try:
        return read_info(catalog.store, one.ref.task, entry)[0] if entry is not None else None
    except (CorruptRecordError, ObjectNotFoundError):
        return None
