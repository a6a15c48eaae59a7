"""``trainpoint explain TP021``: the entry of the error reference."""

from __future__ import annotations

import inspect

import click

from trainpoint.cli.table import output_option, show_json, show_table
from trainpoint.errors import TrainpointError, error_classes


@click.command(short_help="What an error code means and what to do.")
@click.argument("code", required=False)
@output_option
def explain(code: str | None, output: str) -> None:
    """What an error code means and what to do.

    CODE is a code such as TP021, or the name of the error. Without it, all are listed.
    """
    known = error_classes()
    if code is None:
        entries = [_entry(cls) for cls in known.values()]
        if output == "json":
            show_json(entries)
        else:
            rows = [
                [str(e["code"]), str(e["name"]), str(e["exitCode"]), str(e["text"]).split("\n", 1)[0]] for e in entries
            ]
            show_table(["CODE", "NAME", "EXIT", "MEANING"], rows, right=["EXIT"])
        return
    cls = next((c for c in known.values() if code.lower() in (c.code.lower(), c.__name__.lower())), None)
    if cls is None:
        raise click.UsageError(f"{code} is no error code of trainpoint; there are: {', '.join(known)}")
    entry = _entry(cls)
    if output == "json":
        show_json(entry)
        return
    click.echo(f"{entry['code']}  {entry['name']}")
    click.echo(f"exit code {entry['exitCode']}; can also be caught as {', '.join(_caught_as(cls)) or 'nothing else'}\n")
    click.echo(entry["text"])


def _entry(cls: type[TrainpointError]) -> dict[str, object]:
    return {
        "code": cls.code,
        "name": cls.__name__,
        "exitCode": cls.exit_code,
        "caughtAs": _caught_as(cls),
        "text": inspect.cleandoc(cls.__doc__ or "").replace("``", "`"),
    }


def _caught_as(cls: type[TrainpointError]) -> list[str]:
    """Other classes that an ``except`` may name, nearest first."""
    general = (cls, TrainpointError, Exception, BaseException, object)
    return [base.__name__ for base in cls.__mro__ if base not in general]
