"""The repository as a whole: what must never stand in it, and what a clean checkout relies on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from tests.support.repository import ROOT, project_files

REGISTRIES = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in [
            ("pypi", "org"),
            ("files", "pythonhosted", "org"),
            ("proxy", "golang", "org"),
            ("registry", "npmjs", "org"),
            ("repo1", "maven", "org"),
            ("deb", "debian", "org"),
        ]
    )
)
"""Put together from parts, so that this file does not name them either."""

MACHINE_PATH = re.compile(r"(?<![\w.}~-])/(?:work|root|farm|Users|home/(?!(?:me|ada)\b))[/\w]")
"""Absolute paths of somebody's machine. ``/home/me`` is the reader's home in examples, ``/home/ada`` one in tests."""

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
every_lock = pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.name)


def text_of(path: Path) -> str:
    """The file as text; empty for a binary one."""
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode("utf-8", errors="replace")


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in project_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert not lines_with(REGISTRIES)


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert not lines_with(MACHINE_PATH)


def test_the_patterns_find_what_they_are_meant_to_find() -> None:
    assert REGISTRIES.search("https://" + "files.python" + "hosted.org/packages/x.whl")
    for parts in (["", "work", "main"], ["", "root", ".cache"], ["", "home", "grace", "x"]):
        path = "/".join(parts)
        assert MACHINE_PATH.search(f"cd {path}")
    for harmless in ("file:///home/me/.trainpoint", "docs/work/x", "~/work/x", "{root}/work/x"):
        assert not MACHINE_PATH.search(harmless)


def test_there_are_locked_requirements() -> None:
    assert [p.name for p in LOCKS] == ["dev.txt", "oldest.txt"]


@every_lock
def test_locked_requirements_name_no_url_and_no_index(lock: Path) -> None:
    lines = lock.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or " @ " in line]
    assert not [line for line in lines if line.lstrip().startswith("-") and not line.lstrip().startswith("--hash=")]


@every_lock
def test_every_locked_requirement_has_one_version_and_a_hash(lock: Path) -> None:
    joined = re.sub(r"\\\n", " ", lock.read_text(encoding="utf-8"))
    requirements = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(requirements) > 10
    for requirement in requirements:
        assert re.match(r"[a-z0-9.-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", requirement), requirement[:80]


def locked_names(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+)==", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))


def test_the_lock_has_every_requirement_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=!~ \[;]", w, maxsplit=1)[0].lower().replace("_", "-") for w in wanted}
    assert names <= locked_names(ROOT / "requirements" / "dev.txt"), "run: make lock"


def test_pythons_own_operator_module_stays_reachable_from_the_root() -> None:
    """``operator/`` and ``sdk/`` are folders: with an ``__init__.py`` the first would hide the standard library's."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "sdk" / "__init__.py").exists()
    program = "import operator, sys; print(operator.add(2, 3), operator.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 ")
    assert str(ROOT) not in done.stdout


@pytest.mark.parametrize("package", ["sdk/trainpoint", "operator/trainpoint_operator"])
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Names of the files in the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        return frozenset(archive.namelist())


def test_the_wheel_holds_every_source_file_of_both_packages(wheel: frozenset[str]) -> None:
    folders = (ROOT / "sdk", ROOT / "operator")
    tracked = {p.relative_to(f).as_posix() for p in project_files() for f in folders if p.is_relative_to(f)}
    assert {"trainpoint/py.typed", "trainpoint_operator/py.typed", "trainpoint/errors/base.py"} <= tracked
    assert any(re.fullmatch(r"trainpoint/api/schema/\w+\.json", name) for name in tracked)
    packaged = {name for name in wheel if ".dist-info/" not in name}
    assert packaged == tracked


def test_the_wheel_has_the_licence_and_the_command(wheel: frozenset[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)


def test_the_sdist_holds_what_it_takes_to_test_it(tmp_path: Path) -> None:
    (path,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {p.relative_to(ROOT).as_posix() for p in project_files()}
    assert not tracked - names - {".gitignore"}, "add the folder to the include list in pyproject.toml"
    assert names - tracked == {"PKG-INFO"}


def test_continuous_integration_runs_what_a_person_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [
        line
        for line in script.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["exec make test"]


def test_every_target_that_the_documents_name_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    named = {
        target for page in pages for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"))
    }
    assert {"demo", "test"} <= named <= targets


def test_every_link_between_documents_leads_to_a_file() -> None:
    pages = [p for p in project_files() if p.suffix == ".md"]
    dead = [
        f"{page.relative_to(ROOT)} → {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not dead


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    docs = ROOT / "docs"
    linked = set(re.findall(r"\]\(([^)#\s]+)\)", (docs / "index.md").read_text(encoding="utf-8")))
    pages = {p.relative_to(docs).as_posix() for p in docs.rglob("*.md")} - {"index.md"}
    assert len(pages) > 8
    assert not pages - linked
