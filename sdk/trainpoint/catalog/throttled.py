"""What a person's client does when the API server is asked too much: it waits as it is told, as kubectl does."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from urllib3.util import Retry

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

WAITS: Final = 5
"""for one request"""
LONGEST_SECONDS: Final = 2.0
"""of one wait, whatever a server, or something between, says"""


class Throttled(Retry):
    """Once more only where the answer names a time (429, 503 with Retry-After): then nothing was done yet.

    A server with too many clients says so (API Priority and Fairness), and one that has just got new kinds ("storage is
    (re)initializing").
    """

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        told = super().get_retry_after(response)
        return None if told is None else min(told, LONGEST_SECONDS)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Throttled:
        if error is not None:
            raise error  # as it is: its text says more than that there were too many retries
        return super().increment(method, url, response, error, _pool, _stacktrace)


def throttled() -> Throttled:
    return Throttled(total=WAITS, redirect=False, status=WAITS, allowed_methods=None, raise_on_status=False)
