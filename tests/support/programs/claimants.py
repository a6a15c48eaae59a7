"""Processes that claim one task, each a child of this one. Store: TRAINPOINT_STORE and AWS_*.

Says the exit codes of its children, as ``subprocess`` numbers them.

``claimants.py turns COUNT LEDGER``  so many at once; each claims, commits, ends; the ledger takes a line for both
``claimants.py unlocked COUNT LEDGER``  the same in a directory whose file system has no locks
``claimants.py crowd COUNT LEDGER``  the same, and every other one is killed before its request of its own number
``claimants.py die REQUEST``         one that is killed (SIGKILL) before its request of that number, counted from 0
``claimants.py hold``                one that claims and says so, then answers each line of standard input:
                                     ``superseded?`` with yes or no; the end of the input ends it
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

from tests.support.claims import TASK, ended, put_manifest
from trainpoint.claim.liveness import this_process
from trainpoint.claim.store import Claim, claim
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.errors import SupersededError
from trainpoint.store.base import Store
from trainpoint.store.url import open_store


class DeadlyStore:
    """A store that kills this process before a request."""

    def __init__(self, store: Store, request: int) -> None:
        self._store, self._left = store, request

    def __getattr__(self, name: str) -> Any:
        if name in ("put", "get", "list"):
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
        return getattr(self._store, name)


def the_store() -> Store:
    return open_store(os.environ["TRAINPOINT_STORE"], environ=os.environ)


def claimed(store: Store) -> Claim:
    chance = SystemChance()
    return claim(store, TASK, this_process(chance), clock=SystemClock(), chance=chance)


def take_a_turn(ledger: str, store: Store | None = None) -> None:
    store = store or the_store()
    mine = claimed(store)
    # One write each, appended: lines of several processes stand in the order in which they were written.
    log = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, f"begin {mine.attempt}\n".encode())
    mine.check_superseded()
    put_manifest(store, mine.attempt, mine.record.first_sequence, mine.uid)
    mine.check_superseded()
    os.write(log, f"end {mine.attempt}\n".encode())
    mine.end(ended(mine))


def take_a_turn_unlocked(ledger: str) -> None:
    store: Any = the_store()
    store.exclusive = lambda prefix: nullcontext()
    take_a_turn(ledger, store)


def take_a_turn_and_die(ledger: str, request: int) -> None:
    deadly: Any = DeadlyStore(the_store(), request)
    take_a_turn(ledger, deadly)


def die(request: int) -> None:
    deadly: Any = DeadlyStore(the_store(), request)
    claimed(deadly)


def hold() -> None:
    mine = claimed(the_store())
    mine.start_beat()
    print(f"holding {mine.attempt}", flush=True)
    for _ in sys.stdin:
        try:
            mine.check_superseded()
            print("no", flush=True)
        except SupersededError:
            print("yes", flush=True)
    mine.end(ended(mine))


def child(work: Callable[[], None]) -> int:
    """Fork before any store is opened: its threads would not come along."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def main(verb: str, *arguments: str) -> int:
    if verb == "hold":
        hold()
        return 0
    number, ledger = int(arguments[0]), arguments[-1]
    works: dict[str, list[Callable[[], None]]] = {
        "turns": [partial(take_a_turn, ledger) for _ in range(number)],
        "unlocked": [partial(take_a_turn_unlocked, ledger) for _ in range(number)],
        "crowd": [
            partial(take_a_turn_and_die, ledger, i) if i % 2 else partial(take_a_turn, ledger) for i in range(number)
        ],
        "die": [partial(die, number)],
    }
    children = [child(work) for work in works[verb]]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    print(*codes)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
