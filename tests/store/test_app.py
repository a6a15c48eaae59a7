"""Apps as people run them: processes, on a directory and on a real S3 server."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.place import DEADLINE_SECONDS, PROGRAMS, Place
from tests.support.repository import ROOT
from tests.support.supervised import TRAINPOINT, Supervised
from trainpoint.app import start
from trainpoint.catalog.marks import read_info
from trainpoint.claim.history import read_attempts
from trainpoint.format.digest import JsonObject
from trainpoint.handle.visible import newest_first

HOOK = str(PROGRAMS / "app_hook.py")
NAME = re.compile(r"lightningapp_checkpoint_\d{10}\.json")

SEED = """\
import os
from trainpoint import app

class Work(app.Work):
    def __init__(self):
        super().__init__()
        self.counter = 0

    def run(self):
        self.counter += 1
        print("work runs", flush=True)


class MyLightningApp(app.Flow):
    def __init__(self):
        super().__init__()
        self.times = 0

    def run(self):
        if not getattr(self, "w", None):
            self.w = Work()
        self.w.run()
        self.times += 1
        if self.w.has_succeeded:
            print(f"counter={self.w.counter} times={self.times}", flush=True)
            self.stop()

    def should_save_checkpoint(self):
        return True
"""
"""The seed's class, with the name of its work put right."""

MIGRATION = """
    def load_state_dict(self, flow_state, children_states, strict):
        # 1: Re-instantiate the dynamic work component
        self.w = Work()
        # 2: Make any states modification / migration.
        children_states["w"]["vars"]["counter"] *= 2
        # 3: Call the parent ``load_state_dict`` to recursively reload the states.
        super().load_state_dict(flow_state, children_states, strict)
"""


EARLIER = """\
from trainpoint.app import Dict, Flow, Work

class Part(Work):
    def __init__(self):
        super().__init__()
        self.counter = 0

    def run(self):
        self.counter += 1

class Inner(Flow):
    def __init__(self):
        super().__init__()
        self.seen = []
        self.limit = 3

class Main(Flow):
    def __init__(self):
        super().__init__()
        self.n = 0
        self.rate = 0.5
        self.inner = Inner()
        self.parts = Dict(a=Part())
        self.gone = Part()

    def run(self):
        self.n += 1
        self.inner.seen.append(self.n)
        self.parts["a"].run()
        self.gone.run()
        self.stop()

    def should_save_checkpoint(self):
        return True

app = Main()
"""

LATER = (
    EARLIER.replace("self.rate = 0.5", "self.speed = 2")
    .replace("self.limit = 3", "self.most = 4")
    .replace("        self.gone = Part()\n", "")
    .replace("        self.gone.run()\n", "")
    + """
if __name__ == "__main__":
    import json, sys
    from trainpoint.app.component import walk
    from trainpoint.app.loop import run_app
    from trainpoint.errors import IncompatibleStateError

    def attributes():
        return [(path, id(x), [(n, id(v), repr(v)) for n, v in vars(x).items()], x._tp_calls) for path, x in walk(app)]

    made = attributes()
    try:
        report = run_app(app, checkpoint="latest", strict="strict" in sys.argv)
    except IncompatibleStateError as error:
        print(json.dumps({"error": error.message, "as made": attributes() == made}))
        raise
    print(json.dumps({"dropped": report.dropped, "kept": report.kept_default, "n": app.n, "seen": app.inner.seen}))
"""
)
"""Two variables have another name, one component is gone; it starts itself, to look at itself."""


def run_app(place: Place, *arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """``trainpoint run app …`` to its end."""
    return trainpoint(place, "run", "app", *arguments, cwd=cwd, **more)


def trainpoint(place: Place, *arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TRAINPOINT, *arguments],
        env=place.env(**more),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def saved(place: Place, workflow: str) -> list[tuple[str, JsonObject]]:
    """(file name, what it holds) of what a workflow has saved, newest first."""
    catalog = place.catalog()
    found = start.committed(catalog, start.saved_by(catalog, "_", workflow))
    return [(one.file, json.loads(start.read_stored(catalog, one))) for one in found]


def counted(place: Place, workflow: str = "app_hook") -> list[int]:
    return [state["state"]["vars"]["n"] for _, state in saved(place, workflow)]


def three(place: Place, cwd: Path) -> list[str]:
    """Three checkpoints with n = 1, 2, 3; their names, oldest first."""
    for total in ("1", "2", "3"):
        again = ["--checkpoint", "latest"] if total != "1" else []
        done = run_app(place, HOOK, *again, cwd=cwd, TOTAL=total)
        assert done.returncode == 0, done.stderr
    assert counted(place) == [3, 2, 1]
    return [name for name, _ in reversed(saved(place, "app_hook"))]


def test_the_hook_saves_and_its_last_yes_is_what_the_newest_file_holds(place: Place, tmp_path: Path) -> None:
    done = run_app(place, HOOK, cwd=tmp_path, TOTAL="10", HOOK_BELOW="5", PAUSE="0.4")
    assert done.returncode == 0, done.stderr
    assert "end=10 asked=0" in done.stdout, "a child's hook is never asked"
    names = [name for name, _ in saved(place, "app_hook")]
    assert all(NAME.fullmatch(name) for name in names)
    assert names == sorted(set(names), reverse=True)
    numbers = counted(place)
    assert numbers[0] == 4
    assert max(numbers) < 5
    assert len(numbers) >= 2, "more than a second passed between the first and the last yes"


def test_a_hook_that_says_no_saves_nothing(place: Place, tmp_path: Path) -> None:
    done = run_app(place, HOOK, cwd=tmp_path, HOOK_BELOW="0")
    assert done.returncode == 0, done.stderr
    assert saved(place, "app_hook") == []


def test_each_file_is_a_readable_object_of_a_checkpoint_that_lists_show(place: Place, tmp_path: Path) -> None:
    names = three(place, tmp_path)
    catalog = place.catalog()
    for one in start.saved_by(catalog, "_", "app_hook"):
        entry = next(entry for entry in catalog.entries(one.ref.task) if entry.id == one.ref.id)
        info, manifest = read_info(catalog.store, one.ref.task, entry)
        assert [file.path for file in manifest.files] == [one.file]
        assert info.workflow == "app_hook"
        assert info.series == one.file.removesuffix(".json")
    (newest, *_) = [row.key for row in catalog.store.list("ns/_/data/") if row.key.endswith(names[2])]
    state = json.loads(catalog.store.get(newest))
    assert state["state"]["vars"] == {"n": 3}
    assert state["state"]["flows"]["child"]["vars"]["seen"] == 3
    assert state["state"]["works"]["w"]["vars"]["counter"] == 1

    listed = trainpoint(place, "app", "checkpoints", "app_hook", cwd=tmp_path)
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == [
        n.removesuffix(".json") for n in names[::-1]
    ]
    as_json = json.loads(trainpoint(place, "app", "checkpoints", "-o", "json", cwd=tmp_path).stdout)
    assert [row["checkpoint"] for row in as_json] == names[::-1]
    assert [row["step"] for row in as_json] == [3, 2, 1]


def test_an_app_starts_from_a_path_a_name_or_latest(place: Place, tmp_path: Path) -> None:
    names = three(place, tmp_path)
    states = dict(saved(place, "app_hook"))
    (tmp_path / names[0]).write_text(json.dumps(states[names[0]]))
    (tmp_path / "latest").write_text("not this one")

    def began(text: str) -> str:
        done = run_app(place, HOOK, "--checkpoint", text, cwd=tmp_path, SAY_START="1", HOOK_BELOW="0")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[0]

    assert began(names[0]) == "start=1", "a local file"
    assert began(names[1]) == "start=2"
    assert began(names[1].removesuffix(".json")) == "start=2"
    assert began("latest") == "start=3"
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    assert began("latest") == "start=3"


@pytest.mark.parametrize("text", ["lightningapp", "nothing"])
def test_what_is_not_there_starts_nothing(text: str, place: Place, tmp_path: Path) -> None:
    names = three(place, tmp_path)
    done = run_app(place, HOOK, "--checkpoint", text, "--retries", "3", cwd=tmp_path, SAY_START="1")
    assert (done.returncode, done.stdout) == (86, "")
    assert done.stderr.count(f"Could not find checkpoint: {text}") == 1, "nor is it tried again"
    assert (", ".join(names[::-1]) in done.stderr) == (text == "lightningapp")


def test_latest_of_an_empty_store_starts_nothing(place: Place, tmp_path: Path) -> None:
    done = run_app(place, HOOK, "--checkpoint", "latest", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (86, "")
    assert "Could not find checkpoint: latest" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_cut_off_is_named_and_nothing_stands_in_for_it(place: Place, tmp_path: Path) -> None:
    three(place, tmp_path)
    (tmp_path / "cut.json").write_text('{"formatVersion": 1, "kind": "App", "sta')
    done = run_app(place, HOOK, "--checkpoint", "cut.json", cwd=tmp_path, SAY_START="1")
    assert (done.returncode, done.stdout) == (86, "")
    assert "cut.json is no readable JSON" in done.stderr


def test_a_stored_file_that_is_cut_off_is_named_and_nothing_stands_in_for_it(place: Place, tmp_path: Path) -> None:
    names = three(place, tmp_path)
    store = place.store()
    (key,) = [row.key for row in store.list("ns/_/data/") if row.key.endswith(names[2])]
    store.delete(key)
    store.put(key, b'{"formatVersion": 1, "kind": "App", "sta')
    done = run_app(place, HOOK, "--checkpoint", names[2], cwd=tmp_path, SAY_START="1")
    assert (done.returncode, done.stdout) == (86, "")
    assert f"--checkpoint={names[2].removesuffix('.json')}: checkpoint " in done.stderr
    assert "is corrupt: " in done.stderr
    newest = run_app(place, HOOK, "--checkpoint", "latest", cwd=tmp_path, SAY_START="1", TOTAL="3")
    assert newest.stdout.splitlines()[0] == "start=2", newest.stderr


def test_a_component_that_the_code_does_not_create_starts_nothing(place: Place, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SEED)
    assert run_app(place, "app.py", cwd=tmp_path).returncode == 0
    done = run_app(place, "app.py", "--checkpoint", "latest", "--retries", "3", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (86, "")
    assert done.stderr.count("The component w wasn't instantiated for the component root") == 1
    assert "load_state_dict" in done.stderr
    catalog = place.catalog()
    newest = next(newest_first(catalog, catalog.runs("_", "app")))
    (task,) = catalog.tasks("_", "app", newest.run)
    (attempt,) = read_attempts(catalog.store, task)
    assert attempt.end is not None
    assert "The component w wasn't instantiated for the component root" in attempt.end.message
    assert attempt.end.exit_code == 86

    check = trainpoint(place, "app", "check", "app.py", "--checkpoint", "latest", cwd=tmp_path)
    assert check.returncode == 86
    assert "w (Work)" in check.stdout
    assert check.stdout.splitlines()[-1].startswith("app.py cannot start from lightningapp_checkpoint_")
    lenient = run_app(place, "app.py", "--checkpoint", "latest", "--non-strict", cwd=tmp_path)
    assert lenient.returncode == 0, lenient.stderr
    assert "dropped, since the code has no place for it: root.w" in lenient.stderr


def test_all_differences_are_one_error_and_every_attribute_stays_as_it_was_made(place: Place, tmp_path: Path) -> None:
    (tmp_path / "whole.py").write_text(EARLIER)
    assert run_app(place, "whole.py", cwd=tmp_path).returncode == 0
    (tmp_path / "whole.py").write_text(LATER)

    def start_again(how: str) -> tuple[int, JsonObject, str]:
        done = trainpoint(place, "run", "--", sys.executable, "whole.py", how, cwd=tmp_path)
        return done.returncode, json.loads(done.stdout), done.stderr

    code, told, log = start_again("strict")
    assert code == 86, log
    assert told["error"].splitlines() == [
        "The component gone wasn't instantiated for the component root",
        "    - root.gone: a Work of the state that the code does not create",
        "    - root.rate: a variable of the state that the code does not set",
        "    - root.inner.limit: a variable of the state that the code does not set",
        "    new in the code, which is no reason to refuse: root.speed, root.inner.most",
    ]
    assert told["as made"] is True
    assert all(line in log for line in told["error"].splitlines())

    code, told, log = start_again("whatever fits")
    assert code == 0, log
    dropped = ["root.rate", "root.inner.limit", "root.gone", "root.gone.counter"]
    assert told == {"dropped": dropped, "kept": ["root.speed", "root.inner.most"], "n": 2, "seen": [1, 2]}
    assert f"dropped, since the code has no place for it: {', '.join(dropped)}" in log
    assert "new in the code, keeps its default: root.speed, root.inner.most" in log


def test_the_seeds_class_migrates_and_does_not_run_again_what_was_finished(place: Place, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SEED)
    first = run_app(place, "app.py", cwd=tmp_path)
    assert first.stdout.splitlines()[0] == "work runs"
    times = int(first.stdout.rpartition("times=")[2])
    (tmp_path / "app.py").write_text(SEED + MIGRATION)
    assert trainpoint(place, "app", "check", "app.py", cwd=tmp_path).returncode == 0
    again = run_app(place, "app.py", "--checkpoint", "latest", cwd=tmp_path)
    assert again.stdout == f"counter=2 times={times + 1}\n", again.stderr


def test_the_example_runs_and_restarts_from_each_of_the_three_forms(place: Place, tmp_path: Path) -> None:
    example = str(ROOT / "examples" / "app" / "app.py")
    first = run_app(place, example, cwd=tmp_path)
    assert first.stdout.splitlines()[0] == "the work runs", first.stderr
    rounds = int(first.stdout.splitlines()[-1].split()[1].strip(","))
    name, state = saved(place, "app")[0]
    (tmp_path / "copy.json").write_text(json.dumps(state))
    for text in ("latest", name, name.removesuffix(".json"), "copy.json"):
        again = run_app(
            place,
            example,
            "--checkpoint",
            text,
            "--workflow",
            f"again-{text[:4]}",
            "--checkpoint-from",
            "app",
            cwd=tmp_path,
        )
        assert again.stdout == f"rounds: {rounds + 10}, counter: 1\n", again.stderr


def test_a_work_that_was_not_finished_is_executed_after_a_restart_and_no_other(place: Place, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    env = {"LEDGER": str(ledger), "PAUSE": "0.02"}
    assert run_app(place, HOOK, cwd=tmp_path, TOTAL="15", **env).returncode == 0
    assert ledger.read_text().splitlines() == ["work 0", "work 1"]
    assert run_app(place, HOOK, "--checkpoint", "latest", cwd=tmp_path, TOTAL="25", **env).returncode == 0
    assert ledger.read_text().splitlines() == ["work 0", "work 1", "work 2"]


def test_a_failed_app_is_started_again_and_goes_on_where_its_run_has_saved(place: Place, tmp_path: Path) -> None:
    (tmp_path / "impatient.yaml").write_text(
        "apiVersion: trainpoint.dev/v1alpha1\nkind: CheckpointPolicy\nmetadata: {name: impatient}\n"
        "spec:\n  retry: {limit: 3, backoff: {base: 0s, max: 0s}}\n"
    )
    code = (
        Path(HOOK)
        .read_text(encoding="utf-8")
        .replace(
            'if self.n == int(os.environ.get("BREAK_AT", "-1")):',
            'if self.n == 6 and not os.path.exists("once"):\n            open("once", "w").close()',
        )
    )
    (tmp_path / "app.py").write_text(code)
    done = run_app(place, "app.py", "--policy", "impatient.yaml", cwd=tmp_path, SAY_START="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["start=0", "start=5", "end=10 asked=0"]
    assert "RuntimeError: broken at 6" in done.stderr
    assert "done: 10 steps, 2 attempts" in done.stderr


def test_the_line_that_goes_on_with_a_failed_app_says_all_that_was_said(place: Place, tmp_path: Path) -> None:
    three(place, tmp_path)
    said = ["--workflow", "other", "--task", "part", "--load-policy", "eager", "--checkpoint-from", "app_hook"]
    said += ["--checkpoint", "latest", "--non-strict", "--retries", "0"]
    failed = run_app(place, HOOK, *said, cwd=tmp_path, HOOK_BELOW="0", BREAK_AT="6")
    assert failed.returncode == 1
    (line,) = re.findall(r"to go on with it: trainpoint (.*)", failed.stderr)
    words = shlex.split(line)
    assert set(said) <= set(words)
    again = trainpoint(place, *words, cwd=tmp_path, SAY_START="1", TOTAL="6")
    assert again.stdout.splitlines() == ["start=3", "end=6 asked=0"], again.stderr
    assert "attempt 1  loaded step 3" in again.stderr


def test_a_check_looks_where_the_app_would(place: Place, tmp_path: Path) -> None:
    assert run_app(place, HOOK, "--workflow", "other", cwd=tmp_path, TOTAL="1").returncode == 0
    elsewhere = trainpoint(place, "app", "check", HOOK, cwd=tmp_path)
    assert elsewhere.returncode == 86
    assert "Could not find checkpoint: latest" in elsewhere.stderr
    assert trainpoint(place, "app", "check", HOOK, "--workflow", "other", cwd=tmp_path).returncode == 0
    assert trainpoint(place, "app", "check", HOOK, cwd=tmp_path, TRAINPOINT_WORKFLOW="other").returncode == 0


@pytest.mark.parametrize("verb", [["run", "app"], ["app", "check"]])
def test_an_empty_checkpoint_such_as_of_a_variable_that_is_not_set_starts_nothing(
    verb: list[str], tmp_path: Path
) -> None:
    done = trainpoint(Place(f"file://{tmp_path}/store"), *verb, HOOK, "--checkpoint", "", cwd=tmp_path, SAY_START="1")
    assert (done.returncode, done.stdout) == (86, "")
    assert "--checkpoint is empty" in done.stderr


def test_an_app_that_is_told_to_end_saves_and_another_run_goes_on_from_there(place: Place, tmp_path: Path) -> None:
    # The neighbour writes later than the app that is stopped, and shares the store.
    environ = place.env(TOTAL="1000000000", PAUSE="0.02", TELL_AT="20")
    with Supervised(["app", HOOK], environ, tmp_path) as app:
        app.wait_for("reached=20")
        app.send(signal.SIGTERM)
        assert app.end() == 143
        told = app.output()
    reached = int(re.search(r"(\d+) iterations, \d+ checkpoints", told).group(1))  # type: ignore[union-attr]
    assert counted(place)[0] == reached
    assert run_app(place, HOOK, "--workflow", "neighbour", cwd=tmp_path, TOTAL="2").returncode == 0
    done = run_app(place, HOOK, "--checkpoint", "latest", cwd=tmp_path, TOTAL=str(reached + 1), SAY_START="1")
    assert done.stdout.splitlines() == [f"start={reached}", f"end={reached + 1} asked=0"], done.stderr
    other = run_app(
        place, HOOK, "--workflow", "neighbour", "--checkpoint", "latest", cwd=tmp_path, TOTAL="3", SAY_START="1"
    )
    assert other.stdout.splitlines()[0] == "start=2", other.stderr


def test_arguments_behind_two_dashes_are_the_apps(place: Place, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import sys\nfrom trainpoint.app import Flow\nclass Main(Flow):\n"
        "    def run(self):\n        print(sys.argv, flush=True)\n        self.stop()\n"
    )
    done = run_app(place, "app.py", "--", "--checkpoint", "x", cwd=tmp_path)
    assert done.stdout == "['app.py', '--checkpoint', 'x']\n", done.stderr


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = 1\n", "has no flow, and no object named app"),
        ("from trainpoint.app import Flow\nclass A(Flow): pass\nclass B(Flow): pass\n", "has 2 flows (A, B), and no"),
        ("from trainpoint.app import Flow\nclass A(Flow): pass\napp = A\n", "app is a class: call it, app = Main()"),
        ("app = 3\n", "app is of the type int"),
        (
            "from trainpoint.app import Flow\nclass A(Flow):\n    def __init__(self, x): super().__init__()\n",
            "A needs the arguments x",
        ),
    ],
    ids=["none", "two", "class", "number", "arguments"],
)
def test_a_file_without_exactly_one_app_is_told_what_is_missing(code: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(code)
    done = run_app(Place(f"file://{tmp_path}/store"), "app.py", cwd=tmp_path)
    assert done.returncode == 86
    assert "AppFileError [TP158]" in done.stderr
    assert told in done.stderr


def test_ten_thousand_iterations_leave_few_files_and_objects(place: Place, tmp_path: Path) -> None:
    (tmp_path / "few.yaml").write_text(
        "apiVersion: trainpoint.dev/v1alpha1\nkind: CheckpointPolicy\nmetadata: {name: few}\n"
        "spec:\n  appFiles: {keepLatest: 3, keepOneEvery: 0s}\n"
    )
    done = run_app(place, HOOK, "--policy", "few.yaml", cwd=tmp_path, TOTAL="10000", PAUSE="0.0005")
    assert done.returncode == 0, done.stderr
    account = re.search(r"10000 iterations, (\d+) checkpoints, .* (\d+) states came within a second", done.stderr)
    assert account is not None, done.stderr
    written, replaced = int(account[1]), int(account[2])
    assert written > 3, "so that the rule has something to delete"
    assert written + replaced == 10_000
    catalog = place.catalog()
    (run,) = catalog.runs("_", "app_hook")
    (task,) = catalog.tasks("_", "app_hook", run.run)
    kinds = Counter(row.key.split("/")[2] for row in catalog.store.list("ns/"))
    manifests = Counter(row.key.rpartition(".")[2] for row in catalog.store.list(task.manifests))
    assert kinds["data"] == 3
    assert manifests == {"json": 3, "tombstone": written - 3, "fence": 1}
    assert kinds["log"] == 2 * written - 3, "one entry for each that was saved, one for each that was deleted"
    assert kinds.total() <= 3 * written + 20
    assert counted(place)[0] == 10_000


def test_a_check_gives_the_app_the_arguments_behind_two_dashes(place: Place, tmp_path: Path) -> None:
    code = 'import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument("--rate", required=True)\n'
    (tmp_path / "app.py").write_text(f"{code}print(parser.parse_args().rate, flush=True)\n{EARLIER}")
    assert run_app(place, "app.py", "--", "--rate", "0.1", cwd=tmp_path).returncode == 0
    check = trainpoint(place, "app", "check", "app.py", "--checkpoint", "latest", "--", "--rate", "0.2", cwd=tmp_path)
    assert check.returncode == 0, check.stderr
    assert check.stdout.splitlines()[0] == "0.2"
    assert check.stdout.splitlines()[-1].startswith("app.py can start from ")


def test_a_run_that_began_from_a_file_and_has_saved_nothing_is_told_as_that(place: Place, tmp_path: Path) -> None:
    names = three(place, tmp_path)
    (tmp_path / "copy.json").write_text(json.dumps(dict(saved(place, "app_hook"))[names[1]]))
    said = ["--run", "r1", "--checkpoint", "copy.json"]
    assert run_app(place, HOOK, *said, cwd=tmp_path, HOOK_BELOW="0", BREAK_AT="4").returncode == 1
    why, report = (trainpoint(place, verb, "r1", cwd=tmp_path) for verb in ("why", "report"))
    assert report.returncode == 0, report.stderr
    for text in (why.stdout, (tmp_path / "r1.html").read_text(encoding="utf-8")):
        assert "would begin from copy.json once more" in text
    again = run_app(place, HOOK, *said, cwd=tmp_path, SAY_START="1", TOTAL="4")
    assert again.stdout.splitlines()[0] == "start=2", again.stderr
