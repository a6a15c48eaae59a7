from __future__ import annotations

import pytest

from tests.support.store_contract import StoreContract
from tools.s3server import S3Server
from trainpoint.store.s3 import S3Store


class TestS3Store(StoreContract):
    @pytest.fixture
    def store(self, s3_store: S3Store) -> S3Store:
        return s3_store

    @pytest.fixture
    def environ(self, s3_server: S3Server) -> dict[str, str]:
        return dict(s3_server.env())
