"""How long ``import trainpoint`` takes, against the floor of what it cannot do without.

    python -m benchmarks.import_time

Each figure is the best of several fresh interpreters, with compiled files in place: other work only ever adds time. The
floor is the import of obstore, blake3 and the modules of the standard library that trainpoint uses.
"""

from __future__ import annotations

import json
import subprocess
import sys

REPEATS = 12
GOAL_MILLISECONDS = 100


def fresh(program: str) -> str:
    """What a program prints in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def milliseconds(statement: str) -> float:
    """The best time of ``statement`` in a fresh interpreter."""
    program = f"import time\nbegun = time.perf_counter()\n{statement}\nprint(time.perf_counter() - begun)"
    return 1000 * min(float(fresh(program)) for _ in range(REPEATS))


def needed() -> list[str]:
    """The modules from elsewhere that ``import trainpoint`` loads, in that order."""
    program = (
        "import json, sys\nbefore = set(sys.modules)\nimport trainpoint\n"
        "print(json.dumps([m for m in sys.modules if m not in before and m.split('.')[0] != 'trainpoint']))"
    )
    found: list[str] = json.loads(fresh(program))
    return found


def main() -> None:
    modules = needed()
    whole = milliseconds("import trainpoint")
    floor = milliseconds("import importlib\nfor name in " + repr(modules) + ":\n    importlib.import_module(name)")
    print(f"import trainpoint   {whole:6.1f} ms   (goal {GOAL_MILLISECONDS} ms)")
    print(f"of it, others       {floor:6.1f} ms   (obstore, blake3 and the standard library: {len(modules)} modules)")


if __name__ == "__main__":
    main()
