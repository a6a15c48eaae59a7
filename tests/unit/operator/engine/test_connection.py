"""Who we are: service accounts whose token is renewed, and kubeconfigs."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import private_authority
from tools.s3server import Tls
from trainpoint.errors import ClusterUnreachableError
from trainpoint.testing import FakeClock
from trainpoint_operator.engine.connection import Token, find_connection


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return private_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def account(tmp_path: Path, tls: Tls) -> Path:
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "namespace").write_text("trainpoint-system")
    (tmp_path / "ca.crt").write_bytes(tls.authority.read_bytes())
    return tmp_path


IN_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


def test_a_pod_uses_its_service_account(account: Path) -> None:
    found = find_connection(IN_POD, FakeClock(), account=account)
    assert (found.server, found.namespace) == ("https://10.0.0.1:6443", "trainpoint-system")
    assert found.headers() == {"Authorization": "Bearer abc"}
    assert found.tls is not None
    assert (found.tls.verify_mode, found.tls.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_ipv6_address_is_bracketed(account: Path) -> None:
    found = find_connection({**IN_POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, FakeClock(), account=account)
    assert found.server == "https://[fd00::1]:6443"


@pytest.mark.parametrize("lacking", ["token", "ca.crt"])
def test_a_pod_without_an_account_is_told(account: Path, lacking: str) -> None:
    (account / lacking).unlink()
    with pytest.raises(ClusterUnreachableError, match=lacking):
        find_connection(IN_POD, FakeClock(), account=account)


def test_a_token_file_is_read_again_after_a_minute(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "token"
    file.write_text("one")
    token = Token(clock, file)
    assert token.get() == "one"
    file.write_text("two")
    clock.advance(59)
    assert token.get() == "one"
    clock.advance(2)
    assert token.get() == "two"


def test_a_token_that_was_refused_is_read_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    token = Token(FakeClock(), file)
    token.get()
    assert token.refused() is False  # the same again: asking once more would be of no use
    file.write_text("two")
    assert (token.refused(), token.get()) == (True, "two")
    assert Token(FakeClock(), value="fixed").refused() is False


def test_the_last_token_is_used_while_the_file_is_away(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "token"
    file.write_text("one")
    token = Token(clock, file)
    token.get()
    file.unlink()
    clock.advance(100)
    assert token.get() == "one"


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> dict[str, str]:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://k:6443/", **cluster}}],
        "users": [{"name": "other", "user": {}}, {"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "current-context": "x",
    }
    file = folder / "config"
    file.write_text(json.dumps(config))
    return {"KUBECONFIG": str(file)}


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_a_kubeconfig_with_a_token(tmp_path: Path, tls: Tls) -> None:
    environ = kubeconfig(tmp_path, {"certificate-authority": str(tls.authority)}, {"token": "abc"})
    found = find_connection({**IN_POD, **environ}, FakeClock())
    assert (found.server, found.namespace, found.headers()) == (
        "https://k:6443",
        "team",
        {"Authorization": "Bearer abc"},
    )


def test_a_kubeconfig_with_a_client_certificate_in_it(tmp_path: Path, tls: Tls) -> None:
    user = {"client-certificate-data": encoded(tls.certificate), "client-key-data": encoded(tls.key)}
    environ = kubeconfig(tmp_path, {"certificate-authority-data": encoded(tls.authority)}, user)
    found = find_connection(environ, FakeClock())
    assert found.headers() == {}
    assert found.tls is not None
    assert [c["subject"] for c in found.tls.get_ca_certs()] == [((("commonName", "private test authority"),),)]


def test_files_of_a_kubeconfig_lie_beside_it(tmp_path: Path, tls: Tls) -> None:
    for source, name in ((tls.certificate, "c.pem"), (tls.key, "c.key"), (tls.authority, "ca.pem")):
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "secret").write_text("abc")
    user = {"client-certificate": "c.pem", "client-key": "c.key", "tokenFile": "secret"}
    found = find_connection(kubeconfig(tmp_path, {"certificate-authority": "ca.pem"}, user), FakeClock())
    assert found.headers() == {"Authorization": "Bearer abc"}


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ({"exec": {"command": "aws"}}, "plugin"),
        ({"client-certificate-data": "no base64!", "client-key-data": ""}, "cannot be used"),
        ({"client-certificate": "nowhere.pem", "client-key": "nowhere.key"}, "cannot be used"),
    ],
)
def test_a_user_that_cannot_be_used_is_told(tmp_path: Path, user: dict[str, Any], text: str) -> None:
    with pytest.raises(ClusterUnreachableError, match=text):
        find_connection(kubeconfig(tmp_path, {}, user), FakeClock())


@pytest.mark.parametrize("text", ["", "- a\n", "contexts: 7", "current-context: x\ncontexts: []", "{"])
def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(ClusterUnreachableError, match="config"):
        find_connection({"KUBECONFIG": str(tmp_path / "config")}, FakeClock())
    with pytest.raises(ClusterUnreachableError, match="No such file"):
        find_connection({"HOME": str(tmp_path / "nobody")}, FakeClock())
