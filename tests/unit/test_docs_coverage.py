"""docs/reference/metaflow-coverage.md: every number is there, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "reference" / "metaflow-coverage.md"
NUMBERS = {
    "Features": [*range(1, 31), *range(32, 46), *range(48, 55), *range(77, 85), 87],
    "Scenarios": [*range(1, 21)],
    "Programs": [*range(1, 10)],
}
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@dataclass(frozen=True)
class Row:
    section: str
    number: int
    text: str

    @property
    def named(self) -> list[tuple[str, str]]:
        """(file, test) of each test that the row names."""
        return NAMED.findall(self.text)


def rows() -> Iterator[Row]:
    section = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif found := re.match(r"\| (\d+) \|(.*)\|$", line):
            yield Row(section, int(found[1]), found[2])


@cache
def names_in(path: Path) -> frozenset[str]:
    """Names of the test functions of a module."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("section", NUMBERS)
def test_every_number_is_there_once_and_in_order(section: str) -> None:
    assert [row.number for row in rows() if row.section == section] == NUMBERS[section]


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: f"{row.section}-{row.number}")
def test_the_tests_that_a_row_names_exist(row: Row) -> None:
    missing = [f"{file}::{name}" for file, name in row.named if name not in names_in(ROOT / file)]
    assert not missing
    assert all(name.startswith("test_") for _, name in row.named)
    assert row.text.count("::") == len(row.named), "each in the form `tests/file.py::name`"
    assert row.named or "not yet" in row.text.lower(), "either a test shows it, or the page says what is missing"
