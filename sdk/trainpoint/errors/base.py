"""What all errors have in common: a code, an exit code, a message with a remedy."""

from __future__ import annotations

from typing import ClassVar

EXIT_RETRY = 1
"""Another start may well succeed: storage, network, credentials, a live holder."""
EXIT_USAGE = 2
"""The command line itself is wrong."""
EXIT_REFUSED = 86
"""No retry can mend it; a Job's ``podFailurePolicy`` turns this code into FailJob."""
EXIT_SUPERSEDED = 87
"""A newer attempt has taken over; nothing is wrong with the run."""
EXIT_PREEMPTED = 143
"""Ended by SIGTERM (128 + 15): never 0, since a Job would count itself complete."""


class TrainpointError(Exception):
    """Any error that trainpoint raises on purpose."""

    code: ClassVar[str] = "TP000"
    exit_code: ClassVar[int] = EXIT_RETRY

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message: str = message
        """what happened, and where"""
        self.remedy: str = remedy
        """what to do; empty where nothing can be said"""

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}" + (f"\n    {self.remedy}" if self.remedy else "")

    def report(self) -> str:
        """The text for a person: name, code, what and where, what to do, where to read more. No stack trace."""
        lines = [f"trainpoint.{type(self).__name__} [{self.code}]: {self.message}"]
        lines += [f"    {line}" for line in self.remedy.splitlines()]
        return "\n".join([*lines, f"    more: trainpoint explain {self.code}"])
