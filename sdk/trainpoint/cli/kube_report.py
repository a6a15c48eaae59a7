"""``kubectl trainpoint report``: the page of a run, from the objects of a namespace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import click

from trainpoint.catalog.base import GOOD
from trainpoint.catalog.cluster import ClusterCatalog
from trainpoint.cli.kube import namespace_options, open_namespace, runs_of_newest
from trainpoint.cli.lineage import OnCluster
from trainpoint.cli.report import output_file, write
from trainpoint.cli.report_page import AttemptReport, Report, TaskReport
from trainpoint.cli.story import Story, lost_steps
from trainpoint.clock import SystemClock
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.handle.lineage import DEPTH, Loaded, assemble

LIMITS: Final = (
    "From the objects of the cluster: those of the newest checkpoints and attempts. "
    "The store knows all of them: trainpoint report."
)


@click.command("report")
@click.argument("scope", required=False)
@output_file
@namespace_options
def kube_report(scope: str | None, output: str | None, namespace: str, context: str) -> None:
    """A run as one HTML page: its attempts, its checkpoints and their metrics, and what they come from.

    The page needs no server and no other file. A file of that name is replaced.

    SCOPE is a workflow or Job (its newest run), a run, or the name of a run object; without it, the newest run.
    """
    catalog = open_namespace(namespace, context)
    write(gather(catalog, runs_of_newest(catalog, scope), SystemClock().now()), output)


def gather(catalog: ClusterCatalog, runs: Sequence[JsonObject], now: datetime) -> Report:
    """All that the page tells of one run, which has a run object for each task; at least one."""
    first = runs[0]
    identity, space = first["spec"]["identity"], catalog.kube.namespace
    return Report(
        workflow=identity["workflow"],
        run=identity["run"],
        owner=str(identity.get("owner", "")),
        outcome="; ".join(dict.fromkeys(_outcome(run) for run in runs)),
        store=f"CheckpointStore {first['spec']['storeRef']['name']} in namespace {space}",
        made=now,
        tasks=tuple(_task(catalog, run, now) for run in runs),
        limits=LIMITS,
    )


def _outcome(run: JsonObject) -> str:
    """How a task's run ended, or where it is, as the operator says."""
    status = run.get("status", {})
    state, message = status.get("state", ""), status.get("outcome", {}).get("message", "")
    if not state:
        return "nobody has said yet: no operator looks after it"
    return f"{state}: {message}" if message else str(state)


def _task(catalog: ClusterCatalog, run: JsonObject, now: datetime) -> TaskReport:
    identity = run["spec"]["identity"]
    task = TaskPath(
        identity["workflow"], identity["run"], identity["task"], identity.get("index", ""), catalog.kube.namespace
    )
    found = catalog.checkpoints(workflow=task.workflow, run=task.run, task=task.task)
    story = Story(run, found, now)
    lookup = OnCluster(catalog)
    own = next((info.name for info in story.mine if info.status in GOOD), "")
    starts = [Loaded(own)] if own else lookup.starts(run["metadata"]["name"])
    return TaskReport(
        task=task,
        attempts=tuple(_attempt(entry, story) for entry in story.attempts),
        checkpoints=tuple(story.mine),
        next=story.would_load(),
        lineage=assemble(starts, lookup.look, depth=DEPTH),
    )


def _attempt(entry: JsonObject, story: Story) -> AttemptReport:
    """One of ``status.attempts``; of the newest, the claim tells more."""
    newest = entry.get("nonce") == story.claim.get("nonce", "")
    loaded = story.claim.get("loaded", {}) if newest else {}
    pod, node = entry.get("podName", ""), entry.get("nodeName", "")
    return AttemptReport(
        number=int(entry["attempt"]),
        began=str(entry.get("startTime") or ""),
        where=f"{pod} on {node}" if pod and node else str(pod),
        ended=str(entry.get("endTime") or ""),
        ending=story.ending(entry),
        from_step=int(entry.get("fromStep", 0)),
        to_step=story.reached(entry),
        lost=lost_steps(entry),
        loaded=str(loaded.get("checkpoint") or entry.get("loaded") or ""),
        why=str(loaded.get("message", "")),
        skipped=tuple((str(one["checkpoint"]), str(one["message"])) for one in loaded.get("skipped", ())),
        policy=f"{str(loaded['policy']).lower()}, from {loaded['source']}" if loaded else "",
    )
