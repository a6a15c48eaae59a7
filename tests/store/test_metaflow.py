"""The programs and the notebook of Metaflow's page "Selecting a Checkpoint to Use" (examples/metaflow), run for real.

The other scenarios of that page are in the modules that docs/reference/metaflow-coverage.md names.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.place import Place
from tests.support.repository import ROOT
from trainpoint import Checkpoint, CheckpointInfo, Flow

EXAMPLES = ROOT / "examples" / "metaflow"
COUNTER, POLICY = "CheckpointCounterFlow", "CounterPolicyFlow"
FAILURES = "FAILS_AT = (3, 7)"
NEVER = "FAILS_AT: tuple[int, ...] = ()"
COUNTS = "            self.counter += 1\n"
DIES_AT_7 = COUNTS + "            if self.counter == 7:\n                os.kill(os.getpid(), 9)\n"
WAITS_AT_5 = COUNTS + "            if self.counter == 5:\n                print('waiting', input(), flush=True)\n"
DEADLINE_SECONDS = 300.0


@dataclass(frozen=True)
class Team:
    """People who start the programs, changed or not, as the page tells them to."""

    place: Place
    folder: Path

    def program(self, name: str, changes: dict[str, str]) -> Path:
        """An example, with some of its text replaced."""
        text = (EXAMPLES / name).read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text, f"{name} has no {old!r} any more"
            text = text.replace(old, new, 1)
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run(
        self,
        program: str,
        *options: str,
        changes: dict[str, str] | None = None,
        owner: str = "ada",
        arguments: tuple[str, ...] = (),
    ) -> CompletedProcess[str]:
        """``trainpoint run OPTIONS -- python PROGRAM ARGUMENTS``."""
        workflow = COUNTER if program == "checkpoint_counter.py" else POLICY
        trainpoint = [sys.executable, "-m", "trainpoint.cli.main", "run", "--workflow", workflow]
        path = self.program(program, changes or {})
        return subprocess.run(
            [*trainpoint, *options, "--", sys.executable, str(path), *arguments],
            env=self.place.env(TRAINPOINT_OWNER=owner),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    def count(self, *options: str, changes: dict[str, str] | None = None, owner: str = "ada") -> CompletedProcess[str]:
        return self.run("checkpoint_counter.py", *options, changes=changes, owner=owner)

    def choose(
        self, *arguments: str, changes: dict[str, str] | None = None, owner: str = "ada"
    ) -> CompletedProcess[str]:
        return self.run("counter_policy.py", changes=changes, owner=owner, arguments=arguments)


@pytest.fixture
def team(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """This process is ada, with the same store."""
    for name, value in {**place.environ, "TRAINPOINT_STORE": place.url, "TRAINPOINT_OWNER": "ada"}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "programs"
    folder.mkdir()
    return Team(place, folder)


def starts(done: CompletedProcess[str]) -> list[str]:
    """What each attempt began with."""
    told = "Counter is now "
    found = [line.removeprefix(told) for line in done.stdout.splitlines() if line.startswith(told)]
    return found or [done.stderr]


def saved(run: int = 0) -> list[CheckpointInfo]:
    """Checkpoints of a run of the counter, oldest first; the newest run is 0."""
    return list(reversed(Flow(COUNTER, owner="*").runs()[run]["flaky_count"].task.checkpoints()))


def value(info: CheckpointInfo) -> int:
    with Checkpoint() as reader:
        reader.load(info)
        return int((reader.path / "counter").read_text())


def test_a_retry_keeps_progress_and_what_was_saved_never_changes(team: Team) -> None:
    """Scenarios 1 to 3."""
    first = team.count("--retries", "3")
    assert first.returncode == 0, first.stderr
    assert starts(first) == [
        "0 in attempt 0 from attempt None",
        "2 in attempt 1 from attempt 0",
        "6 in attempt 2 from attempt 1",
    ]
    assert first.stdout.count("Checkpoint loaded!") == 2
    assert "Final counter 10" in first.stdout
    assert [(info.attempt, info.step, value(info)) for info in saved()] == [
        (0, 2, 2),
        (1, 4, 4),
        (1, 6, 6),
        (2, 8, 8),
        (2, 10, 10),
    ]
    with Checkpoint() as reader:
        assert [entry.step for entry in reader.lineage(saved()[-1].ref)] == [10, 6, 2], "each load is a parent"

    second = team.count("--retries", "0", changes={FAILURES: NEVER})
    assert starts(second) == ["0 in attempt 0 from attempt None"]
    assert "Checkpoint loaded!" not in second.stdout
    assert "5 checkpoints of run" in second.stderr, "it says what it does not load"
    assert [value(info) for info in saved(run=1)] == [2, 4, 6, 8, 10]


def test_eager_goes_on_with_an_interrupted_run_and_skips_one_that_is_done(team: Team) -> None:
    """Scenarios 4 to 7: as the page says, by changing the decorator and back."""
    eager = {"@checkpoint\n": "@checkpoint(load_policy='eager')\n"}
    assert team.count(changes={COUNTS: DIES_AT_7, FAILURES: NEVER, **eager}).returncode == 128 + 9
    interrupted = Flow(COUNTER).latest_run
    assert [info.step for info in saved()] == [2, 4, 6]
    other = team.count(changes={"self.counter < 10": "self.counter < 8", FAILURES: NEVER})
    assert starts(other) == ["0 in attempt 0 from attempt None"]

    resumed = team.count("--resume", interrupted.name, "--task", "flaky_count", changes=eager)
    assert starts(resumed) == ["6 in attempt 0 from attempt 0"], "not 8, which is newer"
    assert [info.step for info in saved()] == [8, 10]
    assert {info.parents for info in saved()} == {(saved(run=2)[-1].name,)}, "the origin is the parent"

    skips = team.count(changes=eager)
    assert starts(skips) == ["10 in attempt 0 from attempt 0"]
    assert "Checkpointing" not in skips.stdout
    newest, before = Flow(COUNTER).runs()[:2]
    assert saved() == []
    assert newest["flaky_count"].task.latest == before["flaky_count"].task.latest
    chosen = team.choose()
    assert chosen.stdout.splitlines() == [f"Accessing checkpoints from run {newest.pathspec}", "Loaded counter 10"]

    assert starts(team.count(changes={FAILURES: NEVER})) == ["0 in attempt 0 from attempt None"], "back to fresh"


@pytest.mark.parametrize("policy", ["None", "'none'"])
def test_none_loads_nothing_whatever_else_is_said(team: Team, policy: str) -> None:
    """Scenario 8."""
    empty = "assert os.listdir(current.checkpoint.directory) == []\n        load_counter()\n        info"
    changes = {"@checkpoint\n": f"@checkpoint(load_policy={policy})\n", "load_counter()\n        info": empty}
    done = team.count("--retries", "3", "--load-policy", "eager", changes=changes)
    assert done.returncode == 0, done.stderr
    assert starts(done) == [f"0 in attempt {attempt} from attempt None" for attempt in range(3)]
    assert [info.step for info in saved()] == [2, 2, 4, 6, 2, 4, 6, 8, 10]


def test_the_program_chooses_the_latest_successful_run_of_anybody(team: Team) -> None:
    """Scenario 9, and a failed run that is newer."""
    assert team.count("--retries", "3", owner="ada").returncode == 0
    succeeded = Flow(COUNTER).latest_run
    assert team.count("--retries", "0", owner="ada").returncode == 1
    mine = {', owner="*"': ""}
    refused = team.choose(owner="bob", changes=mine)
    assert refused.returncode != 0
    assert "NotVisibleError" in refused.stderr
    assert "none of bob" in refused.stderr
    assert "Loaded" not in refused.stdout

    chosen = team.choose(owner="bob")
    assert chosen.stdout.splitlines() == [f"Accessing checkpoints from run {succeeded.pathspec}", "Loaded counter 10"]
    mine_now = Flow(POLICY, owner="bob").latest_run["start"].task
    with Checkpoint() as reader:
        loaded = reader.lineage(mine_now.pathspec)[0]
    assert (loaded.name, loaded.run) == (saved(run=1)[-1].name, succeeded.name)


def test_the_program_lists_a_task_that_goes_on(team: Team) -> None:
    """The page's list form; and scenarios 11 to 13 as this program sees them."""
    identity = {"TRAINPOINT_WORKFLOW": COUNTER, "TRAINPOINT_RUN": "goes-on", "TRAINPOINT_OWNER": "ada"}
    program = team.program("checkpoint_counter.py", {COUNTS: WAITS_AT_5})

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(program)],
            env=team.place.env(**identity),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    _, err = start().communicate(timeout=DEADLINE_SECONDS)
    assert "Bad luck" in err
    assert "Loaded counter 2" in team.choose("--list").stdout, "attempt 0 has failed, attempt 1 has not begun"
    second = start()
    try:
        task = Flow(COUNTER)["goes-on"]["flaky_count"].task
        assert second.stdout is not None
        while not second.stdout.readline().startswith("Checkpointing counter value 4"):
            assert second.poll() is None, second.communicate()
        # It prints before it saves; the store says when it has.
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (newest := task.latest) is None or newest.attempt == 0:
            assert time.monotonic() < deadline, f"attempt 1 has saved nothing; newest: {newest}"
        assert value(newest) == 4
        assert "Loaded counter 4" in team.choose("--list").stdout, "while it runs"
        with Checkpoint() as reader:
            assert [(info.attempt, info.step) for info in reader.list(task=task)] == [(1, 4), (0, 2)]
            assert list(reader.list(task=task, attempt="0")) == list(reader.list(task=task))[1:]
    finally:
        _, err = second.communicate("go on\n", timeout=DEADLINE_SECONDS)
    assert "Bad luck" in err
    _, err = start().communicate("go on\n", timeout=DEADLINE_SECONDS)
    assert "Traceback" not in err
    assert "Loaded counter 10" in team.choose("--list").stdout
    assert [info.step for info in saved()] == [2, 4, 6, 8, 10]


def test_of_a_task_that_has_saved_nothing_the_list_is_empty(team: Team) -> None:
    """A run that has saved nothing has an empty list, as every Python list."""
    assert team.count("--retries", "0", changes={FAILURES: "FAILS_AT = (1,)"}).returncode == 1
    with Checkpoint() as reader:
        assert len(reader.list(task=Flow(COUNTER).latest_run["flaky_count"].task)) == 0
    assert "IndexError" in team.choose("--list").stderr


def test_the_notebook_does_what_it_says(team: Team) -> None:
    """Scenario 14."""
    try:
        import nbformat
        from nbclient import NotebookClient
    except ModuleNotFoundError as missing:
        pytest.fail(f"{missing}; nbclient and ipykernel belong to the development group: make setup")
    assert team.count("--retries", "3").returncode == 0
    before = sorted(row.key for row in team.place.store().list(""))
    text = (EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=int(DEADLINE_SECONDS), kernel_name="python3")
    client.execute(env=team.place.env(TRAINPOINT_OWNER="ada"))
    printed = [
        "".join(output.text for output in cell.outputs if output.get("name") == "stdout").splitlines()
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    newest, compared, refused = printed
    assert newest == ["10"]
    assert compared == [*(f"{n} {n} ['counter']" for n in (10, 8, 6, 4, 2)), "False"]
    assert 'Checkpoint(workflow="name"), or start with: trainpoint run -- python script.py' in " ".join(refused)
    assert refused[-1] == "False", "the directory is gone after an exception too"
    assert sorted(row.key for row in team.place.store().list("")) == before, "a notebook only reads"


def test_the_notebook_is_kept_without_outputs() -> None:
    text = (EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8")
    assert text.count('"outputs": []') == text.count('"cell_type": "code"')
    assert text.count('"execution_count": null') == text.count('"cell_type": "code"')
