"""An API server as its tests use it: who asks, and what is there for them. Which server it is, a subclass says."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.kubeapi import Api, Person

ADMIN: Final = "admin"
"""A cluster administrator, whom nothing stops."""
PEOPLE: Final = ("ada", "grace", "edsger", "stranger")
"""Users without any right of their own; tests bind roles to them."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, and a token of its service account that is bound to it."""

    namespace: str
    name: str
    uid: str
    account: str
    api: Api
    """as the process in it would ask"""


class KubeServer(ABC):
    """A server, people whom it knows, and pods."""

    def __init__(self, directory: Path) -> None:
        """``directory``: for kubeconfigs."""
        self.directory = directory

    # --- what the servers differ in -----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def url(self) -> str:
        """``https://host:port``."""

    @property
    @abstractmethod
    def authority(self) -> Path:
        """PEM of the certificate that its own is signed with."""

    @property
    @abstractmethod
    def program(self) -> str:
        """kubectl."""

    @abstractmethod
    def as_person(self, name: Person) -> Api:
        """Somebody of :data:`PEOPLE`, or :data:`ADMIN`."""

    @abstractmethod
    def credentials(self, name: Person) -> Mapping[str, str]:
        """The same person as the ``user`` of a kubeconfig."""

    @abstractmethod
    def start_pods(self, namespace: str, names: Sequence[str], account: str) -> Sequence[Mapping[str, Any]]:
        """Create pods; the objects, in the same order."""

    # --- who asks -----------------------------------------------------------------------------------------------------

    @property
    def admin(self) -> Api:
        return self.as_person(ADMIN)

    def as_token(self, token: str) -> Api:
        return Api(self.url, self.authority, token)

    def as_account(self, namespace: str, name: str) -> Api:
        """A service account by a token that is bound to no pod."""
        return self.as_token(self._token(namespace, name, {}))

    def pod(self, namespace: str, name: str, *, account: str) -> Pod:
        """Create a pod, and get a token that is bound to it."""
        return self.pods(namespace, [name], account=account)[0]

    def pods(self, namespace: str, names: Sequence[str], *, account: str) -> Sequence[Pod]:
        """Create several."""
        made = self.start_pods(namespace, names, account)
        return [self._bound(namespace, account, body["metadata"]) for body in made]

    def _bound(self, namespace: str, account: str, metadata: Mapping[str, str]) -> Pod:
        name, uid = metadata["name"], metadata["uid"]
        reference = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}
        token = self._token(namespace, account, {"boundObjectRef": reference})
        return Pod(namespace, name, uid, account, self.as_token(token))

    def _token(self, namespace: str, account: str, spec: Mapping[str, object]) -> str:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return str(self.admin.post(path, body).expect(201)["status"]["token"])

    # --- what they do -------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, person: Person = ADMIN, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl as a person."""
        return subprocess.run(
            [self.program, f"--kubeconfig={self.kubeconfig(person)}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
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
        metadata = {"name": unique, "labels": {"trainpoint.dev/test": "true"}}
        self.admin.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).expect(
            201
        )
        return unique

    # --- files --------------------------------------------------------------------------------------------------------

    def kubeconfig(self, person: Person) -> Path:
        """A kubeconfig of that person."""
        path = self.directory / f"{person}.kubeconfig"
        if not path.exists():
            config: dict[str, Any] = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {"name": "test", "cluster": {"server": self.url, "certificate-authority": str(self.authority)}}
                ],
                "users": [{"name": person, "user": dict(self.credentials(person))}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": person}}],
                "current-context": "test",
            }
            self.private(path.name, json.dumps(config))
        return path

    def private(self, name: str, text: str) -> Path:
        """A file that only we may read."""
        path = self.directory / name
        with contextlib.closing(os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")) as file:
            file.write(text)
        return path
