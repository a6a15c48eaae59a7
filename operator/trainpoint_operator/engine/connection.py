"""How to reach the API server, and as whom: a pod's service account, or a kubeconfig."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trainpoint.clock import Clock
from trainpoint.errors import ClusterUnreachableError
from trainpoint.format.digest import JsonObject

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REREAD_SECONDS: Final = 60.0
"""The kubelet renews the token file; what was read is used no longer than this."""


@dataclass(slots=True)
class Token:
    """A bearer token, in a file that somebody renews, or as it is."""

    clock: Clock
    file: Path | None = None
    value: str = ""
    _read_at: float | None = None

    def get(self) -> str:
        """The token; empty where there is none.

        Raises:
            ClusterUnreachableError: its file cannot be read, and never could.
        """
        now = self.clock.monotonic()
        if self.file is None or (self._read_at is not None and now - self._read_at < REREAD_SECONDS):
            return self.value
        try:
            self.value = self.file.read_text(encoding="utf-8").strip()
        except OSError as error:
            if not self.value:
                raise ClusterUnreachableError(
                    f"the token of this service account cannot be read: {error.strerror or error}: {self.file}",
                    remedy="set automountServiceAccountToken: true for this pod",
                ) from None
        self._read_at = now
        return self.value

    def refused(self) -> bool:
        """The server knows it no more: read it anew. False where no other one can be found."""
        before = self.value
        self._read_at = None
        return self.file is not None and self.get() != before


@dataclass(slots=True)
class Connection:
    """A server, its certificate authority, and who we are there."""

    server: str
    """``https://host:port``, without a path"""
    tls: ssl.SSLContext | None
    """None for plain HTTP"""
    token: Token
    namespace: str = "default"
    """of the pod, or of the kubeconfig's context"""
    server_name: str | None = field(default=None)
    """the name in the server's certificate, where it differs from the host"""

    def headers(self) -> dict[str, str]:
        token = self.token.get()
        return {"Authorization": f"Bearer {token}"} if token else {}


def find_connection(environ: Mapping[str, str], clock: Clock, *, account: Path = SERVICE_ACCOUNT) -> Connection:
    """The service account in a pod, else the kubeconfig of ``KUBECONFIG`` or ``~/.kube/config``.

    Raises:
        ClusterUnreachableError: neither is there, or it cannot be used; the message says why.
    """
    if environ.get("KUBERNETES_SERVICE_HOST") and not environ.get("KUBECONFIG"):
        return from_service_account(environ, clock, account=account)
    paths = environ.get("KUBECONFIG") or str(Path(environ.get("HOME", "~")).expanduser() / ".kube" / "config")
    return from_kubeconfig(Path(paths.split(os.pathsep)[0]), clock)


def from_service_account(environ: Mapping[str, str], clock: Clock, *, account: Path = SERVICE_ACCOUNT) -> Connection:
    """As the pod that this process runs in."""
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = Token(clock, account / "token")
    token.get()
    return Connection(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        tls=_context(str(account / "ca.crt"), None),
        token=token,
        namespace=_text(account / "namespace") or "default",
    )


def from_kubeconfig(file: Path, clock: Clock, *, context: str = "") -> Connection:
    """As the user of a kubeconfig's context (default: the current one). Tokens and client certificates, no plugins."""
    import yaml

    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        chosen = _named(config, "contexts", context or config.get("current-context", ""))["context"]
        cluster = _named(config, "clusters", chosen["cluster"])["cluster"]
        user = _named(config, "users", chosen["user"]).get("user") or {}
        server = str(cluster["server"]).rstrip("/")
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(file, f"{type(error).__name__}: {error}") from None
    if "exec" in user or "auth-provider" in user:
        raise _unusable(file, "its user logs in by a plugin")
    try:
        token = (
            Token(clock, file.parent / user["tokenFile"])
            if user.get("tokenFile")
            else Token(clock, value=str(user.get("token") or ""))
        )
        return Connection(
            server=server,
            tls=_tls_of(file.parent, cluster, user) if server.startswith("https:") else None,
            token=token,
            namespace=str(chosen.get("namespace") or "default"),
            server_name=cluster.get("tls-server-name"),
        )
    except (OSError, binascii.Error, ssl.SSLError) as error:
        raise _unusable(file, f"{type(error).__name__}: {error}") from None


def _tls_of(folder: Path, cluster: JsonObject, user: JsonObject) -> ssl.SSLContext:
    authority = cluster.get("certificate-authority-data")
    bundle = cluster.get("certificate-authority")
    data = base64.b64decode(authority).decode() if authority else None
    context = _context(str(folder / bundle) if bundle and not data else None, data)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # The library reads certificates from files only: data lies in one for that moment.
    with tempfile.TemporaryDirectory(prefix="trainpoint-") as private:
        pair = [_file(folder, user, f"client-{part}", Path(private)) for part in ("certificate", "key")]
        if pair[0] is not None:
            context.load_cert_chain(pair[0], pair[1])
    return context


def _context(bundle: str | None, data: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=bundle, cadata=data)
    except FileNotFoundError:
        raise ClusterUnreachableError(
            f"the certificate authority of the API server is not there: {bundle}",
            remedy="see whether the pod's service account is mounted",
        ) from None


def _file(folder: Path, user: JsonObject, name: str, private: Path) -> Path | None:
    if user.get(f"{name}-data"):
        path = private / name
        path.touch(0o600)
        path.write_bytes(base64.b64decode(user[f"{name}-data"]))
        return path
    return folder / user[name] if user.get(name) else None


def _named(config: JsonObject, section: str, name: str) -> JsonObject:
    for entry in config.get(section) or []:
        if entry["name"] == name:
            found: JsonObject = entry
            return found
    raise KeyError(f"{section} has no {name!r}")


def _unusable(file: Path, why: str) -> ClusterUnreachableError:
    return ClusterUnreachableError(
        f"the kubeconfig {file} cannot be used: {why}",
        remedy="set KUBECONFIG to one with a token or a client certificate, or run in a pod with a service account",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
