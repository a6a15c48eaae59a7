"""The nodes of the test cluster from beneath, where a pod's process can be killed and the API server stopped."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tools.kind.places import ToolError
from tools.kind.processes import Process, kill, processes

_MANIFEST: Final = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_SET_ASIDE: Final = "/etc/kubernetes/kube-apiserver.yaml"
_AUDIT_LOG: Final = "/var/log/kubernetes/audit.log"
_SECONDS: Final = 120.0
_POD_NAME: Final = "authentication.kubernetes.io/pod-name"


class NodeError(AssertionError):
    """What was to be done on a node could not be done."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the API server has answered, from its audit log."""

    user: str
    pod: str
    """the pod whose token it was made with, or nothing"""
    verb: str
    namespace: str
    resource: str
    """``pods``, ``checkpoints.trainpoint.dev/status``; the path where it is no resource"""
    name: str
    code: int
    at: datetime
    """when it came in"""


@dataclass(frozen=True, slots=True)
class Nodes:
    """Containers of a Docker engine, each a node."""

    control_plane: str
    workers: Sequence[str]

    def exec(self, node: str, *command: str) -> str:
        """Standard output of a command on a node, as its root; NodeError where it fails."""
        done = subprocess.run(
            ["docker", "exec", node, *command], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        if done.returncode != 0:
            raise NodeError(f"{node}: {' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout

    # --- processes of pods --------------------------------------------------------------------------------------------

    def processes(self, pod: Mapping[str, Any], container: str | None = None) -> Sequence[Process]:
        """Those of a running container, its first process first. ``pod``: the object, fresh."""
        try:
            return processes(self.exec, pod, container)
        except ToolError as error:
            raise NodeError(str(error)) from None

    def kill(self, pod: Mapping[str, Any], *, matching: str = "", container: str | None = None, signal: int = 9) -> int:
        """Signal a process of the pod from its node: the first whose command line holds ``matching``. Its pid there."""
        try:
            return kill(self.exec, pod, matching=matching, container=container, signal=signal).pid
        except ToolError as error:
            raise NodeError(str(error)) from None

    # --- a node as a whole --------------------------------------------------------------------------------------------

    def kill_node(self, node: str) -> None:
        """As a power failure would."""
        _docker("kill", node)

    def start_node(self, node: str) -> None:
        """Have it back, and wait until it is ready. Does nothing to one that runs and is ready.

        Its kubelet registers it anew, if its Node object was deleted.
        """
        _docker("start", node)
        deadline = time.monotonic() + _SECONDS
        wanted = "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status} {.spec.taints}"
        while True:
            seen = subprocess.run(
                ["kubectl", "get", "node", node, wanted, "--request-timeout=5s"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if seen.stdout.strip() == "True":
                return
            if time.monotonic() > deadline:
                raise NodeError(f"{node} is not ready after {_SECONDS:.0f} s: {seen.stdout} {seen.stderr}")
            time.sleep(0.5)

    # --- the API server -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def api_server_away(self) -> Iterator[None]:
        """No API server inside the block: connections are refused. It answers again afterwards.

        For tests that have the cluster to themselves (fixture ``alone``).
        """
        self.stop_api_server()
        try:
            yield
        finally:
            self.start_api_server()

    def stop_api_server(self) -> None:
        """Set its manifest aside, so that the kubelet lets it be, and kill it."""
        script = (
            f"[ ! -e {_MANIFEST} ] || mv {_MANIFEST} {_SET_ASIDE}; "
            "while pid=$(pidof kube-apiserver); do kill -9 $pid 2> /dev/null; sleep 0.1; done"
        )
        # The kubelet sees the missing manifest after a moment, and may start the server once more until then.
        deadline = time.monotonic() + _SECONDS
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 3:
            if self.exec(self.control_plane, "sh", "-c", "pidof kube-apiserver || true").strip():
                quiet_since = time.monotonic()
            self.exec(self.control_plane, "sh", "-c", script)
            if time.monotonic() > deadline:
                raise NodeError("the API server does not stay away")

    def start_api_server(self) -> None:
        """Put the manifest back, and wait until the server is ready."""
        self.exec(self.control_plane, "sh", "-c", f"[ ! -e {_SET_ASIDE} ] || mv {_SET_ASIDE} {_MANIFEST}")
        deadline = time.monotonic() + _SECONDS
        while True:
            seen = subprocess.run(
                ["kubectl", "get", "--raw=/readyz", "--request-timeout=2s"], capture_output=True, text=True, check=False
            )
            if seen.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise NodeError(f"the API server is not ready after {_SECONDS:.0f} s: {seen.stderr}")
            time.sleep(0.2)

    def kill_api_server(self) -> None:
        """As a crash would; the kubelet starts it again."""
        self.exec(self.control_plane, "sh", "-c", "kill -9 $(pidof kube-apiserver)")

    def requests(self, *, namespace: str | None = None, pod: str | None = None) -> Sequence[Request]:
        """What the API server has answered to service accounts, and to anyone about our kinds, oldest first.

        ``namespace``: of the service account that asked, or of the object. A request of its own pods counts as well as
        a person's on an object there.
        """
        lines = self.exec(self.control_plane, "sh", "-c", f"cat {_AUDIT_LOG} 2> /dev/null || true").splitlines()
        found = [request_of(json.loads(line)) for line in lines if line.endswith("}")]
        return [
            request
            for request in found
            if (namespace is None or request.namespace == namespace or f":{namespace}:" in request.user)
            and (pod is None or request.pod == pod)
        ]


def _docker(*words: str) -> None:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        raise NodeError(f"docker {' '.join(words)}: exit code {done.returncode}\n{done.stderr[-2000:]}")


def request_of(event: Mapping[str, Any]) -> Request:
    """From one event of the audit log."""
    about: Mapping[str, str] = event.get("objectRef", {})
    group = f".{about['apiGroup']}" if about.get("apiGroup") else ""
    sub = f"/{about['subresource']}" if about.get("subresource") else ""
    resource = f"{about['resource']}{group}{sub}" if about.get("resource") else event["requestURI"]
    user = event["user"]
    return Request(
        user=user.get("username", ""),
        pod=(user.get("extra", {}).get(_POD_NAME) or [""])[0],
        verb=event["verb"],
        namespace=about.get("namespace", ""),
        resource=resource,
        name=about.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]),
    )
