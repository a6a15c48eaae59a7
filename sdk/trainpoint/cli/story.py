"""What a run object tells, in lines: what each attempt did and cost, what decided, what would happen next. Pure.

The operator writes most of it. Where none runs, or it is behind, the newest claim tells, as the pod wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Final

from trainpoint.api import reasons
from trainpoint.catalog.base import GOOD, CheckpointInfo
from trainpoint.cli.words import age, next_start
from trainpoint.clock import parse_rfc3339
from trainpoint.format.digest import JsonObject

_OVER: Final = frozenset({"Succeeded", "Failed", "Exhausted", "Stopped"})
_GAP: Final = "  "


def story(
    run: JsonObject, checkpoints: Sequence[CheckpointInfo], *, now: datetime, zone: tzinfo | None = None
) -> list[str]:
    """The lines of one run.

    Args:
        checkpoints: of the run's task, newest first.
        zone: of the times that are shown; the machine's own by default.
    """
    return list(Story(run, checkpoints, now, zone).lines())


class Story:
    """What a run object and the checkpoints of its task tell."""

    def __init__(
        self, run: JsonObject, checkpoints: Sequence[CheckpointInfo], now: datetime, zone: tzinfo | None = None
    ) -> None:
        self.identity: JsonObject = run["spec"]["identity"]
        self.status: JsonObject = run.get("status", {})
        self.claim: JsonObject = self.status.get("claim", {})
        self.state: str = self.status.get("state", "")
        self.mine = [c for c in checkpoints if c.index == self.identity.get("index", "")]
        self.now, self.zone = now, zone
        self.attempts: list[JsonObject] = list(self.status.get("attempts", ()))
        if self.claim and not any(a.get("nonce") == self.claim["nonce"] for a in self.attempts):
            self.attempts.append(_unlisted(self.claim))  # nobody has looked since

    def lines(self) -> Iterator[str]:
        index = f"[{self.identity['index']}]" if self.identity.get("index") else ""
        yield f"run {self.identity['run']}, task {self.identity['task']}{index}    {self._now()}"
        if first := next((int(a["attempt"]) for a in self.attempts), 0):
            yield f"  … {first} earlier attempt{'s' if first > 1 else ''}"
        yield from _aligned([self._attempt(a, cost) for a, cost in zip(self.attempts, self._costs(), strict=True)])
        if self.claim:
            yield from self._newest()
        yield from self._waits()
        if self.attempts or self.status.get("resume"):
            yield self._next()

    # --- the title ----------------------------------------------------------------------------------------------------

    def _now(self) -> str:
        if not self.attempts:
            return "never claimed" if self.state in ("", "Pending") else self.state.lower()
        last = self.attempts[-1]
        step = self.status.get("latest", {}).get("step")
        reached = f", step {step}" if step is not None else ""
        if "result" not in last:
            return f"now: attempt {last['attempt']}, {self._open_end()}{reached}"
        return f"now: {self.state.lower() or 'waiting'} after attempt {last['attempt']}{reached}"

    def _open_end(self) -> str:
        """Of the newest attempt, where no operator has said how it ended."""
        if self.claim.get("refused"):
            return "refused"
        if self.claim.get("end"):
            return _said(self.claim["end"])
        return "running" if self.state == "Running" else "running, or ended without a word"

    # --- one line an attempt ------------------------------------------------------------------------------------------

    def _attempt(self, entry: JsonObject, cost: str) -> list[str]:
        since = self._clock(entry.get("startTime"))
        until = self._clock(entry.get("endTime"), since[:-8]) if "result" in entry else "now"
        how = f"{self.ending(entry)}{cost}"
        if "result" not in entry and entry is self.attempts[-1]:
            how = "" if self.state == "Running" and not self.claim.get("end") else how
            until = until if self.state == "Running" else ""
        lost = lost_steps(entry)
        return [
            f"attempt {entry['attempt']}",
            f"{since} → {until}".rstrip(" →"),
            self._span(entry),
            how,
            f"lost {lost} step{'s' if lost > 1 else ''}" if lost else "",
        ]

    def ending(self, entry: JsonObject) -> str:
        """How an attempt ended, or that it has not."""
        if "result" in entry:
            return _how(entry)
        if entry is self.attempts[-1]:
            return self._open_end()
        return "at work still, although a later attempt has taken over"

    def _span(self, entry: JsonObject) -> str:
        reached = self.reached(entry)
        counted = reached.endswith("saved") and reached[0].isdigit()  # there are no steps to tell
        return reached if counted else f"{entry.get('fromStep', 0)} → {reached}"

    def reached(self, entry: JsonObject) -> str:
        """The highest step that an attempt has saved: ``15``, ``nothing saved``; without steps, ``3 saved``."""
        if "toStep" in entry:
            return str(entry["toStep"])
        saved = [c for c in self.mine if c.attempt == entry["attempt"] and c.status in GOOD]
        steps = [c.step for c in saved if c.step is not None]
        return str(max(steps)) if steps else f"{len(saved) or 'nothing'} saved"

    def _costs(self) -> list[str]:
        """What each attempt cost, in words. Failures before the last progress have no number: they are made good."""
        retries = self.status.get("retries", {})
        number, limit = int(retries.get("charged", 0)), retries.get("limit")
        costs = []
        for entry in reversed(self.attempts):
            result, charged = entry.get("result"), entry.get("charged")
            if result in (None, "Completed", "Refused") or charged is None:
                costs.append("")
            elif charged:
                costs.append(f" (charged {number} of {limit})" if number else " (charged, and made good since)")
                number = max(0, number - 1)
            else:
                what = {"Disrupted": "disruption, ", "Failed": "progress, "}.get(str(result), "")
                costs.append(f" ({'' if entry.get('reason') == reasons.SUPERSEDED else what}free)")
        return costs[::-1]

    # --- the newest attempt -------------------------------------------------------------------------------------------

    def _newest(self) -> Iterator[str]:
        holder = self.claim["holder"]
        if holder.get("name"):
            yield _fact("pod", holder["name"] + (f" on node {holder['nodeName']}" if holder.get("nodeName") else ""))
        if refused := self.claim.get("refused"):
            yield _fact("refused", f"{refused['reason']}: {refused['message']}")
        if not (loaded := self.claim.get("loaded")):
            return
        what = f"{loaded['checkpoint']}{_step(loaded)}: " if loaded.get("checkpoint") else ""
        yield _fact("loaded", f"{what}{loaded['message']}")
        for skipped in loaded.get("skipped", []):
            yield _fact("skipped", f"{skipped['checkpoint']}{_step(skipped)}: {skipped['message']}")
        yield _fact("policy", f"{loaded['policy'].lower()}, from {loaded['source']}")

    # --- what comes ---------------------------------------------------------------------------------------------------

    def _waits(self) -> Iterator[str]:
        active: JsonObject = next((c for c in self.status.get("conditions", ()) if c["type"] == "Active"), {})
        if self.state in _OVER:
            if message := self.status.get("outcome", {}).get("message") or active.get("message"):
                yield _fact("ended", message)
        elif active and active["reason"] not in (reasons.TRAINING, reasons.NOT_CLAIMED):
            waits = self.state == "Waiting"
            yield _fact("waits" if waits else "now", str(active["message"]).removeprefix("waits "))
        failures = self.status.get("retries", {}).get("startFailures", 0)
        if failures:
            pods = "1 pod" if failures == 1 else f"{failures} pods"
            yield _fact("failed", f"{pods} ended before a Checkpoint was opened")

    def _next(self) -> str:
        again = "again" if self.state in _OVER else "now"
        told = [f"if it {'died' if self.state == 'Running' else 'started'} {again}: {self.would_load()}"]
        retries = self.status.get("retries")
        if retries and self.state not in _OVER:
            told.append(f"{max(0, retries['limit'] - retries['charged'])} of {retries['limit']} retries left")
        return "; ".join(told)

    def would_load(self) -> str:
        """What its next attempt would do: ``would load …``, ``nothing to load; …``."""
        resume = self.status.get("resume")
        if resume is None:
            newest = next((c for c in self.mine if c.latest and c.status in GOOD), None)
            return next_start(newest)
        if not resume.get("checkpoint"):
            return str(resume["message"])
        text = f"would load {resume['checkpoint']}{_step(resume)}: {resume['message']}"
        saved = next((c.time for c in self.mine if c.name == resume["checkpoint"]), None)
        if self.state == "Running" and saved is not None:
            text += f"; about {age(saved, self.now)} of work lost"
        return text

    def _clock(self, time: object, told: str = "") -> str:
        """``09:12:05``; with the day before it where that is neither today nor ``told``."""
        if not time:
            return ""
        moment, today = (t.astimezone(self.zone) for t in (parse_rfc3339(str(time)), self.now))
        day = f"{moment:%m-%d} "
        return f"{'' if moment.date() == today.date() or day == told else day}{moment:%H:%M:%S}"


def lost_steps(entry: JsonObject) -> int:
    """Steps of work that no checkpoint of an attempt holds; 0 also where nobody knows."""
    return int(entry.get("lostSteps", 0)) if entry.get("result") != "Completed" else 0


def _unlisted(claim: JsonObject) -> JsonObject:
    """A claim as an entry of ``status.attempts``."""
    entry = {"attempt": claim["attempt"], "nonce": claim["nonce"], "startTime": claim.get("time")}
    step = claim.get("loaded", {}).get("step")
    return entry if step is None else {**entry, "fromStep": step}


def _how(entry: JsonObject) -> str:
    message = _line(entry.get("message") or entry["result"].lower())
    message = message.removesuffix(f" ({entry.get('reason')})")  # for programs; people have read the same in words
    return f"refused: {message}" if entry["result"] == "Refused" else message


def _said(end: JsonObject) -> str:
    """How an attempt ended, as it said itself."""
    match end["how"]:
        case "Completed":
            return "completed"
        case "Preempted":
            return "preempted (SIGTERM)"
    message = f": {_line(end['message'])}" if end.get("message") else ""
    return f"exit {end['exitCode']}{message}" if "exitCode" in end else f"{end['how'].lower()}{message}"


def _step(value: JsonObject) -> str:
    return f" (step {value['step']})" if "step" in value else ""


def _fact(name: str, text: str) -> str:
    return f"     {name:<9}{_line(text)}"


def _line(text: object) -> str:
    """A message on one line: what programs raise may have several."""
    return " ".join(str(text).split())


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of one shape, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        yield (_GAP + _GAP.join(cells)).rstrip()
