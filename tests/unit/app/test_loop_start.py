"""What an app begins with: the first start of a run, and later ones."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import (
    Breaks,
    Counts,
    end_of,
    info,
    states,
)
from trainpoint.app import Work, start
from trainpoint.app.loop import run_app
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.marks import pin, read_pin, unpin
from trainpoint.context import Context, open_context
from trainpoint.errors import (
    IncompatibleStateError,
    InvalidArgumentError,
    NotInJobError,
    ResumeRequestError,
)
from trainpoint.policies.app_files import file_name

pytestmark = pytest.mark.usefixtures("launched")


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


@pytest.mark.parametrize("how", ["a file", "another app's"])
def test_a_start_that_was_refused_takes_nothing_back(
    how: str, catalog: BucketCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(Counts):
        def __init__(self) -> None:
            super().__init__(1)
            self.unknown = 1

    monkeypatch.setenv("TRAINPOINT_WORKFLOW", "other")
    run_app(Other())
    monkeypatch.setenv("TRAINPOINT_WORKFLOW", "app")
    file = tmp_path / "bad.json"
    file.write_bytes(start.read_stored(catalog, start.saved_by(catalog, "_", "other")[0]))
    checkpoint, workflow = (str(file), None) if how == "a file" else ("latest", "other")
    run_app(Counts(3))
    with pytest.raises(IncompatibleStateError):
        run_app(Counts(5), checkpoint=checkpoint, checkpoint_from=workflow)
    run_app(root := Counts(4))
    assert root.n == 4
    assert root.checkpoint_context.iteration == 4
    with pytest.raises(IncompatibleStateError):
        run_app(Counts(5), checkpoint=checkpoint, checkpoint_from=workflow)


def test_a_name_with_its_ending_is_the_same_and_so_is_one_that_is_left_out_and_said_again(
    copy: Path, catalog: BucketCatalog
) -> None:
    (source, *_) = start.saved_by(catalog, "_", "app")
    reached = []
    for words in (source.file, source.file.removesuffix(".json"), None, source.file):
        run_app(root := Counts(0), checkpoint=words)
        reached.append(root.n)
    assert reached == [4, 5, 6, 7]


@pytest.mark.usefixtures("few")
def test_what_two_runs_have_begun_from_stays_for_the_second(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_app(Counts(1))
    (base,) = start.saved_by(catalog, "_", "app")
    for run, hook in (("r2", False), ("r3", False), ("r2", True)):
        monkeypatch.setenv("TRAINPOINT_RUN", run)
        with pytest.raises(RuntimeError, match="broken"):
            run_app(Breaks(100, lambda _: hook), checkpoint=base.file)  # noqa: B023
    monkeypatch.setenv("TRAINPOINT_RUN", "r1")
    for until in (2, 3, 4):
        run_app(Counts(until))
    monkeypatch.setenv("TRAINPOINT_RUN", "r3")
    run_app(root := Counts(2), checkpoint=base.file)
    assert root.n == 2
