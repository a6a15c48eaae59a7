"""Is the process behind a claim still there?

On the same machine the system tells: by pid, and by the start time that tells a reused pid from the same process. That
holds only within one boot and one pid namespace; for processes elsewhere (another host, another container) nothing can
be known here, and the claim goes by their last sign of life in the store.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, Protocol

from trainpoint.clock import Chance
from trainpoint.format.records import Holder
from trainpoint.identity import login_name
from trainpoint.policies.start import Liveness

__all__ = ["Liveness", "ProcessTable", "SystemProcesses", "liveness", "this_process"]

UNREADABLE: Final = ""
"""Instead of a start time: the process exists, but the system does not let us see more."""

_COMMAND_SECONDS: Final = 10


class ProcessTable(Protocol):
    """What the system knows of the processes of this boot and pid namespace."""

    def started(self, pid: int) -> str | None:
        """Start time of a live process, :data:`UNREADABLE` where it is hidden, None when there is no such process.

        A zombie (ended, not yet waited for by its parent) does nothing any more and counts as gone.
        """
        ...


def liveness(holder: Holder, me: Holder, processes: ProcessTable) -> Liveness:
    """What can be said here, by ``me``, of the process ``holder``."""
    if not holder.boot or holder.boot != me.boot:
        return "Unknown"
    if holder.pid == me.pid:
        return "Self" if holder.started == me.started else "Dead"
    started = processes.started(holder.pid)
    if started is None:
        return "Dead"
    return "Alive" if started in (UNREADABLE, holder.started) else "Dead"


class SystemProcesses:
    """The process table of this machine: ``/proc`` on Linux, ``ps`` elsewhere."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = Path(proc)

    def started(self, pid: int) -> str | None:
        if not _exists(pid):
            return None
        return self._from_proc(pid) if sys.platform == "linux" else _from_ps(pid)

    def _from_proc(self, pid: int) -> str | None:
        try:
            # A /proc of another pid namespace (a container that sees its host's) speaks of other processes.
            if os.readlink(self._proc / "self") != str(os.getpid()):
                return UNREADABLE
            fields = (self._proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:  # hidden from other users (hidepid), or gone meanwhile
            return UNREADABLE if _exists(pid) else None
        state, threads, started = fields[0], int(fields[17]), fields[19].decode()  # proc_pid_stat(5): 3, 20, 22
        # Killed while one of its threads sits in a system call: the first is a zombie, that one may still be writing.
        return None if state in (b"Z", b"X") and threads <= 1 else started


def _exists(pid: int) -> bool:
    if pid <= 0:  # to kill(2) these are groups of processes
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _from_ps(pid: int) -> str | None:
    state, _, started = _output(["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]).partition(" ")
    if not state:
        return UNREADABLE if _exists(pid) else None
    return None if state.startswith("Z") else " ".join(started.split())


def _output(command: list[str]) -> str:
    """Output of a command in a fixed language and time zone; empty if it fails."""
    import subprocess  # needed where there is no /proc only

    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def this_process(chance: Chance) -> Holder:
    """This process, as others can recognise it."""
    uid = chance.uid()
    pid = os.getpid()
    return Holder(
        host=os.uname().nodename,
        pid=pid,
        started=SystemProcesses().started(pid) or f"unknown-{uid}",
        boot=_boot() or f"unknown-{uid}",  # equal to nobody's: others go by the heartbeat
        uid=uid,
        user=login_name(),
    )


def _boot() -> str:
    """Boot of this machine and pid namespace of this process; empty where the system does not tell."""
    if sys.platform != "linux":
        return _output(["sysctl", "-n", "kern.bootsessionuuid"])
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return ""
    return f"{boot}/{namespace}" if boot else ""
