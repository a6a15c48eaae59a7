"""A store as a program sees it: by URL and environment. And programs, started as users start them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.store.base import Store
from trainpoint.store.url import open_store

PROGRAMS = Path(__file__).parent / "programs"
DEADLINE_SECONDS = 300.0


@dataclass(frozen=True)
class Place:
    """One store, empty at first, and what a program needs to reach it."""

    url: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def env(self, **more: str) -> dict[str, str]:
        """The environment of a program that uses this place: nothing of ours leaks into it but PATH and HOME."""
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")}
        return {**kept, **self.environ, "TRAINPOINT_STORE": self.url, **more}

    def store(self) -> Store:
        return open_store(self.url, environ={**os.environ, **self.environ})

    def catalog(self) -> BucketCatalog:
        return BucketCatalog(self.store(), clock=SystemClock(), chance=SystemChance())

    def start(self, program: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(PROGRAMS / program)],
            env=self.env(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, **more: str) -> subprocess.CompletedProcess[str]:
        """To its end; fails the test where it takes longer than the deadline."""
        return subprocess.run(
            [sys.executable, str(PROGRAMS / program)],
            env=self.env(**more),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
