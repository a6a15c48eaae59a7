"""Several requests at a time, stopped together; one request again while the store does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from trainpoint.clock import Chance, Clock
from trainpoint.errors import StoreTimeoutError, StoreUnreachableError

T = TypeVar("T")

FIRST_DELAY_SECONDS: Final = 0.2
LONGEST_DELAY_SECONDS: Final = 10.0
_NAP_SECONDS: Final = 0.5
"""A pause is slept in naps of this length, so that a cancelled transfer ends soon."""


class Flag(Protocol):
    """What a caller sets to stop a transfer; ``threading.Event`` is one."""

    def is_set(self) -> bool: ...


@dataclass(slots=True)
class Stop:
    """Ends a transfer: because a part of it failed, or because the caller says so."""

    cancel: Flag | None = None
    _failed: threading.Event = field(default_factory=threading.Event)

    def fail(self) -> None:
        self._failed.set()

    def is_set(self) -> bool:
        return self._failed.is_set() or (self.cancel is not None and self.cancel.is_set())

    def check(self) -> None:
        """Raise ``concurrent.futures.CancelledError`` if the transfer is to stop."""
        if self.is_set():
            raise CancelledError("the transfer was stopped")


def run_all(tasks: Iterable[Callable[[], None]], *, workers: int, stop: Stop) -> None:
    """Run every task, up to ``workers`` at a time; the calling thread is one of them.

    The first exception stops the rest and is raised. CancelledError: the caller's flag was set.
    """
    pending = iter(tasks)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        while not stop.is_set():
            with lock:
                task = next(pending, None)
            if task is None:
                return
            try:
                task()
            except BaseException as error:
                with lock:
                    failures.append(error)
                stop.fail()
                return

    threads: list[threading.Thread] = []
    try:
        for number in range(1, workers):
            thread = threading.Thread(target=work, name=f"trainpoint-transfer-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                break  # the interpreter is ending, or the limit of threads is reached: go on with fewer
            threads.append(thread)
        work()
        for thread in threads:
            thread.join()
    except BaseException:  # Ctrl-C between two tasks
        stop.fail()
        for thread in threads:
            thread.join()
        raise
    if failures:
        raise failures[0]
    stop.check()


@dataclass(frozen=True, slots=True)
class Persistence:
    """Does a request again while the store does not answer, with growing, jittered pauses."""

    clock: Clock
    chance: Chance
    deadline_seconds: float
    stop: Stop

    def attempt(self, action: Callable[[], T], *, from_failure: bool = False) -> T:
        """The result of ``action``, run again after StoreUnreachableError and StoreTimeoutError until the deadline.

        Any other error is raised at once: a refused, full or missing bucket does not mend itself. The deadline counts
        from the start, so that it also covers what the store repeats by itself; with ``from_failure`` from the first
        failure, for an object that takes longer than the deadline to send while all is well.
        """
        since = None if from_failure else self.clock.monotonic()
        tries = 0
        while True:
            self.stop.check()
            try:
                return action()
            except (StoreUnreachableError, StoreTimeoutError) as error:
                now = self.clock.monotonic()
                since = now if since is None else since
                pause = backoff_seconds(tries, self.chance.fraction())
                tries += 1
                if now + pause > since + self.deadline_seconds:
                    if tries == 1:
                        raise
                    message = f"{error.message} (tried {tries} times over {now - since:.0f} s)"
                    raise type(error)(message, remedy=error.remedy) from error
            self._sleep(pause)

    def _sleep(self, seconds: float) -> None:
        until = self.clock.monotonic() + seconds
        while (left := until - self.clock.monotonic()) > 0:
            self.stop.check()
            self.clock.sleep(min(left, _NAP_SECONDS))


def backoff_seconds(tries: int, fraction: float) -> float:
    """The pause after ``tries`` earlier failures: doubling, between half and all of its length."""
    longest = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(tries, 16))
    return longest * (0.5 + fraction / 2)
