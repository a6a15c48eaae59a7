"""Durations as people write them: ``90s``, ``10m``, ``1h30m``, ``2d``."""

from __future__ import annotations

import re
from typing import Final

from trainpoint.errors import InvalidArgumentError

_DURATION = re.compile(r"(?:[0-9]+[smhd])+")
_PART = re.compile(r"([0-9]+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NAMES: Final = {"s": "s", "m": "min", "h": "h", "d": "d"}
_SHOWN: Final = (("d", "h"), ("h", "m"), ("m", "s"))
FOREVER_SECONDS: Final = 10 * 365 * 86400
"""Ten years. Longer durations count as this, since timers of the system refuse much longer ones."""


def parse_duration(text: str, *, what: str) -> float:
    """Seconds in ``text``, which is numbers with the units s, m, h and d; ``what`` names it in the error.

    Raises:
        InvalidArgumentError: it is not a duration.
    """
    if not _DURATION.fullmatch(text):
        raise InvalidArgumentError(
            f"{what}: {text!r} is not a duration", remedy="write numbers with s, m, h or d, such as 90s, 10m or 1h30m"
        )
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return float(min(seconds, FOREVER_SECONDS))


def show_duration(seconds: float) -> str:
    """For people, with one or two units: ``0.4 s``, ``12 s``, ``5 min``, ``1 h 30 min``, ``2 d 3 h``."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    large, small = next(pair for pair in _SHOWN if whole >= _SECONDS[pair[0]])
    rest = whole % _SECONDS[large] // _SECONDS[small]
    return f"{whole // _SECONDS[large]} {_NAMES[large]}" + (f" {rest} {_NAMES[small]}" if rest else "")
