"""What ranks tell each other while they train: over torch.distributed, where the program has set it up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from trainpoint.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Answer:
    """What one rank would say to ``should_save``, or what all of them say."""

    due: bool
    preempted: bool
    """SIGTERM has come"""


Together = Callable[[Answer], Answer]
"""Called by all ranks at the same step, each with its own answer; gives all of them the same one."""


class Distributed(Protocol):
    """What is used of the module ``torch.distributed``."""

    def is_available(self) -> bool: ...
    def is_initialized(self) -> bool: ...
    def get_world_size(self) -> int: ...
    def all_gather_object(self, object_list: list[object], obj: object) -> None: ...


def torch_together(world_size: int, modules: Mapping[str, object] | None = None) -> Together | None:
    """The channel between the ranks; None where the program has none, or one of other ranks than this task's.

    torch is never imported here: who has a process group has imported it.
    """
    module = (sys.modules if modules is None else modules).get("torch.distributed")
    if module is None:
        return None
    distributed = cast(Distributed, module)
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    if distributed.get_world_size() != world_size:
        return None

    def ask(mine: Answer) -> Answer:
        answers: list[object] = [None] * world_size
        distributed.all_gather_object(answers, (mine.due, mine.preempted))
        pairs = cast(list[tuple[bool, bool]], answers)
        return Answer(due=pairs[0][0], preempted=any(preempted for _, preempted in pairs))

    return ask


def agreed(mine: Answer, *, rank: int, together: Together | None) -> Answer:
    """What all ranks do where their clocks decide, which never agree.

    Raises:
        InvalidArgumentError: on another rank than 0, where there is no channel.
    """
    if together is not None:
        return together(mine)
    if rank == 0:
        return mine  # right where rank 0 alone asks; where the others ask as well, they say what is wrong
    raise InvalidArgumentError(
        "should_save() goes by time, and this rank cannot know what rank 0's clock says",
        remedy="save by steps, which all ranks count alike: Checkpoint(every_steps=…) or the policy's save.everySteps, "
        "without a time beside it; or initialise torch.distributed first; or ask on rank 0 alone",
    )
