"""A fresh store in memory for each test, and no environment of trainpoint's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import Counts
from tests.unit.handle.conftest import no_environment, store, url
from trainpoint.app import start
from trainpoint.app.begin import AppCheckpoint
from trainpoint.app.loop import run_app
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.policies.settings import AppFileSettings, PolicySettings, to_json
from trainpoint.testing import FakeChance, FakeClock, MemoryStore

__all__ = ["no_environment", "store", "url"]


@pytest.fixture
def launched(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORKFLOW", "app"), ("RUN", "r1"), ("STORE", url), ("OWNER", "me")):
        monkeypatch.setenv(f"TRAINPOINT_{name}", value)


@pytest.fixture
def catalog(store: MemoryStore) -> BucketCatalog:
    return BucketCatalog(store, clock=FakeClock(), chance=FakeChance())


@pytest.fixture
def copy(catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file with n = 3, of a run ``before`` of this app; the run after it is ``r1``."""
    monkeypatch.setenv("TRAINPOINT_RUN", "before")
    run_app(Counts(3))
    (newest, *_) = start.saved_by(catalog, "_", "app")
    file = tmp_path / "copy.json"
    file.write_bytes(start.read_stored(catalog, newest))
    monkeypatch.setenv("TRAINPOINT_RUN", "r1")
    return file


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[AppCheckpoint]:
    """Handles of the apps that were started."""
    handles: list[AppCheckpoint] = []

    class Kept(AppCheckpoint):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            handles.append(self)

    monkeypatch.setattr("trainpoint.app.loop.AppCheckpoint", Kept)
    return handles


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the policy, two files stay."""
    policy = tmp_path / "policy.json"
    policy.write_text(to_json(PolicySettings(app_files=AppFileSettings(2, 0))), encoding="utf-8")
    monkeypatch.setenv("TRAINPOINT_POLICY", str(policy))
