"""Fixtures of every rung."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.support.place import Place
from tools.s3server import DEFAULT_BUCKET, S3Server


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty store for programs: a directory, then a prefix on a real S3 server."""
    if request.param == "directory":
        return Place(f"file://{tmp_path}/store")
    server: S3Server = request.getfixturevalue("s3_server")
    return Place(f"s3://{DEFAULT_BUCKET}/{secrets.token_hex(4)}", environ=dict(server.env()))
