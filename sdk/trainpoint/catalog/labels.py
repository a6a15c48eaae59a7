"""Labels of runs and checkpoints: for people and selectors; no decision rests on them."""

from __future__ import annotations

from typing import Final

from trainpoint.api.names import GROUP
from trainpoint.format.layout import TaskPath

LIMIT: Final = 63
"""Characters of a label's value; an index and the name of a policy may be longer."""


def labels_of(task: TaskPath, policy: str) -> dict[str, str]:
    """``trainpoint.dev/{workflow,run,task,index,policy}``; those that are empty, or too long, are left out."""
    found = {"workflow": task.workflow, "run": task.run, "task": task.task, "index": task.index, "policy": policy}
    return {f"{GROUP}/{name}": value for name, value in found.items() if 0 < len(value) <= LIMIT}
