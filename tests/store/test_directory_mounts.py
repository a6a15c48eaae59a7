"""A store on a file system that is full, or read-only."""

from __future__ import annotations

from pathlib import Path

from tests.support.mounts import run_with_mounts

PRELUDE = """
import os, sys
from pathlib import Path
from trainpoint.errors import ReadOnlyStoreError, StoreFullError
from trainpoint.store.directory import DirectoryStore
root = Path(sys.argv[1])
store = DirectoryStore(root)
def fails(kind, verb):
    try:
        verb()
    except kind as error:
        assert type(error) is kind, repr(error)
        assert error.remedy and error.__suppress_context__
        return error.message
    raise SystemExit(f"no {kind.__name__}")
"""


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    program = f"""{PRELUDE}
store.put("old", b"kept")
message = fails(StoreFullError, lambda: store.put("a/big", bytes(2 << 20)))
assert "no room to write a/big in file://" in message and "ENOSPC" in message, message
fails(StoreFullError, lambda: store.put_stream("b/big", [bytes(1 << 16)] * 64))
fails(StoreFullError, lambda: store.put("old", bytes(2 << 20)))
assert store.get("old") == b"kept"
assert [row.key for row in store.list("")] == ["old"]
assert list((root / ".tmp").iterdir()) == []
store.put("small", bytes(1 << 19))
print("room again")
"""
    assert run_with_mounts(f"mount -t tmpfs -o size=1m none {tmp_path}", program, str(tmp_path)) == "room again\n"


def test_a_disk_without_a_free_inode_is_full_too(tmp_path: Path) -> None:
    program = f"""{PRELUDE}
def fill():
    for i in range(1000):
        store.put(f"d{{i}}/e/f", b"")
fails(StoreFullError, fill)
kept = [row.key for row in store.list("")]
assert 0 < len(kept) < 40, kept
assert list((root / ".tmp").iterdir()) == []
store.delete(kept[0])
store.put("again", b"1")
print("room again")
"""
    mounts = f"mount -t tmpfs -o size=1m,nr_inodes=40 none {tmp_path}"
    assert run_with_mounts(mounts, program, str(tmp_path)) == "room again\n"


def test_a_read_only_directory_can_be_read_and_writing_is_refused(tmp_path: Path) -> None:
    from trainpoint.store.directory import DirectoryStore

    DirectoryStore(tmp_path / "store").put("a/b", b"1")
    program = f"""{PRELUDE}
assert store.get("a/b") == b"1"
assert [row.key for row in store.list("")] == ["a/b"]
for verb in (lambda: store.put("a/c", b""), lambda: store.put_stream("c", []), lambda: store.delete("a/b")):
    message = fails(ReadOnlyStoreError, verb)
    assert "EROFS" in message, message
store.delete("nothing/there")
new = DirectoryStore(root / "new")
assert list(new.list("")) == []
fails(ReadOnlyStoreError, lambda: new.put("a", b""))
print("refused")
"""
    mounts = f"mount --bind {tmp_path} {tmp_path}\nmount -o remount,ro,bind {tmp_path}"
    assert run_with_mounts(mounts, program, str(tmp_path / "store")) == "refused\n"
    assert DirectoryStore(tmp_path / "store").get("a/b") == b"1"
