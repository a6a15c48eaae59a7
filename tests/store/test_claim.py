"""Claims by real processes, in a directory and on a real S3 server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.claims import TASK, ended, forge
from tests.support.place import PROGRAMS, Place
from tests.support.repository import ROOT
from trainpoint.catalog.entries import entries
from trainpoint.claim.liveness import this_process
from trainpoint.claim.store import Claim, claim, read_attempts
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.errors import ConflictError
from trainpoint.format.records import Holder

CLAIMANTS = 20
REQUESTS_OF_A_CLAIM = 6
DEADLINE_SECONDS = 300


def start(place: Place, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAMS / "claimants.py"), *arguments],
        env=place.env(PYTHONPATH=str(ROOT)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def codes_of(place: Place, *arguments: str) -> list[int]:
    """Exit codes of the claimants; what they wrote to standard error is shown where the test fails."""
    process = start(place, *arguments)
    said, errors = process.communicate(timeout=DEADLINE_SECONDS)
    sys.stderr.write(errors)
    return [int(code) for code in said.split()]


@contextmanager
def holder(place: Place) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the task until its standard input ends."""
    with start(place, "hold") as process:
        assert process.stdin is not None and process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("holding"), process.communicate(timeout=DEADLINE_SECONDS)[1]
        try:
            yield process
        finally:
            with suppress(OSError):
                process.stdin.close()
            process.wait(timeout=DEADLINE_SECONDS)


def claim_here(place: Place, *, wait_seconds: float = 0.0, takeover: bool = False) -> Claim:
    """By this process. Without any wait unless asked: whatever is in the way is an error."""
    chance = SystemChance()
    return claim(
        place.store(),
        TASK,
        this_process(chance),
        clock=SystemClock(),
        chance=chance,
        wait_seconds=wait_seconds,
        takeover=takeover,
    )


def test_twenty_claimants_at_once_are_served_in_turn(place: Place, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    assert codes_of(place, "turns", str(CLAIMANTS), str(ledger)) == [0] * CLAIMANTS
    lines = ledger.read_text().splitlines()
    begun = [int(line.split()[1]) for line in lines[::2]]
    assert lines == [f"{what} {number}" for number in begun for what in ("begin", "end")], "never two at a time"
    assert begun == sorted(set(begun))
    assert len(begun) == CLAIMANTS
    if place.url.startswith("file:"):
        assert begun == list(range(CLAIMANTS)), "gap-free where a lock keeps collisions away"
    store = place.store()
    found = list(entries(store, TASK))
    assert [e.id.attempt for e in found] == begun[::-1]
    assert [e.id.sequence for e in found] == list(range(CLAIMANTS, 0, -1)), "sequences go on, none is used twice"
    assert not any(e.superseded for e in found)
    assert [view.number for view in read_attempts(store, TASK)] == begun


def test_safety_does_not_rest_on_the_locks_of_a_directory(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    place = Place(f"file://{tmp_path}/store")
    assert codes_of(place, "unlocked", str(CLAIMANTS), str(ledger)) == [0] * CLAIMANTS
    turns = [int(line.split()[1]) for line in ledger.read_text().splitlines()]
    begun = turns[::2]
    assert turns == [number for number in begun for _ in range(2)], "never two at a time"
    assert begun == sorted(set(begun))
    assert len(begun) == CLAIMANTS


def test_claimants_that_are_killed_in_a_crowd_hold_nobody_up(place: Place, tmp_path: Path) -> None:
    """Each at another request; what they began may be missing its end, for the others all is as ever."""
    ledger = tmp_path / "ledger"
    codes = codes_of(place, "crowd", str(CLAIMANTS), str(ledger))
    assert codes[::2] == [0] * (CLAIMANTS // 2)
    assert set(codes[1::2]) <= {0, -signal.SIGKILL}
    assert codes.count(-signal.SIGKILL) >= CLAIMANTS // 4, "else it was no such crowd"
    lines = [line.split() for line in ledger.read_text().splitlines()]
    begun = [int(number) for what, number in lines if what == "begin"]
    assert begun == sorted(set(begun))
    assert len(begun) >= CLAIMANTS // 2
    for (what, number), (_, earlier) in zip(lines[1:], lines, strict=False):
        assert what == "begin" or number == earlier, "never two at a time"


def test_a_claim_that_meets_a_live_holder_beyond_its_wait_names_it(place: Place) -> None:
    with holder(place) as process:
        said = f"w/r/main is being written by process {process.pid} on {os.uname().nodename}"
        with pytest.raises(ConflictError, match=said):
            claim_here(place, wait_seconds=0.5)
    after = claim_here(place)
    assert after.attempt == 1
    after.end(ended(after))


def test_a_killed_holder_is_taken_over_at_once(place: Place) -> None:
    with holder(place) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=DEADLINE_SECONDS)
        assert claim_here(place).attempt == 1


def test_a_claimant_killed_before_any_of_its_requests_holds_nobody_up(place: Place) -> None:
    last, codes = -1, [-signal.SIGKILL]
    killed = -1
    while codes == [-signal.SIGKILL]:
        killed += 1
        codes = codes_of(place, "die", str(killed))
        mine = claim_here(place)
        assert mine.attempt > last
        last = mine.attempt
        mine.end(ended(mine))
    assert codes == [0], "the last one had no more requests to be killed at"
    assert killed == REQUESTS_OF_A_CLAIM


def test_a_holder_on_another_host_is_respected(place: Place) -> None:
    there = Holder("gpu-9", 1, "1", "another boot", "b" * 16, "ada")
    forge(place.store(), there, 0)
    with pytest.raises(ConflictError, match=r"process 1 on gpu-9 \(user ada\)"):
        claim_here(place, wait_seconds=0.5)


def test_a_takeover_tells_the_holder(place: Place) -> None:
    with holder(place) as process:
        assert process.stdin is not None and process.stdout is not None

        def is_superseded() -> str:
            print("superseded?", file=process.stdin, flush=True)
            return process.stdout.readline().strip()  # type: ignore[union-attr]

        assert is_superseded() == "no"
        mine = claim_here(place, takeover=True)
        assert mine.attempt == 1
        assert is_superseded() == "yes"
        mine.check_superseded()
        mine.end(ended(mine))
