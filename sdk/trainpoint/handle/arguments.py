"""What a caller passes to ``save`` and ``stage``, checked and put into the record's form. Mistakes raise at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, Protocol, SupportsFloat, runtime_checkable

from trainpoint.errors import IdentityError, InvalidArgumentError
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import check_name
from trainpoint.format.marks import METRICS_LIMIT, number_text
from trainpoint.policies.choice import mismatch

METADATA_LIMIT_BYTES: Final = 2048
RESERVED_SERIES: Final = frozenset({"latest", "last"})
"""Words that ``load`` understands; a series of that name would be taken for something else."""
_METRIC_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")


@runtime_checkable
class HasItem(Protocol):
    """A scalar of an array library: a tensor or NumPy value with one element."""

    def item(self) -> object: ...


Scalar = SupportsFloat | HasItem
"""A metric's value: an int, a float, or anything with ``item()`` that gives one."""


def metric_text(name: str, value: object) -> str:
    """A number as decimal text that reads back as the same float; ``NaN``, ``Infinity`` and ``-Infinity`` too."""
    plain = value.item() if isinstance(value, HasItem) else value
    if isinstance(plain, bool | str | bytes) or not isinstance(plain, SupportsFloat):
        raise InvalidArgumentError(
            f"metric {name!r} is {type(value).__name__}, not a number",
            remedy="pass an int, a float or a one-element tensor",
        )
    return number_text(float(plain))


def metrics_text(metrics: Mapping[str, Scalar] | None) -> dict[str, str]:
    """All metrics as text, names and number checked."""
    if not metrics:
        return {}
    if len(metrics) > METRICS_LIMIT:
        raise InvalidArgumentError(
            f"{len(metrics)} metrics were given; a checkpoint takes {METRICS_LIMIT}",
            remedy="keep those that choose between checkpoints; put the rest into a file of the checkpoint",
        )
    for name in metrics:
        if not isinstance(name, str) or not _METRIC_NAME.fullmatch(name):
            raise InvalidArgumentError(
                f"{name!r} cannot name a metric", remedy="use letters, digits, '-', '_', '.' and '/', such as val/loss"
            )
    return {name: metric_text(name, value) for name, value in metrics.items()}


def metadata_json(metadata: Mapping[str, object] | None) -> JsonObject:
    """Metadata as plain JSON, at most 2 KiB."""
    if not metadata:
        return {}
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"metadata is not plain JSON: {error}",
            remedy="use text, numbers, true/false, lists and dicts with text keys",
        ) from None
    if len(text.encode()) > METADATA_LIMIT_BYTES:
        raise InvalidArgumentError(
            f"metadata is {len(text.encode())} bytes; a checkpoint takes {METADATA_LIMIT_BYTES}",
            remedy="put it into a file of the checkpoint",
        )
    value = json.loads(text)
    assert isinstance(value, dict)  # a Mapping became an object
    return value


def match_json(match: Mapping[str, object] | None) -> JsonObject:
    """What ``match=`` asks of a checkpoint's metadata, as plain JSON; every checkpoint has it in its own."""
    if match is not None and not (isinstance(match, Mapping) and all(isinstance(key, str) for key in match)):
        raise InvalidArgumentError(f"match={match!r} is no mapping", remedy='pass a dict such as match={"lr": 0.1}')
    return metadata_json(match)


def metadata_with(match: Mapping[str, object], metadata: Mapping[str, object] | None) -> JsonObject:
    """Metadata of a new checkpoint: what ``match`` says, and what the caller adds; they may not contradict."""
    found = metadata_json({**match, **(metadata or {})})
    difference = mismatch(found, match)
    if difference:
        raise InvalidArgumentError(
            f"this checkpoint {difference}, so that a program with this match= would never load it",
            remedy="leave that key out of metadata: it is added from match",
        )
    return found


def count(name: str, value: object) -> int | None:
    """A step or epoch: None, or a whole number ≥ 0 (an array library's integer too)."""
    if value is None:
        return None
    plain = value.item() if isinstance(value, HasItem) else value
    if isinstance(plain, bool) or not isinstance(plain, int):
        raise InvalidArgumentError(
            f"{name}={value!r} is not a whole number", remedy=f"pass an int, or leave {name} out"
        )
    if plain < 0 or plain > 2**53:
        raise InvalidArgumentError(f"{name}={plain} is out of range", remedy=f"{name} counts from 0 upwards")
    return plain


def series_name(name: str | None) -> str:
    """The name of a series; empty for none."""
    if name is None:
        return ""
    if name in RESERVED_SERIES:
        raise InvalidArgumentError(
            f"name={name!r} is a word that load() understands", remedy="choose another, such as 'best' or 'epoch'"
        )
    try:
        return check_name("name", name)
    except IdentityError as error:
        raise InvalidArgumentError(error.message, remedy=error.remedy) from None
