"""``trainpoint why``: what each attempt of a run started from and why, how it ended, and what would happen next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog, manifest
from trainpoint.claim.liveness import SystemProcesses, liveness, this_process
from trainpoint.claim.store import AttemptView, read_attempts
from trainpoint.cli.scope import tasks_of_newest_run
from trainpoint.cli.table import output_option, show_json
from trainpoint.cli.words import next_start, open_catalog, store_option
from trainpoint.clock import rfc3339
from trainpoint.errors import EXIT_REFUSED, CorruptRecordError, ObjectNotFoundError, UnsafePathError
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.handle.latest import latest_of


@dataclass(frozen=True, slots=True)
class Told:
    """One attempt, with what its checkpoints add."""

    view: AttemptView
    to_step: int | None
    """of its last committed checkpoint"""
    saved: int
    """how many checkpoints it committed that are still there"""
    alive: str

    @property
    def from_step(self) -> int:
        return (self.view.loaded.step if self.view.loaded else None) or 0

    @property
    def lost(self) -> int | None:
        """Steps of work that no checkpoint holds; None where it is not known."""
        end = self.view.end
        if end is None or end.last_step is None:
            return None
        return max(0, end.last_step - (self.to_step if self.to_step is not None else self.from_step))

    @property
    def ending(self) -> str:
        end = self.view.end
        if end is None:
            return {"Alive": "running", "Self": "running", "Dead": "killed; nobody saw it end"}.get(
                self.alive, f"on another host; last sign of life {self.view.last_sign:%Y-%m-%d %H:%M:%S} UTC"
            )
        if end.signal is not None:
            return f"killed by signal {end.signal}"
        if end.how == "Completed":
            return "completed"
        if end.how == "Preempted":
            return "preempted (SIGTERM)"
        return f"exit {end.exit_code}" + (f": {end.message}" if end.message else "")


@click.command()
@click.argument("scope", required=False)
@store_option
@output_option
def why(scope: str | None, store: str | None, namespace: str, output: str) -> None:
    """What a run's attempts started from, and why.

    SCOPE is a workflow (its newest run), a run, workflow/run or workflow/run/task; without it, the newest run.
    """
    catalog = open_catalog(store)
    tasks = tasks_of_newest_run(catalog, scope, namespace)
    stories = [(task, tell(catalog, task), latest_of(catalog, task)) for task in tasks]
    if output == "json":
        show_json([_as_json(task, told, next_) for task, told, next_ in stories])
        return
    for number, (task, told, next_) in enumerate(stories):
        if number:
            click.echo()
        _show(task, told, next_)


def tell(catalog: BucketCatalog, task: TaskPath) -> list[Told]:
    """The attempts of a task, oldest first."""
    entries = [entry for entry in catalog.entries(task) if entry.committed and not entry.deleted]
    me, processes = this_process(catalog.chance), SystemProcesses()
    told = []
    for view in read_attempts(catalog.store, task):
        own = [entry for entry in entries if entry.id.attempt == view.number and entry.eligible]
        to_step = None
        for entry in own[:1]:
            try:
                to_step = manifest(catalog.store, task, entry.id).snapshot.step
            except (CorruptRecordError, ObjectNotFoundError, UnsafePathError):
                to_step = None
        alive = "" if view.end else liveness(view.holder, me, processes)
        told.append(Told(view, to_step, len(own), alive))
    return told


def file_of(told: Sequence[Told]) -> str:
    """The file from which an app's run began last, as it was named; empty where that was no file."""
    views = (one.view for one in reversed(told) if one.view.end is None or one.view.end.exit_code != EXIT_REFUSED)
    loaded = next((view.loaded for view in views if view.loaded is not None), None)
    return loaded.request if loaded is not None and loaded.is_file else ""


def _show(task: TaskPath, told: list[Told], next_: CheckpointInfo | None) -> None:
    last = told[-1] if told else None
    # Its first line, as the whole comes below.
    now = f"now: attempt {last.view.number}, {last.ending.splitlines()[0]}" if last else "never claimed"
    index = f"[{task.index}]" if task.index else ""
    click.echo(f"run {task.run}, task {task.task}{index}    {now}")
    for one in told:
        view = one.view
        start = f"{view.started.astimezone():%H:%M:%S}"
        reached = f"{one.from_step} → {one.to_step}" if one.to_step is not None else f"{one.from_step} → nothing saved"
        lost = f"   lost {one.lost} step{'s' if one.lost > 1 else ''}" if one.lost else ""
        click.echo(f"  attempt {view.number}  {start}  {reached}  {one.ending}{lost}")
        loaded = view.loaded
        if loaded is None:
            click.echo("     ended before it had loaded anything" if view.end else "     has not loaded anything yet")
            continue
        what = f"{loaded.checkpoint} (step {loaded.step}): " if loaded.checkpoint else ""
        click.echo(f"     loaded   {what}{loaded.message}")
        for skipped in loaded.skipped:
            step = f" (step {skipped.step})" if skipped.step is not None else ""
            click.echo(f"     skipped  {skipped.checkpoint}{step}: {skipped.message}")
        click.echo(f"     policy   {loaded.policy}, from {loaded.source}")
    click.echo(f"if it started now: {next_start(next_, file_of(told))}")


def _as_json(task: TaskPath, told: list[Told], next_: CheckpointInfo | None) -> JsonObject:
    return {
        "workflow": task.workflow,
        "run": task.run,
        "task": task.task,
        "index": task.index,
        "attempts": [
            {
                "attempt": one.view.number,
                "started": rfc3339(one.view.started),
                "holder": one.view.holder.to_json(),
                "fromStep": one.from_step,
                "toStep": one.to_step,
                "lostSteps": one.lost,
                "checkpoints": one.saved,
                "ending": one.ending,
                "loaded": one.view.loaded.checkpoint if one.view.loaded else "",
                "reason": one.view.loaded.reason if one.view.loaded else "",
                "policy": one.view.loaded.policy if one.view.loaded else "",
                "skipped": [
                    {"checkpoint": s.checkpoint, "step": s.step, "reason": s.reason, "message": s.message}
                    for s in (one.view.loaded.skipped if one.view.loaded else ())
                ],
            }
            for one in told
        ],
        "next": next_.name if next_ else "",
    }
