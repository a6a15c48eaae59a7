"""Checkpoints of apps, as rows for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.cli.show import as_json
from trainpoint.cli.table import show_json, show_table
from trainpoint.cli.words import age, optional, quantity

LIST_LIMIT = 50
_TITLES = ["CHECKPOINT", "WORKFLOW", "RUN", "ITERATION", "SIZE", "AGE", "NAME"]


def show_apps(found: Sequence[tuple[str, CheckpointInfo]], output: str, *, empty: str, now: datetime) -> None:
    """Print each file's name, and what is known of its checkpoint.

    Args:
        empty: what people read where there is none.
    """
    if output == "json":
        show_json([{"checkpoint": file, **as_json(info)} for file, info in found])
    elif not found:
        click.echo(empty)
    else:
        rows = [
            [
                file.removesuffix(".json"),
                info.workflow,
                info.run,
                optional(info.step),
                quantity(info.size),
                age(info.time, now),
                info.name,
            ]
            for file, info in found
        ]
        show_table(_TITLES, rows, right={"ITERATION", "SIZE", "AGE"})
