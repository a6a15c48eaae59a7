"""``trainpoint save`` and ``kubectl trainpoint save``: ask a training at work to save at its next step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import click

from trainpoint.api.names import SAVE_REQUESTED
from trainpoint.catalog.base import GOOD
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.cluster import ClusterCatalog
from trainpoint.cli.kube import namespace_options, open_namespace, runs_of_newest
from trainpoint.cli.scope import tasks_of_newest_run
from trainpoint.cli.why import tell
from trainpoint.cli.words import open_catalog, store_option
from trainpoint.clock import Chance, Clock, SystemChance, SystemClock, rfc3339
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath, save_request_key
from trainpoint.format.marks import SaveRequestRecord
from trainpoint.handle.asked import LOOK_SECONDS
from trainpoint.handle.latest import latest_of
from trainpoint.identity import login_name

WAIT_SECONDS: Final = 300.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_Command = TypeVar("_Command", bound=Callable[..., Any])


def wait_options(command: _Command) -> _Command:
    """``--wait`` and ``--timeout``."""
    limit = click.option("--timeout", default=WAIT_SECONDS, show_default=True, help="Seconds to wait at most.")(command)
    return click.option("--wait", is_flag=True, help="Until a checkpoint is there; its name is printed.")(limit)


@click.command()
@click.argument("scope", required=False)
@wait_options
@store_option
def save(scope: str | None, wait: bool, timeout: float, store: str | None, namespace: str) -> None:
    """Ask a training that is at work to save at its next step, whatever its rhythm.

    It looks for such requests every half a minute. Its loop has to use `should_save`; an app
    does so by itself.

    SCOPE is a workflow (its newest run), a run, workflow/run or workflow/run/task; without it, the newest run.
    """
    catalog = open_catalog(store)
    tasks = tasks_of_newest_run(catalog, scope, namespace)
    before = {task: _newest(catalog, task) for task in tasks}
    asked = [task for task in tasks if _ask(catalog, task)]
    if not asked:
        raise click.ClickException(f"no task of run {tasks[0].run} is at work; trainpoint why {tasks[0].run} says more")
    for task in asked:
        click.echo(f"asked {task} to save; it looks within {LOOK_SECONDS:.0f} s", err=wait)
    if wait:
        _wait({task: before[task] for task in asked}, lambda task: _newest(catalog, task), timeout, catalog.clock)


def _ask(catalog: BucketCatalog, task: TaskPath) -> bool:
    """False: no attempt of it is at work."""
    told = tell(catalog, task)
    if not told or told[-1].view.end is not None or told[-1].alive == "Dead":
        return False
    view = told[-1].view
    record = SaveRequestRecord(catalog.chance.uid(), login_name() or "unknown", rfc3339(catalog.clock.now()))
    catalog.store.put(save_request_key(task, view.number, view.uid), record.to_bytes())
    return True


def _newest(catalog: BucketCatalog, task: TaskPath) -> str:
    found = latest_of(catalog, task)
    return found.name if found is not None else ""


@click.command("save")
@click.argument("scope", required=False)
@wait_options
@namespace_options
def kube_save(scope: str | None, wait: bool, timeout: float, namespace: str, context: str) -> None:
    """Ask a training that is at work to save at its next step, whatever its rhythm; takes the role trainpoint-edit.

    It looks for such requests every half a minute. Its loop has to use `should_save`; an app
    does so by itself.

    SCOPE is a workflow or Job (its newest run), a run, or the name of a run object; without it, the newest run.
    """
    catalog, clock = open_namespace(namespace, context), SystemClock()
    runs = runs_of_newest(catalog, scope)
    names = [str(run["metadata"]["name"]) for run in runs if _at_work(run)]
    if not names:
        run = runs[0]["spec"]["identity"]["run"]
        raise click.ClickException(f"no task of run {run} is at work; kubectl trainpoint why {run} says more")
    by_name = {str(run["metadata"]["name"]): run for run in runs}

    def newest(name: str) -> str:
        return _newest_object(catalog, by_name[name])

    before = {name: newest(name) for name in names}
    value = _request(clock.now(), SystemChance())
    for name in names:
        catalog.kube.patch("checkpointruns", name, {"metadata": {"annotations": {SAVE_REQUESTED: value}}})
        click.echo(f"asked {name} to save; it looks within {LOOK_SECONDS:.0f} s", err=wait)
    if wait:
        _wait(before, newest, timeout, clock)


def _request(now: datetime, chance: Chance) -> str:
    """Different each time, also for two in one microsecond."""
    return f"{rfc3339(now)} {login_name() or 'unknown'} {chance.uid()}"


def _at_work(run: JsonObject) -> bool:
    claim = run.get("status", {}).get("claim", {})
    return bool(claim) and "end" not in claim and "refused" not in claim


def _newest_object(catalog: ClusterCatalog, run: JsonObject) -> str:
    identity = run["spec"]["identity"]
    found = catalog.checkpoints(workflow=identity["workflow"], run=identity["run"], task=identity["task"])
    mine = (c for c in found if c.index == identity.get("index", "") and c.status in GOOD)
    return next((info.name for info in mine), "")


_T = TypeVar("_T")


def _wait(before: Mapping[_T, str], newest: Callable[[_T], str], seconds: float, clock: Clock) -> None:
    """Print the checkpoint that each of them has saved since; ClickException where one has not."""
    left, deadline, pause = dict(before), clock.monotonic() + seconds, _FIRST_PAUSE
    while True:
        for who, old in list(left.items()):
            name = newest(who)
            if name != old:
                click.echo(name)
                del left[who]
        if not left:
            return
        if clock.monotonic() > deadline:
            names = ", ".join(map(str, left))
            raise click.ClickException(
                f"no checkpoint of {names} came within {seconds:.0f} s; does its loop use should_save, or do works of "
                "an app not end?"
            )
        clock.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)
