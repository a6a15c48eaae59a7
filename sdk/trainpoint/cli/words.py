"""Short texts of tables: sizes, ages, metrics, steps; and the options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import click

from trainpoint.api.names import LOCAL_NAMESPACE
from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.context import open_context

_Command = TypeVar("_Command", bound=Callable[..., Any])


def store_option(command: _Command) -> _Command:
    """``--store URL`` and ``--namespace NAME``; without a store TRAINPOINT_STORE or the default."""
    named = click.option(
        "--namespace",
        default=LOCAL_NAMESPACE,
        metavar="NAME",
        help="What the jobs of that Kubernetes namespace saved; without it, what was saved without a cluster.",
    )(command)
    return click.option("--store", metavar="URL", help="The store; TRAINPOINT_STORE or ~/.trainpoint by default.")(
        named
    )


def open_catalog(store: str | None) -> BucketCatalog:
    """What is in a store, for reading and deleting; refuses a store of a newer format."""
    context = replace(open_context(store=store, namespace=""), identity=None)
    context.first_contact()
    return context.catalog


def quantity(count: int) -> str:
    """Bytes as kubectl writes them: ``412Mi``, ``12Gi``, ``0``."""
    value, units = float(count), ["", "Ki", "Mi", "Gi", "Ti", "Pi"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.1f}{units[0]}" if units[0] and value < 10 else f"{value:.0f}{units[0]}"


def age(moment: datetime, now: datetime) -> str:
    """Time since ``moment`` as kubectl writes it: ``8s``, ``41m``, ``9h``, ``3d``; ``0s`` where clocks disagree."""
    seconds = max(0, int((now - moment).total_seconds()))
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "m"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86400}d"


def next_start(info: CheckpointInfo | None, file: str = "") -> str:
    """What a start now would do: load ``info``, else begin from ``file`` as the run did before, if it did."""
    if info is None and file:
        return f"would begin from {file} once more"
    if info is None:
        return "nothing to load; it would begin at step 0"
    return f"would load {info.name}" + (f" (step {info.step})" if info.step is not None else "")


def metrics_text(metrics: Mapping[str, float]) -> str:
    """``acc=0.97 loss=0.033``; four digits are enough to compare."""
    return " ".join(f"{name}={value:.4g}" for name, value in sorted(metrics.items()))


def optional(number: int | None) -> str:
    return "" if number is None else str(number)
