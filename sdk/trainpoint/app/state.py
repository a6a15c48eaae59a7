"""An app's state as a file, and back: captured whole, restored whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from trainpoint.app.calls import STATUSES
from trainpoint.app.children import children_of
from trainpoint.app.component import ROOT, dotted, require_started
from trainpoint.app.difference import Difference, difference_tree
from trainpoint.app.findings import Plan, refusal
from trainpoint.app.fragments import text_of_component
from trainpoint.app.migrate import line_of, migrated
from trainpoint.app.parts import decoded
from trainpoint.app.tree import Flow, note_if_not_filled
from trainpoint.app.undo import remember
from trainpoint.app.values import quoted, text_of
from trainpoint.errors import ComponentError, IncompatibleStateError, NewerFormatError, TrainpointError
from trainpoint.format.digest import JsonObject

FORMAT_VERSION: Final = 1
KIND: Final = "App"


@dataclass(frozen=True, slots=True)
class Captured:
    """The state of an app at one moment."""

    object_text: str
    """the checkpoint file without its time, as :func:`text_of` spells it"""

    @property
    def state(self) -> JsonObject:
        """The same as pure JSON, which shares nothing with the app or with an earlier answer."""
        return dict(json.loads(self.object_text))

    def text(self, **more: object) -> str:
        """What a checkpoint file holds, on one line; ``more`` are fields such as ``time``.

        Two captures of the same state give the same text. (Canonical JSON would sort keys; a dict that an app goes
        through keeps its order here.)
        """
        return f"{self.object_text[:-1]}, {text_of(more)[1:]}\n" if more else f"{self.object_text}\n"


@dataclass(frozen=True, slots=True)
class Report:
    """What a restore did. All are dotted names."""

    dropped: tuple[str, ...] = ()
    """of the state, because the code has no place for it: variables, components and all that they hold"""
    kept_default: tuple[str, ...] = ()
    """of the code, because the state does not know it: new variables and components"""
    changed: tuple[str, ...] = ()
    """variables that now have another value than the constructor gave them"""
    migrations: tuple[str, ...] = ()
    """steps such as ``1 → 2``"""
    by_hand: tuple[str, ...] = ()
    """flows whose own load_state_dict has not called its parent's: they have what it has set, and nothing else"""


def capture(root: Flow) -> Captured:
    """The state of ``root`` and of all beneath it. Nothing may change it meanwhile, except where the app allows that.

    It costs little for what has not changed since the last time.

    Raises:
        UnsupportedStateError: an attribute has a value that JSON cannot hold; the message names it.
    """
    _require_root(root)
    app = f'{{"name": {quoted(type(root).__name__)}, "version": {quoted(str(root.app_version))}}}'
    return Captured(
        f'{{"formatVersion": {FORMAT_VERSION}, "kind": "{KIND}", "app": {app}, "state": {text_of_component(root)}}}'
    )


def parse(data: bytes | str, where: str) -> JsonObject:
    """The checkpoint file ``data``; ``where`` names it in errors.

    Raises:
        IncompatibleStateError: it is cut off, or no state of an app.
        NewerFormatError: a newer trainpoint has written it.
    """
    try:
        return check_state(json.loads(data))
    except (ValueError, RecursionError) as error:
        if isinstance(error, IncompatibleStateError | NewerFormatError):
            error.message = f"{where}: {error.message}"
            raise
        raise IncompatibleStateError(
            f"{where} is no readable JSON: {error}",
            remedy="the file is cut off or damaged; start from another checkpoint",
        ) from error


def check_state(value: object) -> JsonObject:
    """``value`` as a parsed checkpoint file, if its shape is that of one.

    Raises:
        IncompatibleStateError: it is something else; the message says where.
        NewerFormatError: a newer trainpoint has written it.
    """
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise _no_state("it is no state of an app: an object with the kind App is expected")
    version = value.get("formatVersion")
    if type(version) is not int or version < 1:
        raise _no_state(f"formatVersion is {version!r}, not a number from 1 on")
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"the state has format {version}; this trainpoint reads up to {FORMAT_VERSION}", remedy="update trainpoint"
        )
    app = value.get("app")
    if not isinstance(app, dict) or not isinstance(app.get("version"), str):
        raise _no_state("app.version is missing, the version of the app that has saved it")
    _check_component(value.get("state"), (ROOT,), "Flow")
    return value


def restore(root: Flow, state: JsonObject, *, strict: bool = True) -> Report:
    """Give ``root`` a saved state: migrations, then ``load_state_dict`` of the whole tree; all of it or nothing.

    Args:
        root: an app as its constructor made it.
        state: a parsed checkpoint file.
        strict: what the state has and the code has not is an error; otherwise it is dropped and reported.
    Raises:
        IncompatibleStateError: the state does not fit the code; all differences are listed. Every attribute is as
            before then, as it is after an error of the app's own ``load_state_dict``.
    """
    prepared, steps = _prepared(root, state)
    plan, undo = _go_through(root, prepared, strict)
    if plan.is_refused:
        undo()
        raise refusal(plan.findings)
    lost = [name for f in plan.findings if f.lost for name in (f.name, *f.inside)]
    kept = [f.name for f in plan.findings if not f.lost]
    return Report(tuple(lost), tuple(kept), tuple(".".join(path) for path in plan.changed), steps, tuple(plan.by_hand))


def differences(root: Flow, state: JsonObject) -> Difference:
    """What :func:`restore` would find, as a tree. ``root`` is as before afterwards.

    Raises:
        IncompatibleStateError: no comparison is possible: a migration is missing, or the state is malformed.
    """
    prepared, steps = _prepared(root, state)
    plan, undo = _go_through(root, prepared, strict=True)
    try:
        return replace(difference_tree(root, plan), migrations=steps)
    finally:
        undo()


# --- within -----------------------------------------------------------------------------------------------------------


def _require_root(root: Flow) -> None:
    require_started(root, "its state is captured or restored")
    if root._tp_parent is not None:
        raise ComponentError(
            f"{dotted(root)} is a part of an app, not a whole one", remedy="capture and restore the root flow"
        )


def _prepared(root: Flow, state: JsonObject) -> tuple[JsonObject, tuple[str, ...]]:
    """The root's state as Python values, of the code's version."""
    _require_root(root)
    checked = check_state(state)
    found = decoded(checked["state"])
    prepared, steps = migrated(found, checked["app"]["version"], root)
    if steps:
        try:
            _check_component(prepared, (ROOT,), "Flow")
        except IncompatibleStateError as error:
            error.message = f"after the migrations {', '.join(steps)} {error.message}"
            error.remedy = "look at what they return"
            raise
    return prepared, steps


def _go_through(root: Flow, state: JsonObject, strict: bool) -> tuple[Plan, Callable[[], None]]:
    """Run the app's own protocol on it. What is returned beside the plan takes all of it back."""
    undo, plan = remember(root), Plan()
    root._tp_plan = plan
    try:
        root.load_state_dict(state, children_of(state, (ROOT,)), strict)
    except BaseException as error:
        undo()
        if isinstance(error, TrainpointError) or not isinstance(error, Exception):
            raise
        if plan.is_refused:
            raise refusal(plan.findings) from error  # it went on with what could not be restored
        if isinstance(error, OSError | MemoryError):
            raise  # which may be otherwise the next time
        raise IncompatibleStateError(
            f"load_state_dict has failed{line_of(error)}: {type(error).__name__}: {error}",
            remedy="nothing was restored; repair it",
        ) from error
    finally:
        root._tp_plan = None
    note_if_not_filled(root, state, plan)
    return plan, undo


def _no_state(why: str) -> IncompatibleStateError:
    return IncompatibleStateError(why, remedy="name a file that an app has saved: lightningapp_checkpoint_….json")


def _check_component(state: object, path: tuple[str, ...], kind: str) -> None:
    """The shape of a component's state, down to the leaves."""
    name = ".".join(path)
    if not isinstance(state, dict):
        raise _no_state(f"the state of {name} is no object")
    if kind in ("Dict", "List"):
        items = state.get("items")
        if not isinstance(items, dict if kind == "Dict" else list):
            raise _no_state(f"the items of {name} are no {'object' if kind == 'Dict' else 'list'}")
        if kind == "List":
            _check_order(state, len(items), name)
        else:
            _check_names(state, "gone", name)
        named = items.items() if isinstance(items, dict) else ((str(n), item) for n, item in enumerate(items))
        for own, item in named:
            _check_component(item, (*path, own), _kind(item, (*path, own)))
        return
    for part in ("vars", "calls", *(("flows", "works", "structures") if kind == "Flow" else ())):
        if not isinstance(state.get(part, {}), dict):
            raise _no_state(f"{part} of {name} is no object")
    for part in ("later", "gone"):
        _check_names(state, part, name)
    for key, call in state.get("calls", {}).items():
        if not isinstance(call, dict) or call.get("status") not in STATUSES:
            raise _no_state(f"the call {key!r} of {name} has no status")
    if kind == "Flow":
        for part, kinds in (("flows", "Flow"), ("works", "Work"), ("structures", None)):
            for own, child in state.get(part, {}).items():
                _check_component(child, (*path, own), kinds or _kind(child, (*path, own)))


def _check_names(state: JsonObject, part: str, name: str) -> None:
    names = state.get(part, [])
    if not isinstance(names, list) or not all(isinstance(entry, str) for entry in names):
        raise _no_state(f"{part} of {name} is no list of names")


def _check_order(state: JsonObject, count: int, name: str) -> None:
    order, made = state.get("order", []), state.get("made", 0)
    numbers = [entry for entry in order if entry is not None] if isinstance(order, list) else [-1]
    if (
        type(made) is not int
        or not all(type(number) is int and 0 <= number < made for number in numbers)
        or len(set(numbers)) < len(numbers)
        or len(order) not in (0, count)
    ):
        raise _no_state(f"order of {name} does not say of each item which one of {made!r} it is")


def _kind(state: object, path: tuple[str, ...]) -> str:
    kind = state.get("kind") if isinstance(state, dict) else None
    if kind not in ("Flow", "Work", "Dict", "List"):
        raise _no_state(f"the kind of {'.'.join(path)} is {kind!r}, not Flow, Work, Dict or List")
    return str(kind)
