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
from trainpoint_operator.engine.answers import RuleObjectsError
from trainpoint_operator.engine.resources import CHECKPOINTS, JOBS, RUNS
from trainpoint_operator.reconcile.policies import RunPolicy
from trainpoint_operator.views import CheckpointView, JobView

logger = logging.getLogger(__name__)

MOST: Final = 50
"""in one go; then other runs have their turn"""
AGAIN_SECONDS: Final = 1.0
STORE_AWAY_SECONDS: Final = 30.0
SPARED_SECONDS: Final = 900.0
SPARED: Final = 10_000
"""Remembered at once."""


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
    if not _are_enough(found, over):
        return None
    if rule is None:
        text = f"older checkpoints of the app stay: {policy.unknown}"
        await ctx.events.event(RUNS.typed(run), reasons.OLDER_FILES_STAY, text, warning=True, action="Delete")
        return None
    now, own = ctx.clock.monotonic(), needed([run], ())
    going = [one for one in found if ctx.spared.get(one.uid, 0.0) <= now and not is_needed(one, own)]
    if not _are_enough(going, over):
        return None
    going = await _unneeded(going, run, ctx)
    return await _delete_all(going, ctx) if _are_enough(going, over) else None


def _are_enough(going: Sequence[CheckpointView], over: bool) -> bool:
    return len(going) >= (1 if over else BATCH)


async def _unneeded(going: Sequence[CheckpointView], run: JsonObject, ctx: Context) -> list[CheckpointView]:
    """Those that nobody else needs. By the caches first; then by the API server, since a watch may be late."""
    namespace, name = run["metadata"]["namespace"], run["metadata"]["name"]
    others = [one for one in ctx.caches.runs.all(namespace) if one["metadata"]["name"] != name]
    names = needed(others, ctx.caches.jobs.all(namespace))
    left = [one for one in going if not is_needed(one, names)]
    if left:
        runs = (await ctx.kube.list(RUNS, namespace)).items
        jobs = [JobView.of(one) for one in (await ctx.kube.list(JOBS, namespace)).items]
        names = needed(runs, jobs)
    return [one for one in left if not is_needed(one, names)]


async def _delete_all(going: Sequence[CheckpointView], ctx: Context) -> float | None:
    """As many as are due in one go; seconds until the next look, if it has to be sooner than the next list."""
    changed: ObjectChangedError | None = None
    for one in going[:MOST]:
        try:
            if not await _delete(one, ctx):
                _spare(one, ctx)
        except (ClusterPermissionError, RuleObjectsError) as error:  # our roles are older, or somebody guards this one
            _spare(one, ctx)
            logger.warning("key=%s/%s event=older-file-stays error=%s", one.namespace, one.name, error.message)
        except ClusterUnreachableError:
            raise
        except ObjectChangedError as error:
            changed = error  # pinned, perhaps: it is looked at again as it is now
        except TrainpointError as error:
            logger.warning("key=%s/%s event=older-files-stay error=%s", one.namespace, one.name, error.message)
            return STORE_AWAY_SECONDS
    if changed is not None:
        raise changed
    return AGAIN_SECONDS if len(going) > MOST else None


def _spare(one: CheckpointView, ctx: Context) -> None:
    """Not tried again for a while, so that a save each second does not ask each second."""
    if len(ctx.spared) >= SPARED:
        ctx.spared.clear()
    ctx.spared[one.uid] = ctx.clock.monotonic() + SPARED_SECONDS


async def _delete(one: CheckpointView, ctx: Context) -> bool:
    """Whether its deletion has begun."""
    catalog = await ctx.buckets.of(one.namespace, one.store)
    if await asyncio.to_thread(read_pin, catalog.store, one.ref.task, one.ref.id) is not None:
        return False  # pinned from where no cluster is at hand
    ctx.must_lead()
    await ctx.kube.delete(CHECKPOINTS, one.namespace, one.name, uid=one.uid, version=one.version)
    logger.info("key=%s/%s event=deleting reason=older-file", one.namespace, one.name)
    return True
