"""The operator's process on a real API server: without the Lease it stands by, and goes on after."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.api.conftest import Team
from tests.support.kubeapi import until
from tests.support.objects import path
from trainpoint.api.names import API_VERSION
from trainpoint_operator.engine.lease import NAME

LEASE_SECONDS = 3


@contextmanager
def operator(team: Team, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One for the namespace of the team, whose Lease lies there too."""
    settings = {
        "NAMESPACE": team.namespace,
        "WATCH_NAMESPACES": team.namespace,
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "HOST": "127.0.0.1",
        "PORT": "0",
    }
    environ = {f"TRAINPOINT_OPERATOR_{name}": value for name, value in settings.items()}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ |= {**kept, "KUBECONFIG": str(team.server.kubeconfig("admin"))}
    command = [sys.executable, "-m", "trainpoint_operator"]
    with log.open("wb") as out, subprocess.Popen(command, env=environ, stdout=out, stderr=out) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def test_a_process_that_lost_its_lease_stands_by_and_works_again(team: Team, tmp_path: Path) -> None:
    root, log = team.root, tmp_path / "operator.log"
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{team.namespace}/leases/{NAME}"
    policies = path(team.namespace, "checkpointpolicies")

    def said() -> str:
        return log.read_text(encoding="utf-8")

    def wait_for(text: str, count: int) -> None:
        until(lambda: "" if said().count(text) >= count else "not yet", seconds=60, what=f"{count} {text}", more=said)

    def policy(name: str) -> None:
        meta = {"name": name}
        root.post(
            policies, {"apiVersion": API_VERSION, "kind": "CheckpointPolicy", "metadata": meta, "spec": {}}
        ).expect(201)

    def looked_at(name: str) -> bool:
        return "conditions" in root.get(f"{policies}/{name}").expect(200).get("status", {})

    def until_looked_at(name: str) -> None:
        until(lambda: "" if looked_at(name) else "no condition", seconds=60, what=f"a look at {name}", more=said)

    with operator(team, log) as process:
        wait_for("event=acquired", 1)
        policy("one")
        until_looked_at("one")
        root.patch(lease, {"spec": {"holderIdentity": "another", "leaseDurationSeconds": 3600}}).expect(200)
        wait_for("event=started", 2)
        policy("two")
        assert process.poll() is None
        root.patch(lease, {"spec": {"holderIdentity": ""}}).expect(200)
        wait_for("event=acquired", 2)
        until_looked_at("two")
    assert process.returncode == 0, said()
    assert said().count("event=begins-anew") == 1
    assert "Traceback" not in said()
    assert root.get(lease).expect(200)["spec"]["holderIdentity"] == "", "and gives the Lease back at its end"


def test_a_process_that_waits_for_its_turn_or_for_a_store_ends_when_it_is_told_to(team: Team, tmp_path: Path) -> None:
    """Also as the first process of a container, which no signal ends that nobody has asked for."""
    log = tmp_path / "operator.log"
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{team.namespace}/leases/{NAME}"
    spec = {"holderIdentity": "another", "leaseDurationSeconds": 3600}
    held = team.root.get(lease)
    if held.status == 404:
        meta = {"name": NAME, "namespace": team.namespace}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
        team.root.post(lease.rpartition("/")[0], body).expect(201)
    else:
        team.root.patch(lease, {"spec": spec}).expect(200)
    with operator(team, log) as process:
        until(
            lambda: "" if "event=started" in log.read_text(encoding="utf-8") else "not yet",
            seconds=60, what="its start", more=lambda: log.read_text(encoding="utf-8"),
        )  # fmt: skip
        process.terminate()
        assert process.wait(30) == 0, log.read_text(encoding="utf-8")
