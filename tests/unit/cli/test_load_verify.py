"""load and verify, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import invoke
from trainpoint import Checkpoint


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three checkpoints, oldest first, in ``store``."""
    monkeypatch.setenv("TRAINPOINT_STORE", f"{tmp_path}/store")
    monkeypatch.setenv("NO_COLOR", "1")
    found = []
    with Checkpoint(workflow="w", run="r", load_policy=None) as ckpt:
        for step in (1, 2, 3):
            (ckpt.path / "model.bin").write_bytes(bytes([step]) * 2_000_000)
            (ckpt.path / "notes.txt").write_text(f"step {step}")
            found.append(ckpt.save(step=step).name)
    return found


def damage(tmp_path: Path, name: str, *, shorten: bool = False) -> None:
    """Of that checkpoint's large file: one bit, or its last byte."""
    (found,) = (tmp_path / "store").rglob(f"data/**/{name.split('-')[-3]}-*{name.split('-')[-1]}*/files/model.bin")
    data = bytearray(found.read_bytes())
    data[7] ^= 1
    found.write_bytes(data[:-1] if shorten else data)


def test_load_puts_a_checkpoint_into_a_directory_whole(names: list[str], tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "old").write_text("old")
    done = invoke("load", names[1], str(there))
    assert done.exit_code == 0
    assert done.stdout.startswith(f"loaded {names[1]} (step 2) into {there}: 2 files, 1.9Mi, verified, ")
    assert sorted(path.name for path in there.iterdir()) == ["model.bin", "notes.txt"]
    assert (there / "notes.txt").read_text() == "step 2"


def test_load_takes_a_part_beside_what_is_there(names: list[str], tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "old").write_text("old")
    done = invoke("load", names[2], str(there), "--include", "notes*", "--merge")
    assert "1 file, 6, verified" in done.stdout
    assert sorted(path.name for path in there.iterdir()) == ["notes.txt", "old"]
    reference = json.loads(invoke("list", "-o", "json").stdout)[0]["ref"]
    assert invoke("load", json.dumps(reference), str(there)).exit_code == 0
    assert not (there / "old").exists()


def test_what_cannot_be_loaded_leaves_the_directory_as_it_was(names: list[str], tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "old").write_text("old")
    damage(tmp_path, names[0])
    for arguments, code in (([names[0]], "TP120"), (["r-00000000-0-1-abcde"], "TP104")):
        done = invoke("load", *arguments, str(there))
        assert (done.exit_code, code in done.stderr) == (1, True)
    assert [path.name for path in there.iterdir()] == ["old"]
    assert [row["status"] for row in json.loads(invoke("list", "--all", "-o", "json").stdout)] == ["Committed"] * 3


def test_verify_reads_all_back_and_names_what_is_corrupt(names: list[str], tmp_path: Path) -> None:
    done = invoke("verify")
    assert done.exit_code == 0
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [["Good", "1.9Mi", n] for n in names[::-1]]
    assert done.stderr == "3 good; 5.7Mi of good ones read back\n"
    damage(tmp_path, names[1])
    done = invoke("verify", "w/r")
    assert done.exit_code == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["Good", "Corrupt", "Good"]
    assert "'model.bin' differs from what was saved" in done.stdout
    assert invoke("verify", "w/r", "--sizes").exit_code == 0, "the size is right"
    assert invoke("verify", names[0]).exit_code == 0, "that one alone"
    assert invoke("verify", names[1]).exit_code == 1
    rows = json.loads(invoke("verify", "r", "-o", "json").stdout)
    assert [(row["step"], row["result"]) for row in rows] == [(3, "Good"), (2, "Corrupt"), (1, "Good")]


def test_verify_marks_only_when_it_is_told_to(names: list[str], tmp_path: Path) -> None:
    def listed() -> list[int]:
        return [row["step"] for row in json.loads(invoke("list", "-o", "json").stdout)]

    damage(tmp_path, names[2], shorten=True)
    assert invoke("verify", "--sizes").exit_code == 1
    assert listed() == [3, 2, 1]
    done = invoke("verify", "--sizes", "--mark")
    assert (done.exit_code, listed()) == (1, [2, 1])
    assert "1999999 bytes, not 2000000" in done.stdout
    assert invoke("verify").exit_code == 1, "a marked one is read too"


def test_a_good_one_that_is_marked_says_so(names: list[str], tmp_path: Path) -> None:
    damage(tmp_path, names[0])
    assert invoke("verify", names[0], "--mark").exit_code == 1
    damage(tmp_path, names[0])  # the same bit once more
    done = invoke("verify", names[0])
    assert done.exit_code == 0
    assert "marked corrupt" in done.stdout


def test_what_is_deleted_is_not_looked_at_unless_it_is_named(names: list[str]) -> None:
    assert invoke("rm", "--yes", names[1]).exit_code == 0
    assert len(invoke("verify").stdout.splitlines()) == 2
    done = invoke("verify", names[1])
    assert (done.exit_code, "TP122" in done.stderr) == (1, True)
    assert invoke("verify", "nothing").exit_code == 1


def test_an_empty_store_has_nothing_to_verify(tmp_path: Path) -> None:
    done = invoke("verify", "--store", f"{tmp_path}/none")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no checkpoints in" in done.stderr
