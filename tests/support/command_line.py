"""The command line in this process, without a terminal."""

from __future__ import annotations

import inspect

import click
from click.testing import CliRunner, Result

from trainpoint.cli.main import main


def invoke(*arguments: str, program: click.Command = main) -> Result:
    """``trainpoint ARGUMENTS``, or another of our programs, with stdout and stderr apart."""
    # Before 8.2, click mixed them unless told otherwise; since then it does not know the option.
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    runner = CliRunner(**apart)  # type: ignore[arg-type]  # its types are those of the newest
    return runner.invoke(program, list(arguments))
