"""The two pages docs/reference/…-coverage.md: every number is there, and every test that they name exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PAGES = ROOT / "docs" / "reference"
NUMBERS = {
    ("metaflow", "Features"): [*range(1, 31), *range(32, 46), *range(48, 55), *range(77, 85), 87],
    ("metaflow", "Scenarios"): [*range(1, 21)],
    ("metaflow", "Programs"): [*range(1, 10)],
    ("lightning", "Features"): [57, 58, *range(62, 77), 88],
    ("lightning", "Scenarios"): [*range(21, 26)],
    ("lightning", "Programs"): [*range(1, 10)],
}
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@dataclass(frozen=True)
class Row:
    page: str
    section: str
    number: int
    text: str

    @property
    def named(self) -> list[tuple[str, str]]:
        """(file, test) of each test that the row names."""
        return NAMED.findall(self.text)


def rows() -> Iterator[Row]:
    for page in dict.fromkeys(page for page, _ in NUMBERS):
        section = ""
        for line in (PAGES / f"{page}-coverage.md").read_text(encoding="utf-8").splitlines():
            if line.startswith("## "):
                section = line.removeprefix("## ")
            elif found := re.match(r"\| (\d+) \|(.*)\|$", line):
                yield Row(page, section, int(found[1]), found[2])


@cache
def names_in(path: Path) -> frozenset[str]:
    """Names of the test functions of a module."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("page", "section"), NUMBERS)
def test_every_number_is_there_once_and_in_order(page: str, section: str) -> None:
    assert [row.number for row in rows() if (row.page, row.section) == (page, section)] == NUMBERS[page, section]


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: f"{row.page}-{row.section}-{row.number}")
def test_the_tests_that_a_row_names_exist(row: Row) -> None:
    missing = [f"{file}::{name}" for file, name in row.named if name not in names_in(ROOT / file)]
    assert not missing
    assert all(name.startswith("test_") for _, name in row.named)
    assert row.text.count("::") == len(row.named), "each in the form `tests/file.py::name`"
    assert row.named or "not yet" in row.text.lower(), "either a test shows it, or the page says what is missing"
