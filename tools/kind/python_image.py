"""What the project's images are built upon where no image can be pulled: a Python of Debian's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tools.kind.commands import run
from tools.kind.debian import write_tree
from tools.kind.engine import Engine
from tools.kind.made import key_of, made
from tools.kind.node_image import has_image
from tools.kind.places import Places, pins

# As the usual Python images: `python` is there, and pip may install.
_HOOK: Final = 'ln -s python3 "$1"/usr/bin/python; rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED'


def base_name() -> str:
    return f"trainpoint-test/python:{pins()['PYTHON_VERSION']}"


def base_image(places: Places, engine: Engine) -> None:
    """``base_name()`` in the engine."""
    here = Path(__file__)
    key = key_of(pins()["PYTHON_SUITE"], pins()["PYTHON_PACKAGES"], here, here.with_name("debian.py"))
    tree = made(
        places, "python.tar", key,
        lambda out: write_tree(out, pins()["PYTHON_SUITE"], pins()["PYTHON_PACKAGES"], hook=_HOOK),
    )  # fmt: skip
    if not has_image(engine, base_name(), key):
        changes = ("--change", "ENV LANG=C.UTF-8", "--change", f"LABEL key={key}", "--change", 'CMD ["python3"]')
        run("docker", "import", *changes, tree, base_name(), env=engine.env())
