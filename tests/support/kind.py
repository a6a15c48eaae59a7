"""The test cluster, started and reached by a run of the tests. How it is made: ``tools/kind``."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from tests.support.loading import load_image
from tests.support.nodes import Nodes
from tests.support.repository import ROOT
from tools.images import build_image, build_wheel, docker_build
from tools.kind.cluster import recorded
from tools.kind.hosts import Kind, environment
from tools.kind.made import key_of
from tools.kind.places import CONTROL_PLANE, NODES, WORKERS, Places, pins
from tools.kind.python_image import base_name
from tools.kind.wheels import wheels

_CLONE_NEWNET: Final = 0x40000000
_OWN_NETWORK: Final = Path("/proc/self/ns/net")
_USERS: Final = "users.lock"
_TRAINER: Final = "trainpoint-test/trainer"
_OPERATOR: Final = "trainpoint-test/operator"


class KindCluster:
    """One for a run of the tests, shared by its processes. Removed at the end if this run had it created."""

    def __init__(self, run: str) -> None:
        self.places = Places.of()
        self.run = run
        self._outside: int | None = None
        self._user: IO[str] | None = None

    def up(self) -> Nodes:
        """Make sure that it is there; from then on this process, and what it starts, can reach it."""
        self._tool("up", "--made-by", self.run)
        # Held until this process ends: another run that had the cluster created may be over before.
        self._user = open(self.places.state / _USERS, "a")  # noqa: SIM115
        fcntl.flock(self._user, fcntl.LOCK_SH)
        kind = self.engine_kind()
        reachable = environment(self.places, kind)
        os.environ.update({name: reachable[name] for name in ("KUBECONFIG", "PATH")})
        if kind is Kind.OWN:
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
        if self._user is not None:
            self._user.close()
        if not self.places.state.exists():
            return
        with open(self.places.state / _USERS, "a") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._tool("down", "--only-of", self.run)

    def engine_kind(self) -> Kind:
        """Of the engine that the cluster runs on; it is up."""
        return Kind(recorded(self.places)["engine"])

    def gateway(self) -> str:
        """This side's address as nodes and pods see it."""
        answer = subprocess.run(
            ["docker", "network", "inspect", "kind"], capture_output=True, text=True, timeout=30, check=True
        )
        networks = json.loads(answer.stdout)[0]["IPAM"]["Config"]
        return next(str(n["Gateway"]) for n in networks if "." in n.get("Gateway", ""))

    def trainer_image(self) -> str:
        """The project's image with this checkout's code and the programs of the tests, on every worker. Its name."""
        with tempfile.TemporaryDirectory(prefix="trainpoint-test-image-") as scratch, self.exclusively("image"):
            wheel = build_wheel(Path(scratch))
            programs = ROOT / "tests/support/programs"
            base = self._base()
            tag = f"{_TRAINER}:{key_of(wheel, ROOT / 'images/trainer', ROOT / 'tests/support/trainer', programs, base)}"
            if not _docker("images", "--quiet", tag):
                plain = self._build("trainer", f"{_TRAINER}-base", wheel)
                context = Path(scratch, "context")
                context.mkdir()
                (context / "Dockerfile").write_bytes((ROOT / "tests/support/trainer/Dockerfile").read_bytes())
                _copy_programs(programs, context / "programs")
                docker_build(context, tag, {"BASE": plain}, env=dict(os.environ))
                _remove_others(_TRAINER, keep=(plain, tag))
            load_image(tag, WORKERS)
        return tag

    def operator_image(self) -> str:
        """The operator's image with this checkout's code, on every node. Its name."""
        with tempfile.TemporaryDirectory(prefix="trainpoint-test-image-") as scratch, self.exclusively("image"):
            tag = self._build("operator", _OPERATOR, build_wheel(Path(scratch)))
            _remove_others(_OPERATOR, keep=(tag,))
            load_image(tag, NODES)
        return tag

    def _build(self, image: str, repository: str, wheel: Path) -> str:
        """``images/<image>`` in the engine, unless it is there. Its name tells what it is made of."""
        base = self._base()
        tag = f"{repository}:{key_of(wheel, ROOT / 'images' / image, base)}"
        if not _docker("images", "--quiet", tag):
            at_hand = wheels(self.places, image)
            build_image(image, tag, wheel=wheel, base=base, wheels=at_hand, env=dict(os.environ))
        return tag

    def _base(self) -> str:
        """What images are built upon; Debian's Python where none can be pulled."""
        return base_name() if self.engine_kind() is Kind.OWN else pins()["PYTHON_IMAGE"]

    @contextlib.contextmanager
    def exclusively(self, what: str) -> Iterator[None]:
        """One process of all that run tests on this cluster at a time."""
        with open(self.places.state / f"{what}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _tool(self, verb: str, *words: str) -> None:
        done = subprocess.run(
            [str(ROOT / "tools/kind" / verb), *words], env={**os.environ, "PYTHON": sys.executable},
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        sys.stderr.write(done.stderr)  # pytest shows it where a test fails
        if done.returncode != 0:
            raise RuntimeError(f"tools/kind/{verb} failed:\n{done.stderr[-5000:]}")


def _enter_network(namespace: int) -> None:
    """This thread, and all that it starts from now on. (``os.setns`` came with Python 3.12.)"""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=True).stdout


def _copy_programs(source: Path, to: Path) -> None:
    to.mkdir()
    for program in sorted(source.glob("*.py")):
        (to / program.name).write_bytes(program.read_bytes())


def _remove_others(repository: str, *, keep: tuple[str, ...]) -> None:
    """Images of earlier checkouts; one that is in use stays."""
    listed = _docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    old = [name for name in listed if name.startswith(repository) and name not in keep]
    if old:
        subprocess.run(["docker", "rmi", *old], capture_output=True, timeout=120, check=False)


def settings_at_hand(environ: Mapping[str, str]) -> Mapping[str, str]:
    """What a person gives for a cluster that is not ours: TRAINPOINT_TEST_{IMAGE,OPERATOR_IMAGE,STORE}, AWS_*."""
    return {k: v for k, v in environ.items() if k.startswith(("AWS_", "TRAINPOINT_TEST_"))}
