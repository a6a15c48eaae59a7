"""The call cache of a work: what was finished is not run again, also not after a restart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from trainpoint.app.values import copied, decode, encode, text_of
from trainpoint.format.digest import JsonObject, digest_of

PENDING: Final = "pending"
RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
STATUSES: Final = frozenset({PENDING, RUNNING, SUCCEEDED, FAILED})

KEY_DIGITS: Final = 16


def call_key(args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """``run:`` and 16 hexadecimal digits: the same for equal arguments, whatever the order of the named ones.

    Raises:
        UnsupportedStateError: an argument cannot be saved, so nobody could know later that this call was made.
    """
    return f"run:{digest_of(text_of(_encoded(args, kwargs)).encode())[:KEY_DIGITS]}"


def call_entry(args: Sequence[object], kwargs: Mapping[str, object], status: str, error: str = "") -> JsonObject:
    """What is kept of a call: the arguments as they were when it was made."""
    positional, named = decode(_encoded(args, kwargs)), {}
    if isinstance(positional, list):  # always; for the type checker
        positional, named = positional
    made: JsonObject = {"name": "run", "args": positional, "kwargs": named, "status": status}
    return {**made, "error": error} if error else made


def calls_to_save(calls: Mapping[str, JsonObject]) -> dict[str, JsonObject]:
    """A copy of them as they are saved."""
    return {key: _copy(call_to_save(call)) for key, call in list(calls.items())}


def call_to_save(call: JsonObject) -> JsonObject:
    """What is still running has not finished, and will have to run again."""
    return {**call, "status": PENDING} if call.get("status") == RUNNING else call


def calls_without(calls: Mapping[str, JsonObject], keys: Collection[str]) -> dict[str, JsonObject]:
    """As if those of them had not begun."""
    begun = {
        key: {name: value for name, value in calls[key].items() if name != "error"} for key in keys if key in calls
    }
    return {**calls, **{key: {**call, "status": PENDING} for key, call in begun.items()}}


def calls_to_restore(calls: Mapping[str, JsonObject]) -> dict[str, JsonObject]:
    """A copy of them as a new process has them: only what succeeded counts as finished; what failed is tried again."""
    return {
        key: _copy(call)
        if call.get("status") == SUCCEEDED
        else {**_copy({k: v for k, v in call.items() if k != "error"}), "status": PENDING}
        for key, call in calls.items()
    }


def unfinished(calls: Mapping[str, JsonObject]) -> tuple[str, ...]:
    """Those that had not succeeded when the state was saved."""
    return tuple(key for key, call in calls.items() if call.get("status") != SUCCEEDED)


def _copy(call: JsonObject) -> JsonObject:
    return {name: copied(value) for name, value in call.items()}


def _encoded(args: Sequence[object], kwargs: Mapping[str, object]) -> list[object]:
    return [
        [encode(value, f"run(args[{number}])") for number, value in enumerate(args)],
        {name: encode(kwargs[name], f"run({name}=…)") for name in sorted(kwargs)},
    ]
