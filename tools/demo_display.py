"""What the demo shows: on a terminal a bar that moves beneath the lines, elsewhere plain lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

PLAIN_LINES = 8
"""How many lines a whole training has where there is no bar."""


class Display(Protocol):
    """Where the demo's words go."""

    def heading(self, text: str) -> None:
        """The beginning of a part."""
        ...

    def say(self, text: str) -> None:
        """One line."""
        ...

    def command(self, command: str, output: str) -> None:
        """A command that the reader could type, and what it printed."""
        ...

    def progress(self, step: int, total: int, note: str) -> None:
        """How far the training is; ``note`` is a few words."""
        ...

    def no_progress(self) -> None:
        """Nothing is being trained now."""
        ...


class PlainDisplay:
    """For a file, a pipe or a log."""

    def __init__(self) -> None:
        self._shown = -1

    def heading(self, text: str) -> None:
        print(f"\n{text}", flush=True)

    def say(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def command(self, command: str, output: str) -> None:
        print(f"\n$ {command}\n{output}", flush=True)

    def progress(self, step: int, total: int, note: str) -> None:
        part = step * PLAIN_LINES // total
        if part > self._shown:
            self._shown = part
            self.say(f"step {step} of {total}, {note}")

    def no_progress(self) -> None:
        self._shown = -1


class RichDisplay:
    """For a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("  "),
            BarColumn(bar_width=40),
            TextColumn("step {task.completed} of {task.total}, {task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("starting", total=1, visible=False)

    def heading(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold", markup=False)

    def say(self, text: str) -> None:
        style = "red" if text.startswith("kill -9") else "dim" if text.startswith("trainpoint  ") else ""
        self._console.print(f"   {text}", style=style, markup=False)

    def command(self, command: str, output: str) -> None:
        self._console.print(f"\n$ {command}", style="bold", markup=False)
        self._console.print(output, markup=False)

    def progress(self, step: int, total: int, note: str) -> None:
        self._bar.update(self._task, completed=step, total=total, description=note, visible=True)

    def no_progress(self) -> None:
        self._bar.reset(self._task, visible=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        with self._bar:
            yield


@contextmanager
def display() -> Iterator[Display]:
    """The display that fits where stdout goes; the terminal is as before at the end of the block."""
    if not sys.stdout.isatty():
        yield PlainDisplay()
        return
    rich = RichDisplay()
    with rich.running():
        yield rich
