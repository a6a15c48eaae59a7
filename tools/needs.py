"""Say what a rung of the tests lacks, before it starts: ``python tools/needs.py s3``.

Exit code 0: all there. 1: not, and the sentence on stderr says what to install.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that it runs as a script from anywhere

from tools.kube import PROGRAMS, find_program
from tools.s3server import ServerError, find_weed


def s3() -> None:
    """A real S3 server."""
    find_weed()


def kube() -> None:
    """The programs of a Kubernetes API server."""
    for name in PROGRAMS:
        find_program(name)


def helm() -> None:
    """What renders and installs charts."""
    find_program("helm")


NEEDS: Mapping[str, Callable[[], object]] = {"s3": s3, "kube": kube, "helm": helm}


def main(names: list[str]) -> int:
    for name in names:
        try:
            NEEDS[name]()
        except ServerError as error:
            print(f"this rung needs a server: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
