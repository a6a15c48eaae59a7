"""Older checkpoints of an app are deleted, as if a person did it: their objects first, and thereby all the rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from trainpoint.api import reasons
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog.marks import read_pin
from trainpoint.errors import (
    ClusterPermissionError,
    ClusterUnreachableError,
    ObjectChangedError,
    TrainpointError,
)
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
STORE_AWAY_SECONDS: Final = 30.0
REFUSED_SECONDS: Final = 300.0
REFUSALS: Final = 3
"""So many, and it does not ask for the others."""


async def delete_older_files(
    run: JsonObject, checkpoints: Sequence[CheckpointView], policy: RunPolicy, ctx: Context, *, over: bool
) -> float | None:
    """Begin the deletion of what the rule lets go; seconds until the next look, if there is more.

    A deletionTimestamp is all that is written: ``reconcile.deletion`` does the rest, also after a restart.

    Args:
        run: with its status as it has just been written.
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
    runs = [
        one for one in ctx.caches.runs.all(found[0].namespace) if one["metadata"]["name"] != run["metadata"]["name"]
    ]
    names = needed([run, *runs], ctx.caches.jobs.all(found[0].namespace))
    going = [one for one in found if not is_needed(one, names)]
    if not going or (not over and len(going) < BATCH):
        return None
    return await _delete_all(going, ctx)


async def _delete_all(going: Sequence[CheckpointView], ctx: Context) -> float | None:
    """As many as are due in one go; seconds until the next look, if it has to be sooner than the next list."""
    begun = refused = 0
    changed: ObjectChangedError | None = None
    for one in going:
        if begun >= MOST:
            return AGAIN_SECONDS
        try:
            begun += await _delete(one, ctx)
        except ClusterUnreachableError:
            raise
        except ObjectChangedError as error:
            changed = error  # pinned, perhaps: it is looked at again as it is now
        except ClusterPermissionError as error:  # our roles are of an earlier version, or somebody guards this one
            logger.warning("key=%s/%s event=older-file-stays error=%s", one.namespace, one.name, error.message)
            refused += 1
            if refused >= REFUSALS:
                return REFUSED_SECONDS
        except TrainpointError as error:
            logger.warning("key=%s/%s event=older-files-stay error=%s", one.namespace, one.name, error.message)
            return STORE_AWAY_SECONDS
    if changed is not None:
        raise changed
    return REFUSED_SECONDS if refused else None


async def _delete(one: CheckpointView, ctx: Context) -> bool:
    """Whether its deletion has begun."""
    catalog = await ctx.buckets.of(one.namespace, one.store)
    if await asyncio.to_thread(read_pin, catalog.store, one.ref.task, one.ref.id) is not None:
        return False  # pinned from where no cluster is at hand
    ctx.must_lead()
    await ctx.kube.delete(CHECKPOINTS, one.namespace, one.name, uid=one.uid, version=one.version)
    logger.info("key=%s/%s event=deleting reason=older-file", one.namespace, one.name)
    return True
