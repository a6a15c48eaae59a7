"""The charts as text: strict lint, and what every file of values comes to, kept in tests/chart/golden.

Where a change is meant: `.venv/bin/pytest tests/chart/test_rendered.py --renew-golden`, and read the difference.
"""

from __future__ import annotations

import re

import pytest

from tests.support.charts import GOLDEN, Case, cases
from tests.support.helm import CHARTS, Helm

COPIES = ("/templates/crds/", "/templates/admission/", "/templates/rbac/")
"""Generated from crds/ and config/, and compared with those by `make check`."""


def rendered(helm: Helm, case: Case) -> str:
    documents = re.split(r"^---\n", helm.text(case.chart, values=case.values), flags=re.MULTILINE)
    return "---\n".join(d for d in documents if d and not any(copy in d.split("\n")[0] for copy in COPIES))


@pytest.mark.parametrize("case", cases(), ids=str)
def test_lint_has_nothing_to_say(helm: Helm, case: Case) -> None:
    assert "0 chart(s) failed" in helm.lint(case.chart, "--values", str(case.values))


def test_the_library_passes_lint(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm.lint("trainpoint-lib")


@pytest.mark.parametrize("case", cases(), ids=str)
def test_what_is_rendered_is_what_was_agreed(helm: Helm, case: Case, request: pytest.FixtureRequest) -> None:
    text = rendered(helm, case)
    if request.config.getoption("--renew-golden", default=False):
        case.golden.write_text(text, encoding="utf-8")
    assert case.golden.exists(), "no golden file yet: --renew-golden writes it"
    assert text == case.golden.read_text(encoding="utf-8"), "meant? then: pytest tests/chart --renew-golden"


def test_every_golden_file_belongs_to_a_case() -> None:
    assert sorted(GOLDEN.glob("*")) == sorted(case.golden for case in cases())


def test_every_chart_but_the_library_has_cases() -> None:
    charts = {path.parent.name for path in CHARTS.glob("*/Chart.yaml")}
    assert {case.chart for case in cases()} == charts - {"trainpoint-lib"}
