"""Is the pod that holds a task alive? From its object on the API server; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainpoint.format.digest import JsonObject

State = Literal["Gone", "Ended", "Terminating", "Alive"]


@dataclass(frozen=True, slots=True)
class HolderPod:
    """What the API server says of the pod that holds a task."""

    state: State
    text: str
    """who that is, in words: ``pod llm-x7k2p (running on node gpu-7)``"""
    grace_seconds: float = 0.0
    """of one that is terminating: how long it may take with its last save"""


def holder_pod(found: JsonObject | None, *, name: str, uid: str) -> HolderPod:
    """What has become of pod ``name``; a pod of that name with another UID is another pod."""
    if found is None or found["metadata"]["uid"] != uid:
        return HolderPod("Gone", f"pod {name}, which is gone")
    phase = str(found.get("status", {}).get("phase", ""))
    node = str(found.get("spec", {}).get("nodeName", ""))
    where = f" on node {node}" if node else ""
    if phase in ("Succeeded", "Failed"):
        return HolderPod("Ended", f"pod {name}, which has ended")
    if found["metadata"].get("deletionTimestamp"):
        grace = float(found["metadata"].get("deletionGracePeriodSeconds") or 30)
        return HolderPod("Terminating", f"pod {name} (terminating{where})", grace)
    return HolderPod("Alive", f"pod {name} ({phase.lower() or 'pending'}{where})")
