"""Write docs/reference/cli.md from the commands themselves (``--check``: say whether it is current)."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that it runs as a script from anywhere

from tools.page import write_or_check
from trainpoint.cli.main import CLUSTER_VERBS, VERBS, kubectl
from trainpoint.cli.main import main as trainpoint
from trainpoint.cli.run_app import run_app

TARGET = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"

HEAD = """\
# Command line

<!-- Written by tools/cli_reference.py from sdk/trainpoint/cli/; change it there and run `make generate`. -->

Which store is meant comes from `--store`, else [`TRAINPOINT_STORE`](environment.md), else it is `~/.trainpoint`. Tables
are for people; `-o json` is for programs. Exit codes: 0, or that of the [error](errors.md); 2 for a wrong command line;
`trainpoint run` ends with the exit code of the last process it started.
"""

KUBECTL = """\
# kubectl trainpoint

The same program, found by kubectl as a plug-in. It asks the API server instead of a store: it needs no key to the
bucket, and knows of what has an object. `inject` and `explain` are as above.
"""


def reference() -> str:
    """The whole page."""
    parent = click.Context(trainpoint, info_name="trainpoint")
    sections = [HEAD]
    for name in VERBS:
        sections += verb(trainpoint, name, parent)
        if name == "run":
            sections.append(section(run_app, click.Context(run_app, info_name="run app", parent=parent)))
    parent = click.Context(kubectl, info_name="kubectl trainpoint")
    own = [name for name in CLUSTER_VERBS if CLUSTER_VERBS[name] != VERBS.get(name)]
    return "\n".join([*sections, KUBECTL, *(part for name in own for part in verb(kubectl, name, parent))])


def verb(program: click.Group, name: str, parent: click.Context) -> Iterator[str]:
    command = program.get_command(parent, name)
    if command is not None and not command.hidden:
        yield from described(command, click.Context(command, info_name=name, parent=parent))


def described(command: click.Command, context: click.Context) -> Iterator[str]:
    """The section of a verb, or those of the verbs beneath it."""
    if not isinstance(command, click.Group):
        yield section(command, context)
        return
    for name in command.list_commands(context):
        beneath = command.get_command(context, name)
        if beneath is not None and not beneath.hidden:
            yield from described(beneath, click.Context(beneath, info_name=name, parent=context))


def section(command: click.Command, context: click.Context) -> str:
    """One verb: how it is written, what it does, its options."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"## {context.command_path}", "", "```text", usage, "```", "", *paragraphs(command.help or ""), ""]
    rows = [row for parameter in command.params if (row := option_row(parameter))]
    if rows:
        lines += ["| option | meaning |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def paragraphs(text: str) -> Iterator[str]:
    r"""A help text as Markdown: what click leaves as it is (``\b``) becomes a block for reading."""
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        if number:
            yield ""
        if paragraph.startswith("\b\n"):
            yield from ["```text", *paragraph.removeprefix("\b\n").splitlines(), "```"]
        else:
            yield from re.sub(r"``", "`", paragraph).splitlines()


def option_row(parameter: click.Parameter) -> str:
    """A row of the table of options; empty for an argument, which the usage shows."""
    if not isinstance(parameter, click.Option) or parameter.hidden:
        return ""
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if not parameter.is_flag:
        choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ()
        value = "\\|".join(map(str, choices)) or (
            parameter.metavar or parameter.type.name.upper().removesuffix(" RANGE")
        )
        names += f" {value}"
    return f"| {names} | {' '.join((parameter.help or '').split())} |"


def main(arguments: list[str]) -> int:
    return write_or_check(TARGET, reference(), source="the commands say", arguments=arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
