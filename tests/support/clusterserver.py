"""The API server of the cluster at hand: people by certificates that it has signed, pods that run."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.support.cluster import Cluster
from tests.support.kubeapi import Api, Person, until
from tests.support.kubeserver import ADMIN, KubeServer
from tests.support.pods import pod
from tests.support.release import RELEASE, SYSTEM

_REQUESTS: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_BINDINGS: Final = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_SIGNED_SECONDS: Final = 60.0
_RUNNING_SECONDS: Final = 180.0


class NotUsableError(Exception):
    """The cluster at hand does not give what is needed; the message says what."""


class ClusterServer(KubeServer):
    """What was made through it goes with :meth:`close`."""

    def __init__(self, cluster: Cluster, image: str) -> None:
        """``image``: for pods; it has the command ``sleep``. Raises NotUsableError."""
        super().__init__(Path(tempfile.mkdtemp(prefix="trainpoint-api-")))
        self._cluster = cluster
        self._image = image
        self._namespaces: list[str] = []
        config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
        server, me = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._url = str(server["server"])
        self._authority = self._file("authority.pem", server, "certificate-authority")
        self._files: dict[Person, Path] = {
            ADMIN: self.private(
                "admin.pem",
                self._file("admin.key", me, "client-key").read_text()
                + self._file("admin.crt", me, "client-certificate").read_text(),
            )
        }

    @property
    def url(self) -> str:
        return self._url

    @property
    def authority(self) -> Path:
        return self._authority

    @property
    def program(self) -> str:
        return "kubectl"

    def as_person(self, name: Person) -> Api:
        return Api(self.url, self.authority, certificate=self._certificate(name))

    def credentials(self, name: Person) -> Mapping[str, str]:
        path = str(self._certificate(name))
        return {"client-certificate": path, "client-key": path}

    def namespace(self, name: str) -> str:
        made = super().namespace(name)
        self._namespaces.append(made)
        return made

    def start_pods(self, namespace: str, names: Sequence[str], account: str) -> Sequence[Mapping[str, Any]]:
        """Create them and wait until all run."""
        pods = f"/api/v1/namespaces/{namespace}/pods"
        for name in names:
            options: Mapping[str, Any] = {"secret": None, "service_account": account, "grace_seconds": 0}
            self.admin.post(pods, pod(name, self._image, "sleep", "infinity", token=False, **options)).expect(201)

        def not_running() -> str:
            found = {one["metadata"]["name"]: one["status"] for one in self.admin.get(pods).expect(200)["items"]}
            late = {name: found.get(name) for name in names if found.get(name, {}).get("phase") != "Running"}
            return json.dumps(late) if late else ""

        until(not_running, seconds=_RUNNING_SECONDS, what="the pods to run", pause=0.3)
        return [self.admin.get(f"{pods}/{name}").expect(200) for name in names]

    def close(self) -> None:
        """Remove namespaces, what was bound in the whole cluster to accounts in them, and keys."""
        for binding in self.admin.get(_BINDINGS).expect(200)["items"]:
            if any(subject.get("namespace") in self._namespaces for subject in binding.get("subjects", [])):
                self.admin.delete(f"{_BINDINGS}/{binding['metadata']['name']}")
        for namespace in self._namespaces:
            self.admin.delete(f"/api/v1/namespaces/{namespace}").expect(200)
        shutil.rmtree(self.directory)

    # --- certificates -------------------------------------------------------------------------------------------------

    def _certificate(self, name: Person) -> Path:
        """PEM with a person's key and certificate."""
        if name not in self._files:
            self._files[name] = self._signed(name)
        return self._files[name]

    def _signed(self, name: Person) -> Path:
        """Have the cluster sign a certificate, as it does for people."""
        key, wanted = self.directory / f"{name}.key", self.directory / f"{name}.csr"
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
        command = ["openssl", "req", *new_key, "-subj", f"/O=people/CN={name}", "-out", str(wanted)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        request = f"trainpoint-test-{secrets.token_hex(4)}"
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": request},
            "spec": {
                "request": base64.b64encode(wanted.read_bytes()).decode(),
                "signerName": "kubernetes.io/kube-apiserver-client",
                "expirationSeconds": 7200,
                "usages": ["client auth"],
            },
        }
        at = f"{_REQUESTS}/{request}"
        made = self.admin.post(_REQUESTS, body).expect(201)
        approved = {"type": "Approved", "status": "True", "reason": "Tests", "message": "for a run of the tests"}
        self.admin.put(f"{at}/approval", {**made, "status": {"conditions": [approved]}}).expect(200)

        def not_signed() -> str:
            status = self.admin.get(at).expect(200)["status"]
            return "" if status.get("certificate") else json.dumps(status)

        until(not_signed, seconds=_SIGNED_SECONDS, what=f"a certificate of {name} to be signed")
        certificate = base64.b64decode(self.admin.get(at).expect(200)["status"]["certificate"]).decode()
        self.admin.delete(at).expect(200)
        return self.private(f"{name}.pem", key.read_text() + certificate)

    def _file(self, name: str, of: Mapping[str, str], what: str) -> Path:
        """What a kubeconfig names, or holds itself, as a file of our own."""
        if what in of:
            return self.private(name, Path(of[what]).read_text())
        if f"{what}-data" not in of:
            shutil.rmtree(self.directory)
            raise NotUsableError(f"needs a kubeconfig with {what}")
        return self.private(name, base64.b64decode(of[f"{what}-data"]).decode())


@contextlib.contextmanager
def no_operator(cluster: Cluster) -> Iterator[None]:
    """None runs inside the block, so that objects stay as tests have written them. Afterwards as before."""
    deployment = (f"deployment/{RELEASE}", f"--namespace={SYSTEM}")
    system = cluster.namespace(SYSTEM)
    found = system.find("deployment", RELEASE)
    replicas = int(found["spec"]["replicas"]) if found else 0
    if not replicas:
        yield
        return
    cluster.kubectl("scale", *deployment, "--replicas=0")
    try:
        system.wait_until(
            "no operator runs",
            lambda: system.list("pods", f"app.kubernetes.io/name={RELEASE}"),
            lambda pods: not pods,
        )
        yield
    finally:
        cluster.kubectl("scale", *deployment, f"--replicas={replicas}")
