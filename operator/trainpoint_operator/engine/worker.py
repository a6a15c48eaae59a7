"""Takes keys from the queue and has them reconciled; whatever a reconciler raises, the next key is taken."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import aiohttp

from trainpoint.errors import ObjectChangedError, TrainpointError
from trainpoint_operator.engine.answers import RuleObjectsError
from trainpoint_operator.engine.kube import ThrottledError
from trainpoint_operator.engine.lease import NotLeadingError
from trainpoint_operator.engine.queue import BACKOFF_LIMIT_SECONDS, Queue
from trainpoint_operator.engine.resources import Key

logger = logging.getLogger(__name__)

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Looks at one object and does what is to be done; returns the seconds until the next look, None: only when something
changes."""

QUIET_CONFLICTS: Final = 3
"""So often in a row an object may have changed under a reconciler before the log says so."""
CONFLICT_LIMIT_SECONDS: Final = 10.0
LEADERSHIP_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 900.0
"""A reconciler that takes longer is cut off: its key would never be looked at again."""


async def work(
    queue: Queue,
    reconcilers: Mapping[str, Reconcile],
    *,
    workers: int,
    leads: Callable[[], bool],
    observe: Callable[[str, str, float], None] = lambda kind, result, seconds: None,
    longest_seconds: float = LONGEST_SECONDS,
) -> None:
    """Until cancelled, with so many keys at a time.

    Args:
        reconcilers: by the kind of the key.
        leads: nothing is taken from the queue while it is False.
        observe: told of each reconciliation: kind, result (``ok``, ``conflict``, ``error`` or ``bug``), seconds.
    """
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            worker = _work(queue, reconcilers, leads, observe, longest_seconds)
            group.create_task(worker, name=f"worker {number}")


async def _work(
    queue: Queue,
    reconcilers: Mapping[str, Reconcile],
    leads: Callable[[], bool],
    observe: Callable[[str, str, float], None],
    longest_seconds: float,
) -> None:
    while True:
        if not leads():
            await asyncio.sleep(LEADERSHIP_SECONDS)
            continue
        key = await queue.get()
        if not leads():  # lost while waiting
            queue.give_back(key)
            continue
        started = time.perf_counter()
        try:
            result = await _one(queue, key, reconcilers.get(key.kind), longest_seconds)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                queue.give_back(key)
                raise
            # Not this worker was cancelled but something within the reconciler, which let it through.
            logger.error("key=%s event=failed again=%.1fs error=cancelled", key, queue.failed(key))
            result = "bug"
        observe(key.kind, result, time.perf_counter() - started)


async def _one(queue: Queue, key: Key, reconcile: Reconcile | None, longest_seconds: float) -> str:
    """Reconcile one key and answer the queue; returns the result."""
    if reconcile is None:
        logger.error("key=%s event=no-reconciler", key)
        queue.done(key)
        return "bug"
    try:
        async with asyncio.timeout(longest_seconds) as limit:
            after = await reconcile(key)
    except NotLeadingError as error:
        logger.warning("key=%s event=left-alone error=%s", key, error)
        queue.give_back(key)  # nothing is taken before this replica leads again; if it never does, another one looks
        return "conflict"
    except ObjectChangedError as error:
        # Somebody wrote between our reading and our writing. To read again is all it takes, once the watch has told it.
        lasting = isinstance(error, RuleObjectsError)
        delay = queue.failed(key, at_most=BACKOFF_LIMIT_SECONDS if lasting else CONFLICT_LIMIT_SECONDS)
        if queue.failures(key) > QUIET_CONFLICTS:
            logger.warning("key=%s event=conflict again=%.1fs error=%s", key, delay, error.message)
        return "conflict"
    except TrainpointError as error:
        delay = queue.failed(key, error.seconds if isinstance(error, ThrottledError) else 0.0)
        logger.warning("key=%s event=failed again=%.1fs error=%s", key, delay, error.message)
        return "error"
    except aiohttp.ClientError as error:
        logger.warning("key=%s event=failed again=%.1fs error=%r", key, queue.failed(key), error)
        return "error"
    except TimeoutError as error:
        if limit.expired():
            logger.error("key=%s event=cut-off again=%.1fs after=%.0fs", key, queue.failed(key), longest_seconds)
        else:
            logger.warning("key=%s event=failed again=%.1fs error=%r", key, queue.failed(key), error)
        return "error"
    except Exception:
        logger.exception("key=%s event=failed again=%.1fs", key, queue.failed(key))
        return "bug"
    queue.done(key)
    if after is not None:
        queue.add(key, max(after, 0.0))
    return "ok"
