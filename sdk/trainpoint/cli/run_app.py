"""``trainpoint run app``: an app as the program of a run."""

from __future__ import annotations

import os
import shlex
import sys
from copy import copy
from typing import Any

import click

from trainpoint.api.names import ENV_LOAD_POLICY, ENV_RUN, ENV_STORE, ENV_TAKEOVER, ENV_TASK, ENV_WORKFLOW
from trainpoint.cli.run import RunOptions, run, supervise
from trainpoint.cli.start import from_option, start_option

_LEFT_OUT = frozenset({"resume"})
"""Options of ``run`` that an app does not have: ``--checkpoint`` says it."""
_OF_A_RUN = frozenset({"retries", "policy"})
"""Options that need a supervisor."""


class AppFileCommand(click.Command):
    """Everything behind ``--`` is for the app."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:at])
        ctx.params["arguments"] = tuple(args[at + 1 :])
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


@click.command("app", cls=AppFileCommand, short_help="Run an app; start it again when it fails.")
@click.argument("file")
@start_option
@from_option
@click.option("--non-strict", is_flag=True, help="Start although the code has no place for all of the state; say what.")
@click.pass_context
def run_app(
    ctx: click.Context,
    /,
    file: str,
    arguments: tuple[str, ...],
    checkpoint: str | None,
    checkpoint_from: str | None,
    non_strict: bool,
    **options: Any,
) -> None:
    """Run the app of a Python file until it stops itself; start it again when it fails.

    FILE defines `app = Main()`, or exactly one class derived from trainpoint.app.Flow. Its state is saved when its
    should_save_checkpoint() says so, and when it is told to end. A start after a failure goes on from what the run has
    saved; --checkpoint is for the first one. In a pod the app runs unsupervised: there the Job starts it again.
    """
    words = [
        *(["--checkpoint", checkpoint] if checkpoint is not None else []),
        *(["--checkpoint-from", checkpoint_from] if checkpoint_from is not None else []),
        *(["--non-strict"] if non_strict else []),
    ]
    behind = ["--", *arguments] if arguments else []
    command = (sys.executable, "-m", "trainpoint.app", file, *words, *behind)
    given = RunOptions(**options)
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not (given.store or os.environ.get(ENV_STORE)):
        _become(ctx, command, given)
    again = ["trainpoint", "run", "app", file]
    supervise(ctx, command, lambda begin: shlex.join([*again, *begin, *words, *behind]), given)


def _become(ctx: click.Context, command: tuple[str, ...], given: RunOptions) -> None:
    """Let this process be the app's: signals and exit code are a pod's own affair, and so are store and policy."""
    if wrong := [f"--{name}" for name in sorted(_OF_A_RUN) if ctx.params.get(name) is not None]:
        raise click.UsageError(
            f"{' and '.join(wrong)} are for runs outside of a cluster; here the Job and its CheckpointPolicy decide",
            ctx,
        )
    said = {
        ENV_RUN: given.run,
        ENV_WORKFLOW: given.workflow,
        ENV_TASK: given.task,
        ENV_LOAD_POLICY: given.load_policy,
        ENV_TAKEOVER: "1" if given.takeover else None,
    }
    sys.stdout.flush()
    os.execve(command[0], command, {**os.environ, **{name: value for name, value in said.items() if value}})


def _as_for_apps(parameter: click.Parameter) -> click.Parameter:
    if parameter.name != "task" or not isinstance(parameter, click.Option):
        return parameter
    own = copy(parameter)
    own.help = "Name of the step of the run; main by default."
    return own


run_app.params += [_as_for_apps(parameter) for parameter in run.params if parameter.name not in _LEFT_OUT]
