"""``trainpoint verify``: are stored checkpoints what was saved?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import click

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.cli.scope import tasks_in
from trainpoint.cli.table import output_option, show_json
from trainpoint.cli.words import open_catalog, quantity, store_option
from trainpoint.errors import (
    CheckpointDeletedError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    NewerFormatError,
    UnsafePathError,
)
from trainpoint.format.digest import JsonObject
from trainpoint.format.manifest import Manifest
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.load import read_manifest
from trainpoint.transfer.verify import verify_digests, verify_sizes

Result = Literal["Good", "Corrupt", "Unknown"]
"""``Unknown``: of a newer format than this version reads."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one checkpoint."""

    name: str
    result: Result
    size_bytes: int | None
    step: int | None
    message: str


@click.command()
@click.argument("scope", required=False)
@click.option("--sizes", is_flag=True, help="Look only whether all is there with its size; no data is read.")
@click.option("--mark", is_flag=True, help="Mark what is corrupt, so that no policy chooses it again.")
@store_option
@output_option
@click.pass_context
def verify(
    ctx: click.Context, scope: str | None, sizes: bool, mark: bool, store: str | None, namespace: str, output: str
) -> None:
    """Read checkpoints back, every byte, and compare them with what was saved; exit code 1 if one is corrupt.

    SCOPE is a checkpoint (the last column of `trainpoint list`), a workflow, a run, workflow/run, workflow/run/task or
    workflow/run/task/index; without it, everything. Nothing is written, but for the marks of --mark.
    """
    catalog = open_catalog(store)
    found: list[Verified] = []
    for ref, marked in _meant(catalog, scope, namespace):
        try:
            one = _look(catalog, ref, sizes=sizes, marked=marked)
        except CheckpointNotFoundError:
            if scope == ref.name:
                raise
            continue  # deleted since it was listed
        if mark and one.result == "Corrupt" and not marked:
            catalog.mark_corrupt(ref.task, ref.id, one.message)
        found.append(one)
        if output != "json":
            size = quantity(one.size_bytes) if one.size_bytes is not None else ""
            step = f" (step {one.step})" if one.step is not None else ""
            line = f"{one.result:<8}{size:>7}  {one.name}{step}"
            click.echo(f"{line}  {one.message}" if one.message else line)
    if output == "json":
        show_json([_as_json(one) for one in found])
    else:
        click.echo(_summary(found, sizes=sizes) if found else f"no checkpoints in {catalog.store.url}", err=True)
    ctx.exit(int(any(one.result != "Good" for one in found)))


def _meant(catalog: BucketCatalog, scope: str | None, namespace: str) -> Iterator[tuple[CheckpointRef, bool]]:
    """Checkpoints, and whether each is marked corrupt; those that are deleted are left out. Lazy."""
    if scope is not None and "/" not in scope:
        with suppress(CheckpointNotFoundError):  # then it is a workflow or a run
            ref = catalog.find(scope, namespace=namespace)
            entry = next((entry for entry in catalog.entries(ref.task) if entry.id <= ref.id), None)
            yield ref, entry is not None and entry.id == ref.id and "corrupt" in entry.markers
            return
    for task in tasks_in(catalog, scope, namespace):
        for entry in catalog.entries(task):
            if entry.committed and not entry.deleted:
                yield CheckpointRef(task, entry.id), "corrupt" in entry.markers


def _look(catalog: BucketCatalog, ref: CheckpointRef, *, sizes: bool, marked: bool) -> Verified:
    """What there is to say of one. Raises CheckpointNotFoundError where it is gone; StoreError."""
    manifest: Manifest | None = None
    try:
        manifest = read_manifest(catalog, ref)
        if sizes:
            verify_sizes(catalog.store, manifest)
        else:
            verify_digests(catalog.store, manifest, clock=catalog.clock, chance=catalog.chance)
    except (CorruptCheckpointError, UnsafePathError) as error:
        if catalog.is_deleted(ref.task, ref.id):  # while it was looked at
            raise CheckpointDeletedError(f"checkpoint {ref} was deleted") from None
        return _verified(ref, "Corrupt", manifest, error.message)
    except NewerFormatError as error:
        return _verified(ref, "Unknown", manifest, error.message)
    return _verified(ref, "Good", manifest, "but marked corrupt: no policy chooses it" if marked else "")


def _verified(ref: CheckpointRef, result: Result, manifest: Manifest | None, message: str) -> Verified:
    size = manifest.size if manifest is not None else None
    return Verified(ref.name, result, size, manifest.snapshot.step if manifest is not None else None, message)


def _as_json(one: Verified) -> JsonObject:
    return {
        "name": one.name,
        "result": one.result,
        "sizeBytes": one.size_bytes,
        "step": one.step,
        "message": one.message,
    }


def _summary(found: Sequence[Verified], *, sizes: bool) -> str:
    count = Counter(one.result for one in found)
    told = ", ".join(f"{number} {result.lower()}" for result, number in count.items())
    total = quantity(sum(one.size_bytes or 0 for one in found if one.result == "Good"))
    return f"{told}; " + ("their sizes were looked at" if sizes else f"{total} of good ones read back")
