"""Is a process still there: the table, and the real system's answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from trainpoint.claim.liveness import UNREADABLE, Liveness, SystemProcesses, liveness, this_process
from trainpoint.clock import SystemChance
from trainpoint.format.records import Holder
from trainpoint.testing import FakeChance

ME = Holder(host="here", pid=100, started="5000", boot="boot/1", uid="f" * 16)
OTHER = Holder(host="here", pid=200, started="7000", boot="boot/1", uid="a" * 16)


class Table:
    """A process table with one process in it, or none."""

    def __init__(self, pid: int = 0, started: str = "") -> None:
        self._pid, self._started = pid, started

    def started(self, pid: int) -> str | None:
        return self._started if pid == self._pid else None


@pytest.mark.parametrize(
    ("holder", "processes", "expected"),
    [
        pytest.param(OTHER, Table(200, "7000"), "Alive", id="there"),
        pytest.param(OTHER, Table(), "Dead", id="gone"),
        pytest.param(OTHER, Table(200, "9000"), "Dead", id="its pid is used again"),
        pytest.param(OTHER, Table(200, UNREADABLE), "Alive", id="there, but hidden"),
        pytest.param(replace(OTHER, boot="boot/2"), Table(), "Unknown", id="another container"),
        pytest.param(replace(OTHER, boot="other/1", host="there"), Table(), "Unknown", id="another host"),
        pytest.param(replace(OTHER, boot=""), Table(), "Unknown", id="a boot that nobody knows"),
        pytest.param(ME, Table(100, "5000"), "Self", id="this process"),
        pytest.param(replace(ME, uid="b" * 16), Table(100, "5000"), "Self", id="this process, described again"),
        pytest.param(replace(ME, started="4000"), Table(100, "5000"), "Dead", id="had the pid of this process before"),
        pytest.param(replace(ME, boot="boot/2"), Table(100, "5000"), "Unknown", id="same pid in another container"),
    ],
)
def test_liveness(holder: Holder, processes: Table, expected: Liveness) -> None:
    assert liveness(holder, ME, processes) == expected


def test_boots_that_nobody_knows_are_not_the_same_boot() -> None:
    assert liveness(replace(OTHER, boot=""), replace(ME, boot=""), Table()) == "Unknown"


# --- the real system --------------------------------------------------------------------------------------------------


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A live process; ``wait`` reaps it."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def holder_of(process: subprocess.Popen[bytes]) -> Holder:
    me = this_process(SystemChance())
    return replace(me, pid=process.pid, started=SystemProcesses().started(process.pid) or "")


def test_a_live_process_is_alive(sleeper: subprocess.Popen[bytes]) -> None:
    holder = holder_of(sleeper)
    assert holder.started
    assert liveness(holder, this_process(SystemChance()), SystemProcesses()) == "Alive"


def test_a_killed_process_is_dead_even_before_its_parent_has_noticed(sleeper: subprocess.Popen[bytes]) -> None:
    holder, me = holder_of(sleeper), this_process(SystemChance())
    sleeper.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead now, and left as a zombie
    assert liveness(holder, me, SystemProcesses()) == "Dead"
    sleeper.wait(timeout=30)
    assert liveness(holder, me, SystemProcesses()) == "Dead"


def test_this_process_knows_itself() -> None:
    me = this_process(SystemChance())
    assert me.pid == os.getpid()
    assert me.host == os.uname().nodename
    assert liveness(me, this_process(SystemChance()), SystemProcesses()) == "Self"


@pytest.mark.skipif(sys.platform != "linux", reason="pid namespaces are Linux's")
def test_the_boot_tells_containers_apart_by_their_pid_namespace() -> None:
    boot, _, namespace = this_process(SystemChance()).boot.partition("/")
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert namespace == str(os.stat("/proc/self/ns/pid").st_ino)


def test_a_user_without_a_name_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert this_process(FakeChance()).user == ""


@pytest.mark.parametrize("pid", [0, -1, 2**40])
def test_what_cannot_be_a_pid_is_no_process(pid: int) -> None:
    assert SystemProcesses().started(pid) is None


def fake_proc(root: Path, *, itself: str, stat: str = "") -> str:
    """A ``/proc`` that speaks of process 1, the only one that is there for certain."""
    (root / "self").symlink_to(itself)
    (root / "1").mkdir()
    if stat:
        (root / "1" / "stat").write_text(stat)
    return str(root)


def stat_of(state: str, threads: int) -> str:
    """A line of ``/proc/<pid>/stat``, with a name that tries to confuse."""
    return f"1 (a) Z (b) {state} 0 1 1 0 -1 4194304 " + "0 " * 8 + f"20 0 {threads} 0 188643 3133440"


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc elsewhere")
class TestProc:
    """What cannot be arranged with real processes on every machine."""

    def test_start_time(self, tmp_path: Path) -> None:
        proc = fake_proc(tmp_path, itself=str(os.getpid()), stat=stat_of("S", 1))
        assert SystemProcesses(proc).started(1) == "188643"

    def test_a_zombie_is_gone(self, tmp_path: Path) -> None:
        proc = fake_proc(tmp_path, itself=str(os.getpid()), stat=stat_of("Z", 1))
        assert SystemProcesses(proc).started(1) is None

    def test_a_zombie_whose_threads_still_run_is_not_gone(self, tmp_path: Path) -> None:
        """Killed while a thread of it sits in a write: that write may still happen."""
        proc = fake_proc(tmp_path, itself=str(os.getpid()), stat=stat_of("Z", 2))
        assert SystemProcesses(proc).started(1) == "188643"

    def test_a_hidden_process_exists(self, tmp_path: Path) -> None:
        proc = fake_proc(tmp_path, itself=str(os.getpid()))
        assert SystemProcesses(proc).started(1) == UNREADABLE

    def test_the_proc_of_another_pid_namespace_is_not_believed(self, tmp_path: Path) -> None:
        proc = fake_proc(tmp_path, itself="99999", stat=stat_of("Z", 1))
        assert SystemProcesses(proc).started(1) == UNREADABLE
