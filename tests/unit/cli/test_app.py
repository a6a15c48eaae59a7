"""``trainpoint run app`` and ``trainpoint app`` as command lines; tests/store/test_app.py runs apps."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support import command_line
from trainpoint.cli.run_app import run_app


class BecameError(Exception):
    """Instead of the program that a process would have become."""


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """In a pod without a store of its own; holds what the process becomes."""
    became: list[tuple[list[str], dict[str, str]]] = []

    def execve(path: str, arguments: tuple[str, ...], environ: dict[str, str]) -> None:
        assert path == arguments[0]
        became.append((list(arguments), environ))
        raise BecameError

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("TRAINPOINT_STORE", raising=False)
    monkeypatch.delenv("TRAINPOINT_RUN", raising=False)
    return became


def test_in_a_pod_the_process_becomes_the_app_and_the_pod_says_who_it_is(
    pod: list[tuple[list[str], dict[str, str]]],
) -> None:
    done = command_line.invoke(
        "run", "app", "app.py", "--checkpoint", "latest", "--checkpoint-from", "w", "--non-strict", "--task", "t",
        "--", "--mine",
    )  # fmt: skip
    assert isinstance(done.exception, BecameError)
    ((arguments, environ),) = pod
    assert arguments == [
        sys.executable, "-m", "trainpoint.app", "app.py", "--checkpoint", "latest", "--checkpoint-from", "w",
        "--non-strict", "--", "--mine",
    ]  # fmt: skip
    assert environ["TRAINPOINT_TASK"] == "t"
    assert not {"TRAINPOINT_RUN", "TRAINPOINT_STORE", "TRAINPOINT_WORKFLOW"} & environ.keys()


@pytest.mark.parametrize("option", [["--retries", "3"], ["--policy", "p.yaml"]])
def test_in_a_pod_the_job_decides_about_retries(option: list[str], pod: list[tuple[list[str], dict[str, str]]]) -> None:
    done = command_line.invoke("run", "app", "app.py", *option)
    assert done.exit_code == 2
    assert f"{option[0]} are for runs outside of a cluster" in done.stderr
    assert pod == []


def test_a_file_has_to_be_named() -> None:
    done = command_line.invoke("run", "app")
    assert done.exit_code == 2
    assert "Missing argument 'FILE'" in done.stderr


def test_it_has_the_options_of_a_run_but_for_resume() -> None:
    names = {parameter.name for parameter in run_app.params}
    assert {"retries", "policy", "run", "workflow", "task", "store", "load_policy", "takeover"} <= names
    assert "resume" not in names


def test_a_program_called_app_is_still_run_behind_two_dashes(tmp_path: Path) -> None:
    done = command_line.invoke("run", "--store", f"file://{tmp_path}/store", "--", "app-that-is-not-there")
    assert done.exit_code == 127


def test_a_workflow_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = command_line.invoke("app", "checkpoints", "nothing", "--store", f"file://{tmp_path}/store")
    assert done.exit_code == 1
    assert "there is no workflow 'nothing'" in done.stderr


def test_a_store_without_checkpoints_of_apps_is_told(tmp_path: Path) -> None:
    done = command_line.invoke("app", "checkpoints", "--store", f"file://{tmp_path}/store")
    assert done.exit_code == 0
    assert done.stdout.startswith("no checkpoints of apps in file://")
