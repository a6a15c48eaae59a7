"""Build the project's images from its Dockerfiles, with this checkout's code.

    python tools/images.py trainer --tag registry.example/trainpoint:dev

The base image is an argument (--base). Where the engine reaches no package index, --wheels names a folder with the
wheels of the image's requirements.txt. Only the standard library is used here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = ROOT / "images"


class BuildError(RuntimeError):
    """An image or wheel could not be built; the message ends with what the builder said."""


def build_wheel(out: Path) -> Path:
    """The project's wheel from the working tree; the same tree gives the same bytes."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": "315532800"}  # 1980, the first year that zip files know
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], env=env)
    return next(out.glob("trainpoint-*.whl"))


def build_image(
    name: str, tag: str, *, wheel: Path, base: str | None = None, wheels: Path | None = None, env: Mapping[str, str]
) -> None:
    """Build ``images/<name>/Dockerfile`` as ``tag`` with the ``docker`` that ``env`` finds."""
    with tempfile.TemporaryDirectory(prefix="trainpoint-image-") as scratch:
        context = Path(scratch)
        shutil.copytree(IMAGES / name, context, dirs_exist_ok=True)
        for folder, files in (("wheel", [wheel]), ("wheels", sorted(wheels.glob("*.whl")) if wheels else [])):
            (context / folder).mkdir()
            for file in files:
                shutil.copy2(file, context / folder)
        arguments = {"BASE": base, "PIP_NO_INDEX": "1" if wheels else None}
        docker_build(context, tag, arguments, env=env)


def docker_build(context: Path, tag: str, arguments: Mapping[str, str | None], *, env: Mapping[str, str]) -> None:
    """``docker build`` of a context with a Dockerfile; arguments that are None are left at their defaults."""
    given = [word for name, value in arguments.items() if value for word in ("--build-arg", f"{name}={value}")]
    _run(["docker", "build", "--quiet", "--tag", tag, *given, str(context)], env=env)


def _run(command: list[str], *, env: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=dict(env), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build one of the project's images with docker.")
    parser.add_argument("image", choices=sorted(path.parent.name for path in IMAGES.glob("*/Dockerfile")))
    parser.add_argument("--tag", required=True)
    parser.add_argument("--base", help="the image it builds upon (the Dockerfile's default)")
    parser.add_argument(
        "--wheels", type=Path, help="folder with the wheels of its requirements.txt, for builds offline"
    )
    wanted = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="trainpoint-wheel-") as scratch:
            wheel = build_wheel(Path(scratch))
            build_image(wanted.image, wanted.tag, wheel=wheel, base=wanted.base, wheels=wanted.wheels, env=os.environ)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
