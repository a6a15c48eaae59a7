"""Requests to an API server, one by one, as the tests want them: the status and the whole answer, nothing retried."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Person = str
"""Name of a user."""
MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        """The sentence of a refusal."""
        return str(self.body.get("message", self.body))

    def expect(self, status: int) -> dict[str, Any]:
        """The body; fails the test where the status is another one."""
        assert self.status == status, f"HTTP {self.status}, not {status}: {self.message}"
        return self.body

    def refused(self, status: int, *texts: str) -> None:
        """Fails the test unless the server refused with ``status`` and a sentence that has each of ``texts``."""
        assert self.status == status, f"HTTP {self.status}, not {status}: {self.message}"
        for text in texts:
            assert text in self.message, f"{text!r} is not in: {self.message}"


@dataclass(frozen=True, slots=True)
class Api:
    """The server as one caller sees it. Unknown fields are refused, not dropped."""

    url: str
    authority: Path
    token: str = ""
    certificate: Path | None = None
    """PEM of the caller's key and certificate; None: the token tells who it is"""

    def get(self, path: str, *, text: bool = False) -> Answer:
        return self._ask("GET", path, text=text)

    def post(self, path: str, body: Mapping[str, object], *, dry_run: bool = False) -> Answer:
        return self._ask("POST", path, body, dry_run=dry_run)

    def patch(self, path: str, body: Mapping[str, object], *, dry_run: bool = False) -> Answer:
        """A merge patch."""
        return self._ask("PATCH", path, body, content=MERGE, dry_run=dry_run)

    def put(self, path: str, body: Mapping[str, object]) -> Answer:
        return self._ask("PUT", path, body)

    def delete(self, path: str, *, dry_run: bool = False) -> Answer:
        return self._ask("DELETE", path, dry_run=dry_run)

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        content: str = "application/json",
        dry_run: bool = False,
        text: bool = False,
    ) -> Answer:
        query = {"fieldValidation": "Strict"} if body is not None else {}
        if dry_run:
            query["dryRun"] = "All"
        if query:
            path += ("&" if "?" in path else "?") + urllib.parse.urlencode(query)
        host = urllib.parse.urlsplit(self.url).netloc
        context = ssl.create_default_context(cafile=str(self.authority))
        if self.certificate is not None:
            context.load_cert_chain(self.certificate)
        connection = http.client.HTTPSConnection(host, timeout=60, context=context)
        try:
            headers = {"Content-Type": content, "Accept": "application/json"}
            if self.token:
                headers["Authorization"] = f"Bearer {self.token}"
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
            return Answer(answer.status, {"message": data.decode()} if text else json.loads(data))
        finally:
            connection.close()


def until(
    lacking: Callable[[], str], *, seconds: float, what: str, more: Callable[[], str] = lambda: "", pause: float = 0.1
) -> None:
    """Ask until nothing is lacking (the empty text); fails with what was lacking last."""
    deadline = time.monotonic() + seconds
    while text := lacking():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; last seen: {text}\n{more()}"
        time.sleep(pause)
