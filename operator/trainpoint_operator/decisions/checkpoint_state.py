"""State and conditions of a Checkpoint from what was found of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from trainpoint.api import reasons
from trainpoint.format.manifest import Manifest
from trainpoint_operator.conditions import Condition

State = Literal["Saving", "Committed", "Verified", "Corrupt", "Failed", "Superseded", "Deleting"]

Result = Literal["Good", "Corrupt", "Superseded", "Deleted", "NotFound", "Unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one checkpoint in the bucket (``trainpoint_operator.verify``)."""

    result: Result
    reason: str
    message: str
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a checkpoint is, and why."""

    state: State
    conditions: tuple[Condition, ...]
    settled: bool
    """nothing more is to be found out"""


_NOT_COMMITTED: Final = Condition("Committed", "False", reasons.SAVING, "its pod has not committed it yet")
_COMMITTED: Final = Condition("Committed", "True", reasons.MANIFEST_WRITTEN, "its manifest is in the store")


def saving() -> Standing:
    """A pod is at it."""
    return Standing(
        "Saving",
        (
            _NOT_COMMITTED,
            Condition("Verified", "False", reasons.NOT_COMMITTED, "there is nothing to verify yet"),
            Condition("Ready", "False", reasons.NOT_COMMITTED, "it is not committed yet"),
        ),
        settled=False,
    )


def failed(message: str) -> Standing:
    """Nobody will commit it any more."""
    return Standing(
        "Failed",
        (
            Condition("Committed", "False", reasons.GIVEN_UP, message),
            Condition("Verified", "False", reasons.NOT_COMMITTED, "there is nothing to verify"),
            Condition("Ready", "False", reasons.GIVEN_UP, message),
        ),
        settled=True,
    )


def without_store() -> Standing:
    """Its program named a store by its address, which the operator has no keys for."""
    message = "its program named a store by its address; the operator cannot look there"
    return Standing(
        "Committed",
        (
            _COMMITTED,
            Condition("Verified", "Unknown", reasons.NO_STORE_REF, message),
            Condition("Ready", "Unknown", reasons.NO_STORE_REF, message),
        ),
        settled=True,
    )


def not_looked_at(reason: str, message: str) -> Standing:
    """Committed, and the store cannot be asked now."""
    return Standing(
        "Committed",
        (
            _COMMITTED,
            Condition("Verified", "Unknown", reason, message),
            Condition("Ready", "Unknown", reason, message),
        ),
        settled=False,
    )


def found(finding: Finding) -> Standing:
    """Committed, and the store was asked."""
    match finding.result:
        case "Good":
            verified = Condition("Verified", "True", finding.reason, finding.message)
            ready = Condition("Ready", "True", reasons.VERIFIED, "it can be resumed from")
            return Standing("Verified", (_COMMITTED, verified, ready), settled=True)
        case "Superseded":
            verified = Condition("Verified", "True", reasons.SIZES, "every part is in the store with its size")
            ready = Condition("Ready", "False", finding.reason, finding.message)
            return Standing("Superseded", (_COMMITTED, verified, ready), settled=True)
        case "Unknown":
            return not_looked_at(finding.reason, finding.message)
        case _:
            verified = Condition("Verified", "False", finding.reason, finding.message)
            ready = Condition("Ready", "False", finding.reason, finding.message)
            return Standing("Corrupt", (_COMMITTED, verified, ready), settled=True)


def metric_text(metrics: dict[str, str], wanted: str) -> str:
    """For the column METRIC: the one that the policy names, else the only one; ``loss=0.033``."""
    name = wanted if wanted in metrics else next(iter(metrics)) if len(metrics) == 1 and not wanted else ""
    return f"{name}={_short(metrics[name])}"[:128] if name else ""


def _short(text: str) -> str:
    """At most four significant digits, as a person reads a column."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text
