"""Is a stored checkpoint what was saved? Looked at from its sizes, or by reading back every byte."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from blake3 import blake3

from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.format.layout import snapshot_data
from trainpoint.format.manifest import Manifest, check_tree
from trainpoint.store.base import Buffer, Store
from trainpoint.transfer.download import DEADLINE_SECONDS, WORKERS
from trainpoint.transfer.extents import Piece, VerifiedSource, damaged, plan_reads
from trainpoint.transfer.parallel import Persistence, Stop, run_all


def stored_sizes(store: Store, manifest: Manifest) -> dict[str, int]:
    """Size by key of what lies where the manifest says; parts may be those of another checkpoint. Listings only."""
    own = snapshot_data(manifest.snapshot.task, manifest.snapshot.id)
    elsewhere = {stored.key.rpartition("/")[0] + "/" for stored in manifest.objects if not stored.key.startswith(own)}
    return {info.key: info.size for prefix in (own, *sorted(elsewhere)) for info in store.list(prefix)}


def verify_sizes(store: Store, manifest: Manifest) -> None:
    """Every object that the manifest names is there, with its size. No data is read.

    Raises:
        CorruptCheckpointError: an object is missing, or has another size.
        StoreError: says nothing about the checkpoint.
    """
    there = stored_sizes(store, manifest)
    for stored in manifest.objects:
        size = there.get(stored.key)
        if size != stored.size:
            what = f"{stored.key} is missing" if size is None else f"{stored.key} has {size} bytes, not {stored.size}"
            raise damaged(manifest, what)


def verify_digests(
    store: Store,
    manifest: Manifest,
    *,
    workers: int = WORKERS,
    deadline_seconds: float = DEADLINE_SECONDS,
    clock: Clock | None = None,
    chance: Chance | None = None,
) -> int:
    """Read back every byte of every file and compare it with its digest; nothing is written anywhere.

    Each part has a digest, and each file one as a whole, which says that the parts are the right ones in their order. A
    file of several parts is read part by part in that order; files are read in parallel.

    Args:
        workers: reads on the way at a time; memory is about 16 MiB for each.

    Returns:
        Bytes that were compared.

    Raises:
        CorruptCheckpointError: a file is not what was saved, or an object is missing.
        UnsafePathError: the manifest names a path that would leave its directory.
        StoreError: the store refused, or did not answer for ``deadline_seconds``; says nothing about the checkpoint.
    """
    check_tree(manifest.files, manifest.directories, manifest.links, where=str(manifest.snapshot.id))
    stop = Stop()
    persistence = Persistence(clock or SystemClock(), chance or SystemChance(), deadline_seconds, stop)
    source = VerifiedSource(store, manifest, persistence)
    single = [number for number, file in enumerate(manifest.files) if len(file.extents) == 1]
    several = [number for number, file in enumerate(manifest.files) if len(file.extents) > 1]
    tasks: list[Callable[[], None]] = [partial(_in_order, source, number) for number in several]
    tasks += [partial(source.fetch, read, _drop) for read in plan_reads(manifest.files, single)]
    run_all(iter(tasks), workers=min(workers, len(tasks)), stop=stop)
    return sum(file.size for file in manifest.files)


def _drop(_piece: Piece, _data: Buffer) -> None:
    """Compared already. Of a file of one part, the reader of the manifest has seen that both digests agree."""


def _in_order(source: VerifiedSource, number: int) -> None:
    entry = source.manifest.files[number]
    digest = blake3()
    for part in range(len(entry.extents)):
        source.persistence.stop.check()
        digest.update(source.extent(Piece(number, part)))
    if digest.hexdigest() != entry.digest:
        raise source.damaged(f"{entry.path!r} as a whole differs from what was saved")
