"""Checkpoint: committed? all there? then its state, conditions and columns; and its deletion.

A save costs two requests: the finalizer where the pod has not set it, and one status patch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trainpoint.api import reasons
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog.record import commit_of
from trainpoint.errors import ClusterUnreachableError, ObjectChangedError, TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint_operator.conditions import size_text
from trainpoint_operator.context import Context
from trainpoint_operator.decisions.checkpoint_state import (
    Finding,
    Standing,
    failed,
    found,
    metric_text,
    not_looked_at,
    saving,
    without_store,
)
from trainpoint_operator.engine.resources import CHECKPOINTS, Key
from trainpoint_operator.reconcile.deletion import delete_checkpoint
from trainpoint_operator.reconcile.intent import mirror_intent
from trainpoint_operator.reconcile.policies import policy_of
from trainpoint_operator.reconcile.status import write_status
from trainpoint_operator.verify import verify_sizes
from trainpoint_operator.views import CheckpointView

logger = logging.getLogger(__name__)

QUICK_SAVE_SECONDS = 2.0
"""A save that is committed sooner is never shown as Saving: one request less."""
LOOK_AGAIN_SECONDS = 30.0
"""While a store cannot be asked."""
SETTLED = frozenset({"Verified", "Corrupt", "Superseded", "Quarantined"})
_EVENTS: Final[Mapping[str, str]] = {
    "Corrupt": reasons.CHECKPOINT_CORRUPT,
    "Failed": reasons.CHECKPOINT_FAILED,
    "Superseded": reasons.CHECKPOINT_SUPERSEDED,
}
"""By state, what a person is told of it."""


async def reconcile_checkpoint(key: Key, ctx: Context) -> float | None:
    """Gather, decide, write one status."""
    view = ctx.caches.checkpoints.get(key.namespace, key.name)
    if view is None:
        return None  # gone; absence is never intent
    if view.deletion is not None:
        return await delete_checkpoint(view, ctx)
    run = ctx.caches.runs.get(view.namespace, view.run_object)
    if not view.commit and not writer_is_gone(view, run, ctx):
        age = (ctx.clock.now() - view.created).total_seconds()
        if age < QUICK_SAVE_SECONDS:
            return QUICK_SAVE_SECONDS - age
        looked = Looked(saving())
    else:
        looked = await _look(view, run, ctx)
    meta = await _with_finalizer(view, ctx)
    if meta is None:
        return None
    status = {
        **view.status,
        "state": looked.standing.state if looked.standing else view.state,
        "display": _display(view, looked.commit or view.commit, run, ctx),
    }
    if looked.commit and not view.commit:
        status["commit"] = looked.commit
    mirrored = await mirror_intent(view, ctx)
    if not mirrored:  # then this generation is not dealt with yet
        meta = {**meta, "generation": int(view.status.get("observedGeneration", 0))}
    conditions = looked.standing.conditions if looked.standing else ()
    written = await write_status(ctx, CHECKPOINTS, meta, view.status, status, conditions)
    if written and looked.standing is not None and looked.standing.state != view.state:
        await _tell(view, looked.standing, ctx)
    settled = looked.standing is None or looked.standing.settled or not view.commit
    return None if settled and mirrored else LOOK_AGAIN_SECONDS


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look came to."""

    standing: Standing | None
    """None: as it stands"""
    commit: JsonObject | None = None
    """found in the bucket, for a pod that could not write it"""


async def _look(view: CheckpointView, run: JsonObject | None, ctx: Context) -> Looked:
    """A checkpoint that is committed, or that nobody will commit any more."""
    if not view.store:
        return Looked(without_store() if view.commit else failed("its pod ended before it was committed"))
    if view.state in SETTLED and not (told_corrupt(view, run) and view.state != "Corrupt"):
        return Looked(None)
    if view.state == "Failed" and not view.commit:
        return Looked(None)
    try:
        catalog = await ctx.buckets.of(view.namespace, view.store)
        finding: Finding = await asyncio.to_thread(
            verify_sizes, catalog, view.ref, digest=str(view.commit.get("manifestDigest", ""))
        )
    except (ClusterUnreachableError, ObjectChangedError):
        raise
    except TrainpointError as error:
        if not view.commit:
            raise
        return Looked(not_looked_at(reasons.STORE_NOT_READY, f"{error.message}; {error.remedy}".rstrip("; ")))
    if view.commit:
        if finding.result == "Corrupt":
            ctx.metrics.found_corrupt()
            if finding.reason != reasons.MARKED_CORRUPT:  # so that no policy chooses it again, on a laptop either
                await asyncio.to_thread(catalog.mark_corrupt, view.ref.task, view.ref.id, finding.message)
        return Looked(found(finding))
    if finding.manifest is None:
        return Looked(failed("its pod ended before it was committed"))
    return Looked(found(finding), commit_of(finding.manifest))


def writer_is_gone(view: CheckpointView, run: JsonObject | None, ctx: Context) -> bool:
    """Is its attempt over, so that nobody will commit it?"""
    if run is None:
        pods = ctx.caches.pods.by("uid", view.pod_uid) if view.pod_uid else []
        return not any(not pod.over for pod in pods)
    status = run.get("status", {})
    if status.get("claim", {}).get("attempt", -1) > view.attempt:
        return True
    return any(a["attempt"] == view.attempt and "result" in a for a in status.get("attempts", ()))


def told_corrupt(view: CheckpointView, run: JsonObject | None) -> bool:
    """Has the newest attempt passed it over as damaged?"""
    loaded = (run or {}).get("status", {}).get("claim", {}).get("loaded", {})
    return any(
        s["checkpoint"] == view.name and s["reason"] in (reasons.CORRUPT, reasons.UNREADABLE)
        for s in loaded.get("skipped", ())
    )


async def _with_finalizer(view: CheckpointView, ctx: Context) -> JsonObject | None:
    """Its metadata, with our finalizer on it where its store is known; None where it is gone meanwhile."""
    known = view.store and ctx.caches.stores.get(view.namespace, view.store) is not None
    if DATA_FINALIZER in view.finalizers or not known:
        return view.meta
    body = {"metadata": {"resourceVersion": view.version, "finalizers": [*view.finalizers, DATA_FINALIZER]}}
    patched = await ctx.kube.patch(CHECKPOINTS, view.namespace, view.name, body)
    return None if patched is None else dict(patched["metadata"])


def _display(view: CheckpointView, commit: JsonObject, run: JsonObject | None, ctx: Context) -> JsonObject | None:
    policy = policy_of(run, view.namespace, ctx)
    shown = {
        "metric": metric_text(dict(view.metrics), policy.settings.metric.name),
        "size": size_text(int(commit["sizeBytes"])) if commit else "",
    }
    return {name: text for name, text in shown.items() if text} or None


async def _tell(view: CheckpointView, standing: Standing, ctx: Context) -> None:
    """Events for what a person wants to know; a good checkpoint is no news."""
    reason = _EVENTS.get(standing.state)
    if reason is None:
        return
    ready = next(c for c in standing.conditions if c.type == "Ready")
    about = CHECKPOINTS.typed({"metadata": view.meta})
    await ctx.events.event(about, reason, ready.message, warning=standing.state != "Superseded", action="Verify")
    logger.info(
        "key=%s/%s event=%s reason=%s %s",
        view.namespace,
        view.name,
        standing.state.lower(),
        ready.reason,
        ready.message,
    )
