"""The page of ``trainpoint report`` and ``kubectl trainpoint report``. Pure: facts in, one HTML text out.

It is well-formed XML as well as HTML, loads nothing and runs nothing. Whatever comes from a store passes ``_text``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from math import isfinite
from typing import Final

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.cli.words import metrics_text, optional, quantity
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.handle.lineage import LineageEntry, is_cut

CHARTS: Final = 12
"""Metrics that get a chart; all of them are in the table."""
METADATA: Final = 200
"""Characters of a checkpoint's metadata that are shown."""
_WIDTH, _LEFT, _RIGHT = 720, 90, 20
"""Of drawings, in pixels: the whole, and what stays free on both sides."""
_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

_HEAD: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h2 { border-top: 1px solid; margin-top: 2.5rem; padding-top: 1rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid GrayText; padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; }
.n { text-align: right; }
.name { font-family: ui-monospace, monospace; white-space: nowrap; }
small, .quiet { color: GrayText; }
svg { display: block; height: auto; max-width: 100%; }
svg text { fill: currentColor; font-size: 12px; }
svg line, svg polyline { fill: none; stroke: currentColor; }
svg line { opacity: .35; }
svg circle { fill: currentColor; }
svg circle.bad { fill: Canvas; stroke: currentColor; }
</style>
"""


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """One attempt. Texts are as people read them; empty: nobody knows."""

    number: int
    began: str
    """RFC 3339, in UTC"""
    where: str
    """the pod or the host"""
    ended: str
    """RFC 3339, in UTC; empty: it goes on, or nobody wrote it down"""
    ending: str
    """how it ended"""
    from_step: int
    to_step: str
    lost: int
    """steps of work that no checkpoint holds; 0 also where it is not known"""
    loaded: str = ""
    """name of the checkpoint that it started from"""
    why: str = ""
    skipped: Sequence[tuple[str, str]] = ()
    """name and fault of each that it passed over"""
    policy: str = ""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task, or one index of it."""

    task: TaskPath
    attempts: Sequence[AttemptReport]
    """oldest first"""
    checkpoints: Sequence[CheckpointInfo]
    """newest first, with corrupt and superseded ones"""
    next: str
    """what it would do if it started now: ``would load …``, ``nothing to load; …``"""
    lineage: Sequence[LineageEntry]
    """of its newest checkpoint; without one, what its attempts started from"""


@dataclass(frozen=True, slots=True)
class Report:
    """One run."""

    workflow: str
    run: str
    owner: str
    """who launched it; empty: unknown"""
    outcome: str
    """how it ended, or that it goes on"""
    store: str
    made: datetime
    tasks: Sequence[TaskReport]
    limits: str = ""
    """what the page cannot tell, and who could"""


def page(report: Report) -> str:
    """The whole page. Times are in UTC."""
    title = f"{report.workflow}/{report.run}"
    return "".join(
        [
            _HEAD,
            f"<title>{_text(title)}</title>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n",
            _facts(report),
            *(part for task in report.tasks for part in _task(task)),
            "</body>\n</html>\n",
        ]
    )


def _text(value: object) -> str:
    """Escaped, for elements and attributes; what XML cannot hold is replaced."""
    return escape(_NO_XML.sub("\ufffd", str(value)))


def _facts(report: Report) -> str:
    rows = [
        ("workflow", report.workflow),
        ("run", report.run),
        ("owner", report.owner or "unknown"),
        ("outcome", report.outcome),
        ("store", report.store),
        ("as of", f"{_time(report.made)}; all times are UTC"),
    ]
    table = "<table>\n" + "".join(f"<tr><th>{k}</th><td>{_text(v)}</td></tr>\n" for k, v in rows) + "</table>\n"
    return table + (f'<p class="quiet">{_text(report.limits)}</p>\n' if report.limits else "")


def _task(one: TaskReport) -> Iterator[str]:
    index = f"[{one.task.index}]" if one.task.index else ""
    yield f"<h2>Task {_text(one.task.task + index)}</h2>\n"
    yield f"<p>If it started now: {_text(one.next)}.</p>\n"
    yield "<h3>Attempts</h3>\n"
    yield _attempts(one.attempts) if one.attempts else "<p>It was never claimed.</p>\n"
    yield "<h3>Checkpoints</h3>\n"
    if one.checkpoints:
        yield _timeline(one.checkpoints)
        yield from _charts(one.checkpoints)
        yield _checkpoints(one.checkpoints)
    else:
        yield "<p>It has no checkpoints.</p>\n"
    yield "<h3>Lineage</h3>\n"
    yield _lineage(one.lineage) if one.lineage else "<p>None of its attempts loaded anything.</p>\n"


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], classes: dict[str, str]) -> str:
    """Titles are ours; cells are HTML already."""
    kinds = [f' class="{classes[title]}"' if title in classes else "" for title in titles]
    head = "".join(f"<th{kind}>{title}</th>" for kind, title in zip(kinds, titles, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f"<div><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"


def _attempts(attempts: Sequence[AttemptReport]) -> str:
    rows = []
    for one in attempts:
        ended = _text(short_time(one.ended)) + "<br/>" if one.ended else ""
        lost = f"<br/>lost {one.lost} step{'s' if one.lost > 1 else ''}" if one.lost else ""
        name = f'<span class="name">{_text(one.loaded)}</span><br/>' if one.loaded else ""
        skipped = "".join(f"<br/><small>skipped {_text(what)}: {_text(fault)}</small>" for what, fault in one.skipped)
        rows.append(
            [
                str(one.number),
                f"{_text(short_time(one.began))}<br/><small>{_text(one.where)}</small>",
                f"{ended}{_text(one.ending)}{lost}",
                str(one.from_step),
                _text(one.to_step),
                name + _text(one.why) + skipped,
                _text(one.policy),
            ]
        )
    titles = ["attempt", "began", "how it ended", "from step", "to step", "started from, and why", "policy"]
    return _table(titles, rows, {"attempt": "n", "from step": "n", "to step": "n"})


def _checkpoints(infos: Sequence[CheckpointInfo]) -> str:
    optionals: list[tuple[str, Callable[[CheckpointInfo], str]]] = [
        ("series", lambda info: info.series),
        ("metadata", lambda info: _metadata(info.metadata)),
        ("pinned", lambda info: info.pinned),
    ]
    more = [(title, of) for title, of in optionals if any(of(info) for info in infos)]  # no empty columns
    titles = ["name", "attempt", "step", "saved", "size", "metrics", "status", *(title for title, _ in more)]
    rows = [
        [
            _text(info.name),
            str(info.attempt),
            optional(info.step),
            _time(info.time),
            quantity(info.size),
            _text(metrics_text(info.metrics)),
            _text(info.status) + ("" if info.latest else "<br/><small>never chosen as latest</small>"),
            *(_text(of(info)) for _, of in more),
        ]
        for info in infos
    ]
    return _table(titles, rows, {"name": "name", "attempt": "n", "step": "n", "size": "n"})


def _metadata(metadata: JsonObject) -> str:
    text = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in metadata.items())
    return text if len(text) <= METADATA else f"{text[:METADATA]}…"


def _lineage(entries: Sequence[LineageEntry]) -> str:
    rows = [
        [
            optional(entry.step),
            _text(entry.run),
            optional(entry.attempt),
            _text(entry.owner),
            _time(entry.time) if entry.time is not None else "",
            _text(entry.state),
            _text(entry.name),
            _text(entry.why),
        ]
        for entry in entries
    ]
    titles = ["step", "run", "attempt", "owner", "saved", "state", "name", "why it was loaded"]
    cut = "<p>… and what led there: trainpoint lineage --depth</p>\n" if is_cut(entries) else ""
    return _table(titles, rows, {"step": "n", "attempt": "n", "name": "name"}) + cut


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def short_time(rfc3339: str) -> str:
    """A time as records hold it, always UTC, in the form of :func:`_time`; what is no time stays as it is."""
    return rfc3339[:19].replace("T", " ")


# --- drawings ---------------------------------------------------------------------------------------------------------


def _timeline(infos: Sequence[CheckpointInfo]) -> str:
    """When checkpoints were saved: time from left to right, a row for each attempt that saved any."""
    rows = {number: 20 + 24 * row for row, number in enumerate(sorted({info.attempt for info in infos}))}
    times = [info.time.timestamp() for info in infos]
    x = _scale(min(times), max(times), _LEFT, _WIDTH - _RIGHT)
    bottom = 24 * len(rows) + 24
    parts = [_rule(y, f"attempt {number}") for number, y in rows.items()]
    for info in infos:
        bad = "" if info.status == "Committed" else ' class="bad"'
        step = f"step {info.step}, " if info.step is not None else ""
        parts.append(
            f'<circle{bad} cx="{x(info.time.timestamp()):.1f}" cy="{rows[info.attempt]}" r="4">'
            f"<title>{step}{_time(info.time)}, {_text(info.status)}</title></circle>\n"
        )
    first, last = min(info.time for info in infos), max(info.time for info in infos)
    parts.append(_ends(_time(first), _time(last) if last > first else "", bottom))
    return _svg("when checkpoints were saved", bottom + 8, parts)


def _charts(infos: Sequence[CheckpointInfo]) -> Iterator[str]:
    """Each metric over steps, a line for each attempt; NaN and infinity are left out."""
    drawn = 0
    names = sorted({name for info in infos for name in info.metrics})
    for name in names:
        points = [
            (info.attempt, info.step, info.metrics[name])
            for info in infos
            if info.step is not None and name in info.metrics and isfinite(info.metrics[name])
        ]
        if not points:
            continue
        drawn += 1
        if drawn <= CHARTS:
            yield f"<h4>{_text(name)}</h4>\n" + _chart(name, points)
    if drawn > CHARTS:
        yield f'<p class="quiet">Further metrics without a chart: {drawn - CHARTS}.</p>\n'


def _chart(name: str, points: Sequence[tuple[int, int, float]]) -> str:
    """``points`` are attempt, step, value; at least one."""
    steps, values = [step for _, step, _ in points], [value for _, _, value in points]
    top, bottom = 14, 124
    x = _scale(min(steps), max(steps), _LEFT, _WIDTH - _RIGHT)
    y = _scale(min(values), max(values), bottom, top)
    parts = [_rule(y(value), f"{value:.4g}") for value in sorted({min(values), max(values)})]
    for attempt in sorted({attempt for attempt, _, _ in points}):
        mine = sorted((step, value) for number, step, value in points if number == attempt)
        line = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in mine)
        parts.append(f'<polyline points="{line}"/>\n' if len(mine) > 1 else "")
        parts += [
            f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="2.5">'
            f"<title>attempt {attempt}, step {step}: {value:.6g}</title></circle>\n"
            for step, value in mine
        ]
    last = f"step {max(steps)}" if max(steps) > min(steps) else ""
    parts.append(_ends(f"step {min(steps)}", last, bottom + 20))
    return _svg(f"{name} over steps", bottom + 28, parts)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """From low…high to start…end; to the middle where both are the same. Halves, for high - low may be too large."""
    span = high / 2 - low / 2
    if span <= 0:
        return lambda _: (start + end) / 2
    return lambda value: start + (end - start) * ((value / 2 - low / 2) / span)


def _rule(y: float, label: str) -> str:
    return (
        f'<text x="0" y="{y + 4:.1f}">{_text(label)}</text>'
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>\n'
    )


def _ends(left: str, right: str, y: int) -> str:
    return (
        f'<text x="{_LEFT}" y="{y}">{_text(left)}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{y}" text-anchor="end">{_text(right)}</text>\n'
    )


def _svg(label: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{_text(label)}" width="{_WIDTH}" '
        f'viewBox="0 0 {_WIDTH} {height}">\n{"".join(parts)}</svg>\n'
    )
