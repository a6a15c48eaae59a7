"""The project's images with this checkout's code: in the cluster's engine, and on its nodes."""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.images import IMAGES, build_image, build_wheel, docker_build
from tools.kind.commands import works
from tools.kind.hosts import Host, Kind, environment
from tools.kind.loading import load_image
from tools.kind.made import key_of
from tools.kind.places import HERE, NODES, WORKERS, Places, pins
from tools.kind.python_image import base_name
from tools.kind.wheels import wheels
from tools.s3server import find_weed

REPOSITORY: Final = "trainpoint"
"""Of the project's images: ``trainpoint/operator:<hash of all that it is made of>``."""
_SECONDS: Final = 120.0


@contextlib.contextmanager
def building(places: Places) -> Iterator[Path]:
    """The wheel of this checkout. One process at a time builds and loads images of a cluster."""
    with (
        tempfile.TemporaryDirectory(prefix="trainpoint-image-") as scratch,
        open(places.state / "image.lock", "w") as f,
    ):
        fcntl.flock(f, fcntl.LOCK_EX)
        yield build_wheel(Path(scratch))


def operator_image(host: Host) -> str:
    """The operator's image, on every node. Its name."""
    with building(host.places) as wheel:
        tag = built(host, "operator", wheel)
        remove_others(host, repository("operator"), keep=(tag,))
        load_image(host, tag, NODES)
    return tag


def trainer_image(host: Host) -> str:
    """The image that training programs run in, on every worker. Its name."""
    with building(host.places) as wheel:
        tag = built(host, "trainer", wheel)
        remove_others(host, repository("trainer"), keep=(tag,))
        load_image(host, tag, WORKERS)
    return tag


def s3_image(host: Host) -> str:
    """A real S3 server for pods that have none, on every worker. Its name."""
    weed, recipe = find_weed(), HERE / "s3" / "Dockerfile"
    with building(host.places):
        tag = f"{repository('s3')}:{key_of(weed, recipe, base_of(host))}"
        if not in_engine(host, tag):
            build_upon(host, tag, recipe, base_of(host), {"weed": weed})
            remove_others(host, repository("s3"), keep=(tag,))
        load_image(host, tag, WORKERS)
    return tag


def repository(image: str) -> str:
    return f"{REPOSITORY}/{image}"


def built(host: Host, image: str, wheel: Path) -> str:
    """``images/<image>`` in the engine, unless it is there. Its name tells what it is made of."""
    base = base_of(host)
    tag = f"{repository(image)}:{key_of(wheel, IMAGES / image, base)}"
    if not in_engine(host, tag):
        at_hand = wheels(host.places, image)
        build_image(image, tag, wheel=wheel, base=base, wheels=at_hand, env=environment(host.places, host.kind))
    return tag


def build_upon(host: Host, tag: str, recipe: Path, base: str, files: Mapping[str, Path]) -> None:
    """Build a Dockerfile whose argument BASE is an image, and whose context is these files and folders by name."""
    with tempfile.TemporaryDirectory(prefix="trainpoint-context-") as scratch:
        context = Path(scratch)
        (context / "Dockerfile").write_bytes(recipe.read_bytes())
        for name, source in files.items():
            _copy(source, context / name)
        docker_build(context, tag, {"BASE": base}, env=environment(host.places, host.kind))


def _copy(source: Path, to: Path) -> None:
    """A file, or the Python programs of a folder."""
    if source.is_dir():
        to.mkdir()
        for program in sorted(source.glob("*.py")):
            _copy(program, to / program.name)
    else:
        to.write_bytes(source.read_bytes())
        to.chmod(source.stat().st_mode & 0o777)


def base_of(host: Host) -> str:
    """What images are built upon; Debian's Python where none can be pulled."""
    return base_name() if host.kind is Kind.OWN else pins()["PYTHON_IMAGE"]


def in_engine(host: Host, tag: str) -> bool:
    return bool(host.run("docker", "images", "--quiet", tag, timeout=_SECONDS).strip())


def remove_others(host: Host, repository: str, *, keep: Sequence[str]) -> None:
    """Images of earlier checkouts; one that is in use stays, and those on nodes stay anyhow."""
    listed = host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", repository, timeout=_SECONDS).split()
    for name in listed:
        if name not in keep:
            works("docker", "rmi", name, env=environment(host.places, host.kind), timeout=_SECONDS)
