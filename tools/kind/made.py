"""Results that are made once: each lies in the cache under a name and the hash of all it is made from.

A result is made beside its place and renamed into it, so that an interrupted run leaves nothing half-made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools.kind.places import Places

UNUSED_DAYS: Final = 14
_KEY_LENGTH: Final = 12


def key_of(*parts: str | Path) -> str:
    """12 hex digits over texts and files; of a folder, over names, modes and contents of all that is in it."""
    digest = hashlib.sha256()
    for part in parts:
        for label, content in _pieces(part):
            digest.update(f"{label}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:_KEY_LENGTH]


def _pieces(part: str | Path) -> Iterator[tuple[str, bytes]]:
    if isinstance(part, str):
        yield "text", part.encode()
    elif part.is_dir():
        for path in sorted(p for p in part.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            yield f"{path.relative_to(part)} {path.stat().st_mode & 0o777:o}", path.read_bytes()
    else:
        yield part.name, part.read_bytes()


def made(places: Places, name: str, key: str, make: Callable[[Path], None]) -> Path:
    """``<cache>/<name>-<key>``; if it is not there, ``make`` writes it to the path it is given."""
    result = places.cache / f"{name}-{key}"
    if result.exists():
        os.utime(result)
        return result
    unfinished = places.cache / f"unfinished-{name}"
    remove(unfinished)
    say(f"{name}: is being made, once")
    started = time.monotonic()
    make(unfinished)
    unfinished.rename(result)
    say(f"{name}: made in {time.monotonic() - started:.0f} s")
    _remove_old(places, name)
    return result


def _remove_old(places: Places, name: str) -> None:
    """Earlier results of that name that no checkout has asked for in a while."""
    for path in places.cache.glob(f"{name}-{'[0-9a-f]' * _KEY_LENGTH}"):
        if time.time() - path.stat().st_mtime > UNUSED_DAYS * 86_400:
            remove(path)


def link(places: Places, programs: Iterable[Path]) -> None:
    """Put the current programs into the cache's ``bin``."""
    places.bin.mkdir(parents=True, exist_ok=True)
    for program in programs:
        at = places.bin / program.name
        if not at.is_symlink() or at.readlink() != program:
            fresh = places.bin / f".{program.name}"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(program)
            fresh.replace(at)


def remove(path: Path) -> None:
    """A file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def alone(places: Places) -> Iterator[None]:
    """One run of these tools at a time in this cache folder; the others wait. The lock goes with its process."""
    places.cache.mkdir(parents=True, exist_ok=True)
    with open(places.cache / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run of these tools is at work; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """One line of progress."""
    print(f"kind: {text}", file=sys.stderr, flush=True)
