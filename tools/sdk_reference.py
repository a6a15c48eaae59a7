"""Write docs/reference/python.md and tests/unit/api_snapshot.txt from the SDK (``--check``: are they current?).

Both tell the same surface: the page with what it means, the snapshot in a line for each name, so that a change of
the API is seen in a review.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that it runs as a script from anywhere

from tools.page import write_or_check
from tools.sdk_surface import SPECIAL, Member, members_of, not_in_a_chapter, surface
from trainpoint.errors import TrainpointError, error_classes

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "python.md"
SNAPSHOT = ROOT / "tests" / "unit" / "api_snapshot.txt"
WIDTH = 96
"""Columns of a signature before it is broken into one line for each argument."""

HEAD = """\
# Python

<!-- Written by tools/sdk_reference.py from sdk/trainpoint/; change it there and run `make generate`. -->

Everything here is imported from `trainpoint`, doubles for tests from `trainpoint.testing`. [Errors](errors.md) have a
page of their own.

- Times are `datetime` in UTC. Durations are seconds, or a text such as `"10m"`. Sizes are bytes. A step counts
  *completed* training steps.
- Objects that trainpoint returns are made by it alone: their constructors are no part of the API, and they may get
  more fields.
- What is read is read anew each time, so it is current.
- The examples run. Where they begin, `ckpt` is the open handle of the task `digits/digits-2/main`, and `ref` what it
  has saved last: the files `model.txt` and `log.txt` at step 200, with the metrics `loss` 0.25 and `accuracy` 0.9. An
  earlier run `digits-1` has saved at the steps 100 and 200, has published `accuracy` and `best`, and has succeeded.

This page is frozen with the API: a change of it is a decision, and the names, arguments and types are in
`tests/unit/api_snapshot.txt` once more, so that a test says when they change.
"""


# --- the snapshot -----------------------------------------------------------------------------------------------------


def snapshot() -> str:
    """One line for each name: what programs rely on, without what it means."""
    lines = ["# The public API of the SDK, frozen. Written by tools/sdk_reference.py; a change of it is a decision."]
    for chapter, names in surface().items():
        lines += ["", f"# {chapter}", ""]
        for members in names:
            lines += [line for member in members for line in _snapshot_lines(member)]
    lines += ["", "# Errors", ""]
    lines += [line for member in members_of(TrainpointError) for line in _snapshot_lines(member)]
    for cls in error_classes().values():
        bases = ", ".join(b.__name__ for b in cls.__bases__)
        lines.append(f"error {cls.code} {cls.__name__}({bases}) exit {cls.exit_code}")
    return "\n".join(lines) + "\n"


def _snapshot_lines(member: Member) -> Iterator[str]:
    if member.kind == "constant":
        yield f"{member.title} = {member.signature}"
    elif member.kind in ("attribute", "property"):
        yield f"{member.kind} {member.title}: {member.signature}"
    else:
        for line in f"{member.title}{member.signature}".splitlines():
            yield from _call_lines(member, line)


def _call_lines(member: Member, line: str) -> Iterator[str]:
    """A long signature has a line for each argument, which says by itself whose it is."""
    if len(line) <= WIDTH:
        yield f"{member.kind} {line}"
        return
    _, *arguments, end = _broken(line)
    yield f"{member.kind} {member.title}(…{end}"
    yield from (f"    {member.title} {argument.strip().removesuffix(',')}" for argument in arguments)


# --- the page ---------------------------------------------------------------------------------------------------------


def reference() -> str:
    """The whole page."""
    sections = [HEAD]
    for chapter, names in surface().items():
        sections.append(f"## {chapter}\n")
        sections += [_section(members) for members in names]
    return "\n".join(sections)


def _section(members: list[Member]) -> str:
    first, *rest = members
    rest = [m for m in rest if m.doc or m.name not in SPECIAL]
    lines = [f"### {first.name}", ""]
    if first.signature:
        lines += ["```text", *_shown(first), "```", ""]
    lines += [*markdown(first.doc), ""]
    fields = [m for m in rest if m.kind in ("attribute", "property") and not _long(m)]
    if fields:
        lines += ["Attributes:", "", *(_field(m) for m in fields), ""]
    for member in rest:
        if member not in fields:
            lines += [f"#### {member.title}", "", "```text", *_shown(member), "```", "", *markdown(member.doc), ""]
    return "\n".join(lines)


def _long(member: Member) -> bool:
    return "\n" in member.doc.strip() and (">>>" in member.doc or "\n\n" in member.doc)


def _field(member: Member) -> str:
    text = " ".join(_inline(member.doc).split())
    return f"- `{member.name}: {member.signature}`" + (f": {text}" if text else "")


def _shown(member: Member) -> Iterator[str]:
    """A signature for reading; one line for each argument where it is long."""
    if member.kind == "constant":
        yield f"{member.name} = {member.signature}"
    elif member.kind in ("attribute", "property"):
        yield f"{member.title}: {member.signature}"
    else:
        for line in f"{member.title}{member.signature}".splitlines():
            yield from [line] if len(line) <= WIDTH else _broken(line)


def _broken(line: str) -> Iterator[str]:
    name, _, rest = line.partition("(")
    inner, arrow, returns = rest.rpartition(") -> ") if ") -> " in rest else (rest[:-1], "", "")
    yield f"{name}("
    yield from (f"    {part}," for part in _split(inner))
    yield f"){arrow[1:]}{returns}"


def _split(text: str) -> Iterator[str]:
    """At the commas that stand in no bracket."""
    depth, begin = 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and not depth:
            yield text[begin:at].strip()
            begin = at + 1
    yield text[begin:].strip()


def _inline(text: str) -> str:
    text = re.sub(r":\w+:`~?(?:trainpoint\.(?:[a-z]\w*\.)*)?([\w.]+)`", r"`\1`", text).replace("``", "`")
    return re.sub(r"(?<![`\w])([A-Z]\w+Error)(?![`\w])", r"`\1`", text)


def markdown(doc: str) -> Iterator[str]:
    """A docstring as Markdown: sections become lists, examples blocks."""
    lines = doc.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if line.startswith(">>> "):
            end = next((n for n in range(at, len(lines)) if not lines[n].strip()), len(lines))
            yield from ["", "```pycon", *lines[at:end], "```"]
            at = end
        elif line.endswith(":") and following.startswith("    "):
            end = next((n for n in range(at + 1, len(lines)) if lines[n] and not lines[n].startswith(" ")), len(lines))
            yield from ["", f"{_inline(line)}", "", *_items(lines[at + 1 : end])]
            at = end
        else:
            yield _inline(line)
            at += 1


def _items(lines: Iterable[str]) -> Iterator[str]:
    """The entries of ``Args:`` and its like."""
    for line in textwrap.dedent("\n".join(lines)).splitlines():
        text = _inline(line)
        if not text or text.startswith(" "):
            yield f"  {text.strip()}".rstrip()
        else:
            yield "- " + re.sub(r"^([\w, *]+): ", lambda m: _names(m[1]) + ": ", text)


def _names(text: str) -> str:
    return ", ".join(f"`{name}`" for name in text.split(", "))


def page() -> str:
    """Without more than one empty line in a row, and none at the end of a block."""
    return re.sub(r"\n{3,}", "\n\n", reference()).rstrip("\n") + "\n"


def main(arguments: list[str]) -> int:
    source = "the docstrings of sdk/trainpoint say"
    missing = not_in_a_chapter()
    if missing:
        print(f"tools/sdk_reference.py has no chapter for {', '.join(sorted(missing))}")
        return 1
    codes = [
        write_or_check(target, text, source=source, arguments=arguments)
        for target, text in ((PAGE, page()), (SNAPSHOT, snapshot()))
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
