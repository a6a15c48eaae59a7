"""Stores that a round trip must be the identity on."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainpoint.store.base import Store
from trainpoint.store.directory import DirectoryStore
from trainpoint.testing import MemoryStore


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "store")
