"""``kubectl trainpoint``: list, show, why and rm, from the objects of a namespace."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from trainpoint.catalog import intent
from trainpoint.catalog.cluster import ClusterCatalog
from trainpoint.catalog.kube import Kube
from trainpoint.cli.show import LIST_LIMIT, as_json, show_rows
from trainpoint.cli.story import story
from trainpoint.cli.table import output_option, show_json
from trainpoint.cli.words import metrics_text, optional, quantity
from trainpoint.clock import SystemClock
from trainpoint.errors import CheckpointNotFoundError
from trainpoint.format.digest import JsonObject

_Command = TypeVar("_Command", bound=Callable[..., Any])


def namespace_options(command: _Command) -> _Command:
    """``-n/--namespace`` and ``--context``, as kubectl has them."""
    with_context = click.option("--context", default="", metavar="NAME", help="Context of the kubeconfig.")(command)
    return click.option("-n", "--namespace", default="", metavar="NAME", help="The context's by default.")(with_context)


def open_namespace(namespace: str, context: str) -> ClusterCatalog:
    """What the objects of a namespace tell; of the context's where none is named."""
    return ClusterCatalog(Kube.from_kubeconfig(namespace, context))


@click.command("list")
@click.argument("scope", required=False)
@click.option("--limit", default=LIST_LIMIT, show_default=True, help="Rows at most; 0 for all.")
@namespace_options
@output_option
def list_(scope: str | None, limit: int, namespace: str, context: str, output: str) -> None:
    """Checkpoints, newest run first, then newest first.

    SCOPE is a workflow, a run, workflow/run, workflow/run/task, workflow/run/task/index, or job/NAME.
    """
    catalog = open_namespace(namespace, context)
    found = catalog.checkpoints(**_selection(catalog, scope))
    shown = found[: limit or None]
    if output == "json":
        show_json([as_json(info) for info in shown])
    elif not shown:
        click.echo(f"no checkpoints in namespace {catalog.kube.namespace}" + (f" of {scope}" if scope else ""))
    else:
        show_rows(shown, SystemClock().now())
    if len(found) > len(shown):
        click.echo(f"… and {len(found) - len(shown)} more: --limit 0", err=True)


def _selection(catalog: ClusterCatalog, scope: str | None) -> dict[str, str]:
    """Labels that a scope stands for."""
    if not scope:
        return {}
    parts = scope.split("/")
    if len(parts) > 1 and parts[0] not in ("job", "run"):
        return dict(zip(("workflow", "run", "task", "index"), parts, strict=False))
    identity = _runs(catalog, scope)[0]["spec"]["identity"]
    if scope == identity["workflow"]:
        return {"workflow": scope}
    return {"workflow": identity["workflow"], "run": identity["run"]}


def _runs(catalog: ClusterCatalog, name: str | None) -> list[JsonObject]:
    found = catalog.runs(name or "")
    if not found:
        raise CheckpointNotFoundError(
            f"namespace {catalog.kube.namespace} has no run {name!r}" if name else
            f"namespace {catalog.kube.namespace} has no runs",
            remedy="see what there is: kubectl get ckptrun",
        )  # fmt: skip
    return found


@click.command()
@click.argument("name")
@namespace_options
@output_option
def show(name: str, namespace: str, context: str, output: str) -> None:
    """One checkpoint. NAME is that of its object."""
    info, value = open_namespace(namespace, context).checkpoint(name)
    if output == "json":
        show_json({**as_json(info), "conditions": value.get("status", {}).get("conditions", [])})
        return
    by = info.created_by
    facts = [
        ("checkpoint", info.name),
        ("task", f"{info.ref.task} in namespace {info.ref.task.namespace}"),
        ("attempt", f"{info.attempt}, sequence {info.sequence}"),
        ("step", optional(info.step)),
        ("metrics", metrics_text(info.metrics)),
        ("metadata", ", ".join(f"{k}={json.dumps(v)}" for k, v in info.metadata.items())),
        ("status", info.status),
        (
            "saved by",
            " ".join(filter(None, (by.get("podName", ""), f"on node {by['nodeName']}" if by.get("nodeName") else ""))),
        ),
        ("owner", info.owner),
        ("loaded before", ", ".join(info.parents)),
        ("store", value["spec"]["snapshot"].get("storeRef", {}).get("name", "")),
        ("files", f"{info.files}, {quantity(info.size)}" if info.files else ""),
        ("pinned", info.pinned),
    ]
    for label, text in facts:
        if text:
            click.echo(f"{label:<14}{text}")


@click.command()
@click.argument("scope", required=False)
@namespace_options
@output_option
def why(scope: str | None, namespace: str, context: str, output: str) -> None:
    """What the attempts of a run did and cost, what the newest started from and why, and what would come next.

    SCOPE is a workflow or Job (its newest run), a run, or the name of a run object; without it, the newest run.
    """
    catalog = open_namespace(namespace, context)
    same = runs_of_newest(catalog, scope)
    if output == "json":
        show_json([{"name": r["metadata"]["name"], "spec": r["spec"], "status": r.get("status", {})} for r in same])
        return
    for number, run in enumerate(same):
        if number:
            click.echo()
        identity = run["spec"]["identity"]
        saved = catalog.checkpoints(workflow=identity["workflow"], run=identity["run"], task=identity["task"])
        for line in story(run, saved, now=SystemClock().now()):
            click.echo(line)


def runs_of_newest(catalog: ClusterCatalog, scope: str | None) -> list[JsonObject]:
    """Run objects of the newest run that a scope names: one for each of its tasks. CheckpointNotFoundError: none."""
    found = _runs(catalog, scope)
    first = found[0]["spec"]["identity"]
    return [run for run in found if _launch(run["spec"]["identity"]) == _launch(first)]


def _launch(identity: JsonObject) -> tuple[str, str]:
    return identity["workflow"], identity["run"]


_BYTES: Final[Mapping[intent.Deleted, str]] = {
    "Asked": "the operator deletes its bytes",
    "Retained": "its bytes stay in the store, as its deletionPolicy says",
    "OnlyObject": "no operator looked after it, so its bytes stay in the store: trainpoint rm deletes them",
    "NoObject": "somebody else was quicker",
}


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@namespace_options
def rm(names: Sequence[str], yes: bool, namespace: str, context: str) -> None:
    """Delete checkpoints for good: their objects now, their bytes by the operator."""
    catalog = open_namespace(namespace, context)
    for name in names:
        catalog.checkpoint(name)
    if not yes:
        click.confirm(f"delete {len(names)} for good: {', '.join(names)}?", abort=True)
    for name in names:
        click.echo(f"deleted {name}; {_BYTES[intent.delete(catalog.kube, name)]}")
