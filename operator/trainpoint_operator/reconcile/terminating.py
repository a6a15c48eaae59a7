"""Is what an object lives in being deleted? Then the object lets go, and the bytes stay."""

from __future__ import annotations

from trainpoint_operator.context import Context
from trainpoint_operator.engine.resources import CRDS, NAMESPACES, Resource


async def namespace_terminating(namespace: str, ctx: Context) -> bool:
    """Read afresh from the API server; a namespace that is gone was deleted."""
    return await _terminating(NAMESPACES, namespace, ctx)


async def kind_terminating(kind: Resource, ctx: Context) -> bool:
    """The same of one of our kinds, by its CRD."""
    return await _terminating(CRDS, f"{kind.plural}.{kind.group}", ctx)


async def _terminating(resource: Resource, name: str, ctx: Context) -> bool:
    found = await ctx.kube.get(resource, "", name)
    return found is None or bool(found["metadata"].get("deletionTimestamp"))
