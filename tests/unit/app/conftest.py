"""A fresh store in memory for each test, and no environment of trainpoint's."""

from __future__ import annotations

from tests.unit.handle.conftest import no_environment, store, url

__all__ = ["no_environment", "store", "url"]
