"""What ``import trainpoint`` costs in a fresh interpreter, and what it could not cost less.

    python -m benchmarks.import_time

The floor is what any such library would import: obstore, blake3, and the modules of the standard library that
trainpoint uses. Figures are above an interpreter that imports nothing, file caches warm; the best of the repeats, since
other work on the machine only ever adds time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

STANDARD = (
    "bisect, contextlib, dataclasses, datetime, errno, fcntl, fnmatch, itertools, json, logging, os, pathlib, random, "
    "re, secrets, signal, stat, subprocess, threading, typing"
)

STATEMENTS = {
    "nothing": "",
    "floor": f"import obstore, obstore.store, blake3, {STANDARD}",
    "import trainpoint": "import trainpoint",
    "and a handle": "from trainpoint import Checkpoint",
}


def seconds(statement: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description="What importing costs.")
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    found: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(repeats + 1):
        for name, statement in STATEMENTS.items():
            found[name].append(seconds(statement))
    best = {name: min(times[1:]) for name, times in found.items()}  # the first fills caches
    print(f"best of {repeats}, above an empty interpreter ({best['nothing'] * 1000:.0f} ms)\n")
    print("| | ms |")
    print("|---|---|")
    for name in list(STATEMENTS)[1:]:
        print(f"| {name} | {(best[name] - best['nothing']) * 1000:.0f} |")


if __name__ == "__main__":
    main()
