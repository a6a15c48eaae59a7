"""The test cluster, started and reached by a run of the tests. How it is made: ``tools/kind``."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.nodes import Nodes
from tests.support.repository import ROOT
from tools.kind.cluster import recorded
from tools.kind.hosts import Host, Kind, environment
from tools.kind.images import build_upon, building, built, in_engine, operator_image, remove_others
from tools.kind.loading import load_image
from tools.kind.made import key_of
from tools.kind.places import CONTROL_PLANE, WORKERS
from tools.kind.use import Use

_CLONE_NEWNET: Final = 0x40000000
_OWN_NETWORK: Final = Path("/proc/self/ns/net")
_TRAINER: Final = "trainpoint-test/trainer"


class KindCluster:
    """One for a run of the tests, shared by its processes. Removed at the end if this run had it created."""

    def __init__(self, run: str) -> None:
        self._use = Use(run, progress=_note)
        self.places = self._use.places
        self._outside: int | None = None

    def up(self) -> Nodes:
        """Make sure that it is there; from then on this process, and what it starts, can reach it."""
        host = self._use.begin()
        reachable = environment(self.places, host.kind)
        os.environ.update({name: reachable[name] for name in ("KUBECONFIG", "PATH")})
        if host.kind is Kind.OWN:
            os.environ["DOCKER_HOST"] = reachable["DOCKER_HOST"]
            self._outside = os.open(_OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
            with open(self.places.netns) as inside:
                _enter_network(inside.fileno())
        return Nodes(CONTROL_PLANE, WORKERS)

    def down(self) -> None:
        """Leave its network; remove it, and the engine, if it was created for this run and no other one uses it."""
        if self._outside is not None:
            _enter_network(self._outside)
            os.close(self._outside)
            self._outside = None
        self._use.end()

    def engine_kind(self) -> Kind:
        """Of the engine that the cluster runs on; it is up."""
        return Kind(recorded(self.places)["engine"])

    @property
    def host(self) -> Host:
        return Host(self.places, self.engine_kind())

    def gateway(self) -> str:
        """This side's address as nodes and pods see it."""
        answer = subprocess.run(
            ["docker", "network", "inspect", "kind"], capture_output=True, text=True, timeout=30, check=True
        )
        networks = json.loads(answer.stdout)[0]["IPAM"]["Config"]
        return next(str(n["Gateway"]) for n in networks if "." in n.get("Gateway", ""))

    def trainer_image(self) -> str:
        """The project's image with this checkout's code, programs and examples, on every worker. Its name."""
        host, recipe = self.host, ROOT / "tests/support/trainer/Dockerfile"
        programs = {
            "programs": ROOT / "tests/support/programs",
            "metaflow": ROOT / "examples/metaflow",
            "app": ROOT / "examples/app",
        }
        with building(self.places) as wheel:
            plain = built(host, "trainer", wheel)
            tag = f"{_TRAINER}:{key_of(plain, recipe, *programs.values())}"
            if not in_engine(host, tag):
                build_upon(host, tag, recipe, plain, programs)
                remove_others(host, _TRAINER, keep=(tag,))
            load_image(host, tag, WORKERS)
        return tag

    def operator_image(self) -> str:
        """The operator's image with this checkout's code, on every node. Its name."""
        return operator_image(self.host)


def _note(line: str) -> None:
    """pytest shows it where a test fails."""
    sys.stderr.write(f"{line}\n")


def _enter_network(namespace: int) -> None:
    """This thread, and all that it starts from now on. (``os.setns`` came with Python 3.12.)"""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def settings_at_hand(environ: Mapping[str, str]) -> Mapping[str, str]:
    """What a person gives for a cluster that is not ours: TRAINPOINT_TEST_{IMAGE,OPERATOR_IMAGE,STORE}, AWS_*."""
    return {k: v for k, v in environ.items() if k.startswith(("AWS_", "TRAINPOINT_TEST_"))}
