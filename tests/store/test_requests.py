"""What finding the newest checkpoint costs, counted between client and server."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.proxy import Proxy
from tools.s3server import DEFAULT_BUCKET, S3Server
from trainpoint import Checkpoint
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.store.s3 import S3Store


def asked(proxy: Proxy) -> Counter[str]:
    """Requests by verb, but for the holder's signs of life: those come by the clock."""
    return Counter(request.verb for request in list(proxy.log) if not request.path.endswith(".beat"))


@pytest.mark.parametrize("count", [10, 3000])
def test_latest_is_one_list_and_one_get_at_any_number_of_checkpoints(
    count: int,
    s3_store: S3Store,
    s3_server: S3Server,
    s3_prefix: str,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = TaskPath("w", "r", "main")
    catalog = BucketCatalog(s3_store, clock=SystemClock(), chance=SystemChance())

    def record(number: int) -> None:
        snapshot = Snapshot(task, SnapshotId(0, number, f"{number:016x}"), step=number)
        catalog.record(Manifest(snapshot, "2026-01-01T00:00:00Z", (), ()))

    for name, value in s3_server.env(endpoint=proxy.endpoint).items():
        monkeypatch.setenv(name, value)
    with Checkpoint(workflow="w", run="r", store=f"s3://{DEFAULT_BUCKET}/{s3_prefix}", load_policy=None) as ckpt:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(record, range(1, count + 1)))
        proxy.reset()
        latest = ckpt.latest()
        assert latest is not None
        assert latest.step == count
        assert asked(proxy) == {"LIST": 1, "GET": 1}
        proxy.reset()
        assert ckpt.list()[0].step == count
        assert sum(asked(proxy).values()) <= 4
        assert set(asked(proxy)) == {"LIST", "GET"}
