"""All CheckpointPolicies of a namespace: compiled into the one ConfigMap that its jobs read."""

from __future__ import annotations

from typing import Final

from trainpoint.api import names
from trainpoint.errors import ClusterPermissionError, ObjectChangedError
from trainpoint.format.digest import JsonObject
from trainpoint_operator.conditions import Condition
from trainpoint_operator.context import Context
from trainpoint_operator.decisions.compile import Create, Foreign, Update, Verdict, compile_namespace, foreign, write
from trainpoint_operator.engine.resources import CONFIG_MAPS, POLICIES, Key
from trainpoint_operator.reconcile.status import write_status

AGAIN_SECONDS: Final = 300.0
"""Between looks at a ConfigMap that may have been changed or deleted: the operator does not watch them."""


async def reconcile_policy(key: Key, ctx: Context) -> float | None:
    """``key`` names the namespace alone. Seconds until the next look; None where there are no policies."""
    namespace = key.namespace
    policies = ctx.caches.policies.all(namespace)
    compiled = compile_namespace(namespace, policies, ctx.caches.stores.all(namespace))
    conflict = await _write(namespace, dict(compiled.data), ctx)
    changed: ObjectChangedError | None = None
    for policy in policies:
        try:
            await _say(policy, conflict or compiled.verdicts[policy["metadata"]["name"]], ctx)
        except ObjectChangedError as error:  # the others are told all the same
            changed = error
    if changed is not None:
        raise changed
    return AGAIN_SECONDS * (0.9 + 0.2 * ctx.chance.fraction()) if policies else None


async def _write(namespace: str, data: dict[str, str], ctx: Context) -> Verdict | None:
    """Bring the ConfigMap up to date; the verdict on all policies where it is somebody else's."""
    try:
        found = await ctx.kube.get(CONFIG_MAPS, namespace, names.CONFIG_MAP)
    except ClusterPermissionError:
        if data:
            raise
        return None  # the last policy went with its namespace, and the operator's rights there went before
    match write(namespace, found, data):
        case Create(body):
            written = await ctx.kube.create(CONFIG_MAPS, namespace, body)
        case Update(patch):
            written = await ctx.kube.patch(CONFIG_MAPS, namespace, names.CONFIG_MAP, patch)
        case Foreign():
            return foreign(namespace)
        case None:
            return None
    if written is None:
        raise ObjectChangedError(
            f"ConfigMap {names.CONFIG_MAP} in namespace {namespace} was just made, or deleted, by somebody else",
            remedy="it is looked at again by itself",
        )
    return None


async def _say(policy: JsonObject, verdict: Verdict, ctx: Context) -> None:
    ready = Condition("Ready", "True" if verdict.ready else "False", verdict.reason, verdict.sentence)
    old: JsonObject = policy.get("status", {})
    await write_status(ctx, POLICIES, policy["metadata"], old, dict(old), [ready])
