"""An app from its start to its end, in this process."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainpoint import Checkpoint
from trainpoint.app import CheckpointContext, Flow, Work, start
from trainpoint.app.begin import AppCheckpoint
from trainpoint.app.loop import FINAL_SECONDS, run_app
from trainpoint.app.saver import Saver
from trainpoint.app.scheduler import Scheduler
from trainpoint.app.state import capture, restore
from trainpoint.app.tree import call_pending
from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.marks import pin, read_info, read_pin, unpin
from trainpoint.claim.history import read_attempts
from trainpoint.context import Context, open_context
from trainpoint.errors import (
    IncompatibleStateError,
    InvalidArgumentError,
    NotInJobError,
    ResumeRequestError,
    UnsupportedStateError,
)
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.policies.app_files import file_name
from trainpoint.policies.settings import AppFileSettings, PolicySettings, to_json
from trainpoint.testing import FakeChance, FakeClock, MemoryStore

DEADLINE_SECONDS = 120.0


@pytest.fixture(autouse=True)
def launched(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORKFLOW", "app"), ("RUN", "r1"), ("STORE", url), ("OWNER", "me")):
        monkeypatch.setenv(f"TRAINPOINT_{name}", value)


@pytest.fixture
def catalog(store: MemoryStore) -> BucketCatalog:
    return BucketCatalog(store, clock=FakeClock(), chance=FakeChance())


def states(catalog: BucketCatalog, workflow: str = "app") -> list[JsonObject]:
    """What was saved, oldest first."""
    there = reversed(list(start.committed(catalog, start.saved_by(catalog, "_", workflow))))
    return [json.loads(start.read_stored(catalog, one)) for one in there]


def info(catalog: BucketCatalog) -> CheckpointInfo:
    """Of the newest one."""
    newest = next(start.committed(catalog, start.saved_by(catalog, "_", "app")))
    entry = next(entry for entry in catalog.entries(newest.ref.task) if entry.id == newest.ref.id)
    return read_info(catalog.store, newest.ref.task, entry)[0]


def end_of(catalog: BucketCatalog, run: str = "r1") -> tuple[str, int | None, str]:
    """How the last attempt of a run ended: how, exit code, message."""
    end = read_attempts(catalog.store, TaskPath("app", run, "main"))[-1].end
    assert end is not None
    return end.how, end.exit_code, end.message


class Counts(Flow):
    """Counts its iterations; stops at ``until``; the hook says what ``hook`` says."""

    def __init__(self, until: int = 3, hook: Callable[[int], bool] = lambda _: True) -> None:
        super().__init__()
        self._until = until
        self._hook = hook
        self.n = 0

    def run(self) -> None:
        self.n += 1
        if self.n >= self._until:
            self.stop()

    def should_save_checkpoint(self) -> bool:
        return self._hook(self.n)


# --- the hook ---------------------------------------------------------------------------------------------------------


def test_the_newest_file_holds_the_state_of_the_last_true_and_none_a_later_one(catalog: BucketCatalog) -> None:
    run_app(Counts(10, lambda n: n < 5))
    saved = [state["state"]["vars"]["n"] for state in states(catalog)]
    assert saved[-1] == 4
    assert saved == sorted(set(saved))
    assert info(catalog).step == 4
    assert end_of(catalog) == ("Completed", 0, "")


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


# --- starting ---------------------------------------------------------------------------------------------------------


def test_a_new_run_starts_from_what_is_named_and_counts_its_iterations_on(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_app(Counts(3))
    (newest, *_) = start.saved_by(catalog, "_", "app")
    local = tmp_path / "copy.json"
    local.write_bytes(start.read_stored(catalog, newest))
    for number, text in enumerate(("latest", newest.file, newest.file.removesuffix(".json"), str(local))):
        monkeypatch.setenv("TRAINPOINT_RUN", f"again-{number}")
        root = Counts(4, lambda _: False)
        run_app(root, checkpoint=text)
        assert root.n == 4, text
    root = Counts(5)
    run_app(root, checkpoint="latest")
    assert info(catalog).step == 5
    assert info(catalog).parents[-1] == newest.ref.name


def test_where_it_runs_is_looked_up_once(catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    run_app(Counts(3))
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    looked: list[str] = []

    def look(**arguments: Any) -> Context:
        looked.append("")
        return open_context(**arguments)

    for module in ("trainpoint.app.loop", "trainpoint.handle.checkpoint"):
        monkeypatch.setattr(f"{module}.open_context", look)
    run_app(root := Counts(4), checkpoint="latest")
    assert (root.n, len(looked)) == (4, 1)


def test_the_environment_says_it_too_and_the_argument_goes_before_it(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_app(Counts(3))
    monkeypatch.setenv("TRAINPOINT_CHECKPOINT", "latest")
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    run_app(root := Counts(4, lambda _: False))
    assert root.n == 4
    with pytest.raises(ResumeRequestError, match="Could not find checkpoint: nothing"):
        run_app(Counts(4), checkpoint="nothing")


def test_checkpoints_of_another_workflow_are_meant_only_where_it_is_named(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_app(Counts(3))
    monkeypatch.setenv("TRAINPOINT_WORKFLOW", "other")
    with pytest.raises(ResumeRequestError, match="Could not find checkpoint: latest"):
        run_app(Counts(4), checkpoint="latest")
    run_app(root := Counts(4), checkpoint="latest", checkpoint_from="app")
    assert root.n == 4
    assert [state["state"]["vars"]["n"] for state in states(catalog, "other")] == [4]


@pytest.mark.parametrize("text", [None, "latest", "NAME", "PATH"])
def test_a_later_attempt_of_a_run_goes_on_from_what_the_run_has_saved_since(
    text: str | None, catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAINPOINT_RUN", "before")
    run_app(Counts(3))
    newest = start.saved_by(catalog, "_", "app")[0]
    (tmp_path / "copy.json").write_bytes(start.read_stored(catalog, newest))
    said = {"NAME": newest.file, "PATH": str(tmp_path / "copy.json")}.get(text or "", text)
    monkeypatch.setenv("TRAINPOINT_RUN", "r1")

    with pytest.raises(RuntimeError, match="broken"):
        run_app(Breaks(100), checkpoint=said)
    monkeypatch.setenv("TRAINPOINT_RUN", "rival")
    run_app(Counts(50), checkpoint="latest")  # another run of the same app saves meanwhile
    monkeypatch.setenv("TRAINPOINT_RUN", "r1")
    root = Counts(8, lambda _: False)
    run_app(root, checkpoint=said)
    assert root.checkpoint_context.iteration == 8
    assert root.n == 8, "7 was saved at the end of the attempt before"


class Breaks(Counts):
    """Fails in its eighth iteration."""

    def run(self) -> None:
        super().run()
        if self.n == 8:
            raise RuntimeError("broken")


@pytest.fixture
def copy(catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file with n = 3, of a run ``before`` of this app; the run after it is ``r1``."""
    monkeypatch.setenv("TRAINPOINT_RUN", "before")
    run_app(Counts(3))
    (newest, *_) = start.saved_by(catalog, "_", "app")
    file = tmp_path / "copy.json"
    file.write_bytes(start.read_stored(catalog, newest))
    monkeypatch.setenv("TRAINPOINT_RUN", "r1")
    return file


@pytest.mark.parametrize("how", ["latest", "NAME", "PATH"])
def test_a_later_attempt_does_not_need_what_the_first_one_began_from(
    how: str, copy: Path, catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source, *_) = start.saved_by(catalog, "_", "app")
    said = {"NAME": source.file, "PATH": str(copy)}.get(how, how)
    with pytest.raises(RuntimeError, match="broken"):
        run_app(Breaks(100), checkpoint=said)
    copy.unlink()
    catalog.delete(source.ref.task, source.ref.id, by="me")
    root = Counts(8, lambda _: False)
    run_app(root, checkpoint=said)
    assert root.checkpoint_context.iteration == 8


@pytest.mark.parametrize("how", ["NAME", "PATH"])
def test_an_attempt_that_needs_what_is_gone_does_not_start_and_the_records_say_so(
    how: str, copy: Path, catalog: BucketCatalog
) -> None:
    (source, *_) = start.saved_by(catalog, "_", "app")
    said = {"NAME": source.file, "PATH": str(copy)}[how]
    with pytest.raises(RuntimeError, match="broken"):
        run_app(Breaks(100, lambda _: False), checkpoint=said)
    copy.unlink()
    catalog.delete(source.ref.task, source.ref.id, by="me")
    root = Counts(8)
    with pytest.raises(ResumeRequestError):
        run_app(root, checkpoint=said)
    assert root.n == 0
    how_it_ended, code, message = end_of(catalog)
    assert (how_it_ended, code) == ("Failed", 86)
    assert ("Could not find checkpoint" if how == "PATH" else "was deleted") in message


def test_a_first_attempt_that_finds_nothing_is_on_record(catalog: BucketCatalog) -> None:
    with pytest.raises(ResumeRequestError):
        run_app(Counts(), checkpoint="nothing")
    how, code, message = end_of(catalog)
    assert (how, code) == ("Failed", 86)
    assert "Could not find checkpoint: nothing" in message


@pytest.mark.parametrize("how", ["latest", "NAME", "PATH"])
def test_an_attempt_repeats_what_the_first_began_from_while_nothing_is_saved_whatever_the_policy(
    how: str, copy: Path, catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINPOINT_LOAD_POLICY", "eager")
    (source, *_) = start.saved_by(catalog, "_", "app")
    said = {"NAME": source.file, "PATH": str(copy)}.get(how, how)
    with pytest.raises(RuntimeError, match="broken"):
        run_app(Breaks(100, lambda _: False), checkpoint=said)
    monkeypatch.setenv("TRAINPOINT_RUN", "rival")
    run_app(Counts(50))  # the newest earlier run, which eager would take
    monkeypatch.setenv("TRAINPOINT_RUN", "r1")
    root = Counts(4)
    run_app(root, checkpoint=said)
    assert root.n == 4


@pytest.mark.parametrize("how", ["NAME", "PATH"])
def test_a_run_is_taken_back_to_what_is_named_and_goes_on_from_there(
    how: str, copy: Path, catalog: BucketCatalog
) -> None:
    (source, *_) = start.saved_by(catalog, "_", "app")
    said = {"NAME": source.file, "PATH": str(copy)}[how]
    run_app(Counts(20))
    run_app(back := Counts(4), checkpoint=said)
    assert back.n == 4
    run_app(on := Counts(5), checkpoint=said)
    assert on.n == 5
    run_app(without := Counts(6))
    assert without.n == 6, "what was saved before stays behind"


def test_who_does_not_name_the_file_again_is_told_that_it_is_not_begun_from(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        run_app(Breaks(100, lambda _: False), checkpoint=str(copy))
    with caplog.at_level(logging.INFO, logger="trainpoint"):
        run_app(root := Counts(2))
    assert root.n == 2
    assert f"attempt 0 began from {copy}, which this start does not name, and nothing was saved since" in caplog.text


def test_under_the_policy_none_too_a_later_attempt_goes_on_from_what_the_run_has_saved(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINPOINT_LOAD_POLICY", "none")
    with pytest.raises(RuntimeError, match="broken"):
        run_app(Breaks(100))
    run_app(root := Counts(8))
    assert root.checkpoint_context.iteration == 8


def test_latest_is_anybodys_also_for_a_run_that_has_saved_something(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_app(Counts(3))
    monkeypatch.setenv("TRAINPOINT_RUN", "newer")
    run_app(Counts(10))
    monkeypatch.setenv("TRAINPOINT_RUN", "r1")
    run_app(root := Counts(11), checkpoint="latest")
    assert root.n == 11
    monkeypatch.setenv("TRAINPOINT_WORKFLOW", "other")
    run_app(Counts(100))
    run_app(root := Counts(12), checkpoint="latest", checkpoint_from="app")
    assert root.n == 12


@pytest.mark.parametrize(("checkpoint", "workflow"), [(None, "app"), ("latest", ""), ("latest", " ")])
def test_a_workflow_of_which_nothing_is_named_is_a_mistake(checkpoint: str | None, workflow: str) -> None:
    root = Counts()
    with pytest.raises(InvalidArgumentError, match="--checkpoint-from"):
        run_app(root, checkpoint=checkpoint, checkpoint_from=workflow)
    assert root.n == 0


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the policy, two files stay."""
    policy = tmp_path / "policy.json"
    policy.write_text(to_json(PolicySettings(app_files=AppFileSettings(2, 0))), encoding="utf-8")
    monkeypatch.setenv("TRAINPOINT_POLICY", str(policy))


@pytest.mark.usefixtures("few")
def test_what_a_run_was_taken_back_to_stays_whatever_the_rule(catalog: BucketCatalog) -> None:
    run_app(Counts(1))
    (base,) = start.saved_by(catalog, "_", "app")
    for until in (2, 3, 4):
        run_app(Counts(until), checkpoint=base.file)
    assert [state["state"]["vars"]["n"] for state in states(catalog)] == [1, 3, 4]
    for newer in start.saved_by(catalog, "_", "app")[:2]:
        catalog.mark_corrupt(newer.ref.task, newer.ref.id, "a byte differs")
    run_app(root := Counts(2), checkpoint=base.file)
    assert root.n == 2


@pytest.mark.usefixtures("few")
def test_what_another_run_has_begun_from_stays_until_that_has_saved_something(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_run(name: str) -> None:
        monkeypatch.setenv("TRAINPOINT_RUN", name)

    run_app(Counts(1))
    (base,) = start.saved_by(catalog, "_", "app")
    as_run("r2")
    with pytest.raises(RuntimeError, match="broken"):
        run_app(Breaks(100, lambda _: False), checkpoint="latest")
    as_run("r1")
    for until in (2, 3, 4):
        run_app(Counts(until))
    assert base in start.saved_by(catalog, "_", "app")
    as_run("r2")
    run_app(root := Counts(2), checkpoint="latest")
    assert root.n == 2, "the same as the first attempt, not the newest of the other run"
    as_run("r1")
    run_app(Counts(5))
    assert base not in start.saved_by(catalog, "_", "app"), "it is not pinned any more"


def test_a_retry_says_that_what_the_first_attempt_chose_cannot_be_loaded_any_more(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for until in (1, 2):
        run_app(Counts(until))
    (newest, *_) = start.saved_by(catalog, "_", "app")
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    with pytest.raises(RuntimeError, match="broken"):
        run_app(Breaks(100, lambda _: False), checkpoint="latest")
    catalog.mark_corrupt(newest.ref.task, newest.ref.id, "a byte differs")
    with caplog.at_level(logging.INFO, logger="trainpoint"):
        run_app(root := Counts(2), checkpoint="latest")
    assert (root.n, root.checkpoint_context.iteration) == (2, 2)
    assert "newest before what attempt 0 chose, which cannot be loaded any more" in caplog.text


def test_what_could_not_be_saved_is_told_before_the_first_round(
    catalog: BucketCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    class Mends(Counts):
        def __init__(self) -> None:
            super().__init__(2)
            self.size: object = (3, 4)

        def run(self) -> None:
            super().run()
            self.size = list(self.size)  # type: ignore[call-overload]

    with caplog.at_level(logging.WARNING, logger="trainpoint"):
        run_app(Mends())
    (line,) = caplog.messages
    assert line.startswith("as it is now, the state could not be saved: root.size cannot be saved")
    assert states(catalog)[-1]["state"]["vars"]["size"] == [3, 4]


def test_what_is_no_run_of_ones_own_is_unpinned_at_the_end_and_a_persons_pin_stays(
    catalog: BucketCatalog, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source, *_) = start.saved_by(catalog, "_", "app")

    def pinned() -> str:
        pin = read_pin(catalog.store, source.ref.task, source.ref.id)
        return pin.reason if pin is not None else ""

    class Looks(Counts):
        def run(self) -> None:
            seen.append(pinned())
            self.stop()

    class PinsItself(Counts):
        def run(self) -> None:
            unpin(catalog, source.ref)
            pin(catalog, source.ref, reason="table 2", by="me")
            self.stop()

    seen: list[str] = []
    run_app(Looks(hook=lambda _: False), checkpoint="latest")
    assert seen == ["app/r1 has begun from it, and has saved nothing yet"]
    assert pinned() == ""
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    run_app(PinsItself(hook=lambda _: False), checkpoint="latest")
    assert pinned() == "table 2"


def test_a_number_of_iterations_that_no_loop_reaches_is_none(catalog: BucketCatalog, copy: Path) -> None:
    document = json.loads(copy.read_text())
    copy.write_text(json.dumps({**document, "iteration": 10**30}))
    run_app(root := Counts(4), checkpoint=str(copy))
    assert (root.n, root.checkpoint_context.iteration) == (4, 1)


def test_an_empty_checkpoint_is_a_mistake_and_starts_nothing(catalog: BucketCatalog) -> None:
    root = Counts()
    with pytest.raises(InvalidArgumentError, match="--checkpoint is empty"):
        run_app(root, checkpoint="")
    assert root.n == 0
    assert start.saved_by(catalog, "_", "app") == []


@pytest.mark.parametrize(
    ("content", "error"),
    [('{"formatVersion": 1, "kind": "A', "no readable JSON"), ("{}", "no state of an app")],
    ids=["cut off", "empty"],
)
def test_a_damaged_file_is_an_error_that_names_it_and_nothing_runs(
    content: str, error: str, catalog: BucketCatalog, tmp_path: Path
) -> None:
    file = tmp_path / file_name(1574)
    file.write_text(content)
    root = Counts()
    with pytest.raises(IncompatibleStateError, match=f"{file_name(1574)}.*{error}"):
        run_app(root, checkpoint=str(file))
    assert root.n == 0
    assert end_of(catalog)[:2] == ("Failed", 86)


def test_a_state_that_does_not_fit_starts_nothing_and_the_records_say_why(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithWork(Counts):
        def __init__(self) -> None:
            super().__init__(1)
            self.w = Work()

    run_app(WithWork())
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    root = Counts()
    with pytest.raises(IncompatibleStateError) as raised:
        run_app(root, checkpoint="latest")
    assert raised.value.message.startswith("The component w wasn't instantiated for the component root")
    assert root.n == 0
    how, code, message = end_of(catalog, "r2")
    assert (how, code) == ("Failed", 86)
    assert "The component w wasn't instantiated for the component root" in message


def test_not_strict_starts_and_tells_what_was_dropped(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class WithMore(Counts):
        def __init__(self) -> None:
            super().__init__(1)
            self.extra = 1

    run_app(WithMore())
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    with caplog.at_level(logging.INFO, logger="trainpoint"):
        run_app(root := Counts(5), checkpoint="latest", strict=False)
    assert root.n == 5
    assert "dropped, since the code has no place for it: root.extra" in caplog.text


def test_a_process_without_a_workflow_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINPOINT_WORKFLOW")
    monkeypatch.delenv("TRAINPOINT_RUN")
    with pytest.raises(NotInJobError, match="which workflow"):
        run_app(root := Counts())
    assert root.n == 0


# --- works ------------------------------------------------------------------------------------------------------------


class Slow(Work):
    def __init__(self) -> None:
        super().__init__()
        self._go = threading.Event()
        self.done = 0

    def run(self) -> None:
        assert self._go.wait(DEADLINE_SECONDS)
        self.done += 1


class WithSlow(Flow):
    """Lets its work go after ``free`` iterations, and stops once it has ended."""

    consistent_seconds = 0.01

    def __init__(self, free: int) -> None:
        super().__init__()
        self._free = free
        self.n = 0
        self.w = Slow()

    def run(self) -> None:
        self.n += 1
        self.w.run()
        if self.n == self._free:
            self.w._go.set()
        if self.n >= self._free and self.w.has_succeeded:
            self.stop()

    def should_save_checkpoint(self) -> bool:
        return True


def saved_works(catalog: BucketCatalog) -> list[tuple[object, list[object]]]:
    """(what the work had done, the statuses of its calls) in each state."""
    works = [state["state"]["works"]["w"] for state in states(catalog)]
    return [(w["vars"]["done"], [call["status"] for call in w["calls"].values()]) for w in works]


def test_no_state_is_taken_while_a_work_runs(catalog: BucketCatalog) -> None:
    run_app(WithSlow(3))
    assert saved_works(catalog) == [(1, ["succeeded"])]


def test_the_loop_does_not_spin_while_there_is_nothing_but_a_work_to_wait_for(catalog: BucketCatalog) -> None:
    class Main(WithSlow):
        def run(self) -> None:
            if self.n == 0:
                threading.Timer(0.5, self.w._go.set).start()
            super().run()

        def should_save_checkpoint(self) -> bool:
            return False

    run_app(root := Main(0))
    assert root.w.done == 1
    assert root.n < 50, "it looks ten times a second, and when the work has ended"


def test_on_request_it_is_taken_at_once_and_a_running_work_is_saved_as_pending(catalog: BucketCatalog) -> None:
    root = WithSlow(3)
    root.consistent = False
    run_app(root)
    assert saved_works(catalog)[0] == (0, ["pending"])
    assert saved_works(catalog)[-1] == (1, ["succeeded"])


def test_a_work_that_has_finished_is_not_run_again_after_a_restart(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_app(WithSlow(2))
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    root = WithSlow(0)
    run_app(root, checkpoint="latest")
    assert root.w.done == 1
    assert not root.w._go.is_set()


def test_a_work_that_had_not_finished_is_run_after_a_restart(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = WithSlow(3)
    root.consistent = False
    run_app(root)
    assert saved_works(catalog)[0] == (0, ["pending"])
    first = start.saved_by(catalog, "_", "app")[-1]
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    again = WithSlow(2)
    again.w._go.set()
    run_app(again, checkpoint=first.file)
    assert again.w.done == 1


def test_a_work_that_fails_ends_the_app_with_its_error_and_what_was_pending_is_saved(catalog: BucketCatalog) -> None:
    class Fails(Work):
        def run(self) -> None:
            raise ValueError("no data")

    class Main(Counts):
        def __init__(self) -> None:
            super().__init__(10**9)
            self.w = Fails()

        def run(self) -> None:
            super().run()
            if self.n == 3:
                self.w.run()

    root = Main()
    with pytest.raises(ValueError, match="no data") as raised:
        run_app(root)
    assert raised.value.__notes__ == ["raised by the work root.w.run()"]
    assert states(catalog)[-1]["state"]["vars"]["n"] >= 2
    assert end_of(catalog) == ("Failed", 1, "ValueError: no data")


def test_an_app_that_stops_waits_for_its_works_and_saves_what_they_did(catalog: BucketCatalog) -> None:
    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.w = Slow()

        def run(self) -> None:
            self.w.run()
            self.stop()
            threading.Timer(0.01, self.w._go.set).start()

        def should_save_checkpoint(self) -> bool:
            return True

    run_app(Main())
    assert saved_works(catalog) == [(1, ["succeeded"])]


def test_a_value_that_cannot_be_saved_ends_the_app_with_its_name(catalog: BucketCatalog) -> None:
    class Main(Counts):
        def run(self) -> None:
            super().run()
            self.bad = {1, 2}

    with pytest.raises(UnsupportedStateError, match=r"root\.bad"):
        run_app(Main(3))
    assert end_of(catalog)[:2] == ("Failed", 86)


# --- the end ----------------------------------------------------------------------------------------------------------


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Preempted(Counts):
    """Is told to end in its third iteration."""

    def run(self) -> None:
        super().run()
        if self.n == 3:
            terminate()


HOOKS = pytest.mark.parametrize("hook", [True, False])


@HOOKS
def test_sigterm_saves_the_state_after_the_iteration_whatever_the_hook_says(hook: bool, catalog: BucketCatalog) -> None:
    root = Preempted(10**9, lambda _: hook)
    with pytest.raises(SystemExit) as raised:
        run_app(root)
    assert raised.value.code == 143
    assert root.n == 3
    assert states(catalog)[-1]["state"]["vars"]["n"] == 3
    assert end_of(catalog) == ("Preempted", 143, "SIGTERM")


def test_sigterm_while_a_work_runs_saves_nothing_that_is_torn(
    catalog: BucketCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    class Main(WithSlow):
        def run(self) -> None:
            super().run()
            if self.n == 2:
                terminate()

    root = Main(10**9)
    with caplog.at_level(logging.WARNING, logger="trainpoint"), pytest.raises(SystemExit) as raised:
        run_app(root)
    assert raised.value.code == 143
    assert states(catalog) == []
    assert "is not saved, since root.w did not end within 0.01 s" in caplog.text
    root.w._go.set()


def test_a_capture_that_waits_for_a_work_when_sigterm_comes_and_the_last_one_have_one_limit(
    catalog: BucketCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    waited: list[float] = []

    class Passing(FakeClock):
        """Two seconds pass with each look."""

        def monotonic(self) -> float:
            self.advance(2)
            return super().monotonic()

    class Main(WithSlow):
        consistent_seconds = 10**6

    class Timed(Scheduler):
        def still(self, left_seconds: Callable[[], float], *, anew: bool = False) -> Any:
            def left() -> float:
                waited.append(left_seconds())
                if len(waited) == 2:
                    terminate()
                return waited[-1]

            return super().still(left, anew=anew)

    root, clock = Main(10**9), Passing()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trainpoint.app.loop.Scheduler", Timed)
        with caplog.at_level(logging.WARNING, logger="trainpoint"), pytest.raises(SystemExit) as raised:
            run_app(root, clock=clock)
    root.w._go.set()
    assert raised.value.code == 143
    after = [left for left in waited if left <= FINAL_SECONDS]
    assert len(waited) > len(after), "before the signal it waits as long as the flow says"
    assert after == sorted(after, reverse=True), "the last capture does not begin to wait anew"
    assert after[-1] <= 0
    assert [record.message for record in caplog.records if "is not saved" in record.message] == [
        "the state after iteration 1 is not saved, since root.w did not end in time after SIGTERM; with consistent = "
        "False the root flow is saved at once, and running works start again"
    ]


@HOOKS
def test_sigterm_ends_an_app_with_143_also_where_its_state_cannot_be_saved(
    hook: bool, catalog: BucketCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    class Main(Preempted):
        def run(self) -> None:
            super().run()
            self.bad = {1, 2} if self.n == 3 else 0

    with caplog.at_level(logging.ERROR, logger="trainpoint"), pytest.raises(SystemExit) as raised:
        run_app(Main(10**9, lambda n: hook))
    assert raised.value.code == 143
    assert bool(states(catalog)) == hook, "what was saved before stays"
    assert end_of(catalog) == ("Preempted", 143, "SIGTERM")
    (line,) = [record.message for record in caplog.records if "is not saved" in record.message]
    assert line.startswith("the state after iteration 3 is not saved: ")
    assert "root.bad" in line


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[AppCheckpoint]:
    """Handles of the apps that were started."""
    handles: list[AppCheckpoint] = []

    class Kept(AppCheckpoint):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            handles.append(self)

    monkeypatch.setattr("trainpoint.app.loop.AppCheckpoint", Kept)
    return handles


def ask(handle: AppCheckpoint) -> None:
    """What ``trainpoint save`` does to a running app in the end."""
    writer = handle._writer
    assert writer is not None
    writer.rhythm.request()


def test_a_request_is_not_answered_by_a_state_of_before(
    opened: list[AppCheckpoint], catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins, goes_on = threading.Event(), threading.Event()

    def save(*arguments: Any, **more: Any) -> Any:
        begins.set()
        assert goes_on.wait(DEADLINE_SECONDS)
        return Checkpoint.save(*arguments, **more)

    class Main(Counts):
        def run(self) -> None:
            super().run()
            if self.n == 2:
                assert begins.wait(DEADLINE_SECONDS)  # the state of the first round is on its way
                ask(opened[0])
                goes_on.set()
                wait_for(lambda: states(catalog))

    monkeypatch.setattr(AppCheckpoint, "save", save)
    run_app(Main(3, lambda n: n == 1))
    assert [state["iteration"] for state in states(catalog)] == [1, 2]


def test_who_asks_for_a_save_gets_one_whatever_the_hook_says_also_of_an_unchanged_state(
    opened: list[AppCheckpoint], catalog: BucketCatalog
) -> None:
    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.fixed = 1
            self._rounds = 0

        def run(self) -> None:
            self._rounds += 1
            if self._rounds == 3:
                wait_for(lambda: states(catalog))
            if self._rounds in (1, 3):
                ask(opened[0])
            if self._rounds == 5:
                self.stop()

    run_app(Main())
    found = states(catalog)
    assert [state["iteration"] for state in found] == [1, 3]
    assert found[0]["state"] == found[1]["state"]


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Numbers(Work):
    """Notes what it was called with, once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self._go = threading.Event()
        self.done: list[int] = []

    def run(self, number: int) -> None:
        assert self._go.wait(DEADLINE_SECONDS)
        self.done.append(number)


class AllAtOnce(Flow):
    """Calls its work three times, once, in the first round, and stops."""

    consistent = False

    def __init__(self, *, free: bool) -> None:
        super().__init__()
        self.called = False
        self.w = Numbers()
        if free:
            self.w._go.set()

    def run(self) -> None:
        if not self.called:
            self.called = True
            for number in range(3):
                self.w.run(number)
        self.stop()

    def should_save_checkpoint(self) -> bool:
        return True


def test_what_an_app_has_done_since_it_stopped_is_saved_before_its_works_have_all_ended(catalog: BucketCatalog) -> None:
    class Main(AllAtOnce):
        def __init__(self) -> None:
            super().__init__(free=False)
            self.more = Numbers()

        def run(self) -> None:
            super().run()
            self.more.run(7)
            self.w._go.set()

            def let_go() -> None:
                wait_for(lambda: any(state["state"]["works"]["w"]["vars"]["done"] for state in states(catalog)))
                self.more._go.set()

            threading.Thread(target=let_go).start()

    run_app(root := Main())
    assert root.more.done == [7]
    assert states(catalog)[-1]["state"]["works"]["more"]["vars"]["done"] == [7]


def test_who_asks_an_app_that_has_stopped_for_a_save_gets_one(
    opened: list[AppCheckpoint], catalog: BucketCatalog
) -> None:
    class Main(AllAtOnce):
        def run(self) -> None:
            super().run()

            def let_go() -> None:
                wait_for(lambda: self.checkpoint_context.iteration)  # its round is over
                ask(opened[0])
                wait_for(lambda: states(catalog))
                self.w._go.set()

            threading.Thread(target=let_go).start()

        def should_save_checkpoint(self) -> bool:
            return False

    run_app(root := Main(free=False))
    assert root.w.done == [0, 1, 2]
    assert len(states(catalog)) == 1


def test_an_attempt_that_has_changed_nothing_makes_no_file(catalog: BucketCatalog) -> None:
    class Still(Flow):
        def run(self) -> None:
            self.stop()

        def should_save_checkpoint(self) -> bool:
            return True

    for _ in range(3):
        run_app(Still())
    assert len(states(catalog)) == 1


def test_a_work_that_fails_after_the_app_has_stopped_ends_it_with_its_error(catalog: BucketCatalog) -> None:
    class Fails(Work):
        def run(self) -> None:
            raise ValueError("no data")

    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.w = Fails()

        def run(self) -> None:
            self.stop()

        def should_save_checkpoint(self) -> bool:
            self.w.run()
            wait_for(lambda: self.w.has_failed)
            return False

    with pytest.raises(ValueError, match="no data"):
        run_app(Main())
    assert end_of(catalog) == ("Failed", 1, "ValueError: no data")


def test_an_app_that_its_hook_stops_waits_for_its_works(catalog: BucketCatalog) -> None:
    class Main(WithSlow):
        consistent = False

        def run(self) -> None:
            self.n += 1
            self.w.run()

        def should_save_checkpoint(self) -> bool:
            self.stop()
            threading.Timer(0.05, self.w._go.set).start()
            return True

    run_app(root := Main(0))
    assert root.w.done == 1
    assert saved_works(catalog)[-1] == (1, ["succeeded"])


class Told(AllAtOnce):
    """Is told to end in its round, before it calls its work."""

    def run(self) -> None:
        terminate()
        super().run()


def test_an_app_that_had_stopped_brings_its_works_to_their_end_and_no_more(catalog: BucketCatalog) -> None:
    with pytest.raises(SystemExit) as raised:
        run_app(first := Told(free=True))
    assert raised.value.code == 143
    assert first.w.done == [], "no call begins after the signal"
    assert states(catalog)[-1]["stopped"] is True
    rounds: list[int] = []

    class Again(AllAtOnce):
        def run(self) -> None:
            rounds.append(1)

    run_app(again := Again(free=True))
    assert again.w.done == [0, 1, 2]
    assert rounds == [], "it had stopped"
    assert end_of(catalog) == ("Completed", 0, "")
    assert "stopped" not in states(catalog)[-1]


def test_calls_that_had_not_ended_are_made_again_also_where_the_flow_makes_them_once(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        run_app(Told(free=False))
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")

    class Later(AllAtOnce):
        def run(self) -> None:
            self.w._go.set()  # what the work needs is there once the flow has run
            super().run()

    run_app(later := Later(free=False), checkpoint="latest")
    assert later.w.done == [0, 1, 2]


def test_calls_that_had_not_ended_come_before_those_that_the_flow_makes_now(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        run_app(Told(free=False))
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")

    class More(AllAtOnce):
        def run(self) -> None:
            self.w.run(2)
            self.w.run(7)
            self.stop()

    run_app(more := More(free=True), checkpoint="latest")
    assert more.w.done == [0, 1, 2, 7]


def test_a_call_that_failed_is_made_again_only_by_a_flow_that_makes_it() -> None:
    class Checks(Work):
        def __init__(self) -> None:
            super().__init__()
            self.rate = 0.0

        def run(self, rate: float) -> None:
            if rate < 0:
                raise ValueError("a rate below 0")
            self.rate = rate

    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.w = Checks()

    root = Main()
    with pytest.raises(ValueError, match="below 0"):
        root.w.run(-1.0)
    restore(code := Main(), capture(root).state)
    call_pending(code)
    code.w.run(0.5)
    assert code.w.rate == 0.5
    with pytest.raises(ValueError, match="below 0"):
        code.w.run(-1.0)


def test_sigterm_while_the_last_state_of_a_finished_app_is_written_changes_nothing(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*arguments: Any, **more: Any) -> Any:
        terminate_from_main.set()
        assert told.wait(DEADLINE_SECONDS)
        return Checkpoint.save(*arguments, **more)

    class Ends(AppCheckpoint):
        def save(self, *arguments: Any, **more: Any) -> Any:
            return save(self, *arguments, **more)

        def _on_preempted(self) -> None:
            super()._on_preempted()
            told.set()

    terminate_from_main, told = threading.Event(), threading.Event()
    monkeypatch.setattr("trainpoint.app.loop.AppCheckpoint", Ends)
    end = Saver.close

    def close(saver: Saver) -> None:
        assert terminate_from_main.wait(DEADLINE_SECONDS)
        terminate()
        end(saver)

    monkeypatch.setattr(Saver, "close", close)
    run_app(Counts(5, lambda n: n == 5))
    assert states(catalog)[-1]["state"]["vars"]["n"] == 5
    assert end_of(catalog) == ("Completed", 0, "")


def test_a_work_that_ends_itself_does_not_end_the_app_as_if_all_were_well(catalog: BucketCatalog) -> None:
    class Exits(Work):
        def run(self) -> None:
            raise SystemExit(0)

    class Main(Counts):
        def __init__(self) -> None:
            super().__init__(10**9)
            self.w = Exits()

        def run(self) -> None:
            super().run()
            self.w.run()

    with pytest.raises(RuntimeError, match=r"the work root\.w\.run\(\) has ended itself by SystemExit: 0"):
        run_app(Main())
    assert end_of(catalog)[:2] == ("Failed", 1)


def test_a_work_that_fails_when_the_process_is_told_to_end_takes_nothing_away(catalog: BucketCatalog) -> None:
    class Fails(Work):
        def run(self) -> None:
            raise OSError("its child was told to end, too")

    class Main(Preempted):
        def __init__(self) -> None:
            super().__init__(10**9)
            self.w = Fails()

        def run(self) -> None:
            if self.n == 2:
                self.w.run()
                wait_for(lambda: self.w.has_failed)
            super().run()

    with pytest.raises(SystemExit) as raised:
        run_app(Main())
    assert raised.value.code == 143
    assert states(catalog)[-1]["state"]["vars"]["n"] == 3
    assert end_of(catalog) == ("Preempted", 143, "SIGTERM")


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
