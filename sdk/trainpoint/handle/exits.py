"""How an error of ours ends the process: a text without a stack trace, and the exit code that the error carries.

Python ends with 1 whatever was raised. A job needs 86 for what no retry can mend, and 87 for an overtaken writer, so
the hook for uncaught exceptions is wrapped once, when the first handle of a script opens. Interactive sessions keep
theirs.
"""

from __future__ import annotations

import sys
from types import TracebackType

from trainpoint.errors import TrainpointError

_installed = False


def install() -> None:
    """Wrap ``sys.excepthook``; once, and never in an interactive session."""
    global _installed
    if _installed or hasattr(sys, "ps1") or sys.flags.interactive:
        return
    _installed = True
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, TrainpointError):
            previous(kind, error, trace)
            return
        sys.stderr.write(error.report() + "\n")
        place = _users_line(trace)
        if place:
            sys.stderr.write(f"    raised at {place}\n")
        sys.stderr.flush()
        raise SystemExit(error.exit_code)  # the one way for a hook to choose the exit code

    sys.excepthook = hook


def _users_line(trace: TracebackType | None) -> str:
    """``train.py:12``: the innermost line that is not ours."""
    import traceback  # only now: most programs never fail

    for frame in reversed(traceback.extract_tb(trace)):
        if "/trainpoint/" not in frame.filename and not frame.filename.startswith("<"):
            return f"{frame.filename}:{frame.lineno}"
    return ""
