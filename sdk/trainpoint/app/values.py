"""Values of an app's state as JSON: exactly what was there comes back, or an error names the attribute.

Everything that Python and JSON have in common stays as it is. Numbers that JSON lacks become ``{"__float__": "NaN"}``
(``"Infinity"``, ``"-Infinity"``); a dict of the user's that looks like that is wrapped: ``{"__dict__": {…}}``. Nothing
else is accepted, and nothing is converted quietly: a tuple would come back as a list, a key 3 as "3", an enum as text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Final

from trainpoint.errors import UnsupportedStateError

MAX_DEPTH: Final = 100
"""Levels of lists and dicts in one attribute; deeper ones could not be read back by every JSON parser."""
MAX_INT_BITS: Final = 14_000
"""Python reads no whole number of more than 4300 decimal digits from text."""

FLOAT: Final = "__float__"
DICT: Final = "__dict__"
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(value: object, where: str, _depth: int = 0) -> object:
    """``value`` as pure JSON: a copy that shares nothing with it.

    Args:
        value: text, number, bool, None, or lists and dicts of these.
        where: the dotted name of the attribute, for the error.
    Raises:
        UnsupportedStateError: it holds something else; the message has the place within the attribute.
    """
    # Exact types on purpose: a subclass (numpy.float64, an enum) would come back as something else.
    if value is None or type(value) is bool:
        return value
    if type(value) is str:
        return _text(value, where)
    if type(value) is int:
        if value.bit_length() > MAX_INT_BITS:
            raise unsupported(
                where, "is a whole number of more than 4000 digits", f"store it as text: str({_of(where)})"
            )
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {FLOAT: _name_of(value)}
    if _depth >= MAX_DEPTH:
        raise unsupported(where, f"is nested deeper than {MAX_DEPTH} levels, or contains itself", "make it flatter")
    # list(…) is one step for the interpreter: where a work runs while the state is captured, it may change the value.
    if type(value) is list:
        return [encode(item, f"{where}[{number}]", _depth + 1) for number, item in enumerate(list(value))]
    if type(value) is dict:
        items = {_key(key, where): encode(item, f"{where}[{key!r}]", _depth + 1) for key, item in list(value.items())}
        return {DICT: items} if len(items) == 1 and not items.keys().isdisjoint((FLOAT, DICT)) else items
    raise unsupported(where, f"is {_a(type(value))}, which JSON does not have", _remedy(value, where))


def decode(value: object) -> object:
    """What :func:`encode` was given, from what it returned: a copy that shares nothing with ``value``."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1:
            name = value.get(FLOAT)
            if isinstance(name, str) and name in _NOT_FINITE:
                return _NOT_FINITE[name]
            if isinstance(value.get(DICT), dict):
                return {key: decode(item) for key, item in value[DICT].items()}
        return {key: decode(item) for key, item in value.items()}
    return value


def copied(value: object, _depth: int = 0) -> object:
    """The same value with lists and dicts of its own, as deep as a state may be; everything else is shared."""
    if _depth > MAX_DEPTH:
        return value
    if type(value) is list:
        return [copied(item, _depth + 1) for item in list(value)]
    if type(value) is dict:
        return {key: copied(item, _depth + 1) for key, item in list(value.items())}
    return value


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def text_of(value: object) -> str:
    """The one spelling of pure JSON. The order of keys is kept, since an app may go through a dict in that order."""
    return int.__repr__(value) if type(value) is int else _ENCODER.encode(value)


def quoted(text: str) -> str:
    """The same of a text."""
    return encode_basestring(text)


def same(one: object, other: object) -> bool:
    """Whether two values have the same state: ``1``, ``1.0`` and ``True`` differ, NaN is NaN."""
    try:
        return text_of(encode(one, "")) == text_of(encode(other, ""))
    except UnsupportedStateError:
        return one is other


def unsupported(where: str, what: str, remedy: str) -> UnsupportedStateError:
    return UnsupportedStateError(
        f"{where} cannot be saved: it {what}", remedy=f"{remedy}; or begin the attribute's name with _: it is not saved"
    )


def is_whole(text: str) -> bool:
    """Whether a file can hold it: not where it has half a character (a lone surrogate)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: str, where: str) -> str:
    if not is_whole(value):
        raise unsupported(where, "is text with half a character (a lone surrogate)", "repair the text")
    return value


def _key(key: object, where: str) -> str:
    if type(key) is not str:
        raise unsupported(
            where,
            f"has a key that is {_a(type(key))}, and JSON has only text as keys",
            f"use text: {{str(k): v for k, v in {_of(where)}.items()}}",
        )
    return _text(key, where)


def _name_of(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _a(cls: type) -> str:
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _of(where: str) -> str:
    """As the code of the component writes it: ``self.x``."""
    return f"self.{where.rpartition('.')[2]}" if "[" not in where else "value"


def _remedy(value: object, where: str) -> str:
    if hasattr(type(value), "_tp_parent"):
        return "put components into trainpoint.app.List or trainpoint.app.Dict, not into a list or dict"
    name = _of(where)
    if isinstance(value, tuple | set | frozenset):
        return f"use a list: list({name})"
    if isinstance(value, Mapping):
        return f"use a plain dict: dict({name})"
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return f"use the plain value: {plain.__name__}({name})"
    if hasattr(value, "__fspath__"):
        return f"use its text: str({name})"
    if hasattr(value, "isoformat"):
        return f"use its text: {name}.isoformat()"
    if hasattr(value, "tolist"):
        return f"use {name}.tolist(), or save the array as a file of its own"
    return "store what describes it as text, numbers, lists and dicts"
