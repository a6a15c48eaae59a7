"""The cluster that the other tests of this rung stand on: nodes, names, images, the bucket, kills."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

import pytest

from tests.support.cluster import Cluster, ClusterError, Namespace
from tests.support.nodes import NodeError, Nodes
from tests.support.place import Place
from tests.support.pods import PROGRAMS, pod

WAITS = "import signal; print('here', flush=True); signal.pause()"


def test_three_nodes_are_ready(cluster: Cluster, nodes: Nodes) -> None:
    found = {
        node["metadata"]["name"]: {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"]
        for node in cluster.list("nodes")
    }
    assert found == dict.fromkeys([nodes.control_plane, *nodes.workers], "True")


def test_pods_find_services_by_name_and_unknown_names_are_refused_at_once(
    namespace: Namespace, trainer_image: str
) -> None:
    script = (
        "import socket\n"
        "print('found', socket.gethostbyname('kubernetes.default.svc.cluster.local'))\n"
        "try: socket.gethostbyname('nobody.default.svc.cluster.local')\n"
        "except socket.gaierror: print('unknown')\n"
    )
    namespace.apply(pod("names", trainer_image, "python", "-c", script, secret=None))
    namespace.wait_for_phase("names", "Succeeded")
    found = namespace.cluster.namespace("default").get("service", "kubernetes")["spec"]["clusterIP"]
    assert namespace.logs("names").splitlines() == [f"found {found}", "unknown"]


def test_a_pod_on_each_worker_writes_checkpoints_that_are_read_from_here(
    nodes: Nodes, namespace: Namespace, bucket: Place, trainer_image: str
) -> None:
    for worker in nodes.workers:
        env = {"TRAINPOINT_WORKFLOW": "count", "TRAINPOINT_RUN": worker, "TOTAL": "4"}
        command = ("python", f"{PROGRAMS}/counter.py")
        namespace.apply(pod(worker, trainer_image, *command, env=env, node=worker, token=False))
    for worker in nodes.workers:
        namespace.wait_for_phase(worker, "Succeeded")
        assert namespace.get("pod", worker)["spec"]["nodeName"] == worker
        assert "start=0 loaded=False attempt=0" in namespace.logs(worker)
    listed = subprocess.run(
        [sys.executable, "-m", "trainpoint.cli.main", "list", "--output", "json"],
        env=bucket.env(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stderr
    found = {(entry["run"], entry["step"]) for entry in json.loads(listed.stdout)}
    assert found == {(worker, step) for worker in nodes.workers for step in (2, 4)}


def test_the_image_holds_this_checkout_and_runs_as_nobody_in_particular(
    namespace: Namespace, trainer_image: str
) -> None:
    script = (
        "import importlib.metadata, os, trainpoint; "
        "print(os.getuid(), importlib.metadata.version('trainpoint'), trainpoint.__file__)"
    )
    namespace.apply(pod("who", trainer_image, "python", "-c", script, secret=None))
    namespace.wait_for_phase("who", "Succeeded")
    user, version, file = namespace.logs("who").split()
    assert (user, version) == ("65532", importlib.metadata.version("trainpoint"))
    assert file.startswith("/opt/trainpoint/")


def test_the_namespace_refuses_a_pod_with_privileges(namespace: Namespace, trainer_image: str) -> None:
    privileged = pod("root", trainer_image, "true", secret=None)
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        namespace.apply(privileged)


def test_a_process_killed_from_its_node_ends_with_137_and_an_on_failure_pod_goes_on(
    nodes: Nodes, namespace: Namespace, trainer_image: str
) -> None:
    namespace.apply(
        pod("never", trainer_image, "python", "-c", WAITS, secret=None),
        pod("again", trainer_image, "sh", "-c", f'python -c "{WAITS}"; exit 3', secret=None, restart="OnFailure"),
    )
    for name in ("never", "again"):
        namespace.wait_for_log(name, "here")
    nodes.kill(namespace.get("pod", "never"))
    nodes.kill(namespace.get("pod", "again"), matching="python -c import")

    namespace.wait_for_phase("never", "Failed")
    assert namespace.exit_code("never") == 137

    def restarts() -> int:
        return int(namespace.get("pod", "again")["status"]["containerStatuses"][0]["restartCount"])

    namespace.wait_until("the container is started again", restarts, lambda count: count >= 1)
    namespace.wait_for_log("again", "here")


def test_a_kill_that_finds_no_such_process_says_what_it_saw(
    nodes: Nodes, namespace: Namespace, trainer_image: str
) -> None:
    namespace.apply(pod("one", trainer_image, "python", "-c", WAITS, secret=None))
    namespace.wait_for_log("one", "here")
    with pytest.raises(NodeError, match=r"no process matches 'torchrun'.*signal\.pause"):
        nodes.kill(namespace.get("pod", "one"), matching="torchrun")


def test_requests_of_a_pod_are_in_the_audit_log_and_those_of_the_cluster_are_not(
    nodes: Nodes, namespace: Namespace, trainer_image: str
) -> None:
    script = (
        "import pathlib, ssl, urllib.error, urllib.request as r\n"
        "d = pathlib.Path('/var/run/secrets/kubernetes.io/serviceaccount')\n"
        "c = ssl.create_default_context(cafile=str(d / 'ca.crt'))\n"
        "u = 'https://kubernetes.default.svc/api/v1/namespaces/' + (d / 'namespace').read_text() + '/configmaps/x'\n"
        "q = r.Request(u, headers={'Authorization': 'Bearer ' + (d / 'token').read_text()})\n"
        "try: r.urlopen(q, context=c)\n"
        "except urllib.error.HTTPError as e: print(e.code)\n"
    )
    namespace.apply(pod("asks", trainer_image, "python", "-c", script, secret=None))
    namespace.wait_for_phase("asks", "Succeeded")
    assert namespace.logs("asks").split() == ["403"]
    found = nodes.requests(namespace=namespace.name)
    assert [(r.pod, r.verb, r.resource, r.name, r.code) for r in found] == [("asks", "get", "configmaps", "x", 403)]
    assert {r.user for r in nodes.requests() if "kube-system" in r.user or r.user.startswith("system:node:")} == set()


def test_the_api_server_can_be_away_and_come_back_while_pods_go_on(
    alone: None, nodes: Nodes, namespace: Namespace, trainer_image: str
) -> None:
    namespace.apply(pod("stays", trainer_image, "python", "-c", WAITS, secret=None))
    namespace.wait_for_log("stays", "here")
    before = namespace.get("pod", "stays")
    with nodes.api_server_away():
        assert namespace.try_kubectl("get", "pods", "--request-timeout=5s").returncode != 0
        assert nodes.processes(before)[0].command.startswith("python -c import signal")
    after = namespace.get("pod", "stays")
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
