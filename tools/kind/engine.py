"""A Docker engine of our own, for machines that have none or from which no image can be pulled.

It lives in network, mount and process namespaces of its own and under one cgroup. Outside there is one process, one
named network namespace, and its data in the cache. Ending that process ends all that runs in it. Needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.kind.commands import run, wait_until, works
from tools.kind.made import remove, say
from tools.kind.places import HERE, Places, ToolError

SYSCTLS: Final = (
    "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
)  # fmt: skip
"""What a kubelet sets for the whole machine; given back when the engine ends."""
_CGROUPS: Final = Path("/sys/fs/cgroup")
_PROC_SYS: Final = Path("/proc/sys")
_NETNS: Final = Path("/run/netns")
_CAP_SYS_RESOURCE: Final = 24
_STARTED_WITHIN: Final = 60.0
# A tmpfs on /run and /etc/docker: what an engine puts there is gone with it, and the machine's own is not seen.
_BEGIN: Final = (
    'mount -t tmpfs tmpfs /run && mkdir -p /etc/docker && mount -t tmpfs tmpfs /etc/docker && exec tini -- dockerd "$@"'
)


class Engine:
    """The engine of one cache folder."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._record = places.state / "engine.json"

    # --- what others need ---------------------------------------------------------------------------------------------

    def pid(self) -> int | None:
        """The outermost process, if the one that was started still lives: a number alone may have been reused."""
        try:
            record = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return None
        pid = int(record["pid"])
        return pid if _started_at(pid) == record["started"] else None

    def answers(self) -> bool:
        return self.pid() is not None and works("docker", "version", env=self.env(), timeout=10)

    def env(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.places.docker_host}

    # --- life ---------------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start it unless it runs; what one that died has left is cleaned up first."""
        if self.answers():
            return
        self.down(quiet=True)
        if os.geteuid() != 0:
            raise ToolError("an engine of our own needs root")
        self.places.check()
        self.places.state.mkdir(parents=True, exist_ok=True)
        self._remember_machine()
        name = self.places.namespace
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        process = self._launch()
        self._record.write_text(json.dumps({"pid": process.pid, "started": _started_at(process.pid)}))

        def ready() -> bool:
            if process.poll() is not None:
                raise ToolError(f"the engine ended with code {process.returncode}\n{self._log_tail()}")
            return works("docker", "version", env=self.env(), timeout=10)

        wait_until(ready, seconds=_STARTED_WITHIN, what="the engine answers", seen=self._log_tail)
        self._remove_containers()  # nodes of an engine that died: a cluster ends with its engine

    def down(self, *, quiet: bool = False) -> None:
        """End it and all that runs in it. ToolError names what is left, where something is."""
        pid = self.pid()
        if pid is not None:
            if self.answers():
                self._remove_containers()
            self._end(pid)
        if self.places.netns.exists():
            run("ip", "netns", "del", self.places.namespace)
        self._forget_machine()
        self._remove_cgroups()
        left = leftovers(self.places)
        if (still := self.pid()) is not None:
            left.append(f"process {still}")
        if left:
            raise ToolError(f"left over: {', '.join(left)}")
        for name in ("engine.json", "docker.sock", "machine.json", "kubeconfig", "cluster.json"):
            remove(self.places.state / name)
        if not quiet and pid is not None:
            say("engine ended; nothing left")

    def _launch(self) -> subprocess.Popen[bytes]:
        state = self.places.state
        command = [
            # `ip netns exec` would mount /sys anew, without the cgroups
            "nsenter", f"--net={self.places.netns}",
            "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc",
            "--", "sh", "-c", _BEGIN, "dockerd",
            "--config-file", str(state / "none.json"), "--data-root", str(state / "docker"),
            "--exec-root", "/run/docker-exec", "--pidfile", "/run/docker.pid", "--host", self.places.docker_host,
            "--storage-driver", os.environ.get("STORAGE_DRIVER", "overlay2"),
            "--cgroup-parent", f"/{self.places.namespace}",
            "--add-runtime", f"unprivileged={HERE / 'runc-unprivileged'}",
            "--default-runtime", runtime(Path("/proc/self/status").read_text()),
        ]  # fmt: skip
        (state / "none.json").write_text("{}")
        with open(state / "dockerd.log", "wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )

    def _end(self, pid: int) -> None:
        """In order (the first process inside passes SIGTERM on to the engine), else by SIGKILL: all inside ends."""
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), signal.SIGTERM)
        try:
            wait_until(lambda: self.pid() is None, seconds=15, what="the engine ends")
        except ToolError:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: self.pid() is None, seconds=60, what="the killed engine ends")
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)

    def _remove_containers(self) -> None:
        containers = run("docker", "ps", "--all", "--quiet", env=self.env()).split()
        if containers:
            run("docker", "rm", "--force", "--volumes", *containers, env=self.env(), timeout=60)

    # --- the machine as it was ----------------------------------------------------------------------------------------

    def _remember_machine(self) -> None:
        noted = {
            "sysctls": {
                name: (_PROC_SYS / name).read_text().strip() for name in SYSCTLS if (_PROC_SYS / name).exists()
            },
            "netns_folder": _NETNS.exists(),
            "netns_mounted": os.path.ismount(_NETNS),
        }
        (self.places.state / "machine.json").write_text(json.dumps(noted))

    def _forget_machine(self) -> None:
        """Give the sysctls back; remove the folder of named network namespaces if it is ours and nobody else's now."""
        try:
            noted: Mapping[str, Mapping[str, str]] = json.loads((self.places.state / "machine.json").read_text())
        except (OSError, ValueError):
            return
        for name, value in noted["sysctls"].items():
            if (_PROC_SYS / name).read_text().strip() != value:
                (_PROC_SYS / name).write_text(value)
        if _NETNS.exists() and not any(_NETNS.iterdir()):
            with contextlib.suppress(ToolError, OSError):
                if not noted["netns_mounted"]:
                    run("umount", _NETNS)
                if not noted["netns_folder"]:
                    _NETNS.rmdir()

    def _remove_cgroups(self) -> None:
        """The kernel takes a moment to see that a cgroup is empty."""

        def gone() -> bool:
            for top in cgroups(self.places):
                for folder, _, _ in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(folder)
            return not cgroups(self.places)

        with contextlib.suppress(ToolError):  # what is left is named by the caller
            wait_until(gone, seconds=10, what="cgroups removed")

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return (self.places.state / "dockerd.log").read_text(errors="replace")[-2000:]
        return ""


def runtime(status: str) -> str:
    """The engine's default runtime, from /proc/self/status: plain runc unless root lacks CAP_SYS_RESOURCE."""
    bounding = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:"))
    return "runc" if bounding >> _CAP_SYS_RESOURCE & 1 else "unprivileged"


def cgroups(places: Places) -> list[Path]:
    """Top folders of the engine's cgroups: one on cgroup v2, one for each hierarchy on v1."""
    name = places.namespace
    return [path for path in (_CGROUPS / name, *_CGROUPS.glob(f"*/{name}")) if path.is_dir()]


def leftovers(places: Places) -> list[str]:
    """What an ended engine of this cache folder has left on the machine: names of namespaces, cgroups, mounts."""
    left = [f"network namespace {places.namespace}"] if places.netns.exists() else []
    left += [f"cgroup {path}" for path in cgroups(places)]
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    left += [f"mount {path}" for path in mounts if path.startswith(f"{places.state}/")]
    return left


def _started_at(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None if there is none or it only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
