"""``@checkpoint``: one handle for each call of a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Literal, ParamSpec, TypedDict, TypeVar, cast, overload

from trainpoint.errors import InvalidArgumentError
from trainpoint.format.layout import suggest_name
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.checkpoint import Checkpoint
from trainpoint.handle.reading import StrPath
from trainpoint.identity import IndexArgument
from trainpoint.policies.load import LoadPolicyArgument

if TYPE_CHECKING:
    from typing import Unpack

P = ParamSpec("P")
R = TypeVar("R")


class CheckpointOptions(TypedDict, total=False):
    """What ``@checkpoint(…)`` takes: the arguments of :class:`~trainpoint.Checkpoint`, with the same meaning."""

    load_policy: LoadPolicyArgument
    resume_from: str | CheckpointRef
    match: Mapping[str, object]
    workflow: str
    run: str
    task: str
    index: IndexArgument
    owner: str
    store: str
    namespace: str
    every_steps: int
    every: float | str
    temp_dir_root: StrPath
    on_error: Literal["raise", "warn"]
    signals: bool
    collective: bool


class _OfFunction(Checkpoint):
    """A handle whose task is named after a function, where nothing else names it."""

    def __init__(self, default_task: str, options: CheckpointOptions) -> None:
        self._default_task = default_task
        super().__init__(**options)


@overload
def checkpoint(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def checkpoint(**options: Unpack[CheckpointOptions]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def checkpoint(
    function: Callable[P, R] | None = None, /, **options: Unpack[CheckpointOptions]
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Open a Checkpoint around each call of a function or method, and close it with the call's outcome.

    Within the call it is ``current.checkpoint``. The task is the argument ``task``, else ``TRAINPOINT_TASK`` or the
    pod's label, else the function's name. Each call is a claim of its own: a second one is the next attempt of the same
    task, and goes on from what the first has saved. After SIGTERM the call ends by ``SystemExit(143)``.

    >>> from trainpoint import checkpoint, current
    >>> @checkpoint(load_policy="eager", every_steps=100)
    ... def train(steps):
    ...     ckpt = current.checkpoint
    ...     for step in range(ckpt.step, steps):
    ...         if ckpt.should_save(step + 1):
    ...             ckpt.save(step=step + 1)
    >>> train(200)
    >>> Workflow("digits").latest_run["train"].task.latest.step
    200

    Coroutine functions work too; opening and closing, which wait for the store, hold up their event loop.

    Args:
        options: any argument of :class:`~trainpoint.Checkpoint`.
    Raises:
        InvalidArgumentError: at once, for what is no function, for generators, and for an unknown option.
        What :class:`~trainpoint.Checkpoint` raises: when the function is called, before any of its code runs.
    """
    _need_known(options)
    if function is not None:
        return _wrapped(function, options)
    return lambda decorated: _wrapped(decorated, options)


def _wrapped(function: Callable[P, R], options: CheckpointOptions) -> Callable[P, R]:
    _need_function(function)
    task = suggest_name(function.__name__)
    if inspect.iscoroutinefunction(function):
        waiting = cast("Callable[P, Awaitable[object]]", function)

        @functools.wraps(function)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> object:
            with _OfFunction(task, options):
                return await waiting(*args, **kwargs)

        return cast("Callable[P, R]", call_async)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with _OfFunction(task, options):
            return function(*args, **kwargs)

    return call


def _need_function(function: object) -> None:
    if isinstance(function, staticmethod | classmethod):
        raise InvalidArgumentError(
            f"@checkpoint stands above @{type(function).__name__}",
            remedy=f"put it beneath, next to the function: @{type(function).__name__}, then @checkpoint",
        )
    if not callable(function) or isinstance(function, type) or not hasattr(function, "__name__"):
        raise InvalidArgumentError(
            f"@checkpoint decorates functions and methods, and this is {function!r}",
            remedy="options are passed by name, such as @checkpoint(load_policy='eager')",
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidArgumentError(
            f"@checkpoint cannot decorate the generator {function.__name__}: nobody knows when its work is over",
            remedy="open the handle where the generator is used up: with Checkpoint() as ckpt",
        )


def _need_known(options: Mapping[str, object]) -> None:
    known = CheckpointOptions.__annotations__
    if unknown := sorted(set(options) - set(known)):
        raise InvalidArgumentError(
            f"@checkpoint has no option {', '.join(unknown)}", remedy=f"it takes: {', '.join(known)}"
        )
