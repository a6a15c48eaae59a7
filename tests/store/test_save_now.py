"""Somebody asks a training at work to save now, in a directory and on a server."""

from __future__ import annotations

import threading
import time

import pytest
from click.testing import Result

from tests.support.command_line import invoke
from trainpoint import Checkpoint
from trainpoint.app import Flow
from trainpoint.app.loop import run_app
from trainpoint.handle import asked
from trainpoint.handle.writer import Writer

DEADLINE_SECONDS = 120.0


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "LOOK_SECONDS", 0.1)


def test_who_asks_gets_the_checkpoint_of_the_next_step(url: str) -> None:
    answers: list[Result] = []
    person = threading.Thread(target=lambda: answers.append(invoke("save", "llm", "--wait", "--store", url)))
    with Checkpoint(workflow="llm", run="r", store=url, every_steps=10**9) as ckpt:
        person.start()
        deadline = time.monotonic() + DEADLINE_SECONDS
        step = 0
        saved: list[str] = []
        while person.is_alive():
            assert time.monotonic() < deadline, f"{step} steps, saved at {saved}"
            step += 1
            if ckpt.should_save(step):
                saved.append(ckpt.save(step=step).name)
            person.join(0.02)
    assert answers[0].exit_code == 0, answers[0].stderr
    assert answers[0].stdout.split() == saved, "one request is one checkpoint"
    assert len(saved) == 1
    assert "asked llm/r/main to save" in answers[0].stderr


def test_an_app_whose_hook_says_no_saves_for_who_asks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORKFLOW", "app"), ("RUN", "r"), ("STORE", url)):
        monkeypatch.setenv(f"TRAINPOINT_{name}", value)
    answers: list[Result] = []
    person = threading.Thread(target=lambda: answers.append(invoke("save", "app", "--wait", "--store", url)))

    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.fixed = 1
            self._until = time.monotonic() + DEADLINE_SECONDS

        def run(self) -> None:
            if person.ident is None:
                person.start()
            person.join(0.02)
            if not person.is_alive() or time.monotonic() > self._until:
                self.stop()

    run_app(Main())
    person.join()
    assert answers[0].exit_code == 0, answers[0].stderr
    monkeypatch.delenv("TRAINPOINT_WORKFLOW")
    monkeypatch.delenv("TRAINPOINT_RUN")
    with Checkpoint(store=url) as reader:
        (saved,) = reader.list(workflow="app")
    assert answers[0].stdout.split() == [saved.name]
    assert saved.series.startswith("lightningapp_checkpoint_")


def test_where_nothing_is_at_work_nobody_is_asked(url: str) -> None:
    with Checkpoint(workflow="llm", run="r", store=url) as ckpt:
        ckpt.save(step=1)
    refused = invoke("save", "llm", "--store", url)
    assert refused.exit_code == 1
    assert "no task of run r is at work" in refused.stderr


def test_a_request_to_an_earlier_attempt_is_none_to_a_later_one(url: str) -> None:
    with Checkpoint(workflow="llm", run="r", store=url) as first:
        assert invoke("save", "llm", "--store", url).exit_code == 0
        assert isinstance(first._writer, Writer)
        assert first._writer.claim.save_request()
    with Checkpoint(workflow="llm", run="r", store=url) as second:
        assert second.attempt == 1
        assert isinstance(second._writer, Writer)
        assert not second._writer.claim.save_request()
