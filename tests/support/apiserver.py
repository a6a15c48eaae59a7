"""A real API server with its etcd, without nodes: seconds to start, enough for CRDs, admission and roles.

Its programs are those of the test cluster (``tools/kind/prepare``). Pods are objects that nothing runs; their tokens
are real ones, bound to them by the TokenRequest API. Namespaces are deleted, and roles added to Kubernetes' own, once
:meth:`ApiServer.start_controllers` was called. Everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pytest

from tests.support.certificates import private_authority
from tests.support.kubeapi import Api, Person, until
from tools.kube import find_program
from tools.s3server import ServerError, free_ports

READY_SECONDS: Final = 120.0
ADMIN: Final = "admin"
"""A cluster administrator: the group system:masters, which nothing stops."""
PEOPLE: Final = ("ada", "grace", "edsger", "stranger")
"""Users without any right of their own; tests bind roles to them."""
NODE: Final = "node-1"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod object that nothing runs, and a token of its service account that is bound to it."""

    namespace: str
    name: str
    uid: str
    account: str
    api: Api
    """as the process in it would ask"""


def program(name: str) -> str:
    """Path of a program; fails the test where there is none."""
    try:
        return str(find_program(name))
    except ServerError as error:
        pytest.fail(str(error))


class ApiServer:
    """etcd and kube-apiserver as processes of this one. Usable as a context manager."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="trainpoint-api-"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchers: list[subprocess.Popen[bytes]] = []
        self._tokens = {name: secrets.token_hex(16) for name in (ADMIN, *PEOPLE)}
        self._port = 0
        self._authority = Path()

    # --- who asks -----------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def as_token(self, token: str) -> Api:
        return Api(self.url, self._authority, token)

    def as_person(self, name: str) -> Api:
        return self.as_token(self._tokens[name])

    @property
    def admin(self) -> Api:
        return self.as_person(ADMIN)

    def as_account(self, namespace: str, name: str) -> Api:
        """A service account by a token that is bound to no pod."""
        return self.as_token(self._token(namespace, name, {}))

    def pod(self, namespace: str, name: str, *, account: str, node: str = NODE) -> Pod:
        """Create a pod, on a node that exists as an object only, and get a token that is bound to it."""
        spec = {
            "serviceAccountName": account,
            "nodeName": node,
            "containers": [{"name": "train", "image": "none"}],
            "terminationGracePeriodSeconds": 0,
        }
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        made = self.admin.post(f"/api/v1/namespaces/{namespace}/pods", body).expect(201)
        uid = str(made["metadata"]["uid"])
        reference = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}
        token = self._token(namespace, account, {"boundObjectRef": reference})
        return Pod(namespace, name, uid, account, self.as_token(token))

    def _token(self, namespace: str, account: str, spec: Mapping[str, object]) -> str:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return str(self.admin.post(path, body).expect(201)["status"]["token"])

    def kubectl(self, *arguments: str, person: Person = ADMIN, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl as a person."""
        return subprocess.run(
            [program("kubectl"), f"--kubeconfig={self.kubeconfig(person)}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={"HOME": str(self.directory), "PATH": os.environ["PATH"]},
        )

    def apply(self, *paths: Path, namespace: str = "default") -> None:
        """``kubectl apply`` of files and folders; fails the test where anything is refused."""
        files = [argument for path in paths for argument in ("-f", str(path))]
        done = self.kubectl("apply", "-n", namespace, "-R", *files)
        assert done.returncode == 0, done.stderr

    def namespace(self, name: str) -> str:
        """Create a namespace, by a name that nobody else uses."""
        unique = f"{name}-{secrets.token_hex(3)}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unique}}
        self.admin.post("/api/v1/namespaces", body).expect(201)
        return unique

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
        return self._private("tokens.csv", "".join(rows))

    def _account_key(self) -> Path:
        path = self.directory / "accounts.key"
        if not path.exists():
            subprocess.run(
                ["openssl", "genrsa", "-out", str(path), "2048"], check=True, capture_output=True, timeout=60
            )
        return path

    def kubeconfig(self, person: Person) -> Path:
        path = self.directory / f"{person}.kubeconfig"
        if not path.exists():
            config: dict[str, Any] = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": "test",
                        "cluster": {"server": self.url, "certificate-authority": str(self._authority)},
                    }
                ],
                "users": [{"name": person, "user": {"token": self._tokens[person]}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": person}}],
                "current-context": "test",
            }
            self._private(path.name, json.dumps(config))
        return path

    def _private(self, name: str, text: str) -> Path:
        path = self.directory / name
        with contextlib.closing(os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")) as file:
            file.write(text)
        return path


def wait_for_crds(api: Api, names: list[str]) -> None:
    """Wait until the server serves them."""
    for name in names:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"

        def established(path: str = path) -> str:
            conditions = api.get(path).expect(200).get("status", {}).get("conditions", [])
            return "" if ("Established", "True") in [(c["type"], c["status"]) for c in conditions] else str(conditions)

        until(established, seconds=60, what=f"{name} to be established")


def wait_for_admission(api: Api, namespace: str) -> None:
    """Wait until the policies hold: the one whose name comes last was read last, and all before it are in force."""

    def refused() -> str:
        body = {
            "apiVersion": "trainpoint.dev/v1alpha1",
            "kind": "CheckpointStore",
            "metadata": {
                "name": "probe",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": "none"}],
            },
            "spec": {"s3": {"bucket": "probe"}},
        }
        path = f"/apis/trainpoint.dev/v1alpha1/namespaces/{namespace}/checkpointstores"
        answer = api.post(path, body, dry_run=True)
        return "" if answer.status == 403 else f"HTTP {answer.status} {answer.message}"

    until(refused, seconds=60, what="the admission policies to hold")
