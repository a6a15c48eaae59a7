"""States of earlier versions of an app, brought up to date step by step before anything is restored."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_path
from traceback import extract_tb
from typing import Final

from trainpoint.app.tree import Flow
from trainpoint.app.values import copied
from trainpoint.errors import ComponentError, IncompatibleStateError, TrainpointError
from trainpoint.format.digest import JsonObject

Migrate = Callable[[JsonObject], JsonObject]
_NOT_THE_APPS: Final = (str(Path(__file__).parent), get_path("stdlib"), "<")


@dataclass(frozen=True, slots=True)
class Step:
    """A migration of one version to the next."""

    version: str
    to: str
    app: type[Flow] | None
    function: Migrate

    @property
    def name(self) -> str:
        return f"{self.function.__module__}.{self.function.__qualname__}"


_STEPS: Final[list[Step]] = []


def migration(
    version: str | int, *, to: str | int | None = None, app: type[Flow] | None = None
) -> Callable[[Migrate], Migrate]:
    """Register a function that brings a state saved by ``version`` of an app one version further.

    It is given the state of the root (``vars``, ``calls``, ``flows``, ``works``, ``structures``), a copy that it may
    change, and returns it. The version of the code is the class attribute ``app_version`` of the root flow.

    Args:
        version: the ``app_version`` that has saved the state.
        to: the version of the state that is returned; by default the next whole number.
        app: the root flow it belongs to (and classes derived from it); by default every app of this process.
    Raises:
        ComponentError: there is one for that version already, or no next version.
    """
    version = str(version)
    if to is None:
        if not re.fullmatch("[0-9]+", version):
            raise ComponentError(
                f"@migration({version!r}): which version comes next?", remedy=f'say it: @migration({version!r}, to="…")'
            )
        to = str(int(version) + 1)

    def register(function: Migrate) -> Migrate:
        step = Step(version, str(to), app, function)
        for other in list(_STEPS):
            if (other.version, other.app) == (step.version, step.app):
                if other.name != step.name:
                    raise ComponentError(
                        f"two migrations of version {version}: {other.name} and {step.name}",
                        remedy="keep one, or say to which app each belongs: @migration(…, app=MyFlow)",
                    )
                _STEPS.remove(other)  # the same file was executed again, as a notebook does
        _STEPS.append(step)
        return function

    return register


def migrated(state: JsonObject, saved: str, root: Flow) -> tuple[JsonObject, tuple[str, ...]]:
    """``state`` as the code's version would have saved it, and the steps that were taken, such as ``1 → 2``.

    Raises:
        IncompatibleStateError: the state is of a newer version than the code, a step is missing, or one has failed.
    """
    app, wanted = type(root), str(root.app_version)
    taken: list[str] = []
    version = saved
    been = {version}
    while version != wanted:
        step = _step_from(version, app)
        if step is None:
            raise _no_way(saved, version, wanted)
        state = _apply(step, state)
        version = step.to
        taken.append(f"{step.version} → {step.to}")
        if version in been:
            raise IncompatibleStateError(
                f"The migrations from version {saved} go in a circle: {', '.join(taken)}",
                remedy="let each lead to a later version",
            )
        been.add(version)
    return state, tuple(taken)


def _step_from(version: str, app: type[Flow]) -> Step | None:
    own = [s for cls in app.__mro__ for s in _STEPS if s.app is cls and s.version == version]
    return next(iter([*own, *(s for s in _STEPS if s.app is None and s.version == version)]), None)


def _apply(step: Step, state: JsonObject) -> JsonObject:
    given = copied(state)
    what = f"The migration of the state from version {step.version} to {step.to} ({step.name})"
    try:
        returned = step.function(given)  # type: ignore[arg-type]
    except TrainpointError:
        raise
    except Exception as error:
        raise IncompatibleStateError(
            f"{what} failed{line_of(error)}: {type(error).__name__}: {error}",
            remedy="nothing was restored; repair the migration",
        ) from error
    if not isinstance(returned, dict):
        raise IncompatibleStateError(f"{what} returned {returned!r}", remedy="let it return the state: return state")
    return returned


def line_of(error: BaseException) -> str:
    """Where the app's own code was when it was raised: `` in line 12 of app.py``; empty where that is not known."""
    frames = extract_tb(error.__traceback__)
    lines = [f for f in frames if not f.filename.startswith(_NOT_THE_APPS) and "site-packages" not in f.filename]
    return f" in line {lines[-1].lineno} of {Path(lines[-1].filename).name}" if lines else ""


def _no_way(saved: str, version: str, wanted: str) -> IncompatibleStateError:
    if _is_newer(saved, wanted):
        return IncompatibleStateError(
            f"The state was saved by version {saved} of the app, and this code is version {wanted}",
            remedy="start the newer code, or an older checkpoint; load_state_dict is not asked what it cannot know",
        )
    step = f"there is no migration of version {version}"
    return IncompatibleStateError(
        f"The state was saved by version {saved} of the app, this code is version {wanted}, and {step}",
        remedy=f"register one: @migration({version!r}) def upgrade(state): …; return state "
        "(what load_state_dict can mend needs no new app_version)",
    )


def _is_newer(version: str, wanted: str) -> bool:
    """Whether both are numbers joined by dots, and the first is higher."""
    if not all(re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) for text in (version, wanted)):
        return False
    return [*map(int, version.split("."))] > [*map(int, wanted.split("."))]
