"""SIGTERM: one final save, exit 143, within the grace period; handlers chain, children are not caught in it."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.place import Place
from trainpoint import Checkpoint


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(f"file://{tmp_path}/store")


def terminate(place: Place, mode: str = "") -> tuple[subprocess.Popen[str], list[str], str]:
    process = place.start("term.py", TRAINPOINT_WORKFLOW="term", TRAINPOINT_RUN="r", MODE=mode)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("start="), first + process.communicate(timeout=30)[1]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    return process, (first + out).splitlines(), err


def test_sigterm_ends_in_one_final_save_and_exit_143(place: Place) -> None:
    process, lines, err = terminate(place)
    assert process.returncode == 143, err
    saves = [line for line in lines if line.startswith("save=")]
    assert len(saves) == 1
    assert saves[0].endswith("preempted=True")
    saved = int(saves[0].split("=")[1].split()[0])
    assert lines[-1] == f"stop={saved}"
    assert "Traceback" not in err

    _, again, _ = terminate(place)
    assert again[0] == f"start={saved}", "nothing was lost"
    ends = [view.end.how for view in read(place) if view.end is not None]
    assert ends == ["Preempted", "Preempted"]


def read(place: Place):  # type: ignore[no-untyped-def]
    from trainpoint.claim.store import read_attempts
    from trainpoint.format.layout import TaskPath

    return read_attempts(place.store(), TaskPath("term", "r", "main"))


def test_a_forked_worker_dies_of_its_sigterm_and_nothing_hangs(place: Place) -> None:
    process, lines, err = terminate(place, "worker")
    assert process.returncode == 143, err
    assert "worker=-15" in lines


def test_a_handler_that_was_there_before_is_called_too(place: Place) -> None:
    process, lines, err = terminate(place, "chain")
    assert process.returncode == 143, err
    assert "\n".join(lines).count("chained") == 1


def test_an_ignored_sigterm_stays_ignored(place: Place) -> None:
    process = place.start("term.py", TRAINPOINT_WORKFLOW="term", TRAINPOINT_RUN="r", MODE="ignore")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.kill()
    process.communicate(timeout=30)


def test_a_users_own_exception_is_not_masked(place: Place) -> None:
    process, _, err = terminate(place, "raise")
    assert process.returncode == 1
    assert "ValueError: the user's own" in err


def test_sys_exit_0_after_sigterm_still_ends_with_143(place: Place) -> None:
    assert terminate(place, "exit")[0].returncode == 143


def test_the_handler_is_put_back_when_the_last_handle_closes(place: Place) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Checkpoint(workflow="a", store=place.url):
        with Checkpoint(workflow="b", store=place.url):
            assert signal.getsignal(signal.SIGTERM) is not before
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_opened_in_another_thread_it_installs_no_handler_and_works(place: Place) -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def work() -> None:
        with Checkpoint(workflow="a", store=place.url) as ckpt:
            seen.append(signal.getsignal(signal.SIGTERM))
            with ckpt.stage(step=1) as folder:
                (folder / "x").write_text("1")
            ckpt.wait()
            seen.append(ckpt.latest().step)  # type: ignore[union-attr]

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(120)
    assert seen == [before, 1]
