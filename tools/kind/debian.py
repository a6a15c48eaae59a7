"""What comes from Debian packages: programs of this machine, and file trees for images."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.kind.commands import run
from tools.kind.made import say
from tools.kind.places import ToolError, pins

_NO_SERVICES: Final = Path("/usr/sbin/policy-rc.d")
_SOURCES: Final = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
# An image holds no package lists, caches or logs, and not the name of the mirror it was made from.
_LEFT_OUT: Final = (
    "var/lib/apt/lists/*", "var/cache/apt/*.bin", "var/log/*", "etc/apt/sources.list*",
    "etc/apt/apt.conf.d/99mmdebstrap", "etc/resolv.conf", "etc/hostname",
)  # fmt: skip


def install_host_packages() -> None:
    """Engine and tools on this machine, if they are not there. No service of theirs is started."""
    wanted = pins()["HOST_PACKAGES"].split()
    listing = run("dpkg-query", "-W", "-f", "${Package} ${Status}\n")
    there = {line.split()[0] for line in listing.splitlines() if line.endswith(" ok installed")}
    missing = [package for package in wanted if package not in there]
    if not missing:
        return
    say(f"installing {' '.join(missing)}")
    ours = not _NO_SERVICES.exists()
    if ours:  # how Debian is told that a package's service is not wanted: 101 is "action forbidden by policy"
        _NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
        _NO_SERVICES.chmod(0o755)
    try:
        run("apt-get", "update", "-qq")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=quiet)
    finally:
        if ours:
            _NO_SERVICES.unlink(missing_ok=True)


def sources(environ: Mapping[str, str] = os.environ) -> Path:
    """The machine's own list of Debian sources, or ``DEBIAN_SOURCES``: some lists hold more than Debian."""
    named = environ.get("DEBIAN_SOURCES")
    candidates = (Path(named),) if named else _SOURCES
    for path in candidates:
        if path.exists() and path.stat().st_size:
            return path
    raise ToolError("no list of Debian package sources was found; set DEBIAN_SOURCES to one")


def for_suite(text: str, suite: str) -> str:
    """The list for another Debian release: each release it names is replaced."""
    for release in ("bullseye", "bookworm", "trixie", "forky"):
        text = text.replace(release, suite)
    return text


def write_tree(out: Path, suite: str, packages: str, *, hook: str = "") -> None:
    """A tar of a minimal Debian with these packages. ``hook``: a shell command; the tree is its ``$1``."""
    listing = for_suite(sources().read_text(), suite)
    if suite not in listing:
        raise ToolError(f"{sources()} does not name a Debian release; set DEBIAN_SOURCES to a list that does")
    left_out = " ".join(f'"$1"/{pattern}' for pattern in _LEFT_OUT)
    unwanted = [f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("doc", "man", "locale", "info")]
    hooks = [f"--customize-hook={command}" for command in (hook, f"rm -rf {left_out}") if command]
    partial = out.with_name(f"{out.name}.tar")  # mmdebstrap chooses the format by the name
    # mmdebstrap works in a folder of its own under TMPDIR that it leaves where it is killed: then inside ours.
    with tempfile.TemporaryDirectory(prefix="trainpoint-tree-") as scratch:
        os.chmod(scratch, 0o755)
        run(
            *("nice", "-n", "10", "mmdebstrap", "--quiet", "--variant=minbase"),
            f"--include={','.join(packages.split())}",
            '--aptopt=Apt::Install-Recommends "false"',
            *unwanted, *hooks, suite, partial,
            stdin=listing, env={**os.environ, "TMPDIR": scratch},
        )  # fmt: skip
    partial.rename(out)


def need(*programs: str) -> None:
    """ToolError where one of these programs is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise ToolError(f"not installed: {', '.join(missing)}")
