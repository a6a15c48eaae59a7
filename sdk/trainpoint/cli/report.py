"""``trainpoint report``: a run as one HTML page, to look at without a server and to send to somebody."""

from __future__ import annotations

from pathlib import Path

import click

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.cli.report_page import Report, TaskReport, page
from trainpoint.cli.scope import tasks_of_newest_run
from trainpoint.cli.why import tell
from trainpoint.cli.words import open_catalog, store_option
from trainpoint.format.layout import TaskPath
from trainpoint.handle.latest import latest_of
from trainpoint.handle.lineage import lineage_of, lineage_of_task
from trainpoint.handle.listing import checkpoints
from trainpoint.handle.runs import WorkflowRun


@click.command()
@click.argument("scope", required=False)
@click.option("--output", metavar="FILE", help="Where to write it, RUN.html by default; - for stdout.")
@store_option
def report(scope: str | None, output: str | None, store: str | None, namespace: str) -> None:
    """A run as one HTML page: its attempts, its checkpoints and their metrics, and what they come from.

    The page needs no server and no other file. A file of that name is replaced.

    SCOPE is a workflow (its newest run), a run, workflow/run or workflow/run/task; without it, the newest run.
    """
    catalog = open_catalog(store)
    found = gather(catalog, tasks_of_newest_run(catalog, scope, namespace))
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
        end=run.end if run is not None else None,
        store=catalog.store.url,
        made=catalog.clock.now(),
        tasks=tuple(_task(catalog, task) for task in tasks),
    )


def _task(catalog: BucketCatalog, task: TaskPath) -> TaskReport:
    saved = tuple(checkpoints(catalog, [task], everything=True))
    next_ = latest_of(catalog, task)
    own = next((info for info in saved if info.status == "Committed"), None)
    return TaskReport(
        task=task,
        attempts=tuple(tell(catalog, task)),
        checkpoints=saved,
        next=next_,
        lineage=lineage_of(catalog, own.ref) if own is not None else lineage_of_task(catalog, task),
    )
