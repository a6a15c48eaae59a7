"""list, show, why and rm, as people and programs use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from tests.support import command_line
from trainpoint import Checkpoint
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.layout import SnapshotId, TaskPath, run_key
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.records import RunRecord
from trainpoint.store.url import open_store


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TRAINPOINT_STORE", f"{tmp_path}/store")
    monkeypatch.setenv("NO_COLOR", "1")
    for run, steps in (("old", (1, 2)), ("new", (3, 4))):
        with Checkpoint(workflow="mnist", run=run, store=f"{tmp_path}/store", load_policy="eager") as ckpt:
            for step in steps:
                (ckpt.path / "weights.bin").write_bytes(bytes(step * 1000))
                ckpt.save(step=step, metrics={"loss": 1 / step})
    return f"{tmp_path}/store"


def trainpoint(*arguments: str) -> Result:
    return command_line.invoke(*arguments)


def names(*scope: str) -> list[str]:
    return [row["name"] for row in json.loads(trainpoint("list", *scope, "-o", "json").stdout)]


def test_list_shows_the_newest_run_first_and_scopes_narrow_it(url: str) -> None:
    lines = trainpoint("list").stdout.splitlines()
    assert lines[0].split() == ["RUN", "TASK", "ATTEMPT", "STEP", "METRIC", "SIZE", "STATUS", "AGE", "NAME"]
    assert [line.split()[0] + line.split()[3] for line in lines[1:]] == ["new4", "new3", "old2", "old1"]
    assert "loss=0.25" in lines[1]
    assert len(names("old")) == len(names("mnist/old")) == len(names("mnist/old/main")) == 2
    limited = trainpoint("list", "-n", "1")
    assert len(limited.stdout.splitlines()) == 2
    assert "and more" in limited.stderr


def test_list_as_json_holds_references_that_load_takes(url: str) -> None:
    row = json.loads(trainpoint("list", "-o", "json").stdout)[0]
    with Checkpoint(store=url) as reader:
        assert reader.load(row["ref"]).step == row["step"] == 4


def test_show_lists_the_files_and_what_was_loaded_before(url: str) -> None:
    name = names("new")[0]
    text = trainpoint("show", name).stdout
    assert "weights.bin" in text
    assert "3.9Ki" in text
    assert f"loaded before {names('old')[0]}" in text
    contents = json.loads(trainpoint("show", name, "-o", "json").stdout)["contents"]
    assert [f["path"] for f in contents] == ["weights.bin"]
    assert len(contents[0]["digest"]) == 64


def test_why_tells_each_attempt_and_what_would_come_next(url: str) -> None:
    with Checkpoint(workflow="mnist", run="new", store=url):
        pass
    text = trainpoint("why").stdout
    assert "run new, task main    now: attempt 1, completed" in text
    assert f"loaded   {names('old')[0]} (step 2): newest of run old" in text
    assert "policy   eager, from the argument load_policy" in text
    assert f"if it started now: would load {names('new')[0]} (step 4)" in text
    told = json.loads(trainpoint("why", "mnist/new", "-o", "json").stdout)[0]
    assert [a["fromStep"] for a in told["attempts"]] == [2, 4]
    assert [a["reason"] for a in told["attempts"]] == ["NewestOfEarlierRun", "Newest"]


def test_rm_asks_deletes_bytes_and_can_be_repeated(url: str) -> None:
    newest, before = names("new")
    refused = trainpoint("rm", newest)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    done = trainpoint("rm", "--yes", newest)
    assert done.exit_code == 0
    assert f"newest of mnist/new/main is now {before} (step 3)" in done.stdout
    assert names("new") == [before]
    data = [path for path in Path(url).rglob("*") if path.is_file() and "/data/" in str(path) and "/new/" in str(path)]
    assert len(data) == 1
    again = trainpoint("rm", "--yes", newest)
    assert again.exit_code == 0
    gone = trainpoint("show", newest)
    assert gone.exit_code == 1
    assert "TP122" in gone.stderr
    log = list(Path(url).rglob("log/*.json"))
    assert len(log) == 4 + 1, "four saves, and one deletion: the second found nothing to do"


def test_a_name_that_is_not_there_is_an_error_with_a_way_on(url: str) -> None:
    for arguments in (["show", "nothing"], ["list", "nothing"], ["why", "nothing"], ["list", "mnist/none"]):
        done = trainpoint(*arguments)
        assert done.exit_code == 1, arguments
        assert ("TP126" if "/" in arguments[1] else "TP104") in done.stderr
        assert "trainpoint list" in done.stderr


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    assert "no checkpoints in" in trainpoint("list", "--store", f"{tmp_path}/none").stdout
    assert json.loads(trainpoint("list", "--store", f"{tmp_path}/none", "-o", "json").stdout) == []
    assert "there are no runs" in trainpoint("why", "--store", f"{tmp_path}/none").stderr


def test_what_jobs_of_a_namespace_saved_is_shown_by_its_name(url: str) -> None:
    store = open_store(url, environ={})
    catalog = BucketCatalog(store, clock=SystemClock(), chance=SystemChance())
    task = TaskPath("llm", "llm-1", "main", namespace="team-a")
    catalog.store.put(run_key("team-a", "llm", "llm-1"), RunRecord("team-a", "llm", "llm-1", "ada", "").to_bytes())
    snapshot = Snapshot(task, SnapshotId(0, 1, "0" * 16), step=7)
    catalog.record(Manifest(snapshot, "2026-01-01T00:00:00Z", (), ()))
    rows = json.loads(trainpoint("list", "--namespace", "team-a", "-o", "json").stdout)
    assert [(row["run"], row["step"]) for row in rows] == [("llm-1", 7)]
    assert "llm-1" not in trainpoint("list").stdout
    assert trainpoint("show", rows[0]["name"], "--namespace", "team-a").exit_code == 0


def test_a_pin_stands_in_the_way_of_rm_until_it_is_taken_away(url: str) -> None:
    name = names("new")[0]
    assert trainpoint("pin", name).exit_code == 2, "a reason has to be given"
    assert trainpoint("pin", name, "--reason", "table 2").exit_code == 0
    assert "pinned        table 2" in trainpoint("show", name).stdout
    assert [row["pinned"] for row in json.loads(trainpoint("list", "new", "-o", "json").stdout)] == ["table 2", ""]
    refused = trainpoint("rm", "--yes", name)
    assert refused.exit_code == 1
    assert "TP124" in refused.stderr
    assert "is pinned (table 2, by " in refused.stderr
    assert "(was: table 2, by " in trainpoint("unpin", name).stdout
    assert "was not pinned" in trainpoint("unpin", name).stdout
    assert trainpoint("rm", "--yes", name).exit_code == 0


def test_metrics_that_were_recorded_later_are_shown(url: str) -> None:
    name = names("new")[0]
    with Checkpoint(store=url) as reader:
        reader.record_metrics(name, {"accuracy": 0.93})
    assert "accuracy=0.93 loss=0.25" in trainpoint("list", "new").stdout
    assert "accuracy=0.93 loss=0.25" in trainpoint("show", name).stdout


def test_lineage_tells_from_what_a_checkpoint_comes(url: str) -> None:
    newest, old = names("new")[0], names("old")[0]
    lines = trainpoint("lineage", newest).stdout.splitlines()
    assert lines[0].split()[:7] == ["STEP", "RUN", "ATTEMPT", "OWNER", "AGE", "STATE", "NAME"]
    assert newest in lines[1]
    assert lines[2].split()[:3] == ["2", "old", "0"]
    assert f"{old}  eager: newest of run old, the newest earlier run that has one" in lines[2]
    rows = json.loads(trainpoint("lineage", newest, "-o", "json").stdout)
    assert [(row["name"], row["state"], row["depth"]) for row in rows] == [(newest, "there", 0), (old, "there", 1)]
    cut = trainpoint("lineage", newest, "--depth", "0")
    assert len(cut.stdout.splitlines()) == 2
    assert "--depth" in cut.stderr
    trainpoint("rm", "--yes", old)
    assert "deleted" in trainpoint("lineage", newest).stdout


def test_lineage_of_a_run_is_what_its_attempts_started_from(url: str) -> None:
    assert names("new")[0] not in trainpoint("lineage", "mnist/new").stdout
    assert "attempt 0: eager: newest of run old" in trainpoint("lineage", "mnist/new/main").stdout
    assert "no attempt of mnist/old loaded anything" in trainpoint("lineage", "mnist/old").stdout
    assert "TP126" in trainpoint("lineage", "mnist/none").stderr
    assert "TP104" in trainpoint("lineage", "nothing").stderr
