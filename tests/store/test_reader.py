"""Reading outside of a job: scenario 14 on a directory and on S3 with keys that may only read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.configmap import policy, with_server
from tests.support.place import Place
from tests.support.proxy import Proxy
from tools.s3server import DEFAULT_BUCKET, READER, Credentials, S3Server
from trainpoint import Checkpoint, ClosedError, NotInJobError, StorePermissionError
from trainpoint.format.layout import TaskPath

TASK = "llm/r/main"


def save(url: str, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, *, files: int = 1) -> None:
    """Steps 1, 2 and 3, as a training process leaves them."""
    with monkeypatch.context() as around:
        for name, value in environ.items():
            around.setenv(name, value)
        with Checkpoint(workflow="llm", run="r", store=url) as ckpt:
            for step in (1, 2, 3):
                with ckpt.stage(step=step) as folder:
                    (folder / f"only-{step}").write_text(str(step))
                    (folder / "number").write_text(str(step))
                    for number in range(files - 1):
                        (folder / f"shard-{number:02}").write_bytes(bytes([number]) * (1 << 20))


@pytest.fixture
def readable(place: Place, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place with three checkpoints; from here on this process has the rights of a reader."""
    save(place.url, place.environ, monkeypatch)
    environ = dict(place.environ)
    if place.url.startswith("s3:"):
        server: S3Server = request.getfixturevalue("s3_server")
        environ = dict(server.env(READER))
    for name, value in {**environ, "TRAINPOINT_STORE": place.url}.items():
        monkeypatch.setenv(name, value)
    return place


def stored(place: Place) -> dict[str, object]:
    return {info.key: (info.modified, info.size) for info in place.store().list("")}


def test_a_second_and_a_third_load_leave_exactly_the_last_and_nothing_in_the_store_changes(readable: Place) -> None:
    before = stored(readable)
    with Checkpoint() as cp:
        found = cp.list(task=TASK)
        assert [info.step for info in found] == [3, 2, 1]
        path = cp.path
        for info in (found[0], found[1], found[2], found[1]):
            cp.load(info)
            assert cp.path == path
            assert sorted(p.name for p in path.iterdir()) == ["number", f"only-{info.step}"]
            assert (path / "number").read_text() == str(info.step)
        assert cp.step == 2
        assert cp.why is None, "no policy was asked"
    assert not path.exists()
    assert stored(readable) == before


def test_the_directory_is_gone_after_an_exception_too_and_the_handle_closed(readable: Place) -> None:
    with pytest.raises(RuntimeError, match="mine"), Checkpoint() as cp:
        path = cp.path
        newest = cp.list(task=TASK)[0]
        cp.load(newest)
        assert path.exists()
        raise RuntimeError("mine")
    assert not path.exists()
    with pytest.raises(ClosedError):
        cp.load(newest)


def test_saving_is_refused_with_both_ways_out_and_nothing_is_written(readable: Place) -> None:
    before = stored(readable)
    with Checkpoint() as cp:
        for refused in (lambda: cp.save(step=4), lambda: cp.stage(step=4).__enter__(), lambda: cp.should_save(4)):
            with pytest.raises(NotInJobError) as caught:
                refused()
            assert 'Checkpoint(workflow="name")' in caught.value.remedy
            assert "trainpoint run -- python" in caught.value.remedy
    assert stored(readable) == before


def test_a_load_into_a_path_outlives_the_block(readable: Place, tmp_path: Path) -> None:
    cp = Checkpoint()
    cp.load(cp.list(task=TASK)[0], tmp_path / "mine")
    assert not cp.is_loaded
    cp.close()
    assert (tmp_path / "mine" / "number").read_text() == "3"


def test_one_file_of_twenty_is_fetched_alone(
    s3_server: S3Server, s3_prefix: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{DEFAULT_BUCKET}/{s3_prefix}"
    save(url, s3_server.env(), monkeypatch, files=20)
    for name, value in s3_server.env(READER, endpoint=proxy.endpoint).items():
        monkeypatch.setenv(name, value)
    with Checkpoint(store=url) as cp:
        newest = cp.list(task=TASK)[0]
        proxy.reset()
        cp.load(newest, include=["shard-07*"])
        assert [p.name for p in cp.path.iterdir()] == ["shard-07"]
    data = TaskPath("llm", "r", "main").data
    assert {r.path.rpartition("/")[2] for r in list(proxy.log) if data in r.path} == {"shard-07"}
    assert {r.verb for r in list(proxy.log)} <= {"GET", "LIST", "HEAD"}


@pytest.mark.parametrize("keys", [None, Credentials("AKNOBODY", "not-a-secret")], ids=["none", "wrong ones"])
def test_a_namespace_whose_bucket_refuses_is_told_by_store_bucket_and_variable(
    keys: Credentials | None,
    s3_server: S3Server,
    s3_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    url = f"s3://{DEFAULT_BUCKET}/{s3_prefix}"
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # this machine is nobody's in a cloud
    if keys is not None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)

    def read() -> None:
        with Checkpoint(namespace="team-a"):
            pytest.fail("it opened")

    with pytest.raises(StorePermissionError) as caught:
        with_server(monkeypatch, tmp_path, read, {"default": policy(url, endpoint=s3_server.endpoint)})
    for word in ("CheckpointStore main", "namespace team-a", url, s3_server.endpoint):
        assert word in caught.value.message
    assert "AWS_ACCESS_KEY_ID" in caught.value.remedy
    assert "not-a-secret" not in caught.value.report()


def test_with_keys_of_ones_own_the_namespace_is_read(
    s3_server: S3Server, s3_prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"s3://{DEFAULT_BUCKET}/{s3_prefix}"
    save(url, s3_server.env(), monkeypatch)
    mine = s3_server.env(READER)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, mine[name])
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")  # of another store: that of the namespace counts

    def read() -> list[int | None]:
        with Checkpoint(namespace="team-a") as cp:
            here = TaskPath("llm", "r", "main", namespace="_")
            assert cp.list(task=here)
            return [info.step for info in cp.list(task=here)]

    steps, asked = with_server(monkeypatch, tmp_path, read, {"default": policy(url, endpoint=s3_server.endpoint)})
    assert steps == [3, 2, 1]
    assert [method for method, _ in asked] == ["GET"]
