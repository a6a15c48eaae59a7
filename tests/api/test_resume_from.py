"""A person rolls a run back by ``spec.resumeFrom``; the SDK's claim hands it up, by real tokens on a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.conftest import Team
from tests.support.objects import path
from tests.support.repository import ROOT
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.format.reference import checkpoint_name, run_object_name
from trainpoint.store.url import open_store


class Counter:
    """One run, started again and again in one pod."""

    def __init__(self, team: Team, store: Path, task: str = "main") -> None:
        self.team = team
        self.store = store
        self.task = TaskPath("counter", "counter-4c1d9e02ab", task, namespace=team.namespace)
        self.object = path(team.namespace, "checkpointruns", run_object_name(self.task))

    def run(self, **more: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        api = self.team.pod.api
        return subprocess.run(
            [sys.executable, "-m", "tests.support.programs.count_as_pod"],
            cwd=ROOT,
            env={
                **kept,
                "KUBERNETES_SERVICE_HOST": "there",
                "API_URL": api.url,
                "API_CA": str(api.authority),
                "API_TOKEN": str(api.token),
                "NAMESPACE": self.team.namespace,
                "POD": self.team.pod.name,
                "POD_UID": self.team.pod.uid,
                "STORE": f"file://{self.store}",
                "TOTAL": "10",
                "TRAINPOINT_TASK": self.task.task,
                **more,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def start(self, **more: str) -> str:
        done = self.run(**more)
        return done.stdout.strip() or done.stderr

    def ask(self, text: str | None) -> None:
        self.team.edit.patch(self.object, {"spec": {"resumeFrom": text}}).expect(200)

    def loaded(self) -> JsonObject:
        found: JsonObject = self.team.view.get(self.object).expect(200)["status"]["claim"]["loaded"]
        return found

    def names(self) -> dict[int | None, str]:
        store = open_store(f"file://{self.store}", environ={})
        catalog = BucketCatalog(store, clock=SystemClock(), chance=SystemChance())
        found = [catalog.manifest(self.task, entry.id).snapshot for entry in catalog.entries(self.task)]
        return {one.step: checkpoint_name(one.task, one.id) for one in reversed(found)}


@pytest.fixture(scope="module")
def counter(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Counter:
    return Counter(team, tmp_path_factory.mktemp("store"))


def test_a_rollback_by_a_person_holds_until_the_next_one(counter: Counter) -> None:
    assert counter.start() == "start=0 attempt=0 NothingFound"
    at = counter.names()
    counter.ask(at[4])
    assert counter.start(FAIL_AT="5") == "start=4 attempt=1 Requested"
    assert counter.start(FAIL_AT="5") == "start=4 attempt=2 SameAsRequested"
    loaded = counter.loaded()
    assert (loaded["checkpoint"], loaded["step"]) == (at[4], 4)
    assert (loaded["request"], loaded["requestBy"], loaded["since"]) == (at[4], "Run", 1)
    counter.ask(None)
    assert counter.start(FAIL_AT="7") == "start=4 attempt=3 SameAsRequested"
    assert counter.start(FAIL_AT="7") == "start=6 attempt=4 SinceRequest"
    loaded = counter.loaded()
    assert (loaded.get("request"), loaded["since"]) == (None, 1)

    counter.ask(at[8])
    done = counter.run(ANNOTATION=at[2], FAIL_AT="3")
    assert done.stdout.strip() == "start=2 attempt=5 Requested"
    assert f"spec.resumeFrom={at[8]} is not followed: the annotation trainpoint.dev/resume-from={at[2]}" in done.stderr
    assert counter.start(FAIL_AT="9") == "start=8 attempt=6 Requested"

    counter.ask("counter/nobody")
    done = counter.run()
    assert (done.returncode, done.stdout) == (86, "")
    assert "spec.resumeFrom=counter/nobody: there is no run counter/nobody" in done.stderr


def test_what_a_program_chose_before_leaves_nothing_in_what_it_chose_last(team: Team, tmp_path: Path) -> None:
    """The claim is written by merge patches: what the second choice has not must not stay of the first."""
    counter = Counter(team, tmp_path / "store", "chooses")
    counter.start(TOTAL="2")
    counter.start(TOTAL="2", PLAIN="1")
    names = counter.names()
    assert set(names) == {2, None}
    said = counter.start(TRAINPOINT_LOAD_POLICY="none", TOTAL="0", CHOOSE=names[2])
    assert said == "start=0 attempt=2 ProgramChooses"
    assert (counter.loaded()["checkpoint"], counter.loaded()["step"]) == (names[2], 2)
    counter.start(TRAINPOINT_LOAD_POLICY="none", TOTAL="0", CHOOSE=f"{names[2]} {names[None]}")
    loaded = counter.loaded()
    assert (loaded["checkpoint"], loaded["ref"]["attempt"]) == (names[None], 1)
    assert "step" not in loaded
