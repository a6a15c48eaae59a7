"""An image onto nodes: only what a node does not have is sent, since most of it is there from the last time."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from tools.kind.hosts import Host

_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_CTR: Final = ("ctr", "--namespace", "k8s.io")
_SECONDS: Final = 300.0


def load_image(host: Host, tag: str, nodes: Sequence[str]) -> None:
    """Onto each of these nodes of the engine; afterwards pods find it there by ``tag``."""
    lacking = [node for node in nodes if f"docker.io/{tag}" not in _on(host, node, "images", "list", "--quiet").split()]
    if not lacking:
        return
    with tempfile.NamedTemporaryFile(prefix="trainpoint-image-") as saved:
        host.run("docker", "save", "--output", saved.name, tag, timeout=_SECONDS)
        with tarfile.open(saved.name) as image:
            for node in lacking:
                present = set(_on(host, node, "content", "list", "--quiet").split())
                with tempfile.TemporaryFile() as archive:
                    write_difference(image, tag, present, archive)
                    archive.seek(0)
                    importing = ("docker", "exec", "--interactive", node, *_CTR, "images", "import")
                    host.run(*importing, "--all-platforms", "--digests", "-", stdin=archive, timeout=_SECONDS)


def write_difference(image: tarfile.TarFile, tag: str, present: set[str], out: IO[bytes]) -> None:
    """An OCI archive of an image that ``docker save`` has written, without the layers whose digests are present."""
    listed: Mapping[str, Any] = json.loads(_read(image, "manifest.json"))[0]
    config = _read(image, listed["Config"])
    digests = json.loads(config)["rootfs"]["diff_ids"]
    layers = [(digest, image.getmember(name)) for digest, name in zip(digests, listed["Layers"], strict=True)]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": _digest(config), "size": len(config)},
            "layers": [{"mediaType": _LAYER, "digest": d, "size": m.size} for d, m in layers],
        }
    )
    name = {"io.containerd.image.name": f"docker.io/{tag}"}
    entry = {"mediaType": _MANIFEST, "digest": _digest(manifest), "size": len(manifest), "annotations": name}
    with tarfile.open(fileobj=out, mode="w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": [entry]}))
        for content in (manifest, config):
            _add(archive, _blob(_digest(content)), content)
        for digest, member in dict(layers).items():
            if digest not in present:
                target = tarfile.TarInfo(_blob(digest))
                target.size = member.size
                archive.addfile(target, image.extractfile(member))


def _on(host: Host, node: str, *words: str) -> str:
    return host.run("docker", "exec", node, *_CTR, *words, timeout=_SECONDS)


def _read(image: tarfile.TarFile, name: str) -> bytes:
    file = image.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file of {image.name!r}")
    return file.read()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(digest: str) -> str:
    return str(Path("blobs", *digest.split(":")))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
