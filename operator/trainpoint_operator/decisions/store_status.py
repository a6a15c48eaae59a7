"""What a CheckpointStore's status says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from trainpoint.api import reasons
from trainpoint.format.digest import JsonObject
from trainpoint_operator.conditions import Condition, size_text
from trainpoint_operator.decisions.store_health import Health, Seen, Watched
from trainpoint_operator.views import CheckpointView, moment

PROBE_TIME_EVERY: Final = timedelta(minutes=5)
"""How old ``lastProbeTime`` may grow where there is nothing else to write."""


def health_before(store: JsonObject) -> Health:
    """What the object itself says, for an operator that has just started."""
    ready = ready_of(store)
    return Health(ready.get("status") == "True", ready.get("reason", ""), ready.get("message", ""))


def ready_of(store: JsonObject) -> JsonObject:
    """The condition Ready; empty where there is none yet."""
    conditions: Sequence[JsonObject] = store.get("status", {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == "Ready"), {})


def conditions_of(health: Health, checkpoints: int, *, going: bool) -> list[Condition]:
    """The conditions, as they should be.

    Args:
        going: the object is to be deleted, and cannot be yet.
    """
    ready = Condition("Ready", "True" if health.ready else "False", health.reason, health.message)
    if not going:
        return [ready]
    message = (
        f"{checkpoints} Checkpoint objects name this store: delete them, which deletes their bytes, or give them "
        "spec.deletionPolicy: Retain before; then it goes by itself"
    )
    return [ready, Condition("DeletionBlocked", "True", reasons.CHECKPOINTS_REMAIN, message)]


def status_of(
    store: JsonObject,
    watched: Watched,
    views: Sequence[CheckpointView],
    *,
    probed: bool,
    going: bool,
    now: datetime,
) -> tuple[JsonObject, list[Condition]]:
    """The status, and its conditions.

    Args:
        probed: a probe was made just now.
        views: the Checkpoint objects that name the store.
    """
    old: JsonObject = store.get("status", {})
    size = sum(view.stored_bytes for view in views)
    new: JsonObject = {
        **old,
        **_seen(watched.seen, old),
        "checkpoints": len(views),
        "storedBytes": size,
        "display": {**old.get("display", {}), "stored": size_text(size)},
    }
    conditions = conditions_of(watched.health, len(views), going=going)
    if probed:
        last = moment(old.get("lastProbeTime"))
        if last is None or now - last >= PROBE_TIME_EVERY or new != old or _differ(store, conditions):
            new["lastProbeTime"] = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    return new, conditions


def _seen(seen: Seen | None, old: JsonObject) -> JsonObject:
    if seen is None:
        return {}
    found = {
        "conditionalWrites": seen.capabilities.conditional_writes,
        "versioning": seen.capabilities.versioning,
        "objectLock": seen.capabilities.object_lock,
    }
    return {
        "storeID": old.get("storeID") or seen.store_id,  # never another one: that is StoreReplaced
        **({"server": seen.server} if seen.server else {}),
        "capabilities": {name: value for name, value in found.items() if value is not None},
    }


def _differ(store: JsonObject, conditions: Sequence[Condition]) -> bool:
    there = {c["type"]: (c["status"], c["reason"]) for c in store.get("status", {}).get("conditions") or ()}
    return any(there.get(c.type) != (c.status, c.reason) for c in conditions)
