"""A fresh store in memory for each test, and no environment of trainpoint's."""

from __future__ import annotations

import os
import secrets

import pytest

from trainpoint.testing import MemoryStore


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TRAINPOINT_") or name in ("RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)


@pytest.fixture
def url() -> str:
    return f"memory://{secrets.token_hex(6)}"


@pytest.fixture
def store(url: str) -> MemoryStore:
    return MemoryStore.named(url.removeprefix("memory://"))
