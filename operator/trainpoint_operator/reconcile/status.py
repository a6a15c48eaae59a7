"""The one status patch at the end of a reconciliation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trainpoint.format.digest import JsonObject
from trainpoint_operator.conditions import Condition, merged, status_patch
from trainpoint_operator.context import Context
from trainpoint_operator.engine.resources import Resource
from trainpoint_operator.views import moment


def since(status: JsonObject, type: str) -> datetime | None:
    """When a condition got the status it has; None where it is not there."""
    return next((moment(c["lastTransitionTime"]) for c in status.get("conditions", ()) if c["type"] == type), None)


async def write_status(
    ctx: Context,
    resource: Resource,
    meta: JsonObject,
    old: JsonObject,
    new: JsonObject,
    conditions: Sequence[Condition],
) -> bool:
    """Bring a status from ``old`` to ``new``, if they differ. Returns whether it was written.

    Args:
        meta: of the object as it was gathered; a later version of it is not overwritten.
        new: whole, with what others wrote carried over; its conditions come from ``conditions``.

    Raises:
        ObjectChangedError: somebody was quicker; gather again.
    """
    generation = int(meta.get("generation", 0))
    now = f"{ctx.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    listed = merged(old.get("conditions", ()), conditions, generation=generation, now=now)
    patch = status_patch(old, {**new, "observedGeneration": generation, "conditions": listed})
    if patch is None:
        return False
    body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": patch}
    await ctx.kube.patch(resource, meta["namespace"], meta["name"], body, subresource="status")
    return True
