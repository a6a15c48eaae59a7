"""The wheels that the project's images are built from, where their builds reach no package index."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Final

from tools.kind.commands import run
from tools.kind.made import key_of, made
from tools.kind.places import ROOT, Places, pins

IMAGES: Final = ROOT / "images"


def all_wheels(places: Places) -> None:
    """Those of every image."""
    for requirements in sorted(IMAGES.glob("*/requirements.txt")):
        wheels(places, requirements.parent.name)


def wheels(places: Places, image: str) -> Path:
    """A folder with the wheels of ``images/<image>/requirements.txt``, checked against its hashes, for their Python."""
    requirements = IMAGES / image / "requirements.txt"
    version = pins()["PYTHON_VERSION"]
    key = key_of(requirements, version, platform.machine())
    return made(places, f"wheels-{image}", key, lambda out: _download(requirements, out, version))


def _download(requirements: Path, out: Path, version: str) -> None:
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    glibc = [f"--platform=manylinux_2_{minor}_{machine}" for minor in (17, 28, 34)]
    run(
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes",
        "--only-binary=:all:", f"--python-version={version}", "--implementation=cp", *glibc,
        f"--platform=manylinux2014_{machine}", "--dest", out, "--requirement", requirements, env=dict(os.environ),
    )  # fmt: skip
