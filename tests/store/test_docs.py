"""Examples of pages that need a real S3 server (tests/support/documents.py says how they are run)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.documents import NEEDS_S3, Reader, pages
from tests.support.repository import ROOT
from tools.s3server import ADMIN, S3Server

PAGES = [page for page in pages() if NEEDS_S3 in page.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    with S3Server(tmp_path / "s3", buckets=["my-bucket"]) as server:
        # With all rights, so that the server says of a missing bucket that it is missing.
        Reader.at(tmp_path / "me", server.env(ADMIN)).try_page(page)


def test_there_is_such_a_page() -> None:
    assert PAGES
