"""``trainpoint pin`` and ``unpin``, and the same of ``kubectl trainpoint``."""

from __future__ import annotations

import click

from trainpoint.catalog import intent, marks
from trainpoint.cli.kube import namespace_options, open_namespace
from trainpoint.cli.words import open_catalog, store_option
from trainpoint.identity import login_name

_reason = click.option("--reason", required=True, metavar="TEXT", help="Why it has to stay.")


@click.command()
@click.argument("name")
@_reason
@store_option
def pin(name: str, reason: str, store: str | None, namespace: str) -> None:
    """Keep a checkpoint: nothing deletes it until somebody unpins it. NAME is the last column of `trainpoint list`."""
    catalog = open_catalog(store)
    ref = catalog.find(name, namespace=namespace)
    marks.pin(catalog, ref, reason=marks.check_reason(reason), by=login_name() or "unknown")
    click.echo(f"pinned {ref}")


@click.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also where its object on a cluster is pinned: the cluster is gone.")
@store_option
def unpin(name: str, force: bool, store: str | None, namespace: str) -> None:
    """Take the pin of a checkpoint away."""
    catalog = open_catalog(store)
    ref = catalog.find(name, namespace=namespace)
    there = marks.read_pin(catalog.store, ref.task, ref.id)
    marks.unpin(catalog, ref, copies=force)
    click.echo(f"unpinned {ref} (was: {there})" if there else f"{ref} was not pinned")


@click.command("pin")
@click.argument("name")
@_reason
@namespace_options
def kube_pin(name: str, reason: str, namespace: str, context: str) -> None:
    """Keep a checkpoint: nothing deletes it until somebody with the verb unpin allows it. NAME is its object's."""
    catalog = open_namespace(namespace, context)
    catalog.checkpoint(name)
    intent.pin(catalog.kube, name, reason=marks.check_reason(reason), by=login_name() or "unknown")
    click.echo(f"pinned {name}")


@click.command("unpin")
@click.argument("name")
@namespace_options
def kube_unpin(name: str, namespace: str, context: str) -> None:
    """Take the pin of a checkpoint away; that takes the verb unpin (role trainpoint-admin)."""
    catalog = open_namespace(namespace, context)
    _, value = catalog.checkpoint(name)
    there = value["spec"].get("pin")
    if there is None:
        click.echo(f"{name} was not pinned")
        return
    intent.unpin(catalog.kube, name)
    click.echo(f"unpinned {name} (was: {there['reason']}, by {there.get('by') or 'unknown'})")
