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
OPERATOR = ROOT / "operator" / "trainpoint_operator"

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

OPERATOR_LEVELS: tuple[frozenset[str], ...] = tuple(
    frozenset(level.split())
    for level in (
        "conditions views options logs",
        "decisions engine pods",
        "buckets probe verify inventory metrics",
        "context",
        "reconcile routes shell health",
        "main",
        "__main__",
    )
)
NOT_FOR_THE_OPERATOR = frozenset({"handle", "cli", "app", "integrations"})
"""What users of the SDK see: the operator takes the rooms beneath."""

PURE = ("api", "format", "policies")
IO_MODULES = frozenset(
    {"asyncio", "concurrent", "fcntl", "glob", "http", "io", "mmap", "multiprocessing", "obstore", "os", "pathlib"}
    | {"select", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "urllib"}
)
CHANCE_AND_TIME = frozenset({"random", "secrets", "time", "uuid"})
"""A decision is told what time it is and what was drawn."""


@dataclass(frozen=True)
class Import:
    """One import statement of a source file of a package: the SDK's, or the operator's."""

    path: Path
    line: int
    module: str
    package: Path = SDK

    @property
    def importer(self) -> str:
        return self.path.relative_to(self.package).parts[0].removesuffix(".py")

    @property
    def room(self) -> str:
        """The room of the same package that is imported; empty for modules from elsewhere."""
        return self.room_of(self.package.name)

    def room_of(self, package: str) -> str:
        parts = self.module.split(".")
        return parts[1] if parts[0] == package and len(parts) > 1 else ""

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"


def imports_of(path: Path, package: Path = SDK) -> Iterator[Import]:
    """All of them, also those inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, alias.name, package) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the room"
            if node.module in ("trainpoint", "trainpoint_operator"):
                yield from (Import(path, node.lineno, f"{node.module}.{alias.name}", package) for alias in node.names)
            else:
                yield Import(path, node.lineno, node.module or "", package)


FILES = sorted(SDK.rglob("*.py"))
IMPORTS = [i for path in FILES if path != SDK / "__init__.py" for i in imports_of(path)]
OPERATOR_FILES = sorted(OPERATOR.rglob("*.py"))
OPERATOR_IMPORTS = [
    i for path in OPERATOR_FILES if path != OPERATOR / "__init__.py" for i in imports_of(path, OPERATOR)
]


def level_of(room: str, levels: tuple[frozenset[str], ...] = LEVELS) -> int:
    found = [number for number, rooms in enumerate(levels) if room in rooms]
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


# --- the operator -----------------------------------------------------------------------------------------------------


def test_a_room_of_the_operator_imports_only_from_rooms_beneath_it() -> None:
    rooms = {p.relative_to(OPERATOR).parts[0].removesuffix(".py") for p in OPERATOR_FILES} - {"__init__"}
    assert rooms == frozenset().union(*OPERATOR_LEVELS), "give a new room its level in OPERATOR_LEVELS"
    upwards = [
        str(i)
        for i in OPERATOR_IMPORTS
        if i.room
        and i.room != i.importer
        and level_of(i.room, OPERATOR_LEVELS) >= level_of(i.importer, OPERATOR_LEVELS)
    ]
    assert not upwards


def test_the_operator_does_not_use_what_is_made_for_users_of_the_sdk() -> None:
    assert len(OPERATOR_IMPORTS) > 100
    assert not [str(i) for i in OPERATOR_IMPORTS if i.room_of("trainpoint") in NOT_FOR_THE_OPERATOR]


def test_decisions_of_the_operator_do_no_io_and_are_told_the_time() -> None:
    mine = [i for i in OPERATOR_IMPORTS if i.importer in ("decisions", "conditions", "views")]
    assert not [str(i) for i in mine if i.module.split(".")[0] in IO_MODULES | CHANCE_AND_TIME | {"aiohttp", "kopf"}]
    assert not [str(i) for i in mine if i.room_of("trainpoint") in ("store", "catalog", "transfer", "claim", "context")]
    clocks = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in OPERATOR_FILES
        if path.is_relative_to(OPERATOR / "decisions")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name | ast.Attribute) and asks_a_clock(node)
    ]
    assert not clocks


def asks_a_clock(node: ast.Name | ast.Attribute) -> bool:
    """``datetime.now``, ``clock.monotonic`` or a clock itself; ``i.now`` is a member of a decision's input."""
    if isinstance(node, ast.Name):
        return node.id in ("SystemClock", "SystemChance")
    ours = isinstance(node.value, ast.Name) and node.value.id == "i"
    return node.attr in ("now", "utcnow", "today", "monotonic") and not ours


# --- what it costs ----------------------------------------------------------------------------------------------------


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
