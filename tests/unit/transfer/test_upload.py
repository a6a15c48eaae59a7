"""Files up: nothing torn, nothing mixed, nothing waited for in vain."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from tests.support.trees import SNAPSHOT, TASK, File, Folder, make, pattern
from tests.support.unprivileged import unprivileged
from trainpoint.errors import (
    ChangedDuringSaveError,
    LocalFileError,
    StoreFullError,
    StorePermissionError,
    StoreUnreachableError,
    UnstorableError,
)
from trainpoint.format.digest import digest_of
from trainpoint.format.manifest import EXTENT_BYTES
from trainpoint.store.base import Buffer
from trainpoint.testing import FakeChance, FakeClock, MemoryStore
from trainpoint.transfer.parallel import Stop
from trainpoint.transfer.source import fill
from trainpoint.transfer.tree import TreeFile, scan
from trainpoint.transfer.upload import BUFFERED_BYTES, CHUNK_BYTES, STREAMS, Uploaded, upload

LARGE = BUFFERED_BYTES + 3 * CHUNK_BYTES
DEADLINE = 120.0


def send(
    store: MemoryStore,
    root: Path,
    *,
    clock: FakeClock | None = None,
    workers: int = 4,
    deadline_seconds: float = 600,
    cancel: threading.Event | None = None,
) -> Uploaded:
    return upload(
        store,
        TASK,
        SNAPSHOT,
        scan(root),
        workers=workers,
        deadline_seconds=deadline_seconds,
        clock=clock or FakeClock(),
        chance=FakeChance(),
        cancel=cancel,
    )


class Cutting(MemoryStore):
    """Calls a hook for every chunk of a stream: to count, to change files, to break the connection."""

    def __init__(self, on_chunk: Callable[[int], None]) -> None:
        super().__init__()
        self.on_chunk = on_chunk

    def put_stream(self, key: str, chunks: Iterable[Buffer]) -> None:
        def watched() -> Iterable[Buffer]:
            for number, chunk in enumerate(chunks):
                self.on_chunk(number)
                yield chunk

        super().put_stream(key, watched())


def test_what_a_manifest_needs_is_returned(memory: MemoryStore, tmp_path: Path) -> None:
    root = make(
        tmp_path / "r", {"a": File(b"1"), "b": File(b"22", 0o600), "c": File(), "d": File(pattern(EXTENT_BYTES + 5))}
    )
    sent = send(memory, root)
    by_path = {f.path: f for f in sent.files}
    assert {path: (f.size, f.mode, f.digest) for path, f in by_path.items()} == {
        "a": (1, 0o644, digest_of(b"1")),
        "b": (2, 0o600, digest_of(b"22")),
        "c": (0, 0o644, digest_of(b"")),
        "d": (EXTENT_BYTES + 5, 0o644, digest_of(pattern(EXTENT_BYTES + 5))),
    }
    assert by_path["c"].extents == ()
    for path, file in by_path.items():
        content = (root / path).read_bytes()
        at = 0
        for extent in file.extents:
            stored = sent.objects[extent.object]
            data = memory.get(stored.key)
            assert len(data) == stored.size
            assert data[extent.offset : extent.offset + extent.length] == content[at : at + extent.length]
            assert extent.digest == digest_of(content[at : at + extent.length])
            at += extent.length
    assert [e.length for e in by_path["d"].extents] == [EXTENT_BYTES, 5]
    assert sent.stored_bytes == 3 + EXTENT_BYTES + 5
    assert memory.keys() == sorted(o.key for o in sent.objects)


# --- files that change ------------------------------------------------------------------------------------------------


def test_files_that_changed_before_they_were_read_are_all_named(memory: MemoryStore, tmp_path: Path) -> None:
    root = make(tmp_path / "r", {f"f{n}": File(pattern(2 * 1024 * 1024, n)) for n in range(6)})
    tree = scan(root)
    (root / "f1").write_bytes(b"other")
    (root / "f4").unlink()
    with pytest.raises(ChangedDuringSaveError, match=r"^\[TP131\] 2 files changed while being saved: 'f1', 'f4'\n"):
        upload(memory, TASK, SNAPSHOT, tree, clock=FakeClock(), chance=FakeChance())


def grow(file: Path) -> None:
    with file.open("ab") as out:
        out.write(b"more")


def shrink(file: Path) -> None:
    os.truncate(file, CHUNK_BYTES * 2)


def overwrite(file: Path) -> None:
    with file.open("r+b") as out:
        out.seek(LARGE - 10)
        out.write(b"overwritten")


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(pattern(LARGE, 1))
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    os.replace(other, file)


@pytest.mark.parametrize("change", [grow, shrink, overwrite, replace, Path.unlink])
@pytest.mark.parametrize("at_chunk", [0, 7, LARGE // CHUNK_BYTES - 2])
def test_a_file_that_changes_while_it_is_streamed_makes_no_object(
    tmp_path: Path, change: Callable[[Path], None], at_chunk: int
) -> None:
    root = make(tmp_path / "r", {"large": File(pattern(LARGE)), "small": File(b"x")})
    store = Cutting(lambda number: change(root / "large") if number == at_chunk else None)
    with pytest.raises(ChangedDuringSaveError, match="'large'"):
        send(store, root)
    assert not [key for key in store.keys() if key.endswith("large")]  # noqa: SIM118 - a store is no mapping


def test_a_file_that_changes_after_it_was_sent_is_named_too(memory: MemoryStore, tmp_path: Path) -> None:
    """It was stored whole, but what is stored later belongs to another moment."""
    root = make(tmp_path / "r", {"first": File(pattern(3 * 1024 * 1024)), "second": File(pattern(2 * 1024 * 1024))})
    memory.before = lambda verb, key: grow(root / "first") if key.endswith("second") else None
    with pytest.raises(ChangedDuringSaveError, match="a file changed while being saved: 'first'"):
        send(memory, root, workers=1)


def test_a_small_file_that_shrinks_before_it_is_packed_makes_no_pack(memory: MemoryStore, tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"a": File(b"12345"), "b": File(b"12345")})
    tree = scan(root)
    os.truncate(root / "b", 2)
    with pytest.raises(ChangedDuringSaveError, match="'b'"):
        upload(memory, TASK, SNAPSHOT, tree, clock=FakeClock(), chance=FakeChance())
    assert memory.keys() == []


def test_a_small_file_that_changes_while_it_is_read_makes_no_object(
    memory: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "r", {"a": File(b"12345")})

    def late(part: memoryview, source: io.FileIO, file: TreeFile) -> None:
        fill(part, source, file)
        grow(root / "a")

    monkeypatch.setattr("trainpoint.transfer.upload.fill", late)
    with pytest.raises(ChangedDuringSaveError, match="'a'"):
        send(memory, root)
    assert memory.keys() == []


def test_a_file_added_meanwhile_is_no_concern(memory: MemoryStore, tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"a": File(b"1")})
    memory.before = lambda verb, key: (root / "new").touch()
    assert [f.path for f in send(memory, root).files] == ["a"]


def test_a_file_replaced_by_a_pipe_does_not_hang_the_save(memory: MemoryStore, tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"a": File(b"1")})
    tree = scan(root)
    (root / "a").unlink()
    os.mkfifo(root / "a")
    with pytest.raises(ChangedDuringSaveError, match="'a'"):
        upload(memory, TASK, SNAPSHOT, tree, clock=FakeClock(), chance=FakeChance())


# --- files that cannot be read ----------------------------------------------------------------------------------------


def test_a_file_that_may_not_be_read_is_refused_by_name(memory: MemoryStore) -> None:
    with unprivileged() as folder:
        root = make(folder / "r", {"secret": File(b"1", 0o000)})
        with pytest.raises(UnstorableError, match="secret cannot be stored: it cannot be read"):
            send(memory, root)


@pytest.mark.parametrize("size", [10, LARGE])
def test_an_error_of_the_disk_names_the_file(
    memory: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    class Bad(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        def readinto(self, buffer: object, /) -> int:
            raise OSError(errno.EIO, "Input/output error")

    root = make(tmp_path / "r", {"bad": File(pattern(size))})
    monkeypatch.setattr(io, "FileIO", Bad)
    with pytest.raises(LocalFileError, match=rf"cannot read {root / 'bad'}: Input/output error"):
        send(memory, root)
    assert memory.keys() == []


def test_keys_too_long_are_refused_before_anything_is_sent(memory: MemoryStore, tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"a": File(b"1"), "/".join(["d" * 250] * 4): File(b"2"), "e": Folder()})
    with pytest.raises(UnstorableError, match="bytes long"):
        send(memory, root)
    assert not memory.requests


# --- stores that fail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_store_that_is_away_for_a_while_gets_every_object_whole(tmp_path: Path, size: int) -> None:
    root = make(tmp_path / "r", {"model": File(pattern(size))})
    clock = FakeClock()
    failures = iter([StoreUnreachableError("away")] * 6)

    def break_off(number: int) -> None:
        if number in (0, 5) and (error := next(failures, None)):
            raise error

    store = Cutting(break_off)
    store.before = lambda verb, key: break_off(0) if verb == "put" else None
    sent = send(store, root, clock=clock)
    assert store.get(sent.objects[0].key) == pattern(size)
    assert sent.files[0].digest == digest_of(pattern(size))
    assert clock.monotonic() > 1


def test_a_store_that_stays_away_ends_the_save_after_the_deadline(memory: MemoryStore, tmp_path: Path) -> None:
    def away(verb: str, key: str) -> None:
        raise StoreUnreachableError("nobody answers")

    memory.before = away
    clock = FakeClock()
    with pytest.raises(StoreUnreachableError, match=r"nobody answers \(tried"):
        send(memory, make(tmp_path / "r", {"a": File(b"1")}), clock=clock, deadline_seconds=30)
    assert clock.monotonic() <= 30


@pytest.mark.parametrize("error", [StorePermissionError("no"), StoreFullError("full")], ids=lambda e: e.code)
def test_one_refused_object_ends_the_save_and_the_others_are_not_sent(
    memory: MemoryStore, tmp_path: Path, refusal_known: threading.Event, error: StorePermissionError | StoreFullError
) -> None:
    root = make(tmp_path / "r", {f"f{n:02}": File(pattern(1024 * 1024 + 99 - n)) for n in range(40)})

    def refuse(verb: str, key: str) -> None:
        if key.endswith("f03"):
            raise error
        assert refusal_known.wait(DEADLINE)  # the three beside it are under way, whatever the threads' turns

    memory.before = refuse
    with pytest.raises(type(error)) as raised:
        send(memory, root, workers=4)
    assert raised.value is error
    assert memory.requests["put"] <= 4


@pytest.fixture
def refusal_known(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a transfer has been told that one of its parts failed."""
    failed, known = Stop.fail, threading.Event()

    def fail(stop: Stop) -> None:
        failed(stop)
        known.set()

    monkeypatch.setattr(Stop, "fail", fail)
    return known


def test_one_failing_object_ends_streams_that_are_under_way(tmp_path: Path, refusal_known: threading.Event) -> None:
    root = make(tmp_path / "r", {"streamed": File(pattern(LARGE)), "refused": File(pattern(2 * 1024 * 1024))})
    streaming = threading.Event()

    def on_chunk(number: int) -> None:
        streaming.set()
        assert refusal_known.wait(DEADLINE)  # the stream goes on only once the failure is known

    def refuse(verb: str, key: str) -> None:
        if key.endswith("refused"):
            assert streaming.wait(DEADLINE)
            raise StorePermissionError("no")

    store = Cutting(on_chunk)
    store.before = refuse
    with pytest.raises(StorePermissionError):
        send(store, root, workers=2)
    assert store.keys() == []


def test_a_callers_flag_ends_the_save_in_the_middle_of_a_file(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"large": File(pattern(LARGE))})
    cancel = threading.Event()
    chunks: list[int] = []

    def on_chunk(number: int) -> None:
        chunks.append(number)
        cancel.set()

    store = Cutting(on_chunk)
    with pytest.raises(CancelledError):
        send(store, root, cancel=cancel)
    assert len(chunks) == 1
    assert store.keys() == []


def test_only_so_many_large_files_are_streamed_at_a_time_and_small_ones_go_beside_them(tmp_path: Path) -> None:
    """A store holds several parts of each stream in memory."""
    description = {f"large{n}": File(pattern(LARGE)) for n in range(5)} | {"small": File(pattern(2 * 1024 * 1024))}
    root = make(tmp_path / "r", description)
    lock = threading.Lock()
    all_stream, small_is_sent = threading.Event(), threading.Event()
    streams: list[int] = [0, 0]  # now, at most

    class Counting(MemoryStore):
        def put_stream(self, key: str, chunks: Iterable[Buffer]) -> None:
            with lock:
                streams[0] += 1
                streams[1] = max(streams)
                if streams[0] == STREAMS:
                    all_stream.set()
            assert small_is_sent.wait(DEADLINE)
            super().put_stream(key, chunks)
            with lock:
                streams[0] -= 1

        def put(self, key: str, data: Buffer) -> None:
            assert all_stream.wait(DEADLINE)
            super().put(key, data)
            small_is_sent.set()

    store = Counting()
    send(store, root, workers=4)
    assert streams[1] == STREAMS
    assert store.requests == {"put": 1, "put_stream": 5}


# --- memory -----------------------------------------------------------------------------------------------------------


def test_a_large_file_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    import tracemalloc

    class Sink(MemoryStore):
        def put_stream(self, key: str, chunks: Iterable[Buffer]) -> None:
            for _ in chunks:
                pass

    root = make(tmp_path / "r", {})
    for number in range(6):
        with (root / f"sparse{number}").open("wb") as out:
            out.truncate(64 * 1024 * 1024)
    tracemalloc.start()
    try:
        send(Sink(), root)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * CHUNK_BYTES
