"""File systems that are full or read-only: real ones, in a mount namespace of a subprocess."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEADLINE_SECONDS = 60.0
_ROOT = Path(__file__).parents[2]


def run_with_mounts(mounts: str, program: str, *arguments: str) -> str:
    """Run a Python program where the shell commands ``mounts`` have mounted what it needs; returns its output.

    The test fails where the machine allows no mount namespaces, and says what is missing. Root's own rights do not
    matter there: a full or read-only file system refuses root too.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.fail("the command unshare is missing: apt-get install util-linux")
    namespaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    allowed = subprocess.run([unshare, *namespaces, "true"], capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    if allowed.returncode:
        pytest.fail(
            f"mount namespaces are not permitted here (sysctl kernel.unprivileged_userns_clone): {allowed.stderr}"
        )
    done = subprocess.run(
        [unshare, *namespaces, "sh", "-ec", f'{mounts}\nexec "$0" -c "$@"', sys.executable, program, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        cwd=_ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
