"""``status.attempts`` and ``status.retries`` of a run: what each attempt did, and what it has cost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trainpoint.format.digest import JsonObject
from trainpoint.policies.retry import AttemptView, is_charged, ledger
from trainpoint_operator.decisions.endings import Ending
from trainpoint_operator.views import CheckpointView

KEPT: Final = 10
MESSAGE_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class Account:
    """The attempts of a run, and what they come to."""

    attempts: tuple[JsonObject, ...]
    """as in ``status.attempts``, oldest first"""
    ended: tuple[JsonObject, ...]
    """those of them that are seen to have ended now"""
    active: bool
    """the newest one goes on"""
    charged: int
    free: int
    start_failures: int


def account(
    known: Sequence[JsonObject],
    claim: JsonObject,
    checkpoints: Iterable[CheckpointView],
    *,
    ending_of: Callable[[JsonObject], Ending | None],
    start_failures: int,
) -> Account:
    """Bring ``status.attempts`` up to date.

    Args:
        known: the list as it stands.
        claim: ``status.claim``; empty where there was none.
        ending_of: how the attempt of an entry ended; None while it goes on.
        start_failures: pods that ended since the newest claim without a claim of their own.
    """
    reached = _reached(checkpoints)
    entries = [dict(entry) for entry in known]
    if claim and not any(entry.get("nonce") == claim["nonce"] for entry in entries):
        entries.append({"attempt": claim["attempt"]})
    ended = []
    for entry in entries:
        if claim and entry["attempt"] == claim["attempt"]:
            entry.update(_begun(claim))
        _note_progress(entry, reached.get(int(entry["attempt"])))
        if "result" not in entry and (end := ending_of(entry)) is not None:
            entry.update(_ended(end))
            lost = _lost(entry, claim)
            if lost is not None:
                entry["lostSteps"] = lost
            ended.append(entry)
    entries = entries[-KEPT:]
    history = tuple(_view(entry, reached) for entry in entries if "result" in entry)
    for number, entry in enumerate(e for e in entries if "result" in e):
        entry["charged"] = is_charged(history[: number + 1])
    charged = ledger(history).charged
    return Account(
        attempts=tuple(entries),
        ended=tuple(ended),
        active=bool(entries) and "result" not in entries[-1],
        charged=charged,
        free=sum(not entry["charged"] and entry["result"] != "Completed" for entry in entries if "result" in entry),
        start_failures=start_failures,
    )


@dataclass(frozen=True, slots=True)
class Reached:
    """What one attempt has committed."""

    step: int | None
    commits: int


def _reached(checkpoints: Iterable[CheckpointView]) -> Mapping[int, Reached]:
    found: dict[int, Reached] = {}
    for one in checkpoints:
        if not one.commit or one.state in ("Corrupt", "Superseded", "Quarantined"):
            continue
        before = found.get(one.attempt, Reached(None, 0))
        steps = [step for step in (before.step, one.step) if step is not None]
        found[one.attempt] = Reached(max(steps, default=None), before.commits + 1)
    return found


def _begun(claim: JsonObject) -> JsonObject:
    """What a claim says of its attempt's start."""
    holder, loaded = claim["holder"], claim.get("loaded", {})
    found = {
        "attempt": claim["attempt"],
        "nonce": claim["nonce"],
        "podName": holder.get("name"),
        "podUID": holder.get("uid"),
        "nodeName": holder.get("nodeName"),
        "startTime": claim["time"],
        "loaded": loaded.get("checkpoint"),
        "fromStep": loaded.get("step"),
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _note_progress(entry: JsonObject, reached: Reached | None) -> None:
    if reached is not None and reached.step is not None:
        entry["toStep"] = max(reached.step, entry.get("toStep", 0))


def _ended(end: Ending) -> JsonObject:
    found: JsonObject = {
        "result": end.result,
        "reason": end.reason,
        "message": end.message[:MESSAGE_LIMIT],
        "endTime": end.time,
    }
    if end.exit_code is not None:
        found["exitCode"] = end.exit_code
    return found


def _lost(entry: JsonObject, claim: JsonObject) -> int | None:
    """Steps that no checkpoint holds; None where the attempt did not say how far it was."""
    if entry.get("nonce") != claim.get("nonce"):
        return None
    last = claim.get("end", {}).get("lastStep")
    saved = int(entry.get("toStep") or entry.get("fromStep") or 0)
    return None if last is None else max(0, int(last) - saved)


def _view(entry: JsonObject, reached: Mapping[int, Reached]) -> AttemptView:
    mine = reached.get(int(entry["attempt"]), Reached(None, 0))
    to_step = entry.get("toStep")
    return AttemptView(
        number=int(entry["attempt"]),
        exit_code=int(entry.get("exitCode", 0 if entry["result"] == "Completed" else 1)),
        disrupted=entry["result"] in ("Disrupted", "Unknown"),
        loaded=str(entry.get("loaded", "")),
        from_step=entry.get("fromStep"),
        to_step=to_step,
        commits=max(mine.commits, int(to_step is not None)),
    )
