"""What finding something costs in a store that is full: nothing grows with the number of checkpoints or of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

import trainpoint.context
from tests.support.counted import CountingStore, Measure
from tests.support.proxy import Proxy
from tools.s3server import DEFAULT_BUCKET, S3Server
from trainpoint import Checkpoint, Workflow
from trainpoint.clock import SystemClock, rfc3339
from trainpoint.format.layout import SnapshotId, TaskPath, manifest_key, run_end_key, run_key
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.records import RunEndRecord, RunRecord
from trainpoint.store.base import Store
from trainpoint.store.directory import DirectoryStore
from trainpoint.store.s3 import S3Store

Outcome = Literal["Succeeded", "Failed", "Stopped"]
RECENT: tuple[tuple[str, Outcome | None], ...] = (
    *(("ada", "Failed"), ("bob", "Failed")) * 4,
    ("ada", "Succeeded"),
    ("ada", "Failed"),
    ("ada", None),
    ("bob", "Succeeded"),
    ("bob", None),
)
"""(owner, outcome) of the newest runs, oldest first."""
NEWEST = f"new-{len(RECENT) - 1}"


@dataclass
class Town:
    """A store with so many inhabitants, and a meter."""

    url: str
    store: Store
    measure: Measure

    def settle(self, runs: int) -> None:
        """Runs of two people, most of which have ended somehow; then the newest ones."""
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self._old_run, range(runs)))
            self._next_second()
            for number, (owner, outcome) in enumerate(RECENT):
                self._run(f"new-{number}", owner, outcome)

    def save(self, checkpoints: int) -> None:
        """So many checkpoints of attempt 0 of the newest run, without data."""
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self._checkpoint, range(1, checkpoints + 1)))

    def _old_run(self, number: int) -> None:
        outcomes: tuple[Outcome | None, ...] = ("Succeeded", "Failed", "Stopped", None)
        self._run(f"old-{number}", "ada" if number % 2 else "bob", outcomes[number // 2 % 4])

    def _run(self, run: str, owner: str, outcome: Outcome | None) -> None:
        now = rfc3339(SystemClock().now())
        self.store.put(run_key("_", "w", run), RunRecord("_", "w", run, owner, now).to_bytes())
        if outcome is not None:
            self.store.put(run_end_key("_", "w", run), RunEndRecord(outcome, "", now).to_bytes())

    def _next_second(self) -> None:
        """Until the server's clock shows another second: those of one second are put in order by reading them."""

        def now() -> float:
            self.store.put("clock/now", b"")
            (row,) = self.store.list("clock/")
            return row.modified.timestamp() // 1

        begun, clock = now(), SystemClock()
        deadline = clock.monotonic() + 60
        while now() <= begun:
            assert clock.monotonic() < deadline, f"the server's clock stands still at {begun}"

    def _checkpoint(self, number: int) -> None:
        task, snapshot = TaskPath("w", NEWEST, "main"), SnapshotId(0, number, f"{number:016x}")
        manifest = Manifest(Snapshot(task, snapshot, step=number), "2026-01-01T00:00:00Z", (), ())
        self.store.put(manifest_key(task, snapshot), manifest.to_bytes())


@pytest.fixture(params=["directory", "s3"])
def found_town(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Town]:
    """Makes empty stores, by name."""
    if request.param == "directory":
        opened: dict[str, CountingStore] = {}
        monkeypatch.setattr(trainpoint.context, "open_store", lambda url, **_: opened[url])
        return lambda name: _directory(tmp_path / name, opened)
    server: S3Server = request.getfixturevalue("s3_server")
    proxy: Proxy = request.getfixturevalue("proxy")
    prefix: str = request.getfixturevalue("s3_prefix")
    for variable, value in server.env(endpoint=proxy.endpoint).items():
        monkeypatch.setenv(variable, value)

    def on_the_wire(action: Callable[[], object]) -> Counter[str]:
        proxy.reset()
        action()
        return Counter(asked.verb for asked in list(proxy.log) if not asked.path.endswith(".beat"))

    def make(name: str) -> Town:
        store = S3Store(DEFAULT_BUCKET, f"{prefix}/{name}", environ=server.env(), deadline=60)
        return Town(f"s3://{DEFAULT_BUCKET}/{prefix}/{name}", store, on_the_wire)

    return make


def _directory(root: Path, opened: dict[str, CountingStore]) -> Town:
    store = DirectoryStore(root)
    counting = opened[f"file://{root}"] = CountingStore(store)

    def at_its_face(action: Callable[[], object]) -> Counter[str]:
        counting.requests.clear()
        action()
        return Counter(counting.requests)

    return Town(f"file://{root}", store, at_its_face)


def costs(town: Town, *, runs: int, checkpoints: int) -> dict[str, Counter[str]]:
    """What each way of finding something takes, having checked that it finds the right thing."""
    found: dict[str, object] = {}
    town.settle(runs)

    def measured(name: str, action: Callable[[], object]) -> Counter[str]:
        return town.measure(lambda: found.update({name: action()}))

    with Checkpoint(workflow="w", run=NEWEST, owner="ada", store=town.url, load_policy=None) as ckpt:
        town.save(checkpoints)
        spent = {
            "latest()": measured("latest()", lambda: ckpt.latest()),
            "list()[0]": measured("list()[0]", lambda: ckpt.list()[0]),
            "list(task=path)[0]": measured("list(task=path)[0]", lambda: ckpt.list(task=f"w/{NEWEST}/main")[0]),
        }
        last = ckpt.list()[0]
    ada, everyone = (Workflow("w", owner=owner, store=town.url) for owner in ("ada", "*"))
    spent |= {
        "latest_run": measured("latest_run", lambda: ada.latest_run.name),
        "latest_run of all": measured("latest_run of all", lambda: everyone.latest_run.name),
        "latest_successful_run": measured("latest_successful_run", lambda: ada.latest_successful_run.name),
        "latest_successful_run of all": measured(
            "latest_successful_run of all", lambda: everyone.latest_successful_run.name
        ),
    }
    assert found == {
        "latest()": last,
        "list()[0]": last,
        "list(task=path)[0]": last,
        "latest_run": f"new-{len(RECENT) - 3}",
        "latest_run of all": NEWEST,
        "latest_successful_run": f"new-{len(RECENT) - 5}",
        "latest_successful_run of all": f"new-{len(RECENT) - 2}",
    }
    return spent


def test_no_cost_grows_with_the_number_of_checkpoints_or_of_runs(
    found_town: Callable[[str], Town], record_property: Callable[[str, object], None]
) -> None:
    small = costs(found_town("village"), runs=20, checkpoints=20)
    large = costs(found_town("city"), runs=450, checkpoints=3000)
    for name, spent in large.items():
        record_property(f"{name} of 3000 checkpoints, {450 + len(RECENT)} runs:", dict(spent))
        assert set(spent) <= {"LIST", "GET"}, name
        assert spent["LIST"] == small[name]["LIST"], name
        # Runs that an S3 server puts into one second are read to be put in order: how many are is a matter of chance.
        assert spent["GET"] <= small[name]["GET"] + len(RECENT), name
    for name in ("latest()", "list()[0]"):
        assert large[name] == {"LIST": 1, "GET": 1}
    for name in ("latest_run", "latest_run of all", "latest_successful_run", "latest_successful_run of all"):
        assert large[name]["LIST"] == 1
        assert large[name]["GET"] <= 3 * len(RECENT)
