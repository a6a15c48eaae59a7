"""The reasons that the operator writes: in one file, and each on the page that explains them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.repository import ROOT
from trainpoint.api import reasons

OPERATOR = ROOT / "operator" / "trainpoint_operator"
FORECAST = ROOT / "sdk" / "trainpoint" / "policies" / "resume.py"
"""Its reasons stand in the condition Ready of a run."""
PAGE = ROOT / "docs" / "reference" / "reasons.md"

REASON_AT = {
    "Condition": 2, "Verdict": 1, "Ending": 1, "Finding": 1, "Keep": 0, "Blocked": 0, "Trouble": 0, "event": 1,
    "not_looked_at": 0, "Forecast": 2, "Refuse": 0,
}  # fmt: skip
"""Which argument of these calls is a reason."""
KUBERNETES = {
    "DeletionByTaintManager", "EvictionByEvictionAPI", "PreemptionByScheduler", "DeletionByPodGC",
    "TerminationByKubelet", "DisruptionTarget",
}  # fmt: skip


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in (*sorted(OPERATOR.rglob("*.py")), FORECAST):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def written(tree: ast.Module) -> Iterator[str]:
    """Values of the constants of ``reasons`` that a module uses, but for those that it only compares with."""
    compared = {id(n) for c in ast.walk(tree) if isinstance(c, ast.Compare) for n in ast.walk(c)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "reasons" and id(node) not in compared:
            yield getattr(reasons, node.attr)


def name_of(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def documented() -> set[str]:
    """CamelCase words in code style in the page, but for names of kinds, conditions and states of Kubernetes'."""
    words = set(re.findall(r"`([A-Z][A-Za-z]+)`", PAGE.read_text(encoding="utf-8")))
    conditions = {"Ready", "Committed", "Active", "DeletionBlocked"}
    return words - KUBERNETES - conditions


def test_no_reason_is_written_as_text_where_it_is_used() -> None:
    literal = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, tree in sources()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and (at := REASON_AT.get(name_of(call))) is not None and len(call.args) > at
        if any(isinstance(n, ast.Constant) and n.value for n in ast.walk(call.args[at]) if not within_call(n, call, at))
    ]
    assert not literal, "give it a constant in sdk/trainpoint/api/reasons.py"


def within_call(node: ast.AST, call: ast.Call, at: int) -> bool:
    """Is the constant an argument or a key inside of the expression, and not the reason itself?"""
    inner = [n for n in ast.walk(call.args[at]) if isinstance(n, ast.Call | ast.Subscript | ast.Compare)]
    return any(node is part for n in inner for part in ast.walk(n))


def test_the_page_explains_every_reason_that_the_operator_writes_and_no_other() -> None:
    used = {reason for _, tree in sources() for reason in written(tree)}
    assert len(used) > 70
    assert documented() == used
