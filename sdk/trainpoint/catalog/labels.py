"""Labels of runs and checkpoints: for people and selectors; no decision rests on them."""

from __future__ import annotations

from trainpoint.api.names import GROUP
from trainpoint.format.layout import TaskPath


def labels_of(task: TaskPath, policy: str) -> dict[str, str]:
    """``trainpoint.dev/{workflow,run,task,index,policy}``; those that are empty are left out."""
    found = {"workflow": task.workflow, "run": task.run, "task": task.task, "index": task.index, "policy": policy}
    return {f"{GROUP}/{name}": value for name, value in found.items() if value}
