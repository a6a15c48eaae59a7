"""Permissions that also hold for a test that root runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A directory of an ordinary user, as whom the block runs: root becomes ``nobody`` for its time."""
    with tempfile.TemporaryDirectory(prefix="trainpoint-test-") as made:
        folder = Path(made, "mine")
        folder.mkdir()
        Path(made).chmod(0o755)
        root = os.geteuid() == 0
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            for inner, _, _ in os.walk(folder):
                os.chmod(inner, 0o700)
            shutil.rmtree(folder, ignore_errors=True)
