"""What people want for a checkpoint, copied from its object into the bucket, which is all that a laptop sees of it."""

from __future__ import annotations

import asyncio
import logging

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.marks import mirror_pin, record_metrics
from trainpoint.errors import (
    CheckpointNotFoundError,
    ClusterUnreachableError,
    CorruptRecordError,
    InvalidArgumentError,
    MetricRecordedError,
    TrainpointError,
)
from trainpoint.format.marks import number_text
from trainpoint_operator.context import Context
from trainpoint_operator.views import CheckpointView

logger = logging.getLogger(__name__)

_NEVER = (CheckpointNotFoundError, CorruptRecordError, MetricRecordedError, InvalidArgumentError)
"""What trying again would not change."""


async def mirror_intent(view: CheckpointView, ctx: Context) -> bool:
    """Bring pin and late metrics into the bucket, once for each change of the object; False: to be tried again."""
    wanted = view.pin is not None or bool(view.late_metrics)
    changed = view.generation > int(view.status.get("observedGeneration", 0)) and (wanted or view.generation > 1)
    if not changed or not view.store:
        return True
    if not view.commit:
        return not wanted  # there is nothing yet that the bucket could say it of
    try:
        catalog = await ctx.buckets.of(view.namespace, view.store)
        await asyncio.to_thread(_mirror, catalog, view)
    except ClusterUnreachableError:
        raise
    except TrainpointError as error:
        logger.warning("key=%s/%s event=intent-not-mirrored error=%s", view.namespace, view.name, error.message)
        return isinstance(error, _NEVER)
    return True


def _mirror(catalog: BucketCatalog, view: CheckpointView) -> None:
    mirror_pin(catalog, view.ref, view.pin)
    if view.late_metrics:
        by = "spec.lateMetrics of its object"
        texts = {name: number_text(float(text)) for name, text in view.late_metrics.items()}
        record_metrics(catalog, view.ref, texts, by=by)
