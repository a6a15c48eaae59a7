"""What people want for a checkpoint, on a cluster: pins and deletions are fields and verbs of its object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from trainpoint.api.names import DATA_FINALIZER
from trainpoint.errors import ClusterPermissionError, PinnedError

if TYPE_CHECKING:
    from trainpoint.catalog.kube import Kube


def pin(kube: Kube, name: str, *, reason: str, by: str) -> bool:
    """Set ``spec.pin``; False where there is no such object. The same reason again is fine.

    Raises:
        PinnedError: it is pinned for another reason.
        ClusterPermissionError: this person or pod may not.
    """
    found = kube.get("checkpoints", name)
    if found is None:
        return False
    there = found["spec"].get("pin")
    if there is not None and there["reason"] == reason:
        return True
    if there is not None:
        raise PinnedError(
            f"checkpoint {name} is pinned already ({there['reason']}, by {there.get('by') or 'unknown'})",
            remedy=f"to replace that: kubectl trainpoint unpin {name} first",
        )
    with _permission(f"checkpoint {name} is not pinned", "pin it as a person with the role trainpoint-edit"):
        return kube.patch("checkpoints", name, {"spec": {"pin": {"reason": reason, "by": by}}}) is not None


def unpin(kube: Kube, name: str) -> bool:
    """Take ``spec.pin`` away; False where there is no such object. One that is not there is fine.

    Raises:
        PinnedError: it is pinned, and this person or pod lacks the verb ``unpin``.
        ClusterPermissionError: this person or pod may not change checkpoints at all.
    """
    with _permission(f"checkpoint {name} is not unpinned", "unpin it as a person with the role trainpoint-admin"):
        return kube.patch("checkpoints", name, {"spec": {"pin": None}}) is not None


Deleted = Literal["NoObject", "Asked", "Retained", "OnlyObject"]
"""What comes of a deletion: there was no object; the operator deletes the bytes; they are to stay; or nobody deletes
them, since no operator looks after that object."""


def delete(kube: Kube, name: str) -> Deleted:
    """Delete the object, and so ask the operator to delete the bytes.

    Raises:
        PinnedError: it is pinned, and this person or pod lacks the verb ``unpin``.
        ClusterPermissionError: this person or pod may not.
    """
    role = f"delete it as a person with the role trainpoint-edit: kubectl trainpoint rm {name}"
    with _permission(f"checkpoint {name} is not deleted", f"a training pod may not, on purpose; {role}"):
        found = kube.get("checkpoints", name)
        if found is None or not kube.delete("checkpoints", name):
            return "NoObject"
    if found["spec"].get("deletionPolicy") == "Retain":
        return "Retained"
    return "Asked" if DATA_FINALIZER in (found["metadata"].get("finalizers") or ()) else "OnlyObject"


@contextmanager
def _permission(what: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except ClusterPermissionError as error:
        if " is pinned (" in error.message:  # the words of the admission policy trainpoint-checkpoint-pin
            raise PinnedError(
                f"{what}: {error.message}", remedy="it takes the verb unpin (role trainpoint-admin)"
            ) from None
        raise ClusterPermissionError(f"{what}: {error.message}", remedy=remedy) from None
