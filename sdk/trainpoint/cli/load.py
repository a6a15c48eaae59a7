"""``trainpoint load``: a checkpoint into a directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from trainpoint.catalog.base import info_of
from trainpoint.cli.words import open_catalog, optional, quantity, store_option
from trainpoint.handle.load import load_named, resolve
from trainpoint.transfer.download import select


@click.command()
@click.argument("name")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--include", multiple=True, metavar="PATTERN", help="Only what matches, such as 'model*'; repeatable.")
@click.option("--merge", is_flag=True, help="Put the files among those that are there.")
@store_option
def load(name: str, directory: Path, include: Sequence[str], merge: bool, store: str | None, namespace: str) -> None:
    """Fetch a checkpoint into DIRECTORY, verified.

    DIRECTORY is replaced whole once everything has arrived, and not touched otherwise. NAME is the last column of
    `trainpoint list`, or a reference as JSON.
    """
    catalog = open_catalog(store)
    ref = resolve(catalog, name, None, namespace=namespace)
    began = catalog.clock.monotonic()
    found = load_named(catalog, ref, directory, include=include, merge=merge, mark=False)
    seconds = catalog.clock.monotonic() - began
    files = [found.files[number] for number in select(found, include).files]
    info = info_of(found)
    step = f" (step {optional(info.step)})" if info.step is not None else ""
    click.echo(
        f"loaded {info.name}{step} into {directory}: {len(files)} file{'s' if len(files) != 1 else ''}, "
        f"{quantity(sum(file.size for file in files))}, verified, {seconds:.1f} s"
    )
