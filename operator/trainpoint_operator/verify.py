"""Is a committed checkpoint what its commit says? By sizes: one manifest read, one listing; no data is read."""

from __future__ import annotations

from trainpoint.api import reasons
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.errors import CorruptRecordError, NewerFormatError, ObjectNotFoundError, UnsafePathError
from trainpoint.format.digest import digest_of
from trainpoint.format.layout import manifest_key
from trainpoint.format.manifest import Manifest
from trainpoint.format.reference import CheckpointRef
from trainpoint.transfer.verify import stored_sizes
from trainpoint_operator.decisions.checkpoint_state import Finding


def verify_sizes(catalog: BucketCatalog, ref: CheckpointRef, *, digest: str = "") -> Finding:
    """Look at the manifest, its marks, and the sizes of all objects that it names. Call it in a thread.

    Args:
        digest: of the manifest, as ``status.commit`` says; empty where there is no commit yet.

    Raises:
        StoreError: the store does not answer, or refuses; nothing is known then.
    """
    entry = next((e for e in catalog.entries(ref.task) if e.id <= ref.id), None)
    markers = entry.markers if entry is not None and entry.id == ref.id else frozenset()
    if "tombstone" in markers:
        return Finding("Deleted", reasons.DELETED, "it was deleted: a tombstone lies in the store")
    key = manifest_key(ref.task, ref.id)
    try:
        data = catalog.store.get(key)
        manifest = Manifest.from_bytes(data, key=key)
    except ObjectNotFoundError:
        return Finding("NotFound", reasons.MANIFEST_MISSING, "its manifest is not in the store")
    except NewerFormatError as error:
        return Finding("Unknown", reasons.NEWER_FORMAT, error.message)
    except (CorruptRecordError, UnsafePathError) as error:
        return Finding("Corrupt", reasons.MANIFEST_DAMAGED, error.message)
    if digest and digest_of(data) != digest:
        return Finding("Corrupt", reasons.MANIFEST_DIFFERS, "its manifest is not the one that was committed")
    if manifest.snapshot.id != ref.id or manifest.snapshot.task != ref.task:
        return Finding("Corrupt", reasons.MANIFEST_DIFFERS, "its manifest is that of another checkpoint")
    if "corrupt" in markers:
        return Finding("Corrupt", reasons.MARKED_CORRUPT, "whoever tried to load it found it damaged", manifest)
    there = stored_sizes(catalog.store, manifest)
    for stored in manifest.objects:
        size = there.get(stored.key)
        if size is None:
            return Finding("Corrupt", reasons.DATA_MISSING, f"{stored.key} is not in the store", manifest)
        if size != stored.size:
            text = f"{stored.key} has {size} bytes, not {stored.size}"
            return Finding("Corrupt", reasons.SIZE_DIFFERS, text, manifest)
    if entry is not None and entry.superseded:
        return Finding("Superseded", reasons.SUPERSEDED, "committed after a later attempt had taken over", manifest)
    count = f"{len(manifest.objects)} object" + ("s" if len(manifest.objects) != 1 else "")
    return Finding("Good", reasons.SIZES, f"{count} in the store, each with its size", manifest)
