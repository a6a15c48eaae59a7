"""The operator's log: one event a line, ``key=value``, or JSON. Every message names its object first."""

from __future__ import annotations

import json
import logging
import sys
from typing import Final, Literal

from trainpoint.clock import rfc3339

NOISY: Final = ("kopf", "aiohttp", "asyncio", "urllib3")
"""Libraries: their warnings are enough."""


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{_time(record)} {record.levelname:<7} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _time(record: logging.LogRecord) -> str:
    from datetime import UTC, datetime

    return rfc3339(datetime.fromtimestamp(record.created, UTC))


def configure(form: Literal["text", "json"], level: str) -> None:
    """All loggers to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
