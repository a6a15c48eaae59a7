"""Checkpoint files of apps: see :mod:`trainpoint.policies.app_files`, which the operator reads too."""

from __future__ import annotations

from trainpoint.policies.app_files import (
    KEPT_NEWEST,
    PREFIX,
    SUFFIX,
    file_name,
    next_timestamp,
    series_name,
    superfluous,
    timestamp_of,
)

__all__ = [
    "KEPT_NEWEST",
    "PREFIX",
    "SUFFIX",
    "file_name",
    "next_timestamp",
    "series_name",
    "superfluous",
    "timestamp_of",
]
