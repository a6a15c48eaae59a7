"""A real API server with its etcd, without nodes: seconds to start, enough for CRDs, admission and roles.

Its programs are those of the test cluster (``tools/kind/prepare``). Pods are objects that nothing runs; their tokens
are real ones, bound to them by the TokenRequest API. Namespaces are deleted, and roles added to Kubernetes' own, once
:meth:`ApiServer.start_controllers` was called. Everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pytest

from tests.support.certificates import private_authority
from tests.support.kubeapi import Api, Person, until
from tests.support.kubeserver import ADMIN, PEOPLE, KubeServer
from tools.kube import find_program
from tools.s3server import ServerError, free_ports

READY_SECONDS: Final = 120.0
NODE: Final = "node-1"


def program(name: str) -> str:
    """Path of a program; fails the test where there is none."""
    try:
        return str(find_program(name))
    except ServerError as error:
        pytest.fail(str(error))


class ApiServer(KubeServer):
    """etcd and kube-apiserver as processes of this one. Usable as a context manager."""

    def __init__(self, *flags: str) -> None:
        """``flags``: further ones of kube-apiserver."""
        super().__init__(Path(tempfile.mkdtemp(prefix="trainpoint-api-")))
        self._flags = flags
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchers: list[subprocess.Popen[bytes]] = []
        self._tokens = {name: secrets.token_hex(16) for name in (ADMIN, *PEOPLE)}
        self._port = 0
        self._authority = Path()

    # --- who asks -----------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def authority(self) -> Path:
        return self._authority

    @property
    def program(self) -> str:
        return program("kubectl")

    def as_person(self, name: Person) -> Api:
        return self.as_token(self._tokens[name])

    def credentials(self, name: Person) -> Mapping[str, str]:
        return {"token": self._tokens[name]}

    def start_pods(self, namespace: str, names: Sequence[str], account: str) -> Sequence[Mapping[str, Any]]:
        """On a node that exists as an object only; nothing runs them."""
        spec = {
            "serviceAccountName": account,
            "nodeName": NODE,
            "containers": [{"name": "train", "image": "none"}],
            "terminationGracePeriodSeconds": 0,
        }
        pods = f"/api/v1/namespaces/{namespace}/pods"
        bodies = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec} for name in names]
        return [self.admin.post(pods, body).expect(201) for body in bodies]

    # --- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> ApiServer:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start both and wait until the server is ready and a node exists."""
        ports = free_ports("etcd", "etcd_peer", "api")
        self._port = ports["api"]
        tls = private_authority(self.directory)
        self._authority = tls.authority
        etcd = f"http://127.0.0.1:{ports['etcd']}"
        peer = f"http://127.0.0.1:{ports['etcd_peer']}"
        self._launch(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            "--unsafe-no-fsync=true",
            "--log-level=warn",
        )
        self._launch(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--tls-cert-file={tls.certificate}",
            f"--tls-private-key-file={tls.key}",
            f"--cert-dir={self.directory}",
            f"--token-auth-file={self._token_file()}",
            f"--service-account-key-file={self._account_key()}",
            f"--service-account-signing-key-file={self._account_key()}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            "--profiling=false",
            *self._flags,
        )
        self._wait("kube-apiserver", lambda: self.admin.get("/readyz", text=True).status)
        self.admin.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}).expect(201)

    def start_controllers(self) -> None:
        """The controllers that delete namespaces and that add roles to Kubernetes' own."""
        if "kube-controller-manager" in self._processes:
            return
        self._launch(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig(ADMIN)}",
            "--controllers=namespace-controller,clusterrole-aggregation-controller",
            # Each with the few rights it has in every cluster: an administrator's would hide what is refused to it.
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        )

    def stop(self) -> None:
        """End all, by SIGKILL: nothing of it is kept."""
        for process in (*self._watchers, *self._processes.values()):
            process.kill()
        for watcher in self._watchers:
            watcher.communicate()
        for process in self._processes.values():
            process.wait()
        self._watchers, self._processes = [], {}
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self, name: str, size: int = 4000) -> str:
        """The end of what a program has logged."""
        path = self.directory / f"{name}.log"
        return path.read_text(errors="replace")[-size:] if path.exists() else ""

    def _launch(self, name: str, *flags: str) -> None:
        command = [program(name), *flags]
        with open(self.directory / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, start_new_session=True
            )
        self._processes[name] = process
        # Where this process dies without a word, its end of the pipe closes and the program goes too.
        self._watchers.append(
            subprocess.Popen(
                ["sh", "-c", 'read _; kill -9 "$0"', str(process.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def _wait(self, name: str, status: Callable[[], int]) -> None:
        def ready() -> str:
            for launched, process in self._processes.items():
                if process.poll() is not None:
                    pytest.fail(f"{launched} ended with code {process.returncode}:\n{self.log(launched)}")
            try:
                answer = status()
            except OSError as error:
                return str(error)
            return "" if answer == 200 else f"HTTP {answer}"

        until(ready, seconds=READY_SECONDS, what=f"{name} to be ready", more=lambda: self.log(name))

    # --- files --------------------------------------------------------------------------------------------------------

    def _token_file(self) -> Path:
        rows = [
            f'{token},{name},{name}-uid,"{"system:masters" if name == ADMIN else "people"}"\n'
            for name, token in self._tokens.items()
        ]
        return self.private("tokens.csv", "".join(rows))

    def _account_key(self) -> Path:
        path = self.directory / "accounts.key"
        if not path.exists():
            subprocess.run(
                ["openssl", "genrsa", "-out", str(path), "2048"], check=True, capture_output=True, timeout=60
            )
        return path
