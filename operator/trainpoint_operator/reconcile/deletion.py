"""A Checkpoint with a deletionTimestamp: tombstone, bytes, log, then its finalizer. Resumable at any point."""

from __future__ import annotations

import asyncio
import logging

from trainpoint.api import reasons
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog.marks import read_pin
from trainpoint.errors import ClusterUnreachableError, ObjectChangedError, TrainpointError
from trainpoint.policies.app_files import told
from trainpoint.policies.settings import AppFileSettings
from trainpoint_operator.conditions import Condition
from trainpoint_operator.context import Context
from trainpoint_operator.decisions.app_files import was_superfluous
from trainpoint_operator.decisions.deletion import Blocked, Delete, DeletionInput, Keep, Wait, may_delete
from trainpoint_operator.engine.resources import CHECKPOINTS, RUNS
from trainpoint_operator.reconcile.policies import policy_of
from trainpoint_operator.reconcile.status import since, write_status
from trainpoint_operator.reconcile.terminating import kind_terminating, namespace_terminating
from trainpoint_operator.views import CheckpointView

logger = logging.getLogger(__name__)

BLOCKED_SECONDS = 30.0


async def delete_checkpoint(view: CheckpointView, ctx: Context) -> float | None:
    """One step of the deletion; seconds until the next."""
    if DATA_FINALIZER not in view.finalizers:
        return None
    verdict = may_delete(
        DeletionInput(
            seen=since(view.status, "DeletionBlocked"),
            now=ctx.clock.now(),
            retain=view.retain,
            store=view.store,
            store_exists=ctx.caches.stores.get(view.namespace, view.store) is not None,
            namespace_terminating=await namespace_terminating(view.namespace, ctx),
            kind_terminating=await kind_terminating(CHECKPOINTS, ctx),
        )
    )
    match verdict:
        case Wait():
            if view.state != "Deleting" or since(view.status, "DeletionBlocked") is None:
                await _tell(view, ctx, Condition("DeletionBlocked", "False", reasons.DELETING, "its bytes are going"))
            return verdict.seconds
        case Keep():
            if verdict.reason == reasons.RETAINED:
                await _archive(view, ctx)
            await _let_go(view, ctx)
            logger.info("key=%s/%s event=let-go reason=%s", view.namespace, view.name, verdict.reason)
            return None
        case Blocked():
            await _tell(view, ctx, Condition("DeletionBlocked", "True", verdict.reason, verdict.message))
            return BLOCKED_SECONDS
        case Delete():
            return await _delete_bytes(view, ctx)


async def _delete_bytes(view: CheckpointView, ctx: Context) -> float | None:
    try:
        catalog = await ctx.buckets.of(view.namespace, view.store)
        ctx.must_lead()
        # Admission guards spec.pin; a copy of that goes with the object of whoever was allowed to delete it.
        pin = await asyncio.to_thread(read_pin, catalog.store, view.ref.task, view.ref.id)
        if pin is not None and not pin.of_object:
            text = f"it is pinned in the store ({pin}); once it is no longer needed: trainpoint unpin {view.name}"
            await _tell(view, ctx, Condition("DeletionBlocked", "True", reasons.PINNED_IN_STORE, text))
            return BLOCKED_SECONDS
        if not await _is_as_seen(view, ctx):
            raise ObjectChangedError(f"{view.name} has changed since its deletion began", remedy="look at it again")
        ctx.must_lead()
        rule = _rule(view, ctx)
        by = "the operator, by the rule for files of apps" if rule is not None else "the operator"
        removed = await asyncio.to_thread(catalog.delete, view.ref.task, view.ref.id, by=by)
    except (ClusterUnreachableError, ObjectChangedError):
        raise
    except TrainpointError as error:
        text = f"{error.message}; {error.remedy}" if error.remedy else error.message
        await _tell(view, ctx, Condition("DeletionBlocked", "True", reasons.STORE_NOT_READY, text))
        raise  # comes again, later each time, and when the store is back
    ctx.metrics.deleted(view.stored_bytes)
    await _let_go(view, ctx)
    logger.info("key=%s/%s event=deleted objects=%d bytes=%d", view.namespace, view.name, removed, view.stored_bytes)
    await _tell_run(view, ctx, rule=rule)
    return None


async def _is_as_seen(view: CheckpointView, ctx: Context) -> bool:
    """Asked last, of the API server: somebody may have set ``deletionPolicy: Retain`` just now."""
    fresh = await ctx.kube.get(CHECKPOINTS, view.namespace, view.name)
    meta = fresh["metadata"] if fresh is not None else {}
    return (meta.get("uid"), int(meta.get("generation", 0))) == (view.uid, view.generation)


def _rule(view: CheckpointView, ctx: Context) -> AppFileSettings | None:
    """The rule that lets it go; None: a person does."""
    rule = policy_of(ctx.caches.runs.get(view.namespace, view.run_object), view.namespace, ctx).app_files
    others = ctx.caches.checkpoints.by("run", f"{view.namespace}/{view.run_object}")
    return rule if rule is not None and was_superfluous(view, others, rule) else None


async def _tell_run(view: CheckpointView, ctx: Context, *, rule: AppFileSettings | None) -> None:
    """That a checkpoint is gone; of those that an app leaves behind every second, once in a while."""
    run = ctx.caches.runs.get(view.namespace, view.run_object)
    if run is None:
        return
    step = f" (step {view.step})" if view.step is not None else ""
    text = f"{view.name}{step} was deleted, with its bytes"
    reason = reasons.CHECKPOINT_DELETED
    if rule is not None:
        reason = reasons.OLDER_FILES_DELETED
        text = f"older checkpoints of the app were deleted; there stay {told(rule)}, and what is pinned or needed"
    await ctx.events.event(RUNS.typed(run), reason, text, action="Delete")


async def _archive(view: CheckpointView, ctx: Context) -> None:
    """Note in the bucket that the object is gone on purpose; where that cannot be reached, it goes all the same."""
    try:
        catalog = await ctx.buckets.of(view.namespace, view.store)
        await asyncio.to_thread(catalog.archive, view.ref.task, view.ref.id, by="the operator")
    except ClusterUnreachableError:
        raise
    except TrainpointError as error:
        logger.warning("key=%s/%s event=not-archived error=%s", view.namespace, view.name, error.message)


async def _tell(view: CheckpointView, ctx: Context, blocked: Condition) -> None:
    going = Condition("Ready", "False", reasons.DELETING, "it is being deleted")
    await write_status(ctx, CHECKPOINTS, view.meta, view.status, {**view.status, "state": "Deleting"}, [going, blocked])


async def _let_go(view: CheckpointView, ctx: Context) -> None:
    """Take the finalizer off; the object goes."""
    left = [name for name in view.finalizers if name != DATA_FINALIZER]
    fresh = await ctx.kube.get(CHECKPOINTS, view.namespace, view.name)
    if fresh is None or fresh["metadata"]["uid"] != view.uid:
        return
    body = {"metadata": {"resourceVersion": fresh["metadata"]["resourceVersion"], "finalizers": left}}
    await ctx.kube.patch(CHECKPOINTS, view.namespace, view.name, body)
