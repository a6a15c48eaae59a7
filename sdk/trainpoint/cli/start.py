"""The options that say what an app starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def start_option(command: _Command) -> _Command:
    """``--checkpoint X``."""
    return click.option(
        "--checkpoint",
        metavar="X",
        help="What to start from: latest, a file, or the name of a checkpoint; TRAINPOINT_CHECKPOINT by default.",
    )(command)


def from_option(command: _Command) -> _Command:
    """``--checkpoint-from WORKFLOW``."""
    return click.option(
        "--checkpoint-from",
        metavar="WORKFLOW",
        help="Whose checkpoints latest and names mean; those of this app by default.",
    )(command)
