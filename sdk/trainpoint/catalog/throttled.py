"""What the client of the API server does when that is asked too much: it waits as it is told, as kubectl does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from urllib3.util import Retry

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

WAITS: Final = 5
"""for one request; who asks decides what comes after"""
LONGEST_SECONDS: Final = 5.0
"""of one wait, whatever a server, or something between, says"""


class Throttled(Retry):
    """Once more only where the answer names a time (429, 503 with Retry-After): then nothing was done yet.

    A server with too many clients says so (API Priority and Fairness), and one that has just got new kinds ("storage is
    (re)initializing").
    """

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        told = super().get_retry_after(response)
        return None if told is None else min(told, LONGEST_SECONDS)


def throttled() -> Throttled:
    return Throttled(
        total=WAITS,
        connect=False,
        read=False,
        redirect=False,
        other=0,
        status=WAITS,
        allowed_methods=None,
        raise_on_status=False,
    )
