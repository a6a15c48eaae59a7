"""``trainpoint``: the verbs, and what every one of them has in common.

A verb's module is imported when the verb is used, so that ``trainpoint --help`` is quick. An error of ours becomes its
own report on stderr and its own exit code; nobody sees a stack trace for a mistake of theirs.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

import click

from trainpoint.errors import TrainpointError

VERBS: Final[dict[str, tuple[str, str]]] = {
    "run": ("trainpoint.cli.run:run", "Run a program; start it again when it fails."),
    "list": ("trainpoint.cli.show:list_", "Checkpoints, newest first."),
    "show": ("trainpoint.cli.show:show", "One checkpoint, with its files."),
    "why": ("trainpoint.cli.why:why", "What a run's attempts started from, and why."),
    "lineage": ("trainpoint.cli.lineage:lineage", "Where a checkpoint comes from."),
    "report": ("trainpoint.cli.report:report", "A run as one HTML page."),
    "save": ("trainpoint.cli.save:save", "Ask a training at work to save now."),
    "load": ("trainpoint.cli.load:load", "A checkpoint into a directory."),
    "verify": ("trainpoint.cli.verify:verify", "Read checkpoints back and compare."),
    "pin": ("trainpoint.cli.marks:pin", "Keep a checkpoint from being deleted."),
    "unpin": ("trainpoint.cli.marks:unpin", "Take the pin of a checkpoint away."),
    "rm": ("trainpoint.cli.show:rm", "Delete checkpoints for good."),
    "app": ("trainpoint.cli.app:app", "Checkpoints of an app, and whether its code fits them."),
    "inject": ("trainpoint.cli.inject:inject", "A Job's manifest with the pod contract in it."),
    "explain": ("trainpoint.cli.explain:explain", "What an error code means and what to do."),
}
"""Verb: where it lies, and its line in ``trainpoint --help``."""


CLUSTER_VERBS: Final[dict[str, tuple[str, str]]] = {
    "list": ("trainpoint.cli.kube:list_", "Checkpoints, newest first."),
    "show": ("trainpoint.cli.kube:show", "One checkpoint."),
    "why": ("trainpoint.cli.kube:why", "What a run's attempts did, and what would come next."),
    "lineage": ("trainpoint.cli.lineage:kube_lineage", "Where a checkpoint comes from."),
    "report": ("trainpoint.cli.kube_report:kube_report", "A run as one HTML page."),
    "save": ("trainpoint.cli.save:kube_save", "Ask a training at work to save now."),
    "pin": ("trainpoint.cli.marks:kube_pin", "Keep a checkpoint from being deleted."),
    "unpin": ("trainpoint.cli.marks:kube_unpin", "Take the pin of a checkpoint away."),
    "rm": ("trainpoint.cli.kube:rm", "Delete checkpoints for good."),
    "app": ("trainpoint.cli.kube_app:kube_app", "Checkpoints of apps."),
    "inject": VERBS["inject"],
    "explain": VERBS["explain"],
}
"""The same for ``kubectl trainpoint``, which asks the API server instead of a store."""


class Verbs(click.Group):
    """A group whose commands are imported when they are used."""

    table = VERBS

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, _, name = self.table[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in self.table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TrainpointError as error:
            click.echo(error.report(), err=True)
            ctx.exit(error.exit_code)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trainpoint", message="trainpoint %(version)s")
def main() -> None:
    """Training checkpoints that always resume from something good."""


class ClusterVerbs(Verbs):
    table = CLUSTER_VERBS


@click.command(cls=ClusterVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trainpoint", message="kubectl trainpoint %(version)s")
def kubectl() -> None:
    """Training checkpoints of a Kubernetes namespace."""


if __name__ == "__main__":
    main(prog_name="trainpoint")
