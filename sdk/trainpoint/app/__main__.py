"""``python -m trainpoint.app FILE``: one start of an app in this process. ``trainpoint run app`` supervises it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from trainpoint.app.loop import run_app
from trainpoint.app.program import load_app
from trainpoint.handle import exits


def main(arguments: list[str]) -> None:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="python -m trainpoint.app", description="Run an app once, unsupervised.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--checkpoint", help="latest, a path or a name")
    parser.add_argument("--checkpoint-from", metavar="WORKFLOW", help="whose checkpoints are meant")
    parser.add_argument("--non-strict", action="store_true", help="drop what the code has no place for")
    given = parser.parse_args(arguments[:at])
    exits.install()
    sys.argv = [str(given.file), *arguments[at + 1 :]]
    run_app(
        load_app(given.file),
        checkpoint=given.checkpoint,
        checkpoint_from=given.checkpoint_from,
        strict=not given.non_strict,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
