"""``status.attempts`` and ``status.retries`` of a run: what each attempt did, and what it has cost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trainpoint.api import reasons
from trainpoint.errors import EXIT_PREEMPTED, EXIT_REFUSED
from trainpoint.format.digest import JsonObject
from trainpoint.policies.retry import AttemptView, is_charged, ledger
from trainpoint_operator.decisions.endings import Ending
from trainpoint_operator.views import CheckpointView, PodView, moment

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
    """failures since the last progress, as far as the list goes back"""
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
    entries = entries[-KEPT:]
    ended = []
    for entry in entries:
        if claim and entry["attempt"] == claim["attempt"]:
            entry.update(_begun(claim))
        _note_progress(entry, reached.get(int(entry["attempt"])))
        if "result" not in entry and (end := ending_of(entry)) is not None:
            entry.update(_ended(end))
            _note_loss(entry, claim)
            ended.append(entry)
    over = [entry for entry in entries if "result" in entry]
    history = [*_before(entries, reached), *(_view(entry, reached) for entry in over)]
    for number, entry in enumerate(over, start=len(history) - len(over) + 1):
        entry["charged"] = is_charged(history[:number])
    return Account(
        attempts=tuple(entries),
        ended=tuple(ended),
        active=bool(entries) and "result" not in entries[-1],
        charged=ledger(history).charged,
        free=sum(not entry["charged"] and entry["result"] != "Completed" for entry in over),
        start_failures=start_failures,
    )


def start_failures(pods: Iterable[PodView], known: Sequence[JsonObject], claim: JsonObject) -> int:
    """Pods that failed after the newest attempt's and never claimed.

    Args:
        pods: those that may claim this run (``run_state.pods_of_task``), not the other ranks or indexes of its Job.
    """
    claimed = {str(entry.get("podUID", "")) for entry in known} | {str(claim.get("holder", {}).get("uid", ""))}
    begun = str(claim.get("time", ""))
    return sum(
        pod.phase == "Failed"
        and not (pod.disruption or pod.deletion or pod.reason)  # by its program, not from outside
        and pod.uid not in claimed
        and _ended_after(pod, begun)
        for pod in pods
    )


def _ended_after(pod: PodView, time: str) -> bool:
    since = moment(time)
    ends = [end.finished for end in pod.ends if end.finished is not None]
    return since is None or not ends or max(ends) >= since


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
    """What it committed, which may become known after its end; never less than was known."""
    if reached is None or reached.step is None:
        return
    before = _saved(entry)
    entry["toStep"] = max(reached.step, entry.get("toStep", 0))
    if "lostSteps" in entry:
        entry["lostSteps"] = max(0, entry["lostSteps"] - max(0, _saved(entry) - before))


def _saved(entry: JsonObject) -> int:
    """The step that its work is saved up to."""
    return int(entry.get("toStep", entry.get("fromStep")) or 0)


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


def _note_loss(entry: JsonObject, claim: JsonObject) -> None:
    """Steps that no checkpoint holds; nothing where the attempt did not say how far it was."""
    last = claim.get("end", {}).get("lastStep") if entry.get("nonce") == claim.get("nonce") else None
    if last is not None:
        entry["lostSteps"] = max(0, int(last) - _saved(entry))


def _before(entries: Sequence[JsonObject], reached: Mapping[int, Reached]) -> list[AttemptView]:
    """What is left of the attempts before those that are listed: the highest step that they committed."""
    first = min((int(entry["attempt"]) for entry in entries), default=0)
    steps = [one.step for attempt, one in reached.items() if attempt < first and one.step is not None]
    return [AttemptView(number=first - 1, exit_code=0, to_step=max(steps), commits=1)] if steps else []


def _view(entry: JsonObject, reached: Mapping[int, Reached]) -> AttemptView:
    mine = reached.get(int(entry["attempt"]), Reached(None, 0))
    to_step = entry.get("toStep")
    result = entry["result"]
    code = int(entry.get("exitCode", {"Completed": 0, "Refused": EXIT_REFUSED}.get(result, 1)))
    if result == "Failed" and code == EXIT_PREEMPTED:
        code = 1  # SIGTERM, but not from outside: of its own deadline
    # Progress is not taken back when its checkpoints are deleted; where steps are not given, nothing else tells of it.
    once = result == "Failed" and entry.get("charged") is False and entry["reason"] != reasons.SUPERSEDED
    return AttemptView(
        number=int(entry["attempt"]),
        exit_code=code,
        disrupted=result in ("Disrupted", "Unknown"),
        loaded=str(entry.get("loaded", "")),
        from_step=entry.get("fromStep"),
        to_step=to_step,
        commits=max(mine.commits, int(to_step is not None or once)),
    )
