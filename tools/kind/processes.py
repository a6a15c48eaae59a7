"""Processes of pods, seen and killed from their node: as a kernel does it that has no memory left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.kind.places import ToolError

Execute = Callable[..., str]
"""``execute(node, *command)``: standard output of a command on a node, as its root."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process as its node sees it."""

    pid: int
    command: str


def processes(execute: Execute, pod: Mapping[str, Any], container: str | None = None) -> Sequence[Process]:
    """Those of a running container, its first process first. ``pod``: the object, fresh. Raises ToolError."""
    statuses = pod["status"].get("containerStatuses", [])
    status = next((s for s in statuses if container in (None, s["name"]) and "running" in s["state"]), None)
    if status is None:
        raise ToolError(f"pod {pod['metadata']['name']}: no container {container or ''} runs: {statuses}")
    identifier = status["containerID"].removeprefix("containerd://")
    node = pod["spec"]["nodeName"]
    listed = execute(node, "ctr", "--namespace", "k8s.io", "tasks", "ps", identifier)
    pids = [line.split()[0] for line in listed.splitlines()[1:]]
    script = 'for p; do printf "%s " "$p"; tr "\\0" " " < /proc/$p/cmdline; echo; done'
    lines = execute(node, "sh", "-c", script, "sh", *sorted(pids, key=int)).splitlines()
    return [Process(int(pid), command.strip()) for pid, _, command in (line.partition(" ") for line in lines)]


def kill(
    execute: Execute, pod: Mapping[str, Any], *, matching: str = "", container: str | None = None, signal: int = 9
) -> Process:
    """Signal a process of the pod: the first whose command line holds ``matching``. Raises ToolError."""
    found = processes(execute, pod, container)
    process = next((p for p in found if matching in p.command), None)
    if process is None:
        raise ToolError(f"pod {pod['metadata']['name']}: no process matches {matching!r}: {found}")
    execute(pod["spec"]["nodeName"], "kill", f"-{signal}", str(process.pid))
    return process
