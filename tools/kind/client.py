"""kubectl, helm and the nodes, for a tool that uses the cluster: every command has a deadline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tools.kind.hosts import Host
from tools.kind.places import ROOT, ToolError

Object = Mapping[str, Any]
"""A Kubernetes object as JSON."""
_POLL_SECONDS: Final = 0.5
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Client:
    """Commands on the cluster, run from the repository's root. Each raises ToolError with what was said."""

    host: Host

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = 60) -> str:
        return self.host.run("kubectl", *words, stdin=stdin, timeout=seconds, cwd=ROOT)

    def helm(self, *words: str, seconds: float = 240) -> str:
        return self.host.run("helm", *words, timeout=seconds, cwd=ROOT)

    def find(self, *words: str) -> Object | None:
        """``kubectl get … -o json`` of one object; None where there is none."""
        said = self.kubectl("get", *words, "--ignore-not-found", "--output=json")
        return json.loads(said) if said.strip() else None

    def list(self, *words: str) -> list[Object]:
        found: list[Object] = json.loads(self.kubectl("get", *words, "--output=json"))["items"]
        return found

    def apply(self, *objects: Object) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--filename=-", stdin=json.dumps(listed))

    def on_node(self, node: str, *command: str) -> str:
        """Standard output of a command on a node, as its root."""
        return self.host.run("docker", "exec", node, *command, timeout=60)

    def until(self, what: str, look: Callable[[], _T | None], *, seconds: float) -> _T:
        """What ``look`` saw once it saw something; ToolError where it never does."""
        deadline = time.monotonic() + seconds
        while (seen := look()) is None:
            if time.monotonic() > deadline:
                raise ToolError(f"{what}: not within {seconds:.0f} s")
            time.sleep(_POLL_SECONDS)
        return seen
