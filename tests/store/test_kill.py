"""A training that is killed -9 at any moment: nothing torn is ever listed, nothing promised is ever lost."""

from __future__ import annotations

import json
import random
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.place import Place
from trainpoint import Checkpoint

KILLS = 30
STEPS = 200
SAVE_EVERY = 4
DEADLINE_SECONDS = 300.0


def program(tmp_path: Path, run: str) -> dict[str, str]:
    return {
        "TRAINPOINT_WORKFLOW": "train",
        "TRAINPOINT_RUN": run,
        "TRAINPOINT_TEMP_DIR": str(tmp_path),
        "STEPS": str(STEPS),
        "SAVE_EVERY": str(SAVE_EVERY),
        "LEDGER": str(tmp_path / f"{run}.ledger"),
        "RESULT": str(tmp_path / f"{run}.result"),
    }


def promised(tmp_path: Path, run: str) -> list[str]:
    ledger = tmp_path / f"{run}.ledger"
    return [json.loads(line)["name"] for line in ledger.read_text().splitlines()] if ledger.exists() else []


def kill_at_some_moment(process: subprocess.Popen[str], chance: random.Random, ledger: Path | None) -> None:
    """SIGKILL, unless it ends before: soon after its start, or, given its ledger, soon after its next promise there."""
    if ledger is None:
        delay = chance.uniform(0.15, 1.2)
    else:
        size = ledger.stat().st_size if ledger.exists() else 0
        deadline = time.monotonic() + DEADLINE_SECONDS
        while process.poll() is None and not (ledger.exists() and ledger.stat().st_size > size):
            assert time.monotonic() < deadline, f"promised nothing in {DEADLINE_SECONDS} s"
            time.sleep(0.005)
        delay = chance.uniform(0.0, 0.4)
    with suppress(subprocess.TimeoutExpired):
        process.wait(delay)
    process.kill()


@pytest.fixture
def reader(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Checkpoint:
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)
    return Checkpoint(store=place.url, temp_dir_root=tmp_path, signals=False)


def test_killed_at_any_moment_30_times_it_ends_as_if_undisturbed(
    place: Place, tmp_path: Path, reader: Checkpoint
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    undisturbed = place.run("train.py", **program(tmp_path, "calm"))
    assert undisturbed.returncode == 0, undisturbed.stderr

    env = program(tmp_path, "stormy")
    result = tmp_path / "stormy.result"
    task = "train/stormy/main"
    kills = finished = 0
    checked: set[str] = set()
    steps_reached = []
    with reader:
        while kills < KILLS:
            process = place.start("train.py", **env)
            # Every other one once it has got so far, however busy the machine is: else there would be little to lose.
            kill_at_some_moment(process, chance, Path(env["LEDGER"]) if kills % 2 else None)
            out, err = process.communicate(timeout=DEADLINE_SECONDS)
            if process.returncode == 0:  # it got through between two kills: start the whole once more
                finished += 1
                assert result.read_text() == (tmp_path / "calm.result").read_text(), f"seed {seed}"
                env = program(tmp_path, f"stormy{finished}")
                result = tmp_path / f"stormy{finished}.result"
                task = f"train/stormy{finished}/main"
                continue
            assert process.returncode == -9, f"seed {seed}: {out}\n{err}"
            kills += 1
            try:
                listed = list(reader.list(task=task))
            except FileNotFoundError:
                listed = []  # killed before its claim
            missing = set(promised(tmp_path, task.split("/")[1])) - {info.name for info in listed}
            assert not missing, f"seed {seed}: promised and lost: {missing}"
            for info in listed:
                if info.name not in checked:
                    checked.add(info.name)
                    reader.load(info, tmp_path / "look")  # raises if anything in it is torn
                    assert (tmp_path / "look" / "nested" / "step.txt").read_text() == str(info.step)
            steps_reached.append(listed[0].step if listed else 0)
    last = place.run("train.py", **env)
    assert last.returncode == 0, f"seed {seed}: {last.stderr}"
    assert result.read_text() == (tmp_path / "calm.result").read_text(), f"seed {seed}"
    assert len(checked) > KILLS // 2, f"seed {seed}: hardly anything was saved, so hardly anything was tested"


def test_a_killed_process_leaves_no_temporary_directory_behind_its_successor(place: Place, tmp_path: Path) -> None:
    env = program(tmp_path, "left")
    env["TRAINPOINT_TEMP_DIR"] = str(tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    process = place.start("train.py", **env)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("start=0")
    process.kill()
    process.communicate(timeout=60)
    assert list((tmp_path / "scratch").iterdir()), "the killed process had one"
    done = place.run("train.py", **{**env, "STEPS": "4"})
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_next_attempt_removes_what_a_killed_one_had_half_uploaded(place: Place, tmp_path: Path) -> None:
    env = program(tmp_path, "halves")
    assert place.run("train.py", **{**env, "STEPS": "4"}).returncode == 0
    store, catalog = place.store(), place.catalog()
    (task,) = catalog.tasks("_", "train", "halves")
    whole = {info.key for info in store.list(task.data)}
    half = f"{task.data}0-99-{'ab' * 8}/files/weights.bin"
    store.put(half, b"half of it")
    assert place.run("train.py", **{**env, "STEPS": "200"}).returncode == 0
    keys = {info.key for info in store.list(task.data)}
    assert half not in keys
    assert whole <= keys
