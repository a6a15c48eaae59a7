"""What the operator is told by its environment."""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from trainpoint.errors import InvalidArgumentError

PREFIX: Final = "TRAINPOINT_OPERATOR_"


@dataclass(frozen=True, slots=True)
class Options:
    """Read from ``TRAINPOINT_OPERATOR_*``."""

    namespace: str
    """its own, where the Lease lies"""
    pod: str
    watch: tuple[str, ...] = ()
    """namespaces that it works in; empty for all"""
    lease_seconds: float = 15.0
    workers: int = 8
    port: int = 8080
    host: str = "0.0.0.0"
    log_format: Literal["text", "json"] = "text"
    log_level: str = "INFO"

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Options:
        """Raises InvalidArgumentError for a value that cannot be used."""

        def given(name: str, default: str) -> str:
            return environ.get(PREFIX + name, "").strip() or default

        def number(name: str, default: float, least: float, most: float = math.inf) -> float:
            text = given(name, str(default))
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not least <= value <= most:  # nor is NaN
                bounds = f"at least {least:g}" + (f" and at most {most:g}" if most < math.inf else "")
                raise InvalidArgumentError(f"{PREFIX}{name}: {text!r} is not a number of {bounds}", remedy="correct it")
            return value

        def whole(name: str, default: int, least: int, most: int) -> int:
            value = number(name, default, least, most)
            if value != int(value):
                raise InvalidArgumentError(f"{PREFIX}{name}: {value:g} is not a whole number", remedy="correct it")
            return int(value)

        log_format = given("LOG_FORMAT", "text")
        level = given("LOG_LEVEL", "INFO").upper()
        if log_format not in ("text", "json"):
            raise InvalidArgumentError(
                f"{PREFIX}LOG_FORMAT: {log_format!r} is neither text nor json", remedy="correct it"
            )
        if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise InvalidArgumentError(
                f"{PREFIX}LOG_LEVEL: {level!r} is no level", remedy="one of DEBUG, INFO, WARNING, ERROR"
            )
        names = (name.strip() for name in given("WATCH_NAMESPACES", "").split(","))
        return cls(
            namespace=given("NAMESPACE", "default"),
            pod=given("POD", socket.gethostname()),
            watch=tuple(dict.fromkeys(name for name in names if name)),
            lease_seconds=number("LEASE_SECONDS", 15.0, 3.0),
            workers=whole("WORKERS", 8, 1, 1000),
            port=whole("PORT", 8080, 0, 65535),
            host=given("HOST", "0.0.0.0"),
            log_format="json" if log_format == "json" else "text",
            log_level=level,
        )
