"""Older checkpoints of an app are deleted, as if a person did it: their objects first, and thereby all the rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from trainpoint.api import reasons
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog.marks import read_pin
from trainpoint.errors import ClusterUnreachableError, ObjectChangedError, TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint.policies.settings import AppFileSettings
from trainpoint_operator.context import Context
from trainpoint_operator.decisions.app_files import BATCH, by_rule, is_needed, needed
from trainpoint_operator.engine.resources import CHECKPOINTS, RUNS
from trainpoint_operator.reconcile.policies import RunPolicy
from trainpoint_operator.views import CheckpointView

logger = logging.getLogger(__name__)

MOST: Final = 50
"""in one go; then other runs have their turn"""
AGAIN_SECONDS: Final = 1.0
REFUSED_SECONDS: Final = 300.0


async def delete_older_files(
    run: JsonObject, checkpoints: Sequence[CheckpointView], policy: RunPolicy, ctx: Context, *, over: bool
) -> float | None:
    """Begin the deletion of what the rule lets go; seconds until the next look, if there is more.

    A deletionTimestamp is all that is written: ``reconcile.deletion`` does the rest, also after a restart.

    Args:
        checkpoints: all of the run's.
        policy: where it is not known what it says, all of them stay, and that is told.
        over: the app has ended, so that the last of them go too.
    """
    rule = policy.app_files
    going = by_rule(checkpoints, rule or AppFileSettings())
    found = [one for one in going if DATA_FINALIZER in one.finalizers]  # else the bytes would stay
    if not found or (not over and len(found) < BATCH):
        return None
    if rule is None:
        text = f"older checkpoints of the app stay: {policy.unknown}"
        await ctx.events.event(RUNS.typed(run), reasons.OLDER_FILES_STAY, text, warning=True, action="Delete")
        return None
    namespace = found[0].namespace
    names = needed(ctx.caches.runs.all(namespace), ctx.caches.jobs.all(namespace))
    going = [one for one in found if not is_needed(one, names)]
    if not going or (not over and len(going) < BATCH):
        return None
    changed = 0
    for one in going[:MOST]:
        try:
            await _delete(one, ctx)
        except ClusterUnreachableError:
            raise
        except ObjectChangedError:
            changed += 1  # pinned, perhaps: it is looked at again as it is now
        except TrainpointError as error:
            # Roles of an earlier version, or it was pinned just now; or the store is away.
            logger.warning("key=%s/%s event=older-files-stay error=%s", namespace, one.name, error.message)
            return REFUSED_SECONDS
    return AGAIN_SECONDS if changed or len(going) > MOST else None


async def _delete(one: CheckpointView, ctx: Context) -> None:
    catalog = await ctx.buckets.of(one.namespace, one.store)
    if await asyncio.to_thread(read_pin, catalog.store, one.ref.task, one.ref.id) is not None:
        return  # pinned from where no cluster is at hand
    ctx.must_lead()
    await ctx.kube.delete(CHECKPOINTS, one.namespace, one.name, uid=one.uid, version=one.version)
    logger.info("key=%s/%s event=deleting reason=older-file", one.namespace, one.name)
