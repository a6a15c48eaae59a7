"""Sequences that fetch what is looked at, and no more; and how a notebook shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import islice
from typing import ClassVar, TypeVar, overload

_T = TypeVar("_T")

ROWS_SHOWN = 10


class LazySequence(Sequence[_T]):
    """What an iterator gives, fetched as it is looked at and then kept. ``len`` and negative positions fetch all."""

    COLUMNS: ClassVar[tuple[str, ...]] = ()
    NOUN: ClassVar[str] = "items"

    def __init__(self, found: Iterator[_T]) -> None:
        self._found = found
        self._known: list[_T] = []

    def _row(self, item: _T) -> tuple[str, ...]:
        """The cells of one row, a text for each column."""
        return (str(item),)

    def _reach(self, count: int | None) -> None:
        """Fetch until ``count`` are known; None: all."""
        missing = None if count is None else max(0, count - len(self._known))
        self._known.extend(islice(self._found, missing))

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_T]: ...
    def __getitem__(self, index: int | slice) -> _T | Sequence[_T]:
        if isinstance(index, slice):
            ends = (index.start, index.stop)
            bounded = index.stop is not None and all(end is None or end >= 0 for end in ends)
            self._reach(index.stop if bounded else None)
        else:
            self._reach(index + 1 if index >= 0 else None)
        return self._known[index]

    def __len__(self) -> int:
        self._reach(None)
        return len(self._known)

    def __bool__(self) -> bool:
        self._reach(1)
        return bool(self._known)

    def __iter__(self) -> Iterator[_T]:
        position = 0
        while True:
            self._reach(position + 1)
            if position >= len(self._known):
                return
            yield self._known[position]
            position += 1

    # --- shown to people ----------------------------------------------------------------------------------------------

    def _shown(self) -> tuple[list[tuple[str, ...]], str]:
        """The first rows, and a line about what is not shown; no more is fetched than that takes."""
        self._reach(ROWS_SHOWN + 1)
        rows = [self._row(item) for item in self._known[:ROWS_SHOWN]]
        return rows, "… and more" if len(self._known) > ROWS_SHOWN else ""

    def __repr__(self) -> str:
        rows, more = self._shown()
        if not rows:
            return f"<no {self.NOUN}>"
        table = [self.COLUMNS, *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(self.COLUMNS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        return "\n".join(line.rstrip() for line in [*lines, *([more] if more else [])])

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        rows, more = self._shown()
        if not rows:
            return f"<p>no {self.NOUN}</p>"
        head = "".join(f"<th>{escape(name)}</th>" for name in self.COLUMNS)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + (
            f"<p>{more}</p>" if more else ""
        )
