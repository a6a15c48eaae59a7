"""``trainpoint report``: a run as one HTML page, to look at without a server and to send to somebody."""

from __future__ import annotations

from pathlib import Path

import click

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.cli.report_page import AttemptReport, Report, TaskReport, page, short_time
from trainpoint.cli.scope import tasks_of_newest_run
from trainpoint.cli.why import Told, file_of, tell
from trainpoint.cli.words import next_start, open_catalog, optional, store_option
from trainpoint.clock import rfc3339
from trainpoint.format.layout import TaskPath
from trainpoint.format.records import RunEndRecord
from trainpoint.handle.latest import latest_of
from trainpoint.handle.lineage import lineage_of, lineage_of_task
from trainpoint.handle.listing import checkpoints
from trainpoint.handle.runs import WorkflowRun

output_file = click.option("--output", metavar="FILE", help="Where to write it, RUN.html by default; - for stdout.")


@click.command()
@click.argument("scope", required=False)
@output_file
@store_option
def report(scope: str | None, output: str | None, store: str | None, namespace: str) -> None:
    """A run as one HTML page: its attempts, its checkpoints and their metrics, and what they come from.

    The page needs no server and no other file. A file of that name is replaced.

    SCOPE is a workflow (its newest run), a run, workflow/run or workflow/run/task; without it, the newest run.
    """
    catalog = open_catalog(store)
    write(gather(catalog, tasks_of_newest_run(catalog, scope, namespace)), output)


def write(found: Report, output: str | None) -> None:
    """The page to where ``--output`` says."""
    text = page(found)
    if output == "-":
        click.echo(text.encode(), nl=False)  # the page says that it is UTF-8, whatever the terminal is
        return
    path = Path(output or f"{found.run}.html")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(path)


def gather(catalog: BucketCatalog, tasks: list[TaskPath]) -> Report:
    """All that the page tells of these tasks of one run; at least one."""
    first = tasks[0]
    summaries = catalog.runs(first.namespace, first.workflow)
    run = next((WorkflowRun(catalog, summary) for summary in summaries if summary.run == first.run), None)
    return Report(
        workflow=first.workflow,
        run=first.run,
        owner=run.owner if run is not None else "",
        outcome=outcome_of(run.end if run is not None else None),
        store=catalog.store.url,
        made=catalog.clock.now(),
        tasks=tuple(_task(catalog, task) for task in tasks),
    )


def outcome_of(end: RunEndRecord | None) -> str:
    """How a run ended, in words."""
    if end is None:
        return "no end was written down: it goes on, or was killed"
    return f"{end.outcome}, {short_time(end.time)}" + (f": {end.message}" if end.message else "")


def _task(catalog: BucketCatalog, task: TaskPath) -> TaskReport:
    saved = tuple(checkpoints(catalog, [task], everything=True))
    own = next((info for info in saved if info.status == "Committed"), None)
    told = tell(catalog, task)
    return TaskReport(
        task=task,
        attempts=tuple(map(attempt_of, told)),
        checkpoints=saved,
        next=next_start(latest_of(catalog, task), file_of(told)),
        lineage=lineage_of(catalog, own.ref) if own is not None else lineage_of_task(catalog, task),
    )


def attempt_of(told: Told) -> AttemptReport:
    """An attempt as the store's records tell it."""
    view, loaded = told.view, told.view.loaded
    if loaded is None:
        why = "ended before it had loaded anything" if view.end else "has not loaded anything yet"
    else:
        why = loaded.message
    return AttemptReport(
        number=view.number,
        began=rfc3339(view.started),
        where=view.holder.host,
        ended=view.end.time if view.end else "",
        ending=told.ending,
        from_step=told.from_step,
        to_step=optional(told.to_step) or "nothing saved",
        lost=told.lost or 0,
        loaded=loaded.checkpoint if loaded else "",
        why=why,
        skipped=tuple((one.checkpoint, one.message) for one in loaded.skipped) if loaded else (),
        policy=f"{loaded.policy}, from {loaded.source}" if loaded else "",
    )
