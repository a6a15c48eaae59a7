"""``kubectl trainpoint app``: what the apps of a namespace have saved, without a key to the bucket."""

from __future__ import annotations

import click

from trainpoint.catalog.base import GOOD, CheckpointInfo
from trainpoint.cli.app_table import LIST_LIMIT, show_apps
from trainpoint.cli.kube import namespace_options, open_namespace
from trainpoint.cli.table import output_option
from trainpoint.clock import SystemClock
from trainpoint.policies.app_files import SUFFIX, timestamp_of


@click.group("app", short_help="Checkpoints of apps.")
def kube_app() -> None:
    """Checkpoints of apps: what the annotation trainpoint.dev/checkpoint of a pod may name."""


@kube_app.command("checkpoints", short_help="Checkpoints of apps, newest first.")
@click.argument("workflow", required=False)
@click.option("--limit", default=LIST_LIMIT, show_default=True, help="Rows at most; 0 for all.")
@namespace_options
@output_option
def checkpoints(workflow: str | None, limit: int, namespace: str, context: str, output: str) -> None:
    """Checkpoints of apps that one may start from, newest first; of all workflows, or of WORKFLOW.

    The first column is what --checkpoint and the pod's annotation take.
    """
    catalog = open_namespace(namespace, context)
    found = apps_of(catalog.checkpoints(workflow=workflow or ""))
    shown = found[: limit or None]
    place = f"namespace {catalog.kube.namespace}" + (f" of {workflow}" if workflow else "")
    show_apps(shown, output, empty=f"no checkpoints of apps in {place}", now=SystemClock().now())
    if len(found) > len(shown):
        click.echo(f"… and {len(found) - len(shown)} more: --limit 0", err=True)


def apps_of(infos: list[CheckpointInfo]) -> list[tuple[str, CheckpointInfo]]:
    """Those that are good and of apps, with the names of their files, newest first. The series is the file's name."""
    found = [
        (at, info)
        for info in infos
        if info.status in GOOD and (at := timestamp_of(info.series)) is not None and not info.series.endswith(SUFFIX)
    ]
    found.sort(key=lambda pair: (pair[0], pair[1].ref.id), reverse=True)
    return [(info.series + SUFFIX, info) for _, info in found]
