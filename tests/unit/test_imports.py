"""What importing costs, and which room may import from which (CONTRIBUTING.md draws the rooms)."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.repository import ROOT

SDK = ROOT / "sdk" / "trainpoint"

NOT_AT_IMPORT = (
    "kubernetes", "minio", "kopf", "click", "rich", "yaml", "jsonschema", "asyncio", "numpy", "torch",
)  # fmt: skip
"""Too slow or too large for every training script that only writes ``import trainpoint``."""

LEVELS: tuple[frozenset[str], ...] = tuple(
    frozenset(level.split())
    for level in (
        "api errors clock",
        "policies identity pod contract store format",
        "catalog transfer",
        "cluster",
        "claim",
        "context",
        "testing",
        "handle",
        "app integrations",
        "cli",
    )
)
"""From the bottom to the top. ``testing`` may use anything beneath the handle."""

PURE = ("api", "format", "policies")
IO_MODULES = frozenset(
    {"asyncio", "concurrent", "fcntl", "glob", "http", "io", "mmap", "multiprocessing", "obstore", "os", "pathlib"}
    | {"select", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "urllib"}
)
CHANCE_AND_TIME = frozenset({"random", "secrets", "time", "uuid"})
"""A decision is told what time it is and what was drawn."""


@dataclass(frozen=True)
class Import:
    """One import statement of a source file of the SDK."""

    path: Path
    line: int
    module: str

    @property
    def importer(self) -> str:
        return self.path.relative_to(SDK).parts[0].removesuffix(".py")

    @property
    def room(self) -> str:
        """The room that is imported; empty for modules from elsewhere."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == "trainpoint" and len(parts) > 1 else ""

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"


def imports_of(path: Path) -> Iterator[Import]:
    """All of them, also those inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the room"
            if node.module == "trainpoint":
                yield from (Import(path, node.lineno, f"trainpoint.{alias.name}") for alias in node.names)
            else:
                yield Import(path, node.lineno, node.module or "")


FILES = sorted(SDK.rglob("*.py"))
IMPORTS = [i for path in FILES if path != SDK / "__init__.py" for i in imports_of(path)]


def level_of(room: str) -> int:
    found = [number for number, rooms in enumerate(LEVELS) if room in rooms]
    assert found, f"the room {room!r} has no level yet; give it one in LEVELS"
    return found[0]


def test_every_file_of_the_sdk_belongs_to_a_room() -> None:
    rooms = {p.relative_to(SDK).parts[0].removesuffix(".py") for p in SDK.rglob("*.py")} - {"__init__"}
    assert rooms <= frozenset().union(*LEVELS), "a new room has no level yet; give it one in LEVELS"


def test_a_room_imports_only_from_rooms_beneath_it() -> None:
    upwards = [str(i) for i in IMPORTS if i.room and level_of(i.room) > level_of(i.importer)]
    assert not upwards


def test_no_two_rooms_import_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for i in IMPORTS:
        if i.room and i.room != i.importer:
            graph.setdefault(i.importer, set()).add(i.room)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these rooms import each other in a circle: {' → '.join(error.args[1])}")


def test_nothing_in_the_sdk_imports_its_public_face_or_the_operator() -> None:
    assert not [str(i) for i in IMPORTS if i.module in ("trainpoint", "trainpoint_operator")]
    assert not [str(i) for i in IMPORTS if i.module.startswith("trainpoint_operator.")]


def test_api_format_and_policies_do_no_io() -> None:
    assert not [str(i) for i in IMPORTS if i.importer in PURE and i.module.split(".")[0] in IO_MODULES]


def test_policies_are_told_the_time_and_what_was_drawn() -> None:
    assert not [str(i) for i in IMPORTS if i.importer == "policies" and i.module.split(".")[0] in CHANCE_AND_TIME]


def test_only_the_cli_imports_the_libraries_of_the_cli() -> None:
    cli_only = {"click", "rich", "yaml", "jsonschema"}
    assert not [str(i) for i in IMPORTS if i.importer != "cli" and i.module.split(".")[0] in cli_only]


def loaded_by(statement: str) -> set[str]:
    """Names of all modules that a fresh interpreter has after ``statement``."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_importing_trainpoint_loads_nothing_heavy() -> None:
    loaded = loaded_by("import trainpoint") | loaded_by("from trainpoint import *")
    assert not loaded & set(NOT_AT_IMPORT)


def test_importing_the_handle_loads_nothing_heavy() -> None:
    assert not loaded_by("from trainpoint import Checkpoint") & set(NOT_AT_IMPORT)


def imported_at_once(tree: ast.AST) -> Iterator[str]:
    """Modules of trainpoint that a module imports when it is imported itself: not in functions or for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)  # perhaps a module, perhaps a name
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from (name for other in node.orelse for name in imported_at_once(other))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported_at_once(node)


def test_no_two_modules_import_each_other_so_that_each_can_be_imported_first() -> None:
    files = {".".join(p.relative_to(SDK.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}
    graph = {
        name: {m for m in imported_at_once(ast.parse(path.read_text(encoding="utf-8"))) if m in files} - {name}
        for name, path in files.items()
    }
    assert sum(map(len, graph.values())) > 100
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these modules import each other in a circle: {' → '.join(error.args[1])}")
