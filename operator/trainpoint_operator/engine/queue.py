"""What is to be looked at: a queue of keys, with the semantics that Kubernetes controllers rely on.

A key is in it once however often it is added. While a key is being worked on it is not handed out again; added
meanwhile, it comes once more afterwards. A key that failed comes back after a delay of its own that doubles. Used from
the event loop alone.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

from trainpoint.clock import Chance, Clock
from trainpoint_operator.engine.resources import Key

BACKOFF_SECONDS: Final = 0.25
BACKOFF_LIMIT_SECONDS: Final = 300.0
NEWS_LIMIT_SECONDS: Final = 5.0
"""A key that failed, and that something changed for meanwhile, waits no longer: the change may have mended it. It does
wait, since a reconciler that writes before it fails is told of its own writes."""
URGENT_IN_A_ROW: Final = 16
"""After so many urgent keys one that is not comes in between, so that a mass deletion starves nobody."""


class Queue:
    """Keys in the order in which they were added, the urgent ones first."""

    def __init__(
        self,
        clock: Clock,
        chance: Chance,
        *,
        taken: Callable[[Key, float], None] = lambda key, waited: None,
        retried: Callable[[Key], None] = lambda key: None,
    ) -> None:
        """
        Args:
            taken: told of each key that is handed out, and how many seconds it was ready before.
            retried: told of each key that failed.
        """
        self._clock = clock
        self._chance = chance
        self._taken = taken
        self._retried = retried
        self._ready: tuple[dict[Key, float], dict[Key, float]] = ({}, {})
        """urgent and other keys: since when each is ready; dicts keep their order"""
        self._later: dict[Key, tuple[float, bool]] = {}
        """delayed keys: when they are due, and whether they are urgent then"""
        self._heap: list[tuple[float, Key]] = []
        """by due time; entries that ``_later`` no longer has are skipped"""
        self._in_flight: dict[Key, bool | None] = {}
        """keys being worked on; None, or how urgently they were added again meanwhile"""
        self._failures: dict[Key, int] = {}
        self._urgent_in_a_row = 0
        self._wake = asyncio.Event()

    # --- what is in it ------------------------------------------------------------------------------------------------

    def depth(self) -> int:
        """Keys that are ready and that nobody works on yet."""
        return len(self._ready[0]) + len(self._ready[1])

    def delayed(self) -> int:
        """Keys that come back later."""
        return len(self._later)

    def in_flight(self) -> int:
        """Keys that are being worked on."""
        return len(self._in_flight)

    def failures(self, key: Key) -> int:
        """How often in a row a key has failed."""
        return self._failures.get(key, 0)

    # --- in -----------------------------------------------------------------------------------------------------------

    def add(self, key: Key, after: float = 0.0, *, urgent: bool = False) -> None:
        """Hand ``key`` out, after so many seconds; of several delays of one key the shortest counts."""
        if after > 0:
            due = self._clock.monotonic() + after
            before = self._later.get(key)
            if before is not None:
                urgent = urgent or before[1]
            if before is None or due < before[0]:
                self._later[key] = (due, urgent)
                heapq.heappush(self._heap, (due, key))
                self._wake.set()
            else:
                self._later[key] = (before[0], urgent)
        elif key in self._in_flight:
            self._in_flight[key] = urgent or bool(self._in_flight[key])
        else:
            self._make_ready(key, urgent)

    # --- out ----------------------------------------------------------------------------------------------------------

    def take(self) -> Key | None:
        """The next key, now in flight; None if none is ready. Answer each with :meth:`done` or :meth:`failed`."""
        self._bring_due()
        urgent, other = self._ready
        first = urgent and not (other and self._urgent_in_a_row >= URGENT_IN_A_ROW)
        queue = urgent if first else other
        if not queue:
            return None
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if first else 0
        key = next(iter(queue))
        since = queue.pop(key)
        self._in_flight[key] = None
        self._taken(key, self._clock.monotonic() - since)
        return key

    async def get(self) -> Key:
        """The next key; waits until one is ready."""
        while (key := self.take()) is None:
            self._wake.clear()
            try:
                async with asyncio.timeout(self.until_due()):
                    await self._wake.wait()
            except TimeoutError:
                pass
        return key

    def until_due(self) -> float | None:
        """Seconds until a delayed key becomes ready; None without any."""
        self._skip_stale()
        return max(0.0, self._heap[0][0] - self._clock.monotonic()) if self._heap else None

    # --- back ---------------------------------------------------------------------------------------------------------

    def done(self, key: Key) -> None:
        """The work on ``key`` went well: its failures are forgotten."""
        self._failures.pop(key, None)
        again = self._in_flight.pop(key, None)
        if again is not None:
            self._make_ready(key, again)

    def failed(self, key: Key, at_least: float = 0.0, *, at_most: float = BACKOFF_LIMIT_SECONDS) -> float:
        """The work on ``key`` failed: it comes back after a delay that doubles each time.

        Args:
            at_least: seconds that the server asked to wait.
            at_most: seconds; where the cause is known to pass by itself.
        Returns:
            The delay in seconds.
        """
        count = self._failures[key] = self._failures.get(key, 0) + 1
        bound = min(at_most, BACKOFF_SECONDS * 2.0 ** min(count - 1, 32))
        delay = bound * (0.5 + self._chance.fraction() / 2)
        again = self._in_flight.pop(key, None)
        if again is not None:
            delay = min(delay, NEWS_LIMIT_SECONDS)
        delay = max(delay, at_least * (1 + self._chance.fraction() / 4))  # not all at once when the time is over
        self._retried(key)
        self.add(key, delay, urgent=bool(again))
        return delay

    def give_back(self, key: Key) -> None:
        """Nobody worked on ``key``: it is handed out again, and nothing counts."""
        again = self._in_flight.pop(key, None)
        self._make_ready(key, bool(again))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _make_ready(self, key: Key, urgent: bool) -> None:
        urgent_keys, other = self._ready
        if urgent and key in other:
            urgent_keys[key] = other.pop(key)
        elif key not in urgent_keys and key not in other:
            (urgent_keys if urgent else other)[key] = self._clock.monotonic()
        self._wake.set()

    def _bring_due(self) -> None:
        now = self._clock.monotonic()
        self._skip_stale()
        while self._heap and self._heap[0][0] <= now:
            _, key = heapq.heappop(self._heap)
            _, urgent = self._later.pop(key)
            self.add(key, urgent=urgent)
            self._skip_stale()

    def _skip_stale(self) -> None:
        while self._heap and self._later.get(self._heap[0][1], (None,))[0] != self._heap[0][0]:
            heapq.heappop(self._heap)
