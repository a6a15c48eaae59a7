"""``trainpoint run --resume``: a new run goes on with an earlier one."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.place import Place
from tests.support.supervised import SCRIPT, supervise
from trainpoint.api.names import LOCAL_NAMESPACE
from trainpoint.handle.visible import newest_first

STEPS = """\
import pathlib, sys
from trainpoint import checkpoint, current

def count(total, fail_at):
    ckpt = current.checkpoint
    print(f"{ckpt.info.task if ckpt.info else '-'}={ckpt.step}", flush=True)
    for step in range(ckpt.step, total):
        if step + 1 == fail_at:
            sys.exit("fails")
        with ckpt.stage(step=step + 1) as folder:
            (folder / "n").write_text(str(step + 1))

@checkpoint
def prepare():
    count(2, 0)

@checkpoint
def train():
    count(5, int(sys.argv[1]))

prepare()
train()
"""


@pytest.fixture
def train(place: Place, tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def run(place: Place, folder: Path, *options: str, program: tuple[str, ...] = ("40",)) -> CompletedProcess[str]:
    command = [sys.executable, "train.py", *program]
    return supervise(*options, "--", *command, cwd=folder, environ=place.env(TRAINPOINT_OWNER="ada"))


def runs(place: Place) -> list[str]:
    """Newest first; a server's clock alone does not tell two of the same second apart."""
    catalog = place.catalog()
    return [one.run for one in newest_first(catalog, catalog.runs(LOCAL_NAMESPACE, "train"))]


def test_resumed_twice_in_a_row_each_goes_on_with_the_one_before(place: Place, train: Path) -> None:
    killed = run(place, train, program=("40", "25:kill"))
    assert killed.returncode == 137
    (first,) = runs(place)

    again = run(place, train, "--resume", program=("40", "22:kill"))
    assert again.stdout.split() == ["start=20"]
    second, _ = runs(place)
    assert again.stderr.splitlines()[0] == f"trainpoint  run {second} goes on from train/{first} (checkpoints of main)"
    assert f"newest of run {first}, as TRAINPOINT_RESUME_FROM=train/{first} says" in again.stderr

    # That one died before it had saved anything, so the newest that has something is still the first.
    third = run(place, train, "--resume", "latest", program=("40", "35:kill"))
    assert third.stdout.split() == ["start=20"]
    fourth = run(place, train, "--resume")
    assert fourth.stdout.split() == ["start=30"]
    assert "done: 40 steps" in fourth.stderr
    named = run(place, train, "--resume", f"train/{first}", "--retries", "2", program=("40", "36:kill"))
    assert named.stdout.split() == ["start=20", "start=30"], "the retry goes on from what was saved since"
    assert len(set(runs(place))) == 5

    # The line that says how to go on with a run needs no --resume: the run knows where it came from.
    (rolled, *_) = runs(place)
    on = run(place, train, "--run", rolled)
    assert on.stdout.split() == ["start=40"]


def test_a_named_task_goes_on_and_the_others_start_by_their_policy(place: Place, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(STEPS)
    failed = run(place, tmp_path, program=("4",))
    assert (failed.returncode, failed.stdout.split()) == (1, ["-=0", "-=0"])
    done = run(place, tmp_path, "--resume", "--task", "train", program=("0",))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["-=0", "train=3"]
    assert ", task train only (checkpoints of train)" in done.stderr.splitlines()[0]
    assert "speaks of another task than this one, prepare, which follows its policy" in done.stderr
    every = run(place, tmp_path, "--resume", runs(place)[-1], program=("0",))
    assert every.stdout.split() == ["prepare=2", "train=3"]
    wrong = run(place, tmp_path, "--resume", "--task", "trian", program=("0",))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "no run of train that ada has launched has a checkpoint of task trian" in wrong.stderr


def test_a_run_that_is_not_there_is_a_mistake_of_the_command_line(place: Place, train: Path) -> None:
    none = run(place, train, "--resume")
    assert (none.returncode, none.stdout) == (2, "")
    assert "no run of train that ada has launched has a checkpoint" in none.stderr
    run(place, train, "--run", "train-one", program=("10",))
    missing = run(place, train, "--resume", "train-two")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "there is no run train/train-two in" in missing.stderr
    assert "did you mean train/train-one?" in missing.stderr
    bad = run(place, train, "--resume", "a/b/c")
    assert (bad.returncode, bad.stdout) == (2, "")
    foreign = supervise(
        "--resume",
        "--",
        sys.executable,
        "train.py",
        "10",
        cwd=train,
        environ=place.env(TRAINPOINT_OWNER="bob"),
    )
    assert foreign.returncode == 2
    assert "there are runs of ada: name one" in foreign.stderr
    assert runs(place) == ["train-one"]
