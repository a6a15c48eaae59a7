"""Where the test cluster's files lie, what it is called, and which versions are pinned."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
CLUSTER: Final = "trainpoint"
CONTROL_PLANE: Final = f"{CLUSTER}-control-plane"
WORKERS: Final = (f"{CLUSTER}-worker", f"{CLUSTER}-worker2")
NODES: Final = (CONTROL_PLANE, *WORKERS)

# A socket's path has room for 107 bytes; what follows the folder takes less than 20.
_LONGEST_STATE: Final = 85


class ToolError(RuntimeError):
    """The test cluster cannot be had; the message says what is missing or shows the end of what was printed."""


def pins(text: str | None = None) -> Mapping[str, str]:
    """NAME=VALUE lines of versions.env."""
    lines = (HERE / "versions.env").read_text() if text is None else text
    return dict(line.split("=", 1) for line in lines.splitlines() if line and not line.startswith("#"))


@dataclass(frozen=True, slots=True)
class Places:
    """The cache folder: results, which may be kept or removed at will, and ``state``, what a running engine needs."""

    cache: Path

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Places:
        """``TRAINPOINT_KIND_CACHE``, else ``trainpoint/kind`` in the user's cache folder."""
        if named := environ.get("TRAINPOINT_KIND_CACHE"):
            return cls(Path(named).absolute())
        base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "/root")) / ".cache")
        return cls(Path(base).absolute() / "trainpoint" / "kind")

    @property
    def bin(self) -> Path:
        """kind, kubectl, helm, and whatever else was built: links to the current results."""
        return self.cache / "bin"

    @property
    def state(self) -> Path:
        return self.cache / "state"

    @property
    def namespace(self) -> str:
        """Name of the engine's network namespace and of its cgroup: another cache folder's are others."""
        return "trainpoint-" + hashlib.sha256(str(self.state).encode()).hexdigest()[:6]

    @property
    def netns(self) -> Path:
        return Path("/run/netns", self.namespace)

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def docker_host(self) -> str:
        return f"unix://{self.state}/docker.sock"

    def check(self) -> None:
        """ToolError where an engine could not live in this folder."""
        if len(str(self.state)) > _LONGEST_STATE:
            raise ToolError(f"{self.state} is too long a path for sockets; set TRAINPOINT_KIND_CACHE to a shorter one")
        if str(self.state).startswith("/run/"):
            raise ToolError(f"{self.state} is under /run, which the engine has of its own; set TRAINPOINT_KIND_CACHE")
