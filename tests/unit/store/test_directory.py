from __future__ import annotations

import errno
import os
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.store_contract import StoreContract
from trainpoint.errors import BucketNotFoundError, ObjectNotFoundError, StoreError, UnstorableError
from trainpoint.store.directory import LOCKS, STALE_SECONDS, TEMPORARY, DirectoryStore
from trainpoint.testing import MemoryStore

DEADLINE_SECONDS = 120.0


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


class TestDirectoryStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> DirectoryStore:
        return DirectoryStore(tmp_path / "store")

    @pytest.fixture
    def environ(self) -> dict[str, str]:
        return {}


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


# --- the directory itself ---------------------------------------------------------------------------------------------


def test_reading_makes_no_directory(store: DirectoryStore) -> None:
    assert list(store.list("")) == []
    assert store.children("") == []
    with pytest.raises(ObjectNotFoundError):
        store.get("a")
    assert not store.root.exists()


def test_the_first_write_makes_the_directory_for_its_owner_alone(store: DirectoryStore) -> None:
    store.put("a/b", b"x")
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


def test_files_follow_the_umask_so_that_a_group_can_share_a_directory(tmp_path: Path) -> None:
    script = (
        "import os, sys; from trainpoint.store.directory import DirectoryStore; os.umask(0o002);"
        "DirectoryStore(sys.argv[1]).put('a/b', b'x')"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=DEADLINE_SECONDS)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o775
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o664


def test_a_missing_directory_above_is_an_error_and_never_an_empty_store(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "not-mounted" / "store")
    with pytest.raises(BucketNotFoundError, match="not-mounted does not exist"):
        list(store.list("ns/"))
    with pytest.raises(BucketNotFoundError):
        store.children("")
    with pytest.raises(BucketNotFoundError):
        store.get("a")
    with pytest.raises(BucketNotFoundError):
        store.put("a", b"")
    assert not (tmp_path / "not-mounted").exists()


def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    store = DirectoryStore(tmp_path / "store")
    with pytest.raises(BucketNotFoundError, match="is a file"):
        list(store.list(""))
    with pytest.raises(BucketNotFoundError, match="is a file"):
        store.put("a", b"")


def test_a_directory_that_vanished_is_not_made_again(store: DirectoryStore) -> None:
    store.put("a", b"1")
    store.root.rename(store.root.with_name("moved"))
    with pytest.raises(BucketNotFoundError, match="was removed"):
        store.put("b", b"2")
    assert not store.root.exists()


def test_the_stores_own_folder_is_made_again_when_something_has_cleared_it_away(store: DirectoryStore) -> None:
    store.put("a", b"1")
    (store.root / TEMPORARY).rmdir()
    store.put("b", b"2")
    assert store.get("b") == b"2"


# --- whole or not at all ----------------------------------------------------------------------------------------------


def test_a_writer_killed_in_mid_stream_leaves_nothing_that_is_listed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from trainpoint.store.directory import DirectoryStore\n"
        "def chunks():\n"
        "    yield b'half'\n"
        "    print('half', flush=True)\n"
        "    time.sleep(600)\n"
        "DirectoryStore(sys.argv[1]).put_stream('a/b', chunks())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        writer.kill()
    store = DirectoryStore(tmp_path)
    assert list(store.list("")) == []
    assert store.children("") == []
    assert len(files_in(tmp_path / TEMPORARY)) == 1  # swept when a day old


def test_what_dead_writers_left_is_swept_after_a_day_and_not_before(store: DirectoryStore) -> None:
    store.put("a", b"1")
    old, young = store.root / TEMPORARY / "old", store.root / TEMPORARY / "young"
    for path, age in ((old, STALE_SECONDS + 60), (young, STALE_SECONDS - 60)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age, time.time() - age))
    list(DirectoryStore(store.root).list(""))
    assert old.exists()  # reading never writes
    DirectoryStore(store.root).put("b", b"2")
    assert not old.exists()
    assert young.exists()


def test_a_failed_stream_leaves_no_temporary_file(store: DirectoryStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError):
        store.put_stream("a", chunks())
    assert files_in(store.root) == set()


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_put_returns(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        steps.append(f"sync {path.relative_to(store.root).parts[0] if path != store.root else '.'}")
        fsync(descriptor)

    def replaced(source: str, target: str) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    store.put("a/b/c", b"x")
    assert steps == ["sync .tmp", "rename", "sync a", "sync a", "sync ."]  # file; a/b holds c, a holds b, . holds a
    steps.clear()
    store.put("a/b/d", b"x")
    assert steps == ["sync .tmp", "rename", "sync a"]


def test_puts_and_deletes_of_neighbours_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Deleting removes empty directories, into which another thread may just be writing."""
    failed: list[BaseException] = []

    def work(name: str) -> None:
        store = DirectoryStore(tmp_path)
        try:
            for _ in range(60):
                store.put(f"d/e/f/{name}", name.encode())
                assert store.get(f"d/e/f/{name}") == name.encode()
                store.delete(f"d/e/f/{name}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert failed == []
    assert list(DirectoryStore(tmp_path).list("")) == []


def test_a_directory_that_another_put_made_and_a_delete_removed_again_is_made_anew(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makedirs meets then: its mkdir says that the directory is there, its look that it is not."""
    makedirs, times = os.makedirs, iter(range(3))

    def made_and_gone(path: str, exist_ok: bool = False) -> None:
        if next(times, None) is not None:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        makedirs(path, exist_ok=exist_ok)

    monkeypatch.setattr(os, "makedirs", made_and_gone)
    store.put("d/e", b"x")
    assert store.get("d/e") == b"x"


def test_a_file_where_a_directory_should_be_is_an_error_at_once(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    makedirs, calls = os.makedirs, []

    def counted(path: str, exist_ok: bool = False) -> None:
        calls.append(path)
        makedirs(path, exist_ok=exist_ok)

    store.put("d", b"x")
    monkeypatch.setattr(os, "makedirs", counted)
    with pytest.raises(UnstorableError, match="d/e"):
        store.put("d/e", b"y")
    assert len(calls) == 1


# --- keys and files ---------------------------------------------------------------------------------------------------

NAMES = st.text(alphabet="ab-./0é", min_size=1, max_size=6).filter(
    lambda key: all(part not in {"", ".", ".."} for part in key.split("/"))
)


@settings(max_examples=60)
@given(keys=st.sets(NAMES, max_size=8), after=NAMES | st.just(""))
def test_any_tree_is_listed_in_the_order_of_whole_keys(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], after: str
) -> None:
    kept = {key for key in keys if not any(other.startswith(f"{key}/") for other in keys)}
    directory, memory = DirectoryStore(tmp_path_factory.mktemp("order")), MemoryStore()
    for key in kept:
        directory.put(key, b"x")
        memory.put(key, b"x")
    for prefix in ("", "a/", "a-/"):
        expected = [row.key for row in memory.list(prefix, after=after)]
        assert [row.key for row in directory.list(prefix, after=after)] == expected
        assert directory.children(prefix) == memory.children(prefix)


def test_a_listing_reads_folders_as_it_reaches_them(store: DirectoryStore) -> None:
    for key in ("a/1", "b/1"):
        store.put(key, b"")
    rows = store.list("")
    assert next(rows).key == "a/1"
    store.put("b/2", b"")
    store.delete("b/1")
    assert [row.key for row in rows] == ["b/2"]


def test_an_object_deleted_while_its_folder_is_listed_is_left_out(store: DirectoryStore) -> None:
    for key in ("a/1", "a/2", "a/3"):
        store.put(key, b"")
    rows = store.list("a/")
    assert next(rows).key == "a/1"
    store.delete("a/2")
    assert [row.key for row in rows] == ["a/3"]


def test_the_stores_own_files_are_not_objects(store: DirectoryStore) -> None:
    with store.exclusive("a/"):
        store.put("a", b"1")
    (store.root / TEMPORARY / "unfinished").write_bytes(b"")
    assert [row.key for row in store.list("")] == ["a"]
    assert store.children("") == []
    for own in (TEMPORARY, LOCKS):
        with pytest.raises(UnstorableError, match="own"):
            store.get(f"{own}/x")
        with pytest.raises(UnstorableError, match="own"):
            store.put(f"{own}/x", b"")


def test_a_link_out_of_the_store_is_neither_followed_nor_listed(store: DirectoryStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"not yours")
    store.put("a/b", b"x")
    (store.root / "out").symlink_to(outside)
    (store.root / "a/file").symlink_to(outside / "secret")
    for verb in (
        lambda: store.get("out/secret"),
        lambda: store.get("a/file"),
        lambda: store.put("out/new", b""),
        lambda: store.delete("out/secret"),
        lambda: list(store.list("out/")),
    ):
        with pytest.raises(StoreError, match="symbolic link"):
            verb()
    assert [row.key for row in store.list("")] == ["a/b"]
    assert files_in(outside) == {"secret"}


def test_a_name_cannot_be_both_a_file_and_a_folder(store: DirectoryStore) -> None:
    store.put("a/b", b"")
    with pytest.raises(UnstorableError, match="'a'"):
        store.put("a", b"")
    with pytest.raises(UnstorableError, match="'a/b/c'"):
        store.put("a/b/c", b"")
    assert files_in(store.root) == {"a/b"}


def test_a_delete_removes_the_folders_it_empties_and_keeps_the_others(store: DirectoryStore) -> None:
    store.put("a/b/c/d", b"")
    store.put("a/x", b"")
    store.delete("a/b/c/d")
    assert sorted(path.name for path in (store.root / "a").iterdir()) == ["x"]
    store.delete("a/x")
    assert not (store.root / "a").exists()
    assert store.root.exists()


def test_an_empty_folder_is_no_child(store: DirectoryStore) -> None:
    store.put("a/b/c", b"")
    (store.root / "a/empty/deeper").mkdir(parents=True)  # as between a put's mkdir and its rename
    assert store.children("a/") == ["b"]


# --- the lock ---------------------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from trainpoint.store.directory import DirectoryStore
with DirectoryStore(sys.argv[1]).exclusive(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(store: DirectoryStore) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of ``task/`` until it gets a line."""
    command = [sys.executable, "-c", HOLDER, str(store.root), "task/"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def entered(store: DirectoryStore, prefix: str) -> tuple[threading.Thread, threading.Event]:
    """A thread that enters and leaves the lock, and the event that it has."""
    done = threading.Event()

    def enter() -> None:
        with store.exclusive(prefix):
            done.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    return thread, done


@pytest.mark.parametrize("killed", [False, True], ids=["released", "killed"])
def test_a_lock_keeps_others_out_until_its_holder_lets_go_or_dies(
    store: DirectoryStore, holder: subprocess.Popen[str], killed: bool
) -> None:
    thread, done = entered(store, "task/")
    assert not done.wait(0.2)
    other, other_done = entered(store, "another/")
    assert other_done.wait(DEADLINE_SECONDS)
    if killed:
        holder.kill()
    else:
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
    assert done.wait(DEADLINE_SECONDS)
    thread.join(DEADLINE_SECONDS)
    other.join(DEADLINE_SECONDS)


def test_a_signal_ends_the_wait_for_a_lock(store: DirectoryStore, holder: subprocess.Popen[str]) -> None:
    waiter = """
import signal, sys
from trainpoint.store.directory import DirectoryStore
def stop(number, frame): raise SystemExit(7)
signal.signal(signal.SIGTERM, stop)
store = DirectoryStore(sys.argv[1])
print("waits", flush=True)
with store.exclusive("task/"):
    pass
"""
    with subprocess.Popen(
        [sys.executable, "-c", waiter, str(store.root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        deadline = time.monotonic() + DEADLINE_SECONDS
        wchan = Path(f"/proc/{process.pid}/syscall")
        while not wchan.read_text().startswith(("73 ", "32 ")):  # flock on x86-64, on arm64
            assert time.monotonic() < deadline, wchan.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 7


def test_a_store_without_locks_works_without(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with store.exclusive("a/"):
        store.put("a/b", secrets.token_bytes(4))
    assert [row.key for row in store.list("")] == ["a/b"]
