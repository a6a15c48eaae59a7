"""A folder to run programs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.supervised import IMPATIENT, SCRIPT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With ``train.py`` and ``policy.yaml`` in it; its store is to be ``store``."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "policy.yaml").write_text(IMPATIENT)
    return tmp_path
