"""Container images of one layer, written as docker archives: what `docker load` and `ctr images import` read.

The same input gives the same bytes: times, owners and order are fixed.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

_WHEN: Final = "1970-01-01T00:00:00Z"
_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def write_image(
    out: Path, names: Sequence[str], contents: Mapping[str, Path | None], *, entrypoint: Sequence[str] = ()
) -> None:
    """``contents``: by the path in the image, a file or folder; None is an empty folder that everyone may write to."""
    layer = out.with_name(f"{out.name}.layer")
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as tar:
        _fill(tar, contents)
    with open(layer, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = _json(
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "created": _WHEN,
            "config": {"Env": [_PATH], **({"Entrypoint": list(entrypoint)} if entrypoint else {})},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": _WHEN}],
        }
    )
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = _json([{"Config": config_name, "RepoTags": list(names), "Layers": [layer_name]}])
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in ((config_name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        tar.add(layer, layer_name, filter=_plain)
    layer.unlink()


def _fill(tar: tarfile.TarFile, contents: Mapping[str, Path | None]) -> None:
    seen: set[PurePosixPath] = set()

    def folder(path: PurePosixPath, mode: int = 0o755) -> None:
        if path not in seen:
            seen.add(path)
            entry = tarfile.TarInfo(str(path))
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)

    for target, source in contents.items():
        path = PurePosixPath(target.strip("/"))
        for parent in reversed(path.parents[:-1]):
            folder(parent)
        if source is None:
            folder(path, 0o1777)
        elif source.is_dir():
            for child in sorted(source.iterdir()):
                tar.add(child, str(path / child.name), filter=_plain)
        else:
            tar.add(source.resolve(), str(path), filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
