"""An HTTP proxy between a store and its server: counts requests by verb, and plays faults on the wire."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the proxy saw it."""

    verb: str
    """LIST, GET, HEAD, PUT, POST or DELETE"""
    path: str
    """decoded, with the bucket, without the query"""
    query: str
    size: int
    """bytes of the body"""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer at once with an S3 error; the server sees nothing."""

    status: int
    code: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Forward the request, send so many bytes of the answer's body, and close the connection."""

    after: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without an answer; ``forwarded`` says whether the server has seen the request."""

    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait for the event before anything else."""

    until: threading.Event


@dataclass(frozen=True, slots=True)
class Flip:
    """Turn one bit of the answer's body."""

    bit: int = 0


@dataclass(frozen=True, slots=True)
class Replace:
    """Answer with this body and status; the server sees nothing."""

    status: int
    body: bytes
    content_type: str = "text/html"


Fault = Answer | Cut | Drop | Hold | Flip | Replace


class Proxy:
    """Listens on 127.0.0.1 while it is entered; set ``fault`` to a function of a request to play one."""

    def __init__(self, port: int) -> None:
        """``port``: of the server on 127.0.0.1."""
        self.fault: Callable[[Request], Fault | None] = lambda request: None
        self.log: list[Request] = []
        self._lock = threading.Lock()
        self._server = _Server(self, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> Counter[str]:
        """Requests by verb since the start, or the last :meth:`reset`."""
        with self._lock:
            return Counter(request.verb for request in self.log)

    def reset(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self.log.clear()

    def seen(self, request: Request) -> Fault | None:
        with self._lock:
            self.log.append(request)
        return self.fault(request)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def times(count: int, fault: Fault, *verbs: str) -> Callable[[Request], Fault | None]:
    """Play ``fault`` for the first ``count`` requests with one of ``verbs`` (none given: any)."""
    left = [count]
    lock = threading.Lock()

    def decide(request: Request) -> Fault | None:
        with lock:
            if left[0] > 0 and (not verbs or request.verb in verbs):
                left[0] -= 1
                return fault
        return None

    return decide


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: Proxy, upstream: int) -> None:
        self.proxy = proxy
        self.upstream = upstream
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _forward(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        listing = self.command == "GET" and ("list-type" in query or "delimiter" in query or "prefix" in query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request("LIST" if listing else self.command, unquote(parts.path), parts.query, len(body))
        fault = self.server.proxy.seen(request)
        match fault:
            case Hold(until):
                until.wait(60)
            case Answer(status, code):
                text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>played</Message></Error>"
                self._send(status, {"Content-Type": "application/xml"}, text.encode())
                return
            case Replace(status, content, kind):
                self._send(status, {"Content-Type": kind}, content)
                return
            case Drop(forwarded=False):
                self.close_connection = True
                return
            case _:
                pass
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
            # The Host header goes on as it came: the signature covers it.
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.close_connection = True
            return
        finally:
            connection.close()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in {"transfer-encoding", "connection"}}
        match fault:
            case Drop():
                self.close_connection = True
            case Cut(after):
                self._send(answer.status, headers, content, upto=after)
                self.close_connection = True
            case Flip(bit):
                damaged = bytearray(content)
                damaged[bit // 8] ^= 1 << (bit % 8)
                self._send(answer.status, headers, bytes(damaged))
            case _:
                self._send(answer.status, headers, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815

    def _send(self, status: int, headers: dict[str, str], body: bytes, *, upto: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        if self.command == "HEAD":
            self.send_header("Content-Length", headers.get("Content-Length", "0"))
        elif status not in {204, 304}:
            self.send_header("Content-Length", str(len(body)))
        try:
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body if upto is None else body[:upto])
                self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has gone
