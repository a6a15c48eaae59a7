"""The parts of a run's status that follow from its checkpoints. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from trainpoint.api import reasons
from trainpoint.format.digest import JsonObject
from trainpoint.policies.load import LoadPolicy
from trainpoint.policies.request import Request
from trainpoint.policies.resume import Candidate, Forecast, Rollback, forecast
from trainpoint_operator.views import CheckpointView, moment


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a run's checkpoints come to."""

    latest: JsonObject | None
    best: JsonObject | None
    last_save: str | None
    resume: Forecast


def chosen(
    checkpoints: Iterable[CheckpointView],
    claim: JsonObject,
    *,
    default: LoadPolicy | None,
    metric: str,
    highest: bool,
    request: Request | None = None,
    attempts: Sequence[JsonObject] = (),
) -> Chosen:
    """Latest, best, last save, and what the next attempt would load.

    Args:
        default: the policy's load policy, for a run that no attempt has started yet.
        metric: name of the policy's metric; empty for none.
        request: ``spec.resumeFrom``, as it concerns this task.
        attempts: ``status.attempts``.
    """
    newest_first = sorted(checkpoints, key=lambda c: c.ref.id, reverse=True)
    good = [c for c in newest_first if c.good]
    eligible = [c for c in good if c.latest]
    bad_above = [
        c
        for c in newest_first
        if c.latest
        and c.state in ("Corrupt", "Superseded", "Quarantined")
        and (not eligible or c.ref.id > eligible[0].ref.id)
    ]
    loaded = claim.get("loaded", {})
    first = (
        Candidate(loaded["checkpoint"], loaded.get("step"), True) if loaded.get("reason") in _OF_ANOTHER_RUN else None
    )
    back = _rollback(loaded, attempts)
    since = [c for c in eligible if back is None or c.ref.id.attempt >= back.since]
    saved = [c for c in newest_first if c.commit]
    return Chosen(
        latest=_pointer(since[0]) if since else _loaded(back),
        best=_best(good, metric, highest) if metric else None,
        last_save=max((str(c.commit["time"]) for c in saved), key=_moment, default=None),
        resume=forecast(
            _policy(loaded, default),
            [Candidate(c.name, c.step, c.state == "Verified", c.ref.id.attempt) for c in eligible],
            first=first,
            decided=bool(loaded),
            newer_bad=len(bad_above),
            request=_in_force(loaded, request, back),
            rollback=back,
        ),
    )


_OF_ANOTHER_RUN: Final = (reasons.NEWEST_OF_EARLIER_RUN, reasons.SAME_AS_FIRST_ATTEMPT)
"""Why an eager attempt started from a checkpoint that is not its own run's."""


_FOLLOWS_A_REQUEST: Final = (reasons.REQUESTED, reasons.SINCE_REQUEST, reasons.SAME_AS_REQUESTED)


def _rollback(loaded: JsonObject, attempts: Sequence[JsonObject]) -> Rollback | None:
    """The last resume request that was followed, as far as the newest attempt and those before it tell."""
    request, since = str(loaded.get("request", "")), int(loaded.get("since", 0))
    if not request and not since and loaded.get("reason") not in _FOLLOWS_A_REQUEST:
        return None
    if loaded.get("reason") not in (reasons.SINCE_REQUEST, reasons.PROGRAM_CHOOSES):
        name, step = loaded.get("checkpoint"), loaded.get("step")
    else:
        first: JsonObject = next((entry for entry in attempts if entry["attempt"] == since), {})
        name, step = first.get("loaded"), first.get("fromStep")
    is_file = loaded.get("reason") == reasons.REQUESTED and not name
    return Rollback(request, since, Candidate(name, step, True) if name else None, is_file)


def _in_force(loaded: JsonObject, request: Request | None, back: Rollback | None) -> Request | None:
    """What the program or its pod asks for goes before ``spec.resumeFrom``; the next attempt is likely to ask too."""
    if back is not None and back.request and loaded.get("requestBy", "Run") != "Run":
        return Request(back.request, "Environment", "Run")  # followed already: what kind it is does not matter
    return request


def _loaded(back: Rollback | None) -> JsonObject | None:
    if back is None or back.chosen is None:
        return None
    return {"checkpoint": back.chosen.name} | ({} if back.chosen.step is None else {"step": back.chosen.step})


def _policy(loaded: JsonObject, default: LoadPolicy | None) -> LoadPolicy:
    match loaded.get("policy"):
        case "Eager":
            return "eager"
        case "None":
            return "none"
        case "Fresh":
            return "fresh"
    return default or "fresh"


def _moment(time: str) -> datetime:
    return moment(time) or datetime.min.replace(tzinfo=UTC)


def _pointer(one: CheckpointView) -> JsonObject:
    return {"checkpoint": one.name} | ({} if one.step is None else {"step": one.step})


def _best(good: Sequence[CheckpointView], metric: str, highest: bool) -> JsonObject | None:
    """By value; ties go to the newer one, NaN and infinities never win."""
    ranked = [(value, c) for c in reversed(good) if (value := _number(c.metrics.get(metric))) is not None]
    if not ranked:
        return None
    value, one = max(ranked, key=lambda pair: (pair[0] if highest else -pair[0], pair[1].ref.id))
    return {**_pointer(one), "metric": metric, "value": one.metrics[metric]}


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def best_text(best: JsonObject | None) -> str:
    """For the column BEST: ``0.031 (8100)``."""
    if best is None:
        return ""
    step = f" ({best['step']})" if "step" in best else ""
    return f"{float(best['value']):.4g}{step}"
