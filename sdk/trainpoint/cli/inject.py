"""``trainpoint inject``: a workload's manifest with the pod contract in it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from trainpoint.contract import inject as with_contract
from trainpoint.errors import InvalidArgumentError


@click.command()
@click.option("-f", "--filename", required=True, metavar="FILE", help="YAML or JSON; - for standard input.")
def inject(filename: str) -> None:
    """Print a Job, or another workload, with the lines by which its pods know who they are.

    Made for a pipe: trainpoint inject -f job.yaml | kubectl apply -f -
    """
    import yaml

    try:
        text = sys.stdin.read() if filename == "-" else Path(filename).read_text(encoding="utf-8")
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except OSError as error:
        raise click.BadParameter(f"{filename}: {error.strerror}", param_hint="-f") from None
    except yaml.YAMLError as error:
        raise click.BadParameter(f"{filename} is not YAML: {error}", param_hint="-f") from None
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise InvalidArgumentError(f"{filename} holds no manifest", remedy="pass the manifest of a Job")
    click.echo(yaml.safe_dump_all([_each(document) for document in documents], sort_keys=False), nl=False)


def _each(document: dict[str, object]) -> dict[str, object]:
    """A document without a pod template (a Service beside the Job, say) passes through."""
    try:
        return with_contract(document)
    except InvalidArgumentError:
        if document.get("kind") in ("Job", "CronJob", "JobSet", "Pod"):
            raise
        return document
