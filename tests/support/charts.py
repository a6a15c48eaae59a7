"""The values with which the charts are tried: tests/chart/values/<chart>/<case>.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.repository import ROOT

VALUES: Final = ROOT / "tests" / "chart" / "values"
GOLDEN: Final = ROOT / "tests" / "chart" / "golden"


@dataclass(frozen=True, slots=True)
class Case:
    """One chart with one file of values."""

    chart: str
    values: Path

    def __str__(self) -> str:
        return f"{self.chart}-{self.values.stem}"

    @property
    def golden(self) -> Path:
        return GOLDEN / f"{self}.yaml"


def cases() -> list[Case]:
    return [Case(path.parent.name, path) for path in sorted(VALUES.glob("*/*.yaml"))]
