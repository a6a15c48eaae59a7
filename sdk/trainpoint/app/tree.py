"""Flow and Work: an app is a tree of components whose state is saved and given back.

A flow decides, works do. An attribute of a flow that is a component is a child; other public attributes are variables.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from threading import Lock, get_ident
from typing import Any, ClassVar, Final, Protocol

from trainpoint.app.calls import (
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    call_entry,
    call_key,
    calls_to_restore,
    calls_to_save,
    unfinished,
)
from trainpoint.app.children import SECTIONS, children_of, restore_children
from trainpoint.app.component import (
    Before,
    Component,
    dotted,
    path_in,
    restore_variables,
    root_of,
    section,
    take_variables,
    walk,
)
from trainpoint.app.findings import Plan, refusal
from trainpoint.app.undo import remember
from trainpoint.app.values import copied
from trainpoint.errors import ComponentError, UnsupportedStateError
from trainpoint.format.digest import JsonObject
from trainpoint.handle.narrate import logger

SETTLING: Final = Lock()
"""Held while a state is taken, and while a call comes to count as done: no state has one part of the tree before that
and another part after it."""


class Scheduler(Protocol):
    """Runs works beside the flow; the loop installs one with :func:`install`."""

    def submit(self, work: Work, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Take on one pending call: :func:`execute` does it, in any thread; :func:`cancel` gives it up."""
        ...


@dataclass(frozen=True, slots=True)
class CheckpointContext:
    """What ``should_save_checkpoint`` may want to know; ``self.checkpoint_context`` of any flow."""

    iteration: int = 0
    """iterations of the loop that are complete, over all starts if the loop counts them so"""
    seconds_since_save: float | None = None
    """None before the first save of this process"""
    last_name: str | None = None
    """file name of the newest checkpoint of this app that this process knows"""
    preempted: bool = False
    """this process was asked to end"""


class Flow(Component):
    """Decides what is to be done. Derive from it, and call ``super().__init__()`` first in your ``__init__``.

    ``run`` of the root is called again and again until ``stop()``; a flow calls ``self.child.run()`` itself.
    """

    __slots__ = ("_tp_context", "_tp_scheduler", "_tp_stopped")

    _tp_kind = "Flow"
    _tp_settings = frozenset({"app_version", "consistent", "consistent_seconds"})

    app_version: ClassVar[str] = "1"
    """Of the root: the version of the app's state. Change it together with a ``@migration`` for the version before."""
    consistent: bool = True
    """Of the root: no call of a work is saved half done. False: works are saved as they are just then. A call that runs
    is made again after a restart."""
    consistent_seconds: float = 5.0
    """Of the root: how long a capture waits for calls that run. A work that takes longer is saved as it was before."""

    def __init__(self) -> None:
        super().__init__()
        self._tp_context = CheckpointContext()
        self._tp_scheduler: Scheduler | None = None
        self._tp_stopped = False

    def run(self, *args: Any, **kwargs: Any) -> None:
        """One iteration; yours."""
        raise NotImplementedError(f"{type(self).__qualname__} has no run()")

    def should_save_checkpoint(self) -> bool:
        """Whether the state is to be saved now. Asked of the root only, once per iteration, after ``run``."""
        return False

    def stop(self) -> None:
        """End the app after this iteration."""
        top = root_of(self)
        if isinstance(top, Flow):
            top._tp_stopped = True

    @property
    def checkpoint_context(self) -> CheckpointContext:
        """Facts for ``should_save_checkpoint``."""
        top = root_of(self)
        return top._tp_context if isinstance(top, Flow) else self._tp_context

    def state_dict(self) -> JsonObject:
        """A copy of the state of this flow and of all beneath it.

        Its parts are ``vars``, ``calls``, ``flows``, ``works`` and ``structures``, all by name.
        """
        beneath: dict[str, JsonObject] = {"flows": {}, "works": {}, "structures": {}}
        for name, child in sorted(self._tp_children(), key=lambda pair: pair[0]):
            beneath[SECTIONS[child._tp_kind]][name] = child._tp_take()
        return {**take_variables(self), "calls": calls_to_save(self._tp_calls), **beneath}

    def load_state_dict(self, flow_state: JsonObject, children_states: JsonObject, strict: bool = True) -> None:
        """Take over a saved state. Override it to create components and to change the state, then call ``super()``'s.

        Args:
            flow_state: what :meth:`state_dict` of this flow returned.
            children_states: the states of its children by name, flows, works and structures together.
            strict: what the state has and the code has not is an error; otherwise it is dropped.
        Raises:
            IncompatibleStateError: as said under ``strict``; it lists all differences. While an app starts, the error
                comes once the whole tree has been gone through. Nothing has been changed then.
        """
        plan = root_of(self)._tp_plan
        if plan is not None:
            self._tp_fill(flow_state, children_states, strict, plan)
            return
        top, plan, undo = root_of(self), Plan(), remember(self)
        top._tp_plan = plan
        try:
            self._tp_fill(flow_state, children_states, strict, plan)
            if plan.is_refused:
                raise refusal(plan.findings)
        except BaseException:
            undo()
            raise
        finally:
            top._tp_plan = None

    def _tp_fill(self, flow_state: JsonObject, children_states: JsonObject, strict: bool, plan: Plan) -> None:
        plan.filled.add(id(self))
        names = frozenset(children_states)
        restore_variables(self, flow_state, strict, plan, children=names)
        self._tp_calls = calls_to_restore(section(flow_state, "calls", path_in(plan, self)))
        restore_children(self, children_states, strict, plan)

    def _tp_take(self) -> JsonObject:
        return self.state_dict()

    def _tp_restore(self, state: JsonObject, strict: bool, plan: Plan) -> None:
        self.load_state_dict(state, children_of(state, path_in(plan, self)), strict)
        note_if_not_filled(self, state, plan)


def note_if_not_filled(flow: Flow, state: JsonObject, plan: Plan) -> None:
    """Its own load_state_dict has not called the parent's, which would have restored what it leaves to that."""
    if id(flow) not in plan.filled and any(state.get(part) for part in ("vars", *SECTIONS.values())):
        plan.by_hand.append(".".join(path_in(plan, flow)))


class Work(Component):
    """Does something that takes time, once per set of arguments. Derive from it, and write ``run``.

    ``self.w.run(x)`` in a flow returns at once; the work runs in a thread beside it, and not again for the same ``x``.
    """

    __slots__ = ("_tp_in_flight",)

    _tp_kind = "Work"

    def __init__(self) -> None:
        super().__init__()
        self._tp_in_flight: set[str] = set()
        # In the object, so that super().run() within a run is the plain method of the class above.
        self.__dict__["run"] = self._tp_call

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if not name.startswith("_") and (before := self._tp_before_others()) is not None and name in self.__dict__:
            before.put(name, self.__dict__[name])

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if not name.startswith("_") and (before := self._tp_before_others()) is not None:
            before.drop(name)

    def _tp_before_others(self) -> Before | None:
        """What this work was like before the call that runs, if it is not that call that asks."""
        before = self._tp_before
        return before if before is not None and before.thread != get_ident() else None

    def run(self, *args: Any, **kwargs: Any) -> None:
        """What is to be done; yours. Its results are variables: ``self.x = …``."""
        raise NotImplementedError(f"{type(self).__qualname__} has no run()")

    @property
    def has_succeeded(self) -> bool:
        """The last call has succeeded."""
        return self._tp_last_status() == SUCCEEDED

    @property
    def has_failed(self) -> bool:
        """The last call has failed."""
        return self._tp_last_status() == FAILED

    def _tp_last_status(self) -> str:
        return next((str(call.get("status")) for call in reversed(list(self._tp_calls.values()))), "")

    def _tp_resume(self) -> None:
        """Make the calls again that an earlier process had not brought to their end."""
        keys, self._tp_unfinished = self._tp_unfinished, ()
        if keys:
            logger.info("%s: %d calls that had not come to their end are made again", dotted(self), len(keys))
        for key in keys:
            call = self._tp_calls.get(key, {})
            if call.get("status") != PENDING or key in self._tp_in_flight:
                continue
            args, kwargs = call.get("args", []), call.get("kwargs", {})
            try:
                signature(type(self).run).bind(self, *args, **kwargs)
            except TypeError as error:
                logger.warning("%s: the call %r of the state is dropped, since run() takes others now: %s",
                               dotted(self), {"args": args, "kwargs": kwargs}, error)  # fmt: skip
                del self._tp_calls[key]
            else:
                self._tp_call(*args, **kwargs)

    def _tp_call(self, *args: object, **kwargs: object) -> None:
        self._tp_resume()  # these were made earlier
        key = self._tp_key(args, kwargs)
        if key in self._tp_in_flight or self._tp_calls.get(key, {}).get("status") == SUCCEEDED:
            return
        self._tp_in_flight.add(key)
        self._tp_calls.pop(key, None)  # the last call is the last entry
        self._tp_calls[key] = call_entry(args, kwargs, PENDING)
        top = root_of(self)
        scheduler = top._tp_scheduler if isinstance(top, Flow) else None
        # Copies: the flow goes on and may change its lists while the work reads them.
        theirs = tuple(copied(value) for value in args), {name: copied(value) for name, value in kwargs.items()}
        if scheduler is None:
            execute(self, *theirs)
        else:
            scheduler.submit(self, *theirs)

    def _tp_key(self, args: tuple[object, ...], kwargs: dict[str, object]) -> str:
        try:
            return call_key(args, kwargs)
        except UnsupportedStateError as error:
            error.message = f"{dotted(self)}.{error.message}"
            raise

    def _tp_adopt(self, name: str, child: Component) -> None:
        raise ComponentError(
            f"{dotted(self)}.{name} cannot be a {child._tp_kind}: a work has no children",
            remedy="give the component to the flow, and let the flow call both",
        )

    def _tp_take(self) -> JsonObject:
        if (before := self._tp_before) is not None:
            return before.state(self)
        return {**take_variables(self), "calls": calls_to_save(self._tp_calls)}

    def _tp_restore(self, state: JsonObject, strict: bool, plan: Plan) -> None:
        restore_variables(self, state, strict, plan, children=frozenset())
        calls = section(state, "calls", path_in(plan, self))
        self._tp_before = None
        self._tp_calls, self._tp_unfinished = calls_to_restore(calls), unfinished(calls)


def install(root: Flow, scheduler: Scheduler | None) -> None:
    """Works of ``root`` run through ``scheduler`` from now on; None: at once, in the thread that calls them."""
    root._tp_scheduler = scheduler


def call_pending(root: Flow) -> None:
    """Make every call again that an earlier process had taken on and has not brought to its end."""
    for _, component in walk(root):
        if isinstance(component, Work):
            component._tp_resume()


def execute(work: Work, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    """Run one call that is pending, and note how it ends.

    Raises:
        Exception: whatever the work raises; the call is noted as failed then, and would run again.
    """
    key = work._tp_key(args, kwargs)
    made = work._tp_calls.get(key) or call_entry(args, kwargs, PENDING)
    work._tp_calls[key] = {**made, "status": RUNNING}
    before = work._tp_before
    if before is not None:
        before.thread = get_ident()
    try:
        type(work).run(work, *args, **kwargs)
    except BaseException as error:
        work._tp_calls[key] = {**made, "status": FAILED, "error": f"{type(error).__name__}: {error}"}
        if before is not None:
            before.failed = True
        raise  # and it is saved as it was before
    else:
        with SETTLING:
            work._tp_calls[key] = {**made, "status": SUCCEEDED}
            if before is not None and work._tp_before is before and before.keys == {key} and not before.failed:
                work._tp_before = None
    finally:
        work._tp_in_flight.discard(key)


def cancel(work: Work, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    """Give up a call that has not begun; it stays pending, and the next call with these arguments runs it."""
    work._tp_in_flight.discard(work._tp_key(args, kwargs))
