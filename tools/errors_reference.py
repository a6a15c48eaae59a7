"""Write docs/reference/errors.md from the docstrings of trainpoint.errors (``--check``: say whether it is current)."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that it runs as a script from anywhere

from tools.page import write_or_check
from trainpoint.errors import (
    EXIT_PREEMPTED,
    EXIT_REFUSED,
    EXIT_RETRY,
    EXIT_SUPERSEDED,
    EXIT_USAGE,
    TrainpointError,
    error_classes,
)

TARGET = Path(__file__).parent.parent / "docs" / "reference" / "errors.md"

HEAD = f"""\
# Errors

<!-- Written by tools/errors_reference.py from sdk/trainpoint/errors/; change it there and run `make generate`. -->

Every error that trainpoint raises on purpose is a `TrainpointError` with a code. `trainpoint explain CODE` prints the
entry of that code. In Python, each class is importable from `trainpoint` and can also be caught as the builtin
named with it.

What the exit code of a job's process says:

| exit code | meaning |
|---|---|
| {EXIT_RETRY} | another start may succeed: storage, network, credentials, a task that somebody else is writing |
| {EXIT_USAGE} | the command line or a policy file is wrong |
| {EXIT_REFUSED} | no other start can mend it: do not retry |
| {EXIT_SUPERSEDED} | a newer attempt has taken over; nothing is wrong with the run |
| {EXIT_PREEMPTED} | ended by SIGTERM, after the final save |
"""


def entry(cls: type[TrainpointError]) -> str:
    """The section of one error: code, name, what else it can be caught as, exit code, what it means and what to do."""
    caught_as = [
        f"`{base.__name__}`"
        for base in cls.__mro__[1:]
        if base not in (TrainpointError, Exception, BaseException, object)
    ]
    facts = f"Exit code {cls.exit_code}." + (f" Also caught as {', '.join(caught_as)}." if caught_as else "")
    text = inspect.cleandoc(cls.__doc__ or "").replace("``", "`")
    return f"## {cls.code} {cls.__name__}\n\n{facts}\n\n{text}\n"


def reference() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(entry(cls) for cls in error_classes().values())])


def main(arguments: list[str]) -> int:
    return write_or_check(TARGET, reference(), source="sdk/trainpoint/errors/ says", arguments=arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
