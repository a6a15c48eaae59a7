"""A CheckpointStore: probed, counted, and kept while checkpoints lie in it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Final

from trainpoint.api import reasons
from trainpoint.api.names import STORE_FINALIZER
from trainpoint.format.digest import JsonObject
from trainpoint_operator.context import Context
from trainpoint_operator.decisions.store_health import (
    Seen,
    Trouble,
    Watched,
    after,
    pause_seconds,
    probe_due,
    thoroughly,
)
from trainpoint_operator.decisions.store_place import Access, place_of
from trainpoint_operator.decisions.store_status import health_before, ready_of, status_of
from trainpoint_operator.engine.resources import CHECKPOINTS, POLICIES, STORES, Key
from trainpoint_operator.probe import Look, probe
from trainpoint_operator.reconcile.status import write_status
from trainpoint_operator.reconcile.terminating import kind_terminating, namespace_terminating

PROBE_SECONDS: Final = 60.0
"""A probe that takes longer counts as not answered; its requests have limits of their own, so that its thread ends."""
GOING_SECONDS: Final = 5.0
"""Between looks at whether a store that is to be deleted may go."""
_SETTLE_SECONDS: Final = 1.0
"""Until the cache has what was just written, and the policies are compiled with it."""


async def reconcile_store(key: Key, ctx: Context) -> float | None:
    """Seconds until the next probe; None where the store is gone."""
    store = ctx.caches.stores.get(key.namespace, key.name)
    if store is None:
        ctx.metrics.store_gone(key.namespace, key.name)
        return None
    going = bool(store["metadata"].get("deletionTimestamp"))
    if going:
        if STORE_FINALIZER not in _finalizers(store):
            return None
        if await _may_go(store, ctx):
            await _set_finalizers(store, [name for name in _finalizers(store) if name != STORE_FINALIZER], ctx)
            return None
    elif STORE_FINALIZER not in _finalizers(store):
        held = await _set_finalizers(store, [*_finalizers(store), STORE_FINALIZER], ctx)
        if held is None:
            return None
        store = held
    watched, outcome = await _watched(store, ctx)
    views = ctx.caches.checkpoints.by("store", f"{key.namespace}/{key.name}")
    status, conditions = status_of(store, watched, views, probed=outcome is not None, going=going, now=ctx.clock.now())
    await write_status(ctx, STORES, store["metadata"], store.get("status", {}), status, conditions)
    ctx.metrics.stored(key.namespace, key.name, status["storedBytes"])
    await _tell(store, watched, outcome, ctx)
    rest = max(0.0, watched.due - ctx.clock.monotonic())
    return min(rest, GOING_SECONDS) if going else rest


# --- the probe --------------------------------------------------------------------------------------------------------


async def _watched(store: JsonObject, ctx: Context) -> tuple[Watched, Seen | Trouble | None]:
    """What is known of the store, and what a probe has just found; None where none was due."""
    meta = store["metadata"]
    key, generation = (meta["namespace"], meta["name"]), int(meta.get("generation", 0))
    known = ctx.buckets.watched.get(key)
    if known is not None and known.uid != meta["uid"]:
        known = None
    now = ctx.clock.monotonic()
    if known is not None and not probe_due(known, meta["uid"], generation, now):
        return known, None
    access = await ctx.buckets.access(*key)
    outcome: Seen | Trouble = access if isinstance(access, Trouble) else await _probe(store, access, known, ctx)
    before = known.health if known else health_before(store)
    health = after(before, outcome, place_of(store).where)
    thorough = isinstance(outcome, Seen) and outcome.thorough
    base = known or Watched(meta["uid"], generation, "", health, 0.0)
    watched = replace(
        base,
        generation=generation,
        secret="" if isinstance(access, Trouble) else access.version[2],
        health=health,
        due=ctx.clock.monotonic() + pause_seconds(health, ctx.chance.fraction()),
        thorough_at=now if thorough else base.thorough_at,
        seen=outcome if isinstance(outcome, Seen) and outcome.thorough else base.seen,
    )
    ctx.buckets.watched[key] = watched
    return watched, outcome


async def _probe(store: JsonObject, access: Access, known: Watched | None, ctx: Context) -> Seen | Trouble:
    known_id = store.get("status", {}).get("storeID", "") or (known.seen.store_id if known and known.seen else "")
    look = Look(
        known_id=known_id,
        create_bucket=bool(store["spec"].get("createBucket")),
        thorough=not known_id or thoroughly(known, access.version, ctx.clock.monotonic()),
        name=str(store["metadata"]["uid"]),
    )
    # No patience: the next probe is seconds away, and what counts is decided from probe to probe.
    open_catalog = partial(ctx.buckets.open, access, deadline=0.0)
    thread = asyncio.to_thread(probe, look, access, open_catalog, clock=ctx.clock, chance=ctx.chance)
    try:
        return await asyncio.wait_for(thread, PROBE_SECONDS)
    except TimeoutError:
        return Trouble(
            reasons.UNREACHABLE,
            f"{access.place.where} has not answered within {PROBE_SECONDS:.0f} s",
            "look at the load of the server, and at the network",
            passing=True,
        )


# --- the object -------------------------------------------------------------------------------------------------------


def _finalizers(store: JsonObject) -> list[str]:
    return list(store["metadata"].get("finalizers") or ())


async def _set_finalizers(store: JsonObject, finalizers: list[str], ctx: Context) -> JsonObject | None:
    """The object with them; None where it is gone. A merge patch replaces the list, so it is tied to the version."""
    meta = store["metadata"]
    body = {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": finalizers}}
    return await ctx.kube.patch(STORES, meta["namespace"], meta["name"], body)


async def _may_go(store: JsonObject, ctx: Context) -> bool:
    """May an object that is to be deleted go? Its bytes stay in any case.

    Not while a Checkpoint names it: its deletion could not reach the bytes any more. But a namespace, or a kind, that
    is being deleted lets go at once, and keeps the data.
    """
    namespace, name = store["metadata"]["namespace"], store["metadata"]["name"]
    if await namespace_terminating(namespace, ctx) or await kind_terminating(STORES, ctx):
        return True
    if ctx.caches.checkpoints.by("store", f"{namespace}/{name}"):
        return False
    # The cache may be behind: this cannot be taken back, so the server is asked.
    listing = await ctx.kube.list(CHECKPOINTS, namespace)
    return not any(c["spec"]["snapshot"].get("storeRef", {}).get("name") == name for c in listing.items)


async def _tell(store: JsonObject, watched: Watched, outcome: Seen | Trouble | None, ctx: Context) -> None:
    """Events, and a word to the policies, about what has changed."""
    health, before = watched.health, ready_of(store)
    about = STORES.typed(store)
    if isinstance(outcome, Seen) and outcome.created_bucket:
        await ctx.events.event(about, reasons.BUCKET_CREATED, f"created the bucket of {place_of(store).where}")
    if before.get("status") != ("True" if health.ready else "False"):
        reason = reasons.STORE_READY if health.ready else reasons.STORE_NOT_READY
        await ctx.events.event(about, reason, health.message, warning=not health.ready)
    if (before.get("status"), before.get("message")) != ("True" if health.ready else "False", health.message):
        ctx.enqueue(Key(POLICIES.kind, store["metadata"]["namespace"], ""), _SETTLE_SECONDS)
