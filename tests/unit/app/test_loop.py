"""An app that runs: when its hook is asked, what is saved and how many files stay."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.support.apps import (
    DEADLINE_SECONDS,
    Counts,
    end_of,
    info,
    states,
    wait_for,
)
from trainpoint import Checkpoint
from trainpoint.app import CheckpointContext, Flow, start
from trainpoint.app.loop import run_app
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.errors import ComponentError
from trainpoint.policies.settings import AppFileSettings, PolicySettings, to_json
from trainpoint.testing import MemoryStore

pytestmark = pytest.mark.usefixtures("launched")


def test_the_newest_file_holds_the_state_of_the_last_true_and_none_a_later_one(catalog: BucketCatalog) -> None:
    run_app(Counts(10, lambda n: n < 5))
    saved = [state["state"]["vars"]["n"] for state in states(catalog)]
    assert saved[-1] == 4
    assert saved == sorted(set(saved))
    assert info(catalog).step == 4
    assert end_of(catalog) == ("Completed", 0, "")


def test_a_hook_that_is_always_true_by_mistake_is_an_error(catalog: BucketCatalog) -> None:
    class Main(Counts):
        async def should_save_checkpoint(self) -> bool:  # type: ignore[override]
            return False

    with pytest.raises(ComponentError, match=r"should_save_checkpoint of .*Main returns a coroutine"):
        run_app(Main(3))


def test_a_hook_that_says_no_saves_nothing(catalog: BucketCatalog) -> None:
    run_app(Counts(10, lambda _: False))
    assert states(catalog) == []
    assert end_of(catalog) == ("Completed", 0, "")


def test_the_hook_is_asked_once_an_iteration_also_when_nothing_changed_and_never_of_a_child(
    catalog: BucketCatalog,
) -> None:
    asked: list[str] = []

    class Child(Flow):
        def run(self) -> None:
            pass

        def should_save_checkpoint(self) -> bool:
            asked.append("child")
            return True

    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.child = Child()
            self._times = 0

        def run(self) -> None:
            self.child.run()
            self._times += 1
            if self._times == 5:
                self.stop()

        def should_save_checkpoint(self) -> bool:
            asked.append("root")
            return True

    run_app(Main())
    assert asked == ["root"] * 5
    assert len(states(catalog)) == 1, "an unchanged tree makes no new file"


def test_the_hook_can_know_where_the_app_stands(catalog: BucketCatalog) -> None:
    seen: list[tuple[int, bool, str | None]] = []

    class Main(Counts):
        def should_save_checkpoint(self) -> bool:
            facts = self.checkpoint_context
            seen.append((facts.iteration, facts.seconds_since_save is None, facts.last_name))
            return False

    run_app(Main(2))
    assert seen == [(1, True, None), (2, True, None)]


def test_the_hook_can_know_what_was_saved_and_when(catalog: BucketCatalog) -> None:
    seen: list[CheckpointContext] = []

    class Main(Counts):
        def run(self) -> None:
            super().run()
            if self.n == 2:
                wait_for(lambda: states(catalog))

        def should_save_checkpoint(self) -> bool:
            seen.append(self.checkpoint_context)
            if self.n > 2 and seen[-1].last_name:
                self.stop()
            return self.n == 1

    run_app(Main(10**9))
    (saved,) = start.saved_by(catalog, "_", "app")
    assert seen[0].last_name is None
    assert seen[-1].last_name == saved.file
    assert seen[-1].seconds_since_save is not None
    assert 0 <= seen[-1].seconds_since_save < DEADLINE_SECONDS
    assert [facts.iteration for facts in seen] == list(range(1, len(seen) + 1))


def test_a_file_is_one_plain_object_named_like_its_series(catalog: BucketCatalog, store: MemoryStore) -> None:
    run_app(Counts(1))
    found = info(catalog)
    (key,) = [row.key for row in store.list("ns/_/data/")]
    assert key.endswith(f"/files/{found.series}.json")
    state = json.loads(store.get(key))
    assert state["kind"] == "App"
    assert state["iteration"] == 1
    assert state["time"].endswith("Z")
    assert state["state"]["vars"] == {"n": 1}


def test_names_increase_over_runs_whatever_the_clock_says(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_app(Counts(1))
    (first,) = start.saved_by(catalog, "_", "app")
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    run_app(Counts(2))
    second = start.saved_by(catalog, "_", "app")[0]
    assert second.ref.task.run == "r2"
    assert second.timestamp > first.timestamp


def test_an_attempt_that_has_changed_nothing_makes_no_file(catalog: BucketCatalog) -> None:
    class Still(Flow):
        def run(self) -> None:
            self.stop()

        def should_save_checkpoint(self) -> bool:
            return True

    for _ in range(3):
        run_app(Still())
    assert len(states(catalog)) == 1


def test_a_store_that_fails_ends_the_app(
    catalog: BucketCatalog, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainpoint.errors import StoreFullError

    def full(*_: object, **__: object) -> None:
        raise StoreFullError("no room")

    monkeypatch.setattr(Checkpoint, "save", full)
    with pytest.raises(StoreFullError, match="no room"):
        run_app(Counts(10**9))
    assert end_of(catalog)[:2] == ("Failed", 1)


def test_the_log_counts_what_was_not_written(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="trainpoint"):
        run_app(Counts(50))
    (line,) = [record.message for record in caplog.records if "iterations," in record.message]
    assert line.startswith("50 iterations, ")
    assert "states came within a second and were replaced by later ones" in line


def test_a_policy_says_how_many_files_stay(
    catalog: BucketCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(to_json(PolicySettings(app_files=AppFileSettings(2, 0))), encoding="utf-8")
    monkeypatch.setenv("TRAINPOINT_POLICY", str(policy))
    for _ in range(5):
        run_app(Counts(1))
    assert [state["state"]["vars"]["n"] for state in states(catalog)] == [4, 5]


def test_files_that_an_earlier_policy_has_kept_are_told_before_they_go(
    catalog: BucketCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        run_app(Counts(1))
    policy = tmp_path / "policy.json"
    policy.write_text(to_json(PolicySettings(app_files=AppFileSettings(2, 0), source="few.yaml")), encoding="utf-8")
    monkeypatch.setenv("TRAINPOINT_POLICY", str(policy))
    with caplog.at_level(logging.INFO, logger="trainpoint"):
        run_app(Counts(1))
    said = "with the next save 3 older checkpoints go, if not pinned: there stay the last 2, by few.yaml"
    assert said in caplog.messages
    assert len(states(catalog)) == 2
