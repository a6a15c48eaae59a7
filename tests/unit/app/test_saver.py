"""When a state is written: at most once a second, the last one always, an unchanged one never. And which ones go."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from trainpoint import Checkpoint
from trainpoint.app.saver import Keeper, Offer, Pace, Saver
from trainpoint.app.state import Captured
from trainpoint.errors import ClusterPermissionError, PinnedError, StorePermissionError, StoreUnreachableError
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.reference import CheckpointRef
from trainpoint.policies.app_files import file_name
from trainpoint.policies.settings import AppFileSettings
from trainpoint.testing import FakeClock

TASK = TaskPath("app", "run-1", "main")


def state(n: int) -> Offer:
    return Offer(Captured("{}"), f"n={n}", n)


def ref(timestamp: int) -> CheckpointRef:
    return CheckpointRef(TASK, SnapshotId(0, timestamp, f"{timestamp:016x}"))


# --- the pace ---------------------------------------------------------------------------------------------------------


def test_the_first_state_is_written_at_once_and_the_next_a_second_later() -> None:
    pace = Pace()
    assert pace.due_in(10.0) is None
    pace.offer(state(1))
    assert pace.due_in(10.0) == 0
    assert pace.take(10.0) == state(1)
    pace.offer(state(2))
    assert pace.due_in(10.25) == 0.75
    assert pace.due_in(11.0) == 0


def test_the_last_of_several_states_within_a_second_is_the_one_that_is_written() -> None:
    pace = Pace()
    pace.offer(state(1))
    pace.take(0.0)
    for n in (2, 3, 4):
        pace.offer(state(n))
    assert pace.take(1.0) == state(4)
    assert (pace.offered, pace.coalesced, pace.unchanged) == (4, 2, 0)
    assert pace.take(2.0) is None


def test_a_state_that_somebody_has_asked_for_is_written_also_if_it_is_unchanged() -> None:
    pace = Pace()
    pace.offer(state(1))
    pace.take(0.0)
    assert pace.offer(replace(state(1), asked=True))
    assert pace.take(1.0) == replace(state(1), asked=True)
    assert not pace.offer(state(1)), "once"
    pace.offer(replace(state(2), asked=True))
    assert pace.offer(state(1)), "the request stays, whatever comes before it is written"
    assert pace.take(2.0) == replace(state(1), asked=True)
    pace.offer(state(3))
    pace.offer(replace(state(3), asked=True))
    pace.offer(state(1))
    assert pace.take(3.0) == replace(state(1), asked=True)


def test_an_unchanged_state_makes_no_new_file() -> None:
    pace = Pace()
    pace.offer(state(1))
    pace.take(0.0)
    assert not pace.offer(state(1))
    assert pace.due_in(5.0) is None
    assert pace.unchanged == 1


def test_a_state_that_went_back_to_what_is_saved_makes_no_new_file_either() -> None:
    pace = Pace()
    pace.offer(state(1))
    pace.take(0.0)
    pace.offer(state(2))
    pace.offer(state(1))
    assert pace.due_in(5.0) is None


def test_what_an_attempt_has_started_from_counts_as_saved() -> None:
    pace = Pace(saved_text="n=1")
    assert not pace.offer(state(1))
    assert pace.offer(state(2))


def test_ten_thousand_states_within_ten_seconds_make_eleven_files() -> None:
    pace, files = Pace(), []
    for n in range(10_000):
        now = n / 1000
        pace.offer(state(n))
        if pace.due_in(now) == 0:
            files.append(pace.take(now))
    files.append(pace.take(10.0))
    assert [offer.iteration for offer in files if offer] == [*range(0, 10_000, 1000), 9999]
    assert pace.coalesced == 10_000 - 11


# --- what is kept -----------------------------------------------------------------------------------------------------


class Deletions:
    """Notes what is deleted; some of it fails."""

    def __init__(self, fail: Callable[[CheckpointRef], Exception | None] = lambda _: None) -> None:
        self.done: list[CheckpointRef] = []
        self.tried = 0
        self._fail = fail

    def __call__(self, doomed: CheckpointRef) -> None:
        self.tried += 1
        error = self._fail(doomed)
        if error is not None:
            raise error
        self.done.append(doomed)


def grow(keeper: Keeper, count: int) -> None:
    for timestamp in range(count):
        keeper.add(timestamp, ref(timestamp))


def test_a_folder_that_a_cleaner_has_taken_is_made_again(tmp_path: Path) -> None:
    ckpt = SimpleNamespace(save=lambda file, **_: ref(1) if file.exists() else None)
    keeper = Keeper(Deletions(), AppFileSettings(), {})
    saver = Saver(cast(Checkpoint, ckpt), tmp_path / "gone", keeper, FakeClock(), None)
    saver.offer(state(1))
    saver.close()
    saver.raise_failed()
    assert list(keeper.refs.values()) == [ref(1)]


def test_older_ones_than_the_last_twenty_go_as_new_ones_come() -> None:
    deletions = Deletions()
    grow(keeper := Keeper(deletions, AppFileSettings(), {}), 25)
    assert deletions.done == [ref(n) for n in range(5)]
    assert sorted(keeper.refs) == list(range(5, 25))


def test_a_policy_may_say_otherwise() -> None:
    deletions = Deletions()
    grow(keeper := Keeper(deletions, AppFileSettings(keep_latest=3, keep_one_every_seconds=10), {}), 25)
    assert sorted(keeper.refs) == [9, 19, 22, 23, 24]
    assert len(deletions.done) == 20


def test_what_an_earlier_attempt_left_counts_too() -> None:
    deletions = Deletions()
    keeper = Keeper(deletions, AppFileSettings(), {n: ref(n) for n in range(30)})
    keeper.add(30, ref(30))
    assert deletions.done == [ref(n) for n in range(11)]


def test_a_pinned_one_stays_and_is_not_asked_for_again() -> None:
    deletions = Deletions(lambda doomed: PinnedError("pinned") if doomed == ref(2) else None)
    grow(Keeper(deletions, AppFileSettings(), {}), 30)
    assert ref(2) not in deletions.done
    assert len(deletions.done) == 9
    assert deletions.tried == 10


@pytest.mark.parametrize("error", [StorePermissionError("no"), ClusterPermissionError("no")])
def test_who_may_not_delete_says_so_once_and_goes_on(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    deletions = Deletions(lambda _: error)
    with caplog.at_level(logging.INFO, logger="trainpoint"):
        grow(Keeper(deletions, AppFileSettings(), {}), 30)
    assert deletions.tried == 1
    assert [record.message for record in caplog.records if "may not delete" in record.message] == [
        "older checkpoints stay, since this process may not delete (else there would stay the last 20, "
        "and of every 1 h the last): no"
    ]


def test_one_that_cannot_be_deleted_now_is_deleted_after_the_next_save(caplog: pytest.LogCaptureFixture) -> None:
    away = [True]
    deletions = Deletions(lambda _: StoreUnreachableError("away") if away[0] else None)
    keeper = Keeper(deletions, AppFileSettings(), {})
    with caplog.at_level(logging.WARNING, logger="trainpoint"):
        grow(keeper, 21)
    assert f"{file_name(0)} could not be deleted: away" in caplog.text
    away[0] = False
    keeper.add(21, ref(21))
    assert deletions.done == [ref(0), ref(1)]
