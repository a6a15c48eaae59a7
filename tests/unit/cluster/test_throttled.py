"""An API server that is asked too much says for how long to wait."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from kubernetes import client
from urllib3 import HTTPResponse

from tests.support.certificates import private_authority
from trainpoint.catalog.kube import Kube, patient_client
from trainpoint.catalog.throttled import LONGEST_SECONDS, WAITS, throttled
from trainpoint.errors import ClusterUnreachableError

Answer = tuple[int, dict[str, str], dict[str, Any]]
BUSY: Answer = (429, {"Retry-After": "0"}, {"message": "storage is (re)initializing"})
FOUND: Answer = (200, {}, {"items": [{"metadata": {"name": "a"}}], "metadata": {}})


@dataclass
class Server:
    """Gives one answer after the other, the last one again and again."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def kube(self) -> Kube:
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{self.port}"
        return Kube(patient_client(configuration), "team-a")


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.asked.append(self.command)
            status, headers, body = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                **headers,
                "Content-Length": str(len(content)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Not to the console."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        told.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield told
        listening.shutdown()
        thread.join()


def test_a_list_and_a_write_wait_as_the_server_says(server: Server) -> None:
    server.answers = [BUSY, BUSY, FOUND]
    assert [one["metadata"]["name"] for one in server.kube().list("checkpoints")] == ["a"]
    server.answers = [BUSY, (201, {}, {"metadata": {"name": "b"}})]
    assert server.kube().create("checkpoints", {"metadata": {"name": "b"}}) == {"metadata": {"name": "b"}}
    server.answers = [BUSY, (200, {}, {"metadata": {"name": "b"}})]
    assert server.kube().patch_status("checkpoints", "b", {"status": {}}) == {"metadata": {"name": "b"}}
    assert server.asked == ["GET"] * 3 + ["POST"] * 2 + ["PATCH"] * 2


def test_a_server_that_stays_busy_is_told(server: Server) -> None:
    server.answers = [BUSY]
    with pytest.raises(ClusterUnreachableError, match=r"cannot get .*: 429 storage is \(re\)initializing"):
        server.kube().get("checkpoints", "a")
    assert len(server.asked) == 1 + WAITS


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_names_no_time_is_told_at_once(status: int, server: Server) -> None:
    server.answers = [(status, {}, {"message": "broken"})]
    with pytest.raises(ClusterUnreachableError, match=f"{status} broken"):
        server.kube().get("checkpoints", "a")
    assert len(server.asked) == 1


def test_nobody_has_us_wait_for_an_hour() -> None:
    answer = HTTPResponse(status=429, headers={"Retry-After": "3600"})
    assert throttled().get_retry_after(cast(Any, answer)) == LONGEST_SECONDS
    assert throttled().get_retry_after(cast(Any, HTTPResponse(status=429))) is None


def test_an_authority_that_is_not_trusted_is_told_in_the_clients_own_words(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = private_authority(tmp_path)
    context.load_cert_chain(made.certificate, made.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_shake_hands_once, args=(listening, context))
        thread.start()
        configuration = client.Configuration()
        configuration.host = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ClusterUnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            Kube(patient_client(configuration), "team-a").get("checkpoints", "a")
        thread.join()


def _shake_hands_once(listening: socket.socket, context: ssl.SSLContext) -> None:
    taken, _ = listening.accept()
    with taken, suppress(OSError), context.wrap_socket(taken, server_side=True):
        pass


def test_a_server_that_is_away_is_told_at_once_and_by_name() -> None:
    with pytest.raises(ClusterUnreachableError, match=r"cannot get checkpoints/a in namespace team-a \(NewConnection"):
        Server(port=1).kube().get("checkpoints", "a")
