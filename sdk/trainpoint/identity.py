"""Who am I: workflow, run, task, index, owner, rank. Off-cluster: from arguments, then the environment.

A process has an identity where a workflow is named, by argument or environment (``trainpoint run`` names it). Anything
else is a reader: it lists and loads, claims nothing and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainpoint.api.names import DEFAULT_TASK, ENV_INDEX, ENV_OWNER, ENV_RUN, ENV_TASK, ENV_WORKFLOW
from trainpoint.clock import Chance
from trainpoint.errors import IdentityError
from trainpoint.format.layout import TaskPath, check_index

RUN_PREFIX_LENGTH = 52
"""A run's name is the workflow's, cut to this, and ten hexadecimal digits: 63 in all, the limit of a label."""

IndexArgument = int | str | tuple[int, ...]
"""An index as a caller may write it: ``2``, ``"2"``, ``"2.1"``, ``"2/1"``, ``(2, 1)``."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that may save."""

    task: TaskPath
    owner: str
    """empty: unknown"""
    launched: bool
    """the run was named here, for this process alone; so its end is the run's end"""
    world_size: int = 1
    """how many processes of this task train together"""
    rank: int = 0
    """which of them this is"""


def index_text(index: IndexArgument | None) -> str:
    """An index in the one spelling that keys and labels use; empty for none. Raises IdentityError."""
    match index:
        case None:
            return ""
        case bool():
            raise IdentityError("index cannot be True or False", remedy="pass an int, '2.1' or a tuple of ints")
        case int():
            text = str(index)
        case tuple():
            text = ".".join(str(part) for part in index)
        case str():
            text = index.replace("/", ".")
    if not text:
        raise IdentityError(f"index {index!r} is empty", remedy="leave it out for a task without an index")
    return check_index(text)


def new_run(workflow: str, chance: Chance) -> str:
    """Name of one more launch of a workflow."""
    return f"{workflow[:RUN_PREFIX_LENGTH]}-{chance.uid()[:10]}"


def login_name() -> str:
    """The person at a laptop or in a notebook; empty where the system does not know."""
    import getpass  # with the terminal's modules, which nobody needs who names an owner

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def resolve(
    *,
    workflow: str | None = None,
    run: str | None = None,
    task: str | None = None,
    index: IndexArgument | None = None,
    owner: str | None = None,
    default_task: str | None = None,
    environ: Mapping[str, str],
    chance: Chance,
) -> Identity | None:
    """Identity from arguments, then the environment; None for a reader.

    Args:
        default_task: where neither names one: of a decorated function, its name; else ``main``.

    Raises:
        IdentityError: a name or index cannot be used, a run or index is given without a workflow, or rank and world
            size make no sense.
    """
    named_workflow = workflow or environ.get(ENV_WORKFLOW, "")
    named_run = run or environ.get(ENV_RUN, "")
    if not named_workflow:
        if run or task or index is not None:
            raise IdentityError(
                "a run, task or index was given, but no workflow",
                remedy='pass workflow="name" too, or start with: trainpoint run -- python script.py',
            )
        return None
    rank, world_size = ranks_of(environ)
    path = TaskPath(
        workflow=named_workflow,
        run=named_run or new_run(named_workflow, chance),
        task=task or environ.get(ENV_TASK, "") or default_task or DEFAULT_TASK,
        index=index_text(index if index is not None else environ.get(ENV_INDEX) or None),
    )
    who = owner if owner is not None else environ.get(ENV_OWNER, "") or login_name()
    return Identity(task=path, owner=who, launched=not named_run, world_size=world_size, rank=rank)


def ranks_of(environ: Mapping[str, str], *, ordinal: str = "") -> tuple[int, int]:
    """(rank, world size) as torchrun and MPI launchers set them; (0, 1) for a process alone.

    Args:
        ordinal: the rank where no launcher sets one: of a pod that is one process of a distributed task.

    Raises:
        IdentityError: they are no numbers, do not go together, or nothing says how many ranks there are.
    """
    given, size = environ.get("RANK") or ordinal, environ.get("WORLD_SIZE")
    try:
        rank, world_size = int(given or 0), int(size or 1)
    except ValueError:
        raise IdentityError(
            f"RANK={given!r} and WORLD_SIZE={size!r} are not numbers", remedy="unset them, or let the launcher set them"
        ) from None
    if rank and not size:
        raise IdentityError(
            f"this process is rank {rank}, and nothing says of how many",
            remedy="set WORLD_SIZE to the number of processes of this task (torchrun does), the same for all of them",
        )
    if not 0 <= rank < world_size:
        raise IdentityError(
            f"RANK={rank} and WORLD_SIZE={world_size} do not go together",
            remedy="ranks count from 0; unset both, or let the launcher set them",
        )
    return rank, world_size
