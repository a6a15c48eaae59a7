"""``trainpoint run``: a program under supervision, with an identity, so that it may save and is started again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from trainpoint.api.names import (
    DEFAULT_STORE,
    ENV_LOAD_POLICY,
    ENV_OWNER,
    ENV_POLICY,
    ENV_RESUME_FROM,
    ENV_RUN,
    ENV_STORE,
    ENV_TAKEOVER,
    ENV_TASK,
    ENV_WORKFLOW,
)
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.cli.child import say
from trainpoint.cli.resume import NoOriginError, origin
from trainpoint.cli.supervisor import Launch, Progress, Supervisor, again_command
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.errors import IdentityError, PolicyFileError, StoreUrlError
from trainpoint.format.layout import check_name, suggest_name
from trainpoint.identity import login_name, new_run
from trainpoint.policies.settings import (
    LOCAL_BACKOFF_BASE_SECONDS,
    PolicySettings,
    RetrySettings,
    from_json,
    to_json,
    with_retries,
)
from trainpoint.store.url import open_store

STORE_SECONDS: Final = 30.0
"""How long one question to a store that is away may take: the account of a run is not worth more."""


class RunCommand(click.Command):
    """Everything behind ``--`` is the program; that ``--`` is never left out, so no option is taken for the other's.

    ``trainpoint run app FILE`` is a command of its own.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["app"]:
            from trainpoint.cli.run_app import run_app

            return run_app.make_context(f"{info_name} app", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" not in args and not set(args) & set(ctx.help_option_names):
            options, program = self._split(ctx, args)
            example = " ".join(["trainpoint run", *options, "--", *(program or ["python", "train.py"])])
            raise click.UsageError(f"-- is missing before the program; write: {example}", ctx)
        at = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:at])
        ctx.params["command"] = tuple(args[at + 1 :])
        if not ctx.params["command"]:
            raise click.UsageError("there is no program behind --; write: trainpoint run -- python train.py", ctx)
        return rest

    def _split(self, ctx: click.Context, args: list[str]) -> tuple[list[str], list[str]]:
        parser = self.make_parser(ctx)
        parser.allow_interspersed_args = False
        _, program, _ = parser.parse_args(list(args))
        return args[: len(args) - len(program)], program

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "--", "PROGRAM", "[ARGS]..."]


def _name(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A name that was typed: a mistake in it is one of the command line."""
    try:
        return value if value is None else check_name(str(parameter.name), value)
    except IdentityError as error:
        raise click.BadParameter(error.message, ctx, parameter) from None


@click.command(cls=RunCommand, short_help="Run a program; start it again when it fails.")
@click.option("--retries", type=click.IntRange(0, 1000), help="Failures without progress that are followed by a retry.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A CheckpointPolicy: what to load, when to save, how often to retry.",
)
@click.option("--run", callback=_name, metavar="NAME", help="Go on with this run; a new one by default.")
@click.option("--workflow", callback=_name, metavar="NAME", help="The training program; the script's name by default.")
@click.option(
    "--task",
    callback=_name,
    metavar="NAME",
    help="Name of the step of the run; main by default. With --resume: only this step goes on.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    metavar="[RUN]",
    help="Start a new run from the checkpoints of an earlier one: RUN, workflow/RUN, or latest, the newest of yours "
    "that has a checkpoint.",
)
@click.option("--store", metavar="URL", help="Where checkpoints lie: s3://bucket/prefix, file:///path or a path.")
@click.option(
    "--load-policy",
    type=click.Choice(["fresh", "eager", "none"]),
    help="What an attempt starts from: this run's own checkpoints, also those of an earlier run, or nothing.",
)
@click.option("--takeover", is_flag=True, help="Claim the task although its holder cannot be seen to be gone.")
@click.pass_context
def run(ctx: click.Context, /, command: tuple[str, ...], resume: str | None, **options: Any) -> None:
    """Run a program; start it again when it fails.

    The program gets a name under which it may save, and each start resumes from its newest checkpoint. Without
    --retries and --policy it is started once. Ctrl-C asks it to save and stop, a second one kills it. The exit code is
    that of the last process, 128 + n if signal n killed it.

    `trainpoint run app FILE` runs an app of trainpoint.app; its options are its own.
    """
    supervise(ctx, command, lambda given: again_command(given, command), RunOptions(**options), resume=resume)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command lines of a program and of an app have in common."""

    retries: int | None
    policy: Path | None
    run: str | None
    workflow: str | None
    task: str | None
    store: str | None
    load_policy: str | None
    takeover: bool


def supervise(
    ctx: click.Context,
    command: tuple[str, ...],
    again: Callable[[list[str]], str],
    options: RunOptions,
    *,
    resume: str | None = None,
) -> None:
    """Run ``command`` to its end, and end with its exit code.

    Args:
        again: the line for a shell that goes on with this run; it gets the options to begin with.
    """
    environ = dict(os.environ)
    chance, clock = SystemChance(), SystemClock()
    named_workflow = options.workflow or environ.get(ENV_WORKFLOW) or workflow_of(command)
    named_run = options.run or environ.get(ENV_RUN)
    settings = policy_settings(options.policy, environ)
    retry = settings.retry if settings else RetrySettings(backoff_base_seconds=LOCAL_BACKOFF_BASE_SECONDS)
    url = options.store or environ.get(ENV_STORE) or DEFAULT_STORE
    try:
        opened = open_store(url, environ=environ, deadline=STORE_SECONDS, clock=clock, chance=chance)
    except StoreUrlError as error:
        if options.store is None:
            raise
        raise click.BadParameter(f"{error.message}; {error.remedy}", ctx, param_hint="--store") from None
    if opened.url.startswith("memory:"):
        raise click.UsageError("a memory:// store ends with its process; a run needs one that stays", ctx)
    run_name = named_run or new_run(named_workflow, chance)
    catalog = BucketCatalog(opened, clock=clock, chance=chance)
    if resume is not None:
        who = environ.get(ENV_OWNER) or login_name()
        try:
            found = origin(catalog, resume, workflow=named_workflow, owner=who, task=options.task or "")
        except NoOriginError as error:
            raise click.BadParameter(str(error), ctx, param_hint="--resume") from None
        say(f"run {run_name} goes on from {found.text}")
        environ[ENV_RESUME_FROM] = found.request
        options = replace(
            options, task=None
        )  # it says which step goes on; what they are called is the program's affair
    once = environ.pop(ENV_TAKEOVER, "") not in ("", "0")
    environ.update({ENV_WORKFLOW: named_workflow, ENV_RUN: run_name, ENV_STORE: opened.url})
    environ.update({ENV_OWNER: environ.get(ENV_OWNER) or login_name()})
    said = ((ENV_TASK, options.task), (ENV_LOAD_POLICY, options.load_policy))
    environ.update({name: value for name, value in said if value})
    policy = str(options.policy) if options.policy else None
    words = {
        "workflow": options.workflow,
        "task": options.task,
        "store": options.store,
        "policy": policy,
        "load-policy": options.load_policy,
        "retries": None if options.retries is None else str(options.retries),
        "run": run_name,
    }
    given = [part for name, word in words.items() if word for part in (f"--{name}", word)]
    with tempfile.TemporaryDirectory(prefix="trainpoint-run-") as private:
        if policy and settings is not None:
            compiled = Path(private, "policy.json")
            compiled.write_text(to_json(settings), encoding="utf-8")
            environ[ENV_POLICY] = str(compiled)
        launch = Launch(
            command=command,
            environ=environ,
            workflow=named_workflow,
            run=run_name,
            again=again(given),
            settings=retry if options.retries is None else with_retries(retry, options.retries),
            retries=options.retries != 0 and (options.retries is not None or settings is not None),
            takeover=options.takeover or once,
            existing=named_run is not None,
        )
        supervisor = Supervisor(
            launch=launch,
            catalog=catalog,
            progress=Progress(Path(private, "progress")),
            clock=clock,
            chance=chance,
        )
        code = supervisor.run()
    ctx.exit(code)


def workflow_of(command: tuple[str, ...]) -> str:
    """The script's name, else the program's: the first argument that ends in ``.py`` names the workflow."""
    script = next((part for part in command if part.endswith(".py")), command[0])
    return suggest_name(Path(script).name.removesuffix(".py"))


def policy_settings(path: Path | None, environ: Mapping[str, str]) -> PolicySettings | None:
    """The policy in force: the file that was named, else the compiled one that the environment names; None without."""
    if path is not None:
        from trainpoint.cli.policyfile import load_policy_file

        return load_policy_file(path)
    compiled = environ.get(ENV_POLICY)
    if not compiled:
        return None
    try:
        return from_json(Path(compiled).read_bytes(), where=compiled)
    except OSError as error:
        raise PolicyFileError(
            f"{ENV_POLICY}={compiled} cannot be read: {error.strerror}", remedy="unset it, or pass --policy FILE"
        ) from None
