"""Checkpoint files of apps: their names, the time in a name, and which of them are kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from trainpoint.errors import InvalidArgumentError
from trainpoint.policies.duration import show_duration
from trainpoint.policies.settings import AppFileSettings

PREFIX: Final = "lightningapp_checkpoint_"
SUFFIX: Final = ".json"
_LAST: Final = 9_999_999_999
_NAME = re.compile(rf"{PREFIX}([0-9]{{10}})(?:{re.escape(SUFFIX)})?")


def series_name(timestamp: int) -> str:
    """``lightningapp_checkpoint_1665501626``: the series of a checkpoint, and its file's name without the ending."""
    return f"{PREFIX}{timestamp:010d}"


def file_name(timestamp: int) -> str:
    """``lightningapp_checkpoint_1665501626.json``: the one file of a checkpoint."""
    return series_name(timestamp) + SUFFIX


def timestamp_of(name: str) -> int | None:
    """The seconds in a name, with or without ``.json``; None where it is no such name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def next_timestamp(now: datetime, last: int | None) -> int:
    """Unix seconds, and always more than ``last``, whatever the clock says: names of a workflow strictly increase."""
    found = int(now.timestamp())
    if last is not None:
        found = max(found, last + 1)
    if not 0 <= found <= _LAST:
        raise InvalidArgumentError(
            f"no name comes after {series_name(last or 0)}: a timestamp has ten digits",
            remedy="delete the checkpoint with that name, and see whether the clock is right",
        )
    return found


def superfluous(timestamps: Iterable[int], rule: AppFileSettings) -> list[int]:
    """Those that the rule does not keep, oldest first: neither among the newest, nor the newest of their span."""
    ordered = sorted(set(timestamps))
    kept = set(ordered[-rule.keep_latest :])
    if rule.keep_one_every_seconds > 0:
        kept.update({at // rule.keep_one_every_seconds: at for at in ordered}.values())  # of each span the last one
    return [at for at in ordered if at not in kept]


def told(rule: AppFileSettings) -> str:
    """The rule for people: ``the last 20, and of every 1 h the last``."""
    span = rule.keep_one_every_seconds
    return f"the last {rule.keep_latest}" + (f", and of every {show_duration(span)} the last" if span > 0 else "")
