"""Which Docker engine the cluster runs on: the machine's own, if it can pull images, else one that we start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

from tools.kind.commands import run, works
from tools.kind.engine import Engine
from tools.kind.places import Places, ToolError, pins

CHOICE: Final = "TRAINPOINT_KIND_ENGINE"
_PULLED_WITHIN: Final = 600.0


class Kind(StrEnum):
    """Of engines."""

    HOST = "host"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Seen:
    """What decides; asked once. ``None``: not asked, since it cannot matter."""

    wanted: str
    own_runs: bool
    host_answers: bool | None = None
    host_pulls: bool | None = None
    root: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    kind: Kind
    reason: str


def choose(seen: Seen) -> Choice:
    """An order of a person goes first, then an engine of ours that runs, then the machine's, if it can pull images.

    Raises:
        ToolError: neither can be had; the message says why.
    """
    if seen.wanted not in ("", *Kind):
        raise ToolError(f"{CHOICE}={seen.wanted} is not an engine; choose host or own")
    if seen.wanted:
        return Choice(Kind(seen.wanted), f"{CHOICE}={seen.wanted}")
    if seen.own_runs:
        return Choice(Kind.OWN, "it runs already")
    if seen.host_answers and seen.host_pulls:
        return Choice(Kind.HOST, "a Docker engine answers and pulls images")
    why = "no image can be pulled with this machine's Docker" if seen.host_answers else "no Docker engine answers"
    if not seen.root:
        raise ToolError(f"{why}, and making an engine of our own needs root")
    return Choice(Kind.OWN, why)


def look(places: Places) -> Seen:
    """Ask the machine; the image is pulled where that is what decides."""
    wanted = os.environ.get(CHOICE, "")
    seen = Seen(wanted, own_runs=Engine(places).answers(), root=os.geteuid() == 0)
    if wanted or seen.own_runs:
        return seen
    answers = works("docker", "version", timeout=10)
    return Seen(wanted, False, answers, answers and pulls(), seen.root)


def pulls() -> bool:
    """Whether the machine's engine has kind's node image, or gets it."""
    image = pins()["KIND_NODE_IMAGE"]
    return works("docker", "image", "inspect", image) or works(
        "docker", "pull", "--quiet", image, timeout=_PULLED_WITHIN
    )


def environment(places: Places, kind: Kind) -> dict[str, str]:
    """For programs that use the cluster."""
    env = {**os.environ, "KUBECONFIG": str(places.kubeconfig), "PATH": f"{places.bin}:{os.environ.get('PATH', '')}"}
    if kind is Kind.OWN:
        env["DOCKER_HOST"] = places.docker_host
    return env


def prefix(places: Places, kind: Kind) -> tuple[str, ...]:
    """Words before a command that needs the cluster's addresses."""
    return ("nsenter", f"--net={places.netns}", "--") if kind is Kind.OWN else ()


@dataclass(frozen=True, slots=True)
class Host:
    """A chosen engine, and how programs are run where its cluster can be reached."""

    places: Places
    kind: Kind

    def run(
        self,
        *command: str | Path,
        stdin: IO[bytes] | str | None = None,
        timeout: float | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Standard output of a command there; ToolError where it fails."""
        words = (*prefix(self.places, self.kind), *command)
        return run(*words, env=environment(self.places, self.kind), stdin=stdin, timeout=timeout, cwd=cwd)
