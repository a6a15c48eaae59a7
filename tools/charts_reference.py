"""The reference page of the charts: the README of each, and a table from the comments in its values.yaml.

A comment belongs to the key right beneath it. A key without one, whose value is a map, only opens the way to those
inside of it. ``values`` refuses a key that nothing explains, so that the page has every value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

CHARTS: Final = ("trainpoint", "trainpoint-namespace", "training-job", "trainpoint-lib")
_SEEN_FROM_A_CHART: Final = "../../docs/reference/"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a chart."""

    path: str
    default: str
    """empty for a map whose parts have rows of their own"""
    meaning: str


def reference(charts: Path) -> str:
    """The whole page."""
    lines = [
        "# Charts",
        "",
        "<!-- Generated from README.md and values.yaml of charts/* by tools/charts.py: do not edit. -->",
        "",
        "Four charts, for Helm 3.16 or newer and Kubernetes 1.31 or newer. How to install, upgrade and remove them:",
        "[Install on a cluster](../how-to/install.md).",
    ]
    for name in CHARTS:
        lines += ["", f"## {name}", "", introduction((charts / name / "README.md").read_text(encoding="utf-8"))]
        rows = values((charts / name / "values.yaml").read_text(encoding="utf-8"))
        if rows:
            lines += ["", "| value | default | meaning |", "|---|---|---|"]
            lines += [f"| `{row.path}` | {row.default} | {row.meaning} |" for row in rows]
    return "\n".join(lines) + "\n"


def introduction(readme: str) -> str:
    """A README without its title and its pointer to this page."""
    paragraphs = readme.split("\n\n")[1:-1]
    return "\n\n".join(paragraphs).replace(_SEEN_FROM_A_CHART, "").strip()


def values(text: str) -> list[Value]:
    """Every value that a values.yaml explains, in its order. Raises ValueError for one that it does not."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return list(_values(node, text.splitlines(), ())) if isinstance(node, yaml.MappingNode) else []


def _values(node: yaml.MappingNode, lines: list[str], above: tuple[str, ...]) -> Iterator[Value]:
    for key, value in node.value:
        path = (*above, str(key.value))
        meaning = _comment(lines, key.start_mark.line, key.start_mark.column)
        opens = isinstance(value, yaml.MappingNode) and _explains(value, lines)
        if meaning:
            default = "" if opens else _shown(yaml.safe_load(yaml.serialize(value)))
            yield Value(".".join(path), default, meaning.replace("|", "\\|"))
        elif not opens:
            raise ValueError(f"{'.'.join(path)} has no comment that explains it")
        if opens:
            yield from _values(value, lines, path)


def _explains(node: yaml.MappingNode, lines: list[str]) -> bool:
    """Whether anything inside has a comment of its own."""
    return any(
        _comment(lines, key.start_mark.line, key.start_mark.column)
        or (isinstance(value, yaml.MappingNode) and _explains(value, lines))
        for key, value in node.value
    )


def _comment(lines: list[str], line: int, column: int) -> str:
    """The comment right above a line, at the same indentation; an empty line ends it."""
    start = " " * column + "# "
    found: list[str] = []
    while line > 0 and lines[line - 1].startswith(start):
        line -= 1
        found.insert(0, lines[line][len(start) :].strip())
    return " ".join(found)


def _shown(default: object) -> str:
    if default is None or default == "":
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"
