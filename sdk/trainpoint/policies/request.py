"""A resume request: what a person wants a run to start from, by whatever way it was said. Pure.

It goes before the load policy, and it is sticky: ``policies.choice`` says what a later attempt makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from trainpoint.errors import IdentityError, InvalidArgumentError
from trainpoint.format.layout import TaskPath, check_name
from trainpoint.format.reference import parse_checkpoint_name
from trainpoint.policies.app_files import series_name, timestamp_of

SaidBy = Literal["Argument", "Environment", "Annotation", "Run"]
"""Who asked: the program, the environment, the pod's annotation, or ``spec.resumeFrom`` of the CheckpointRun."""
SOURCES: Final[dict[SaidBy, str]] = {
    "Argument": "the argument resume_from",
    "Environment": "TRAINPOINT_RESUME_FROM",
    "Annotation": "the annotation trainpoint.dev/resume-from",
    "Run": "spec.resumeFrom",
}
"""In words that a message can begin with; ``=`` and the request follow."""
SOURCES_OF_APPS: Final[dict[SaidBy, str]] = {
    "Argument": "--checkpoint",
    "Environment": "TRAINPOINT_CHECKPOINT",
    "Annotation": "the annotation trainpoint.dev/checkpoint",
}
"""The same, for what an app is to start from."""
EVERY_FORM: Final = "a checkpoint's name, workflow/run, workflow/run/task, latest, best or best:<metric>:<min|max>"

Kind = Literal["Checkpoint", "Run", "Latest", "Best"]


@dataclass(frozen=True, slots=True)
class Request:
    """One resume request, as it concerns one task."""

    text: str
    """in its one spelling: two that are equal ask for the same"""
    by: SaidBy
    kind: Kind
    workflow: str = ""
    """of a run that is named"""
    run: str = ""
    metric: str = ""
    """of ``best``; empty: the one of the policy"""
    mode: str = ""
    """``min`` or ``max``"""
    of_app: bool = False
    """it names the state of an app, in the words of apps: only those who run one can look it up"""

    @property
    def source(self) -> str:
        """``TRAINPOINT_RESUME_FROM=llm/run-7``"""
        return f"{(SOURCES_OF_APPS if self.of_app else SOURCES)[self.by]}={self.text}"

    @property
    def exact(self) -> bool:
        """It means one checkpoint, so that no other one stands in for it."""
        return self.kind in ("Checkpoint", "Best")


def parse_request(text: str, by: SaidBy, own: TaskPath) -> Request | None:
    """Read a request; None where it is not about this task (``workflow/run/task`` with another task).

    Args:
        own: the task that starts; a bare run is one of its workflow.

    Raises:
        InvalidArgumentError: it is none of the forms.
    """
    text = text.strip()
    if text == "latest":
        return Request(text, by, "Latest")
    word, _, rest = text.partition(":")
    if word == "best":
        metric, _, mode = rest.rpartition(":")
        if text != "best" and (not metric or mode not in ("min", "max")):
            raise _unreadable(text, by, "write best, best:<metric>:min or best:<metric>:max")
        return Request(text, by, "Best", metric=metric, mode=mode)
    if parse_checkpoint_name(text) is not None and "/" not in text:
        return Request(text, by, "Checkpoint")
    parts = text.split("/")
    if len(parts) == 1:
        parts = [own.workflow, text]
    if len(parts) > 3:
        raise _unreadable(text, by, f"write {EVERY_FORM}")
    try:
        for what, part in zip(("workflow", "run", "task"), parts, strict=False):
            check_name(what, part)
    except IdentityError as error:
        raise _unreadable(text, by, f"{error.message}; write {EVERY_FORM}") from None
    if len(parts) == 3 and parts[2] != own.task:
        return None
    return Request(f"{parts[0]}/{parts[1]}", by, "Run", workflow=parts[0], run=parts[1])


def _unreadable(text: str, by: SaidBy, remedy: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{SOURCES[by]}={text!r} names nothing to resume from", remedy=remedy)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said before the task was claimed; ``spec.resumeFrom`` is known only with the claim."""

    text: str
    by: SaidBy
    of_app: bool = False
    """as in :class:`Request`"""
    workflow: str = ""
    """of an app: whose checkpoints are meant; empty: its own"""

    def request(self, own: TaskPath) -> Request | None:
        """As it concerns ``own``; None where it is about another task. Raises InvalidArgumentError."""
        if not self.of_app:
            return parse_request(self.text, self.by, own)
        at = timestamp_of(self.text)
        name = self.text if at is None else series_name(at)
        text = f"{name} --checkpoint-from {self.workflow}" if self.workflow else name
        return Request(text, self.by, "Latest" if self.text == "latest" else "Checkpoint", of_app=True)


def first_of(*, argument: str | None, environment: str | None, annotation: str | None) -> Asked | None:
    """The argument, else the environment, else the annotation; None where nothing was asked for."""
    said: tuple[tuple[str | None, SaidBy], ...] = (
        (argument, "Argument"),
        (environment, "Environment"),
        (annotation, "Annotation"),
    )
    return next((Asked(text, by) for text, by in said if text and text.strip()), None)
