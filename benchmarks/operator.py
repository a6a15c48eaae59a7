"""What the operator costs with many objects: CPU seconds and memory of a start, requests a minute when nothing happens.

    python -m benchmarks.operator [--runs 200] [--each 10]

A real API server without nodes, a real S3 server, and the operator as a process of its own, with the rights of an
administrator. The first start finds every checkpoint committed and looks at each in the bucket; the second one finds
all of it done.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.apiserver import ApiServer
from tests.support.installed import install
from tests.support.objects import claim, commit, loaded, path
from tools.s3server import DEFAULT_BUCKET, S3Server, free_ports
from trainpoint.api.names import API_VERSION
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.record import checkpoint_body, commit_of
from trainpoint.claim.run_object import run_body
from trainpoint.clock import SystemChance, SystemClock, rfc3339
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.reference import CheckpointRef, run_object_name
from trainpoint.store.url import open_store

START_SECONDS: Final = 300.0
IDLE_SECONDS: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one start."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    requests: float


class Operator:
    """The process, looked at through its metrics and ``/proc``."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._port = free_ports("operator")["operator"]
        told = {
            "KUBECONFIG": str(kubeconfig),
            "TRAINPOINT_OPERATOR_HOST": "127.0.0.1",
            "TRAINPOINT_OPERATOR_PORT": str(self._port),
            "TRAINPOINT_OPERATOR_NAMESPACE": namespace,
            "TRAINPOINT_OPERATOR_LOG_LEVEL": "WARNING",
        }
        self._process = subprocess.Popen([sys.executable, "-m", "trainpoint_operator"], env={**os.environ, **told})

    def metrics(self) -> Mapping[str, float]:
        """Sums by name, and by name and ``state`` where there is one."""
        found: dict[str, float] = {}
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
                if match:
                    state = re.search(r'state="(\w+)"', match[2] or "")
                    name = f"{match[1]}:{state[1]}" if state else match[1]
                    found[name] = found.get(name, 0.0) + float(match[3])
        return found

    def wait(self, checkpoints: int) -> Figures:
        """Until all of them are verified and nothing is left to do."""
        begun = time.monotonic()
        quiet_since, seen, peak = 0.0, -1.0, 0.0
        while True:
            now = time.monotonic()
            peak = max(peak, self._memory_mib("VmHWM"))
            if self._process.poll() is not None:
                raise SystemExit(f"the operator ended with {self._process.returncode}")
            if now - begun > START_SECONDS:
                raise SystemExit(f"not done within {START_SECONDS:.0f} s: {self.metrics()}")
            try:
                found = self.metrics()
            except OSError:
                time.sleep(0.05)  # it does not listen yet
                continue
            done = found.get("trainpoint_reconcile_seconds_count", 0.0)
            verified = found.get("trainpoint_checkpoints:Verified", 0.0)
            if verified < checkpoints or done != seen or found.get("trainpoint_queue_depth", 1.0) > 0:
                quiet_since, seen = now, done
            elif now - quiet_since > 2.0:
                took = quiet_since - begun
                return Figures(took, self.cpu(), peak, found.get("trainpoint_api_requests_total", 0.0))
            time.sleep(0.1)

    def idle(self, seconds: float) -> float:
        """Requests to the API server a minute, while nothing happens."""
        before = self.metrics().get("trainpoint_api_requests_total", 0.0)
        time.sleep(seconds)
        return (self.metrics().get("trainpoint_api_requests_total", 0.0) - before) * 60 / seconds

    def cpu(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mib(self) -> float:
        return self._memory_mib("VmRSS")

    def _memory_mib(self, field: str) -> float:
        try:
            text = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        match = re.search(rf"{field}:\s+(\d+) kB", text)
        return int(match[1]) / 1024 if match else 0.0

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def started(kubeconfig: Path, namespace: str) -> Iterator[Operator]:
    operator = Operator(kubeconfig, namespace)
    try:
        yield operator
    finally:
        operator.stop()


def fill(server: ApiServer, s3: S3Server, namespace: str, runs: int, each: int) -> None:
    """Runs that have ended, with their checkpoints committed: objects on the API server, manifests in the bucket."""
    clock, chance = SystemClock(), SystemChance()
    environ = s3.env()
    catalog = BucketCatalog(open_store(f"s3://{DEFAULT_BUCKET}/bench", environ=environ), clock=clock, chance=chance)
    api = server.admin
    keys = {name: value for name, value in environ.items() if "KEY" in name}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "janitor"}, "stringData": keys}
    api.post(f"/api/v1/namespaces/{namespace}/secrets", secret).expect(201)
    store = {
        "apiVersion": API_VERSION,
        "kind": "CheckpointStore",
        "metadata": {"name": "main"},
        "spec": {
            "s3": {"endpoint": environ["AWS_ENDPOINT_URL"], "bucket": DEFAULT_BUCKET},
            "prefix": "bench",
            "credentials": {"secretRef": {"name": "janitor"}},
        },
    }
    api.post(path(namespace, "checkpointstores"), store).expect(201)

    def one_run(number: int) -> None:
        task = TaskPath("llm", f"llm-{number:05}", "main", namespace=namespace)
        name = run_object_name(task)
        body = run_body(task, owner="ada", launch_uid="", policy="", store="main")
        api.post(path(namespace, "checkpointruns"), body).expect(201)
        end = {"how": "Completed", "exitCode": 0, "lastStep": each * 10, "time": rfc3339(clock.now())}
        held = claim(0, None, loaded=loaded(), end=end)
        api.patch(path(namespace, "checkpointruns", name, "status"), held).expect(200)
        for sequence in range(1, each + 1):
            snapshot = Snapshot(
                task, SnapshotId(0, sequence, chance.uid()), step=sequence * 10, metrics={"loss": f"0.{sequence}"}
            )
            manifest = Manifest(snapshot, rfc3339(clock.now()), (), ())
            catalog.record(manifest)
            api.post(path(namespace, "checkpoints"), checkpoint_body(snapshot, store_ref="main", policy="")).expect(201)
            saved = path(namespace, "checkpoints", CheckpointRef(task, snapshot.id).name, "status")
            api.patch(saved, commit(**commit_of(manifest))).expect(200)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one_run, range(runs)))


def main() -> None:
    parser = argparse.ArgumentParser(description="What the operator costs with many objects.")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--each", type=int, default=10, help="checkpoints of each run")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS, help="seconds of doing nothing that are watched")
    wanted = parser.parse_args()
    count = wanted.runs * wanted.each
    with ApiServer() as server, S3Server() as s3:
        server.start_controllers()
        install(server)
        namespace = server.namespace("bench")
        fill(server, s3, namespace, wanted.runs, wanted.each)
        kubeconfig = server.kubeconfig("admin")
        print(f"{count} checkpoints of {wanted.runs} runs\n")
        print("| start | seconds | CPU seconds | peak MiB | requests | MiB when idle | requests a minute when idle |")
        print("|---|---|---|---|---|---|---|")
        for name in ("first", "again"):
            with started(kubeconfig, namespace) as operator:
                figures = operator.wait(count)
                idle = operator.idle(wanted.idle)
                row = (figures.seconds, figures.cpu_seconds, figures.peak_mib, figures.requests)
                print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in row[:2]), end=" | ")
                print(
                    " | ".join(f"{value:.0f}" for value in (*row[2:], operator.memory_mib(), idle)) + " |", flush=True
                )


if __name__ == "__main__":
    main()
