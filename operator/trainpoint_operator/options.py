"""What the operator is told by its environment."""

from __future__ import annotations

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

        def number(name: str, default: float, least: float) -> float:
            text = given(name, str(default))
            try:
                value = float(text)
            except ValueError:
                value = least - 1
            if value < least:
                raise InvalidArgumentError(
                    f"{PREFIX}{name}: {text!r} is not a number of at least {least:g}", remedy="correct it"
                )
            return value

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
            workers=int(number("WORKERS", 8, 1)),
            port=int(number("PORT", 8080, 0)),
            host=given("HOST", "0.0.0.0"),
            log_format="json" if log_format == "json" else "text",
            log_level=level,
        )
