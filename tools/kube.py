"""Where the programs of Kubernetes lie that the tests start by themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.kind.places import Places
from tools.s3server import ServerError

ENV_FOLDER: Final = "TRAINPOINT_KUBE_BIN"
"""Another folder with these programs, such as that of an unpacked Kubernetes release."""
PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


def find_program(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """A program: from TRAINPOINT_KUBE_BIN, else from the test cluster's cache; ServerError says how to get it."""
    folder = Path(environ.get(ENV_FOLDER) or Places.of(environ).bin)
    if not os.access(folder / name, os.X_OK):
        raise ServerError(
            f"{name} is not in {folder}: `tools/kind/prepare` makes it, or set {ENV_FOLDER} to a folder that has it"
        )
    return folder / name
