"""Conditions, and the smallest patch from the status that is to the one that should be. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from trainpoint.format.digest import JsonObject

MESSAGE_LIMIT: Final = 1024
"""Characters of a condition's message, as the CRDs bound it."""
_ELLIPSIS: Final = "…"


@dataclass(frozen=True, slots=True)
class Condition:
    """One aspect of an object as it was just found."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def merged(old: Sequence[JsonObject], new: Sequence[Condition], *, generation: int, now: str) -> list[JsonObject]:
    """The list of conditions to write: ``new`` over ``old``.

    A condition keeps its lastTransitionTime while its status stays. Types of ``old`` that ``new`` does not name stay as
    they are. The order is that of ``old``, new types last, so that nothing changes when nothing has changed.

    Args:
        generation: of the object that ``new`` was found for.
        now: RFC 3339, in whole seconds (``metav1.Time`` knows no fractions).
    """
    before = {c["type"]: c for c in old}
    found = {c.type: c for c in new}
    order = [*before, *(t for t in found if t not in before)]
    return [
        _written(before.get(type), found[type], generation, now) if type in found else before[type] for type in order
    ]


def is_true(conditions: Sequence[JsonObject], type: str) -> bool:
    """Whether the condition of that type is there and ``True``."""
    return any(c.get("type") == type and c.get("status") == "True" for c in conditions)


def size_text(size: int) -> str:
    """Bytes for a column, in powers of 1024: ``512``, ``3Ki``, ``1.5Mi``, ``12Gi``, ``980Gi``."""
    value, units = float(max(size, 0)), ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
    while round(value) >= 1024 and len(units) > 1:  # rounded: 1023.9Ki reads 1Mi, not 1024Ki
        value /= 1024
        units.pop(0)
    text = f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
    return f"{text.removesuffix('.0')}{units[0]}"


def status_patch(old: JsonObject, new: JsonObject) -> JsonObject | None:
    """The smallest merge patch that makes the status ``old`` into ``new``; None where nothing would change.

    What ``old`` has and ``new`` has not becomes null, so ``new`` must carry over the subtrees that others write (a
    pod's ``commit`` or ``claim``): an equal subtree is not in the patch. Members of ``new`` that are None count as
    absent. Lists are replaced whole. The patch is that of the status itself: send it as ``{"status": patch}``.
    """
    patch: JsonObject = {}
    for name in [*old, *(n for n in new if n not in old)]:
        before, after = old.get(name), new.get(name)
        if after is None:
            if before is not None:
                patch[name] = None
        elif isinstance(after, dict):
            inner = status_patch(before if isinstance(before, dict) else {}, after)
            if inner is not None or not isinstance(before, dict):
                patch[name] = inner or {}
        elif before != after or isinstance(before, bool) != isinstance(after, bool):
            patch[name] = after
    return patch or None


def _written(old: JsonObject | None, new: Condition, generation: int, now: str) -> JsonObject:
    stays = old is not None and old.get("status") == new.status and bool(old.get("lastTransitionTime"))
    return {
        "type": new.type,
        "status": new.status,
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if stays and old else now,
        "reason": new.reason,
        "message": _cut(new.message),
    }


def _cut(message: str) -> str:
    if len(message) <= MESSAGE_LIMIT:
        return message
    return message[: MESSAGE_LIMIT - len(_ELLIPSIS)] + _ELLIPSIS
