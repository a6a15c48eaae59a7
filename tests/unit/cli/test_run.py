"""``trainpoint run``: what is started, how often, with what exit code, and what is said and written down."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.support import command_line
from tests.support.supervised import environment, supervise
from trainpoint.api.names import LOCAL_NAMESPACE
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.claim.history import read_attempts
from trainpoint.cli.run import workflow_of
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.layout import TaskPath
from trainpoint.format.records import EndRecord, RunEndRecord
from trainpoint.policies.settings import from_json
from trainpoint.store.url import open_store

PYTHON = sys.executable


def catalog(folder: Path) -> BucketCatalog:
    store = open_store(str(folder / "store"), environ=os.environ)
    return BucketCatalog(store, clock=SystemClock(), chance=SystemChance())


def only_run(folder: Path) -> str:
    (run,) = catalog(folder).runs(LOCAL_NAMESPACE, "train")
    return run.run


def run_end(folder: Path) -> RunEndRecord:
    end = catalog(folder).run_end(LOCAL_NAMESPACE, "train", only_run(folder))
    assert end is not None
    return end


def attempt_ends(folder: Path) -> list[EndRecord | None]:
    task = TaskPath("train", only_run(folder), "main")
    return [attempt.end for attempt in read_attempts(catalog(folder).store, task)]


def starts(output: str) -> list[int]:
    """The steps from which the processes of ``train.py`` began."""
    return [int(line.removeprefix("start=")) for line in output.splitlines() if line.startswith("start=")]


def narration(stderr: str) -> list[str]:
    """What the supervisor said, without the run's random name."""
    begins = ("attempt 0 ended", "attempt 1 ended", "attempt 1 in", "attempt 2 in", "done", "run train", "the program")
    lines = [line.removeprefix("trainpoint  ") for line in stderr.splitlines() if line.startswith("trainpoint  ")]
    return [line for line in lines if line.startswith(begins) and "  task " not in line]


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["python", "train.py"], "-- is missing before the program; write: trainpoint run -- python train.py"),
        (["--retries", "3", "a", "-x"], "-- is missing before the program; write: trainpoint run --retries 3 -- a -x"),
        ([], "-- is missing before the program; write: trainpoint run -- python train.py"),
        (["--retries", "3", "--"], "there is no program behind --"),
        (["--retires", "3", "--", "true"], "No such option"),
        (["--retries", "-1", "--", "true"], "-1 is not in the range"),
        (["--workflow", "a/b", "--", "true"], "workflow 'a/b' cannot be used"),
        (["--load-policy", "newest", "--", "true"], "'newest' is not one of 'fresh', 'eager', 'none'"),
        (["--store", "s3:x", "--", "true"], "--store: a store's URL has a colon"),
        (["--store", "memory://x", "--", "true"], "a memory:// store ends with its process"),
        (["extra", "--", "true"], "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_with_the_right_one(arguments: list[str], said: str) -> None:
    done = command_line.invoke("run", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_help_needs_no_program() -> None:
    done = command_line.invoke("run", "--help")
    assert done.exit_code == 0
    assert "-- PROGRAM [ARGS]..." in done.stdout


@pytest.mark.parametrize(
    ("command", "workflow"),
    [
        (("python", "train.py"), "train"),
        (("python", "-u", "jobs/llm-7b.py", "--config=a.py"), "llm-7b"),
        (("torchrun", "--nproc-per-node=2", "fit.py"), "fit"),
        (("./train.sh",), "train.sh"),
        (("python", "-m", "pkg.train"), "python"),
        (("python", "my script.py"), "my-script"),
        (("/usr/bin/...",), "unnamed-2f1145ba"),
        (("python", "é.py"), "unnamed-46d0ec74"),
    ],
)
def test_the_workflow_is_named_by_the_script(command: tuple[str, ...], workflow: str) -> None:
    assert workflow_of(command) == workflow


def test_a_policy_file_with_mistakes_is_exit_code_2_before_anything_is_started(folder: Path) -> None:
    (folder / "policy.yaml").write_text("kind: CheckpointPolicy\n")
    done = supervise("--policy", "policy.yaml", "--", "touch", "started", cwd=folder)
    assert done.returncode == 2
    assert "TP022" in done.stderr
    assert not (folder / "started").exists()


# --- the program's surroundings ---------------------------------------------------------------------------------------


def test_the_program_is_told_who_it_is(folder: Path) -> None:
    (folder / "show.py").write_text(
        "import json, os, struct\n"
        "env = {k: v for k, v in os.environ.items() if k.startswith('TRAINPOINT_')}\n"
        "policy = open(env['TRAINPOINT_POLICY']).read()\n"
        "mode = os.stat(os.path.dirname(env['TRAINPOINT_POLICY'])).st_mode & 0o777\n"
        "progress = struct.unpack('<q', open(env['TRAINPOINT_PROGRESS_FILE'], 'rb').read())[0]\n"
        "print(json.dumps({'env': env, 'policy': policy, 'mode': mode, 'progress': progress}))\n"
    )
    options = ["--task", "fit", "--load-policy", "eager", "--policy", "policy.yaml", "--store", "here", "--takeover"]
    environ = environment(folder / "elsewhere", TRAINPOINT_OWNER="ada")
    done = supervise(*options, "--", PYTHON, "show.py", cwd=folder, environ=environ)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    env = shown["env"]
    run = env.pop("TRAINPOINT_RUN")
    private = Path(env.pop("TRAINPOINT_POLICY")).parent
    assert env.pop("TRAINPOINT_PROGRESS_FILE") == str(private / "progress")
    assert run.startswith("show-")
    assert len(run) == len("show-") + 10
    assert env == {
        "TRAINPOINT_WORKFLOW": "show",
        "TRAINPOINT_TASK": "fit",
        "TRAINPOINT_STORE": f"file://{folder}/here",
        "TRAINPOINT_OWNER": "ada",
        "TRAINPOINT_LOAD_POLICY": "eager",
        "TRAINPOINT_TAKEOVER": "1",
    }
    settings = from_json(shown["policy"], where="policy")
    assert (settings.retry.limit, settings.source) == (3, "CheckpointPolicy impatient in policy.yaml")
    assert (shown["mode"], shown["progress"]) == (0o700, -1)
    assert not private.exists()


def test_every_launch_is_a_new_run_unless_it_is_named(folder: Path) -> None:
    show = [PYTHON, "-c", "import os; print(os.environ['TRAINPOINT_RUN'], os.environ['TRAINPOINT_WORKFLOW'])"]
    environ = environment(folder / "store")
    unnamed = {supervise("--", *show, cwd=folder, environ=environ).stdout for _ in range(2)}
    assert len(unnamed) == 2
    environ.update(TRAINPOINT_RUN="r-1", TRAINPOINT_WORKFLOW="w")
    assert supervise("--", *show, cwd=folder, environ=environ).stdout == "r-1 w\n"
    by_option = supervise("--run", "r-2", "--workflow", "v", "--", *show, cwd=folder, environ=environ)
    assert by_option.stdout == "r-2 v\n"


def test_a_takeover_is_for_the_first_process_alone(folder: Path) -> None:
    program = "import os; print(os.environ.get('TRAINPOINT_TAKEOVER')); raise SystemExit(1)"
    environ = environment(folder / "store", TRAINPOINT_TAKEOVER="1")
    options = ["--policy", "policy.yaml", "--retries", "1", "--takeover"]
    done = supervise(*options, "--", PYTHON, "-c", program, cwd=folder, environ=environ)
    assert done.stdout.split() == ["1", "None"]


def test_a_program_that_never_opens_a_checkpoint_leaves_no_store(folder: Path) -> None:
    done = supervise("--", PYTHON, "-c", "print('hello')", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    assert not (folder / "store").exists()


# --- retries ----------------------------------------------------------------------------------------------------------


def test_a_killed_program_goes_on_from_its_newest_checkpoint(folder: Path) -> None:
    done = supervise("--policy", "policy.yaml", "--", PYTHON, "train.py", "60", "38:kill", "39:5", cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (0, [0, 30, 30])
    assert narration(done.stderr)[:-1] == [
        "attempt 0 ended: killed by signal 9 after step 37; 7 steps of work lost",
        "attempt 1 in 0 s (progress since the last start, budget still 3)",
        "attempt 1 ended: exit code 5 after step 38; 8 steps of work lost",
        "attempt 2 in 0 s (no progress since the last start, charged 1 of 3)",
    ]
    assert narration(done.stderr)[-1].startswith("done: 60 steps, 3 attempts, 15 steps repeated, 6 checkpoints, ")
    killed, failed, completed = attempt_ends(folder)
    assert killed is not None
    assert (killed.how, killed.signal, killed.exit_code, killed.last_step) == ("Killed", 9, None, 37)
    assert failed is not None
    assert (failed.how, failed.exit_code, failed.last_step) == ("Failed", 5, 38)
    assert completed is not None
    assert completed.how == "Completed"
    assert run_end(folder).outcome == "Succeeded"


def test_an_attempt_that_left_no_record_of_its_end_gets_one(folder: Path) -> None:
    done = supervise("--", PYTHON, "train.py", "30", "15:0", cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (0, [0])
    (end,) = attempt_ends(folder)
    assert end is not None
    assert (end.how, end.exit_code, end.last_step) == ("Completed", 0, 14)


def test_without_retries_it_is_started_once_and_how_to_go_on_is_said(folder: Path) -> None:
    command = [PYTHON, "train.py", "30", "25:kill"]
    done = supervise("--", *command, cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (137, [0])
    run = only_run(folder)
    again = f"trainpoint run --run {run} -- {' '.join(command)}"
    assert narration(done.stderr)[-1] == (
        f"run {run} failed: no retries were asked for (--retries 3); to go on with it: {again}"
    )
    assert (run_end(folder).outcome, run_end(folder).message) == (
        "Failed",
        "no retries were asked for (--retries 3)",
    )
    on = supervise("--run", run, "--", *command, cwd=folder)
    assert (on.returncode, starts(on.stdout), only_run(folder)) == (0, [20], run)
    assert run_end(folder).outcome == "Succeeded"


def test_retries_bound_the_failures_without_progress(folder: Path) -> None:
    done = supervise("--policy", "policy.yaml", "--retries", "1", "--", PYTHON, "train.py", "30", "15:7!", cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (7, [0, 10, 10])
    assert run_end(folder) == RunEndRecord(
        "Failed", "2 failures without progress, and retry.limit is 1", run_end(folder).time
    )


def test_attempts_without_progress_from_the_same_step_end_the_run(folder: Path) -> None:
    (folder / "policy.yaml").write_text((folder / "policy.yaml").read_text().replace("Limit: 10", "Limit: 2"))
    done = supervise("--policy", "policy.yaml", "--", PYTHON, "train.py", "30", "15:7!", cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (7, [0, 10, 10])
    assert run_end(folder).message == "2 attempts in a row began at step 10 and committed nothing beyond it"


@pytest.mark.parametrize(
    ("code", "outcome"), [(86, "exit code 86: another start would be refused too"), (78, "exit code 78 is one of")]
)
def test_what_no_retry_can_mend_is_not_tried_again(folder: Path, code: int, outcome: str) -> None:
    policy = folder / "policy.yaml"
    policy.write_text(policy.read_text().replace("{limit: 3", "{fatalExitCodes: [78], limit: 3"))
    done = supervise("--policy", "policy.yaml", "--", PYTHON, "train.py", "30", f"15:{code}", cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (code, [0])
    assert run_end(folder).message.startswith(outcome)


def test_a_program_that_never_opens_a_checkpoint_is_not_started_more_often_than_asked(folder: Path) -> None:
    program = "print('x'); raise SystemExit(3)"
    done = supervise("--policy", "policy.yaml", "--retries", "1", "--", PYTHON, "-c", program, cwd=folder)
    assert (done.returncode, done.stdout.split()) == (3, ["x"] * 2)
    assert "gave up: 2 processes in a row ended before a Checkpoint was opened" in done.stderr


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("./train.py", 126)])
def test_a_program_that_cannot_be_started_is_named_and_not_tried_again(folder: Path, command: str, code: int) -> None:
    done = supervise("--retries", "3", "--", command, cwd=folder)
    assert done.returncode == code
    assert f"{command} cannot be started" in done.stderr


# --- programs that choose their own place -----------------------------------------------------------------------------


def test_a_program_with_its_own_task_and_index_is_followed(folder: Path) -> None:
    script = (folder / "train.py").read_text().replace("every_steps=10", "every_steps=10, task='fit', index=2")
    (folder / "train.py").write_text(script)
    done = supervise("--policy", "policy.yaml", "--", PYTHON, "train.py", "30", "15:kill", cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (0, [0, 10])
    assert "attempt 1 in 0 s (progress since the last start, budget still 3)" in narration(done.stderr)


def test_a_program_that_names_its_workflow_itself_is_followed(folder: Path) -> None:
    script = (folder / "train.py").read_text().replace("every_steps=10", "every_steps=10, workflow='mine'")
    (folder / "train.py").write_text(script)
    done = supervise("--policy", "policy.yaml", "--", PYTHON, "train.py", "30", "15:kill", cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (0, [0, 10])
    assert "attempt 1 in 0 s (progress since the last start, budget still 3)" in narration(done.stderr)
    (run,) = catalog(folder).runs(LOCAL_NAMESPACE, "mine")
    end = catalog(folder).run_end(LOCAL_NAMESPACE, "mine", run.run)
    assert end is not None
    assert end.outcome == "Succeeded"
    assert catalog(folder).workflows(LOCAL_NAMESPACE) == ["mine"]


def test_progress_in_any_of_several_tasks_is_progress(folder: Path) -> None:
    one = (folder / "train.py").read_text().partition("with Checkpoint")
    body = "with Checkpoint" + one[2].replace("every_steps=10", "every_steps=10, task=task")
    both = "for task in ('prepare', 'fit'):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    (folder / "train.py").write_text(
        one[0] + both.replace("    for accident in accidents:", "    for accident in accidents * (task == 'fit'):")
    )
    done = supervise("--policy", "policy.yaml", "--", PYTHON, "train.py", "30", "15:kill", "16:kill", cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (0, [0, 0, 30, 10, 30, 10])
    said = narration(done.stderr)
    assert said[0] == "the program ended: killed by signal 9; it had made 2 claims"
    assert said[1] == "attempt 1 in 0 s (progress since the last start, budget still 3)"
    assert said[3] == "attempt 2 in 0 s (no progress since the last start, charged 1 of 3)"


def test_a_program_with_a_store_of_its_own_keeps_its_exit_code(folder: Path) -> None:
    script = (folder / "train.py").read_text().replace("every_steps=10", "every_steps=10, store='mine'")
    (folder / "train.py").write_text(script)
    done = supervise("--retries", "0", "--", PYTHON, "train.py", "30", "15:9", cwd=folder)
    assert (done.returncode, starts(done.stdout)) == (9, [0])
    assert "the program ended: exit code 9\n" in done.stderr


def test_a_store_that_fails_at_the_end_is_told_and_the_exit_code_kept(folder: Path) -> None:
    program = (
        "import shutil, trainpoint\n"
        "with trainpoint.Checkpoint(): pass\n"
        "shutil.rmtree('store')\n"
        "open('store', 'w')\n"
        "raise SystemExit(5)\n"
    )
    done = supervise("--", PYTHON, "-c", program, cwd=folder)
    assert done.returncode == 5
    assert "the program ended: exit code 5; what it committed is not known: " in done.stderr
