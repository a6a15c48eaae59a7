"""Is this task new, or was it renamed? Which other tasks of a run may be what it was called before. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trainpoint.format.layout import TaskPath


def former_selves(own: TaskPath, there: Sequence[TaskPath]) -> list[TaskPath]:
    """Tasks and indexes that ``own`` may have been before, likeliest first.

    The same task with an index of another shape (``""`` became ``"0"``, ``"2"`` became ``"2.1"``); then, unless the run
    knows a task of that name already, other tasks with the very same index. Another number in an index of the same
    shape is a sibling that trains beside it, and nobody's former self.

    Args:
        there: tasks of one run; ``own`` may be among them.
    """
    others = [path for path in there if (path.task, path.index) != (own.task, own.index)]
    reshaped = [path for path in others if path.task == own.task and _depth(path) != _depth(own)]
    known = any(path.task == own.task and path.run != own.run for path in there)
    renamed = [] if known else [path for path in others if path.task != own.task and path.index == own.index]
    return reshaped + renamed


def _depth(path: TaskPath) -> int:
    return len(path.index.split(".")) if path.index else 0


def advice(own: TaskPath, former: TaskPath) -> str:
    """How the code says that it means ``former``."""
    if former.task != own.task:
        return f'if that is what this task was called before: task="{former.task}", or TRAINPOINT_TASK={former.task}'
    if not former.index:
        return "if that is this task, go on without an index"
    return f'if that is this task: index="{former.index}", or TRAINPOINT_INDEX={former.index}'
