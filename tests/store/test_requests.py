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
from trainpoint.format.reference import CheckpointRef
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


def test_what_was_said_later_costs_one_get_each_and_naming_one_costs_one_list(
    s3_store: S3Store, s3_server: S3Server, s3_prefix: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 1200
    task = TaskPath("w", "r", "main")
    catalog = BucketCatalog(s3_store, clock=SystemClock(), chance=SystemChance())

    def record(number: int) -> CheckpointRef:
        snapshot = Snapshot(task, SnapshotId(0, number, f"{number:016x}"), step=number)
        catalog.record(Manifest(snapshot, "2026-01-01T00:00:00Z", (), ()))
        return CheckpointRef(task, snapshot.id)

    for name, value in s3_server.env(endpoint=proxy.endpoint).items():
        monkeypatch.setenv(name, value)
    with Checkpoint(workflow="w", run="r", store=f"s3://{DEFAULT_BUCKET}/{s3_prefix}", load_policy=None) as ckpt:
        with ThreadPoolExecutor(8) as pool:
            refs = list(pool.map(record, range(1, count + 1)))
        proxy.reset()
        assert catalog_of(ckpt).find(refs[0].name, namespace="_", near=task) == refs[0]
        assert asked(proxy) == {"LIST": 1}, "the oldest by its name"
        proxy.reset()
        ckpt.record_metrics(refs[-1], {"accuracy": 0.9, "bleu": 31})
        assert asked(proxy) == {"GET": 1, "LIST": 2, "PUT": 2}
        proxy.reset()
        ckpt.pin(refs[-1], reason="table 2")
        assert sum(asked(proxy).values()) <= 4
        proxy.reset()
        latest = ckpt.latest()
        assert latest is not None
        assert dict(latest.metrics) == {"accuracy": 0.9, "bleu": 31.0}
        assert asked(proxy) == {"LIST": 1, "GET": 1 + 2 + 1}
        ckpt.delete(refs[-2])
        proxy.reset()
        assert [info.step for info in ckpt.list()[1:3]] == [count - 2, count - 3]
        assert asked(proxy)["LIST"] == 1
        assert asked(proxy)["GET"] <= 4 + 16, "one of each, and one batch read ahead"


def catalog_of(ckpt: Checkpoint) -> BucketCatalog:
    return ckpt._context.catalog
