"""A store that is away, full, forbidden or newer: a clear text, or a save that gets through; no loss, no secret."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.place import PROGRAMS, Place
from tests.support.proxy import Proxy, Request
from tools.s3server import ABSENT_BUCKET, ADMIN, DEFAULT_BUCKET, READER, STRANGER, WRITER, Credentials, S3Server
from trainpoint.format.digest import seal

SECRETS = [c.secret_key for c in (ADMIN, WRITER, READER, STRANGER)] + ["not-the-secret-9b1c"]
COUNTER = {"TRAINPOINT_WORKFLOW": "counter", "TRAINPOINT_RUN": "r"}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


def at(server: S3Server, **changes: str) -> Place:
    return Place(f"s3://{DEFAULT_BUCKET}/{secrets.token_hex(4)}", environ={**server.env(), **changes})


def refused(place: Place, code: int, *said: str) -> None:
    """The program ends before any training step, with the exit code, the words, and nothing that nobody should see."""
    done = place.run("counter.py", **COUNTER)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    for text in said:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "trainpoint explain TP" in done.stderr
    for secret in SECRETS:
        assert secret not in done.stderr


def test_wrong_credentials_are_told_by_the_servers_own_code(server: S3Server) -> None:
    refused(at(server, AWS_SECRET_ACCESS_KEY="not-the-secret-9b1c"), 1, "TP103", "SignatureDoesNotMatch")
    refused(at(server, AWS_ACCESS_KEY_ID="AKNOBODY"), 1, "TP103", "InvalidAccessKeyId")
    refused(at(server, **_keys(STRANGER)), 1, "TP103", "AccessDenied")


def _keys(credentials: Credentials) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": credentials.secret_key}


def test_a_reader_reads_with_read_only_keys_and_a_writer_is_refused_with_them(server: S3Server) -> None:
    place = at(server)
    assert place.run("counter.py", **COUNTER).returncode == 0
    reading = Place(place.url, {**place.environ, **_keys(READER)})
    listed = subprocess.run(
        [sys.executable, "-m", "trainpoint.cli.main", "list"],
        env=reading.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) == 6
    refused(reading, 1, "TP103")


def test_a_missing_bucket_is_named_with_its_endpoint(server: S3Server) -> None:
    place = Place(f"s3://{ABSENT_BUCKET}/x", dict(server.env()))
    refused(place, 1, "TP110", f'bucket "{ABSENT_BUCKET}" does not exist', server.endpoint)


def test_an_unreachable_endpoint_is_told_before_the_first_step(server: S3Server) -> None:
    refused(at(server, AWS_ENDPOINT_URL="http://127.0.0.1:9"), 1, "TP102", "http://127.0.0.1:9")


def test_a_store_of_a_newer_format_is_refused_for_good(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "trainpoint.json").write_bytes(seal({"formatVersion": 2, "kind": "Store", "storeId": "x"}))
    refused(Place(f"file://{tmp_path}/store"), 86, "TP106", "update trainpoint")


def test_a_server_killed_in_mid_save_and_restarted_loses_nothing(server: S3Server, tmp_path: Path) -> None:
    env = {
        "TRAINPOINT_WORKFLOW": "train",
        "TRAINPOINT_RUN": "storm",
        "STEPS": "120",
        "SAVE_EVERY": "3",
        "LEDGER": str(tmp_path / "ledger"),
        "RESULT": str(tmp_path / "result"),
    }
    with Proxy(server.port) as proxy, ThreadPoolExecutor(1) as beside:
        lock, uploads, restarts = threading.Lock(), itertools.count(1), list[Future[None]]()

        def restart() -> None:
            threading.Event().wait(1.0)  # long enough that requests fail
            server.start()

        def die_twice(request: Request) -> None:
            with lock:
                back = not restarts or restarts[-1].done()
                if back and request.verb == "PUT" and "/data/" in request.path and next(uploads) in (20, 50):
                    server.kill()
                    restarts.append(beside.submit(restart))

        place = at(server)
        proxy.fault = die_twice
        done = Place(place.url, {**place.environ, "AWS_ENDPOINT_URL": proxy.endpoint}).run("train.py", **env)
    assert done.returncode == 0, done.stderr
    assert [restart.exception() for restart in restarts] == [None, None]
    catalog = place.catalog()
    (task,) = catalog.tasks("_", "train", "storm")
    steps = [catalog.manifest(task, entry.id).snapshot.step for entry in catalog.entries(task)]
    assert steps == list(range(120, 0, -3)), done.stdout
    calm = Place(f"file://{tmp_path}/calm")
    assert calm.run("train.py", **{**env, "RESULT": str(tmp_path / "calm.result")}).returncode == 0
    assert (tmp_path / "result").read_text() == (tmp_path / "calm.result").read_text()


# --- file systems, in a mount namespace of their own ------------------------------------------------------------------


def in_namespace(script: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount; fails saying what is missing where that is not permitted."""
    unshare = shutil.which("unshare")
    assert unshare, "this test needs `unshare` (util-linux): apt-get install util-linux"
    wrap = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        [unshare, "--mount", *wrap, "sh", "-ec", script],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "unshare failed" not in done.stderr, f"mount namespaces are not permitted here: {done.stderr}"
    return done


def test_a_full_disk_fails_that_save_clearly_and_keeps_the_earlier_ones(tmp_path: Path) -> None:
    store, program = tmp_path / "store", PROGRAMS / "fill.py"
    env = Place(f"file://{store}").env(TRAINPOINT_WORKFLOW="fill", TRAINPOINT_RUN="r")
    done = in_namespace(
        f"mkdir {store}; mount -t tmpfs -o size=16m none {store}; {sys.executable} {program}; "
        f"{sys.executable} -m trainpoint.cli.main list -n 0; find {store}/.tmp -type f",
        env,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "StoreFullError TP105", done.stdout
    assert lines[1] == "2 checkpoints, newest loads: True"
    assert sum("Committed" in line for line in lines) == 2
    assert "small one after: True" in lines
    assert lines[-1].split()[-1].startswith("r-"), f"nothing half-written is left behind: {lines[-1]}"


def test_a_read_only_directory_is_told_before_the_first_step(tmp_path: Path) -> None:
    store = tmp_path / "store"
    env = Place(f"file://{store}").env(**COUNTER)
    done = in_namespace(
        f"mkdir {store}; mount -t tmpfs -o ro none {store}; {sys.executable} {PROGRAMS / 'counter.py'} || echo rc=$?",
        env,
    )
    assert done.stdout.strip() == "rc=1", done.stderr
    assert "TP109" in done.stderr
    assert str(store) in done.stderr
    assert "Traceback" not in done.stderr
