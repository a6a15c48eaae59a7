"""What verbs print on stdout: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, TypeVar

import click

_UNBOUNDED: Final = 100_000
"""Columns of a console that is no terminal: nothing is ever cut or wrapped for a program that reads it."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def output_option(command: _Command) -> _Command:
    """``-o table|json``, passed as ``output``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        help="A table for people, or JSON for programs.",
    )(command)


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Print rows under titles; those named in ``right`` are numbers and stand on the right.

    On a terminal titles are bold (not with NO_COLOR) and long texts are wrapped; elsewhere the text is plain and whole.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    plain = not terminal or bool(os.environ.get("NO_COLOR"))
    console = Console(
        width=None if terminal else _UNBOUNDED, color_system=None if plain else "auto", highlight=False, soft_wrap=False
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="" if plain else "bold")
    for title in titles:
        table.add_column(Text(title), justify="right" if title in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=not plain)


def show_json(value: object) -> None:
    """Print one JSON value, indented."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
