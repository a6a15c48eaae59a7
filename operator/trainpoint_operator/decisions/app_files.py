"""Which checkpoints of an app go by the rule for its files. Pure.

A training pod may not delete, so the operator applies the rule that an app elsewhere applies itself. Only what is known
to be good counts, and only that goes: what nobody has looked at yet takes nothing's place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from trainpoint.format.digest import JsonObject
from trainpoint.policies.app_files import SUFFIX, superfluous, timestamp_of
from trainpoint.policies.settings import AppFileSettings
from trainpoint_operator.views import CheckpointView, JobView

BATCH: Final = 10
"""While an app runs, so many go together: it may save every second, and each deletion wakes others."""


def by_rule(checkpoints: Iterable[CheckpointView], rule: AppFileSettings) -> list[CheckpointView]:
    """Those of one task that the rule lets go, oldest first; whether somebody needs them is not asked here."""
    counted: dict[int, list[CheckpointView]] = {}
    for one in checkpoints:
        at = timestamp_of(one.series)
        if at is not None and one.state == "Verified" and one.good and one.latest:
            counted.setdefault(at, []).append(one)
    going = [one for at in superfluous(counted, rule) for one in counted[at]]
    return [one for one in going if one.pin is None and not one.retain and one.store]


def was_superfluous(gone: CheckpointView, checkpoints: Iterable[CheckpointView], rule: AppFileSettings) -> bool:
    """Whether a checkpoint whose deletion has begun is one that the rule lets go."""
    at = timestamp_of(gone.series)
    others = (timestamp_of(one.series) for one in checkpoints if one.good)
    return at is not None and at in superfluous([at, *(other for other in others if other is not None)], rule)


def needed(runs: Iterable[JsonObject], jobs: Iterable[JobView]) -> frozenset[str]:
    """Names by which runs and Jobs of the namespace mean a checkpoint, whether one has that name or not.

    What an attempt has loaded, what the next one would load, what a run shows as its latest and best, what a person
    asks a run to start from, and what the pods of a Job that is not over are to start from.
    """
    found: set[object] = set()
    for run in runs:
        status = run.get("status", {})
        loaded = status.get("claim", {}).get("loaded", {})
        found.update((run["spec"].get("resumeFrom"), loaded.get("checkpoint")))
        found.update(str(loaded.get("request", "")).split()[:1])  # an app says behind it whose checkpoints it means
        found.update((status.get(part) or {}).get("checkpoint") for part in ("resume", "latest", "best"))
        found.update(attempt.get("loaded") for attempt in status.get("attempts", ()))
    for job in jobs:
        if not job.result:
            found.update(job.asks)
    return frozenset(text for one in found if one and (text := str(one).strip()))


def is_needed(one: CheckpointView, names: frozenset[str]) -> bool:
    """Whether one of these names means it: its own, its series', or its file's."""
    return not names.isdisjoint((one.name, one.series, one.series + SUFFIX))
