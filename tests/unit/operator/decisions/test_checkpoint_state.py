"""State and conditions of a Checkpoint, and that the kind takes them."""

from __future__ import annotations

import pytest

from tests.support.runs import coarse
from tests.support.schemas import objections
from trainpoint.api import reasons
from trainpoint_operator.conditions import is_true, merged
from trainpoint_operator.decisions.checkpoint_state import (
    Finding,
    Result,
    Standing,
    failed,
    found,
    metric_text,
    not_looked_at,
    saving,
    without_store,
)


def finding(result: Result, reason: str, message: str = "m" * 3000) -> Finding:
    return Finding(result, reason, message)


CASES: list[tuple[str, Standing, str, str, bool]] = [
    # case, standing, state, status of (Committed, Verified, Ready), settled
    ("a pod is at it", saving(), "Saving", "FFF", False),
    ("nobody will commit it", failed("its pod ended before it was committed"), "Failed", "FFF", True),
    ("its program named a store by its address", without_store(), "Committed", "TUU", True),
    ("its store cannot be asked", not_looked_at("StoreNotReady", "away"), "Committed", "TUU", False),
    ("all is there", found(finding("Good", reasons.SIZES)), "Verified", "TTT", True),
    ("it came too late", found(finding("Superseded", reasons.SUPERSEDED)), "Superseded", "TTF", True),
    ("it is damaged", found(finding("Corrupt", reasons.SIZE_DIFFERS)), "Corrupt", "TFF", True),
    ("its manifest is gone", found(finding("NotFound", reasons.MANIFEST_MISSING)), "Corrupt", "TFF", True),
    ("it was deleted in the store", found(finding("Deleted", reasons.DELETED)), "Corrupt", "TFF", True),
    ("a newer version wrote it", found(finding("Unknown", reasons.NEWER_FORMAT)), "Committed", "TUU", False),
]


@pytest.mark.parametrize(
    ("standing", "state", "statuses", "settled"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_where(standing: Standing, state: str, statuses: str, settled: bool) -> None:
    assert (standing.state, standing.settled) == (state, settled)
    shown = {c.type: c.status[0] for c in standing.conditions}
    assert shown == dict(zip(("Committed", "Verified", "Ready"), statuses, strict=True))
    listed = merged([], standing.conditions, generation=1, now=coarse(0))
    assert objections("checkpoints", "status", {"state": standing.state, "conditions": listed}) == []
    assert is_true(listed, "Ready") == (state == "Verified")


def test_what_is_wrong_stands_in_the_condition_ready() -> None:
    standing = found(Finding("Corrupt", reasons.DATA_MISSING, "files/a is not in the store"))
    ready = next(c for c in standing.conditions if c.type == "Ready")
    assert (ready.reason, ready.message) == ("DataMissing", "files/a is not in the store")


@pytest.mark.parametrize(
    ("metrics", "wanted", "text"),
    [
        ({"loss": "0.0331234"}, "", "loss=0.03312"),
        ({"loss": "1e-05", "acc": "0.97"}, "acc", "acc=0.97"),
        ({"loss": "1e-05", "acc": "0.97"}, "", ""),
        ({"loss": "0.03"}, "acc", ""),
        ({}, "loss", ""),
        ({"loss": "NaN"}, "loss", "loss=nan"),
        ({"loss": "12345678"}, "loss", "loss=1.235e+07"),
    ],
)
def test_the_column_metric(metrics: dict[str, str], wanted: str, text: str) -> None:
    assert metric_text(metrics, wanted) == text


def test_the_column_metric_fits_the_kind() -> None:
    text = metric_text({"m" * 300: "0.5"}, "")
    assert objections("checkpoints", "status", {"display": {"metric": text}}) == []
