"""The public surface of the SDK, as its sources have it: names, arguments, types and docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Final, Literal

import trainpoint
import trainpoint.testing
from trainpoint import identity
from trainpoint.catalog import base
from trainpoint.clock import Chance, Clock
from trainpoint.errors import TrainpointError
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Extent
from trainpoint.format.records import LoadedRecord, RunEndRecord, Skipped
from trainpoint.handle import arguments, lineage, load, reading, runs
from trainpoint.handle.decorator import CheckpointOptions
from trainpoint.handle.listing import CheckpointList
from trainpoint.handle.workflow import RunList
from trainpoint.policies import load as load_policies
from trainpoint.store.base import ObjectInfo

CHAPTERS: Final[dict[str, tuple[str, ...]]] = {
    "Training": ("Checkpoint", "checkpoint", "current", "Current"),
    "Checkpoints": ("CheckpointRef", "CheckpointInfo", "FileEntry", "LineageEntry"),
    "Workflows and their runs": ("Workflow", "Flow", "WorkflowRun", "RunStep", "RunTask", "Artifact"),
}
"""Every public name but the errors, in the order of the page."""
REACHED: Final = (
    CheckpointOptions,
    CheckpointList,
    RunList,
    LoadedRecord,
    Skipped,
    RunEndRecord,
    TaskPath,
    SnapshotId,
    Extent,
)
"""What methods take and return, and nobody imports: fields are API, and what makes a sequence."""
REACHED_IN_TESTS: Final = (ObjectInfo, Clock, Chance)
ALIASES: Final[dict[str, ModuleType]] = {
    "LoadPolicyArgument": load_policies,
    "IndexArgument": identity,
    "StrPath": reading,
    "Scalar": arguments,
    "Reference": load,
    "Mode": runs,
    "Status": base,
    "State": lineage,
}
"""Names that signatures use, with the modules that define them."""

SPECIAL: Final = frozenset(
    f"__{name}__" for name in ("enter", "exit", "getitem", "contains", "iter", "len", "bool", "eq", "hash", "str")
)
"""Special methods that programs rely on; the page shows those that have a docstring."""


@dataclass(frozen=True, slots=True)
class Member:
    """One thing of the surface."""

    owner: str
    """the class; empty for a name of the module"""
    name: str
    kind: Literal["class", "function", "method", "classmethod", "property", "attribute", "constant"]
    signature: str
    """as in the source, without ``self``, on one line"""
    doc: str

    @property
    def title(self) -> str:
        return f"{self.owner}.{self.name}" if self.owner else self.name


# --- reading the sources ----------------------------------------------------------------------------------------------


def members_of(cls: type) -> list[Member]:
    """The public members of a class, its own first, then those that it has from its bases, each in source order."""
    found: dict[str, Member] = {}
    for owner in cls.__mro__:
        if not owner.__module__.startswith("trainpoint."):
            continue
        for member in _own_members(owner, cls.__name__):
            found.setdefault(member.name, member)
    return list(found.values())


def _own_members(owner: type, name: str) -> Iterator[Member]:
    body = _class_node(owner).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _public(node.target.id):
            annotation = ast.unparse(node.annotation)
            if not annotation.startswith("ClassVar"):
                yield Member(name, node.target.id, "attribute", annotation, _text_of(following))
        elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
            yield from _set_in_init(node, name)
        elif isinstance(node, ast.FunctionDef) and _spoken(node):
            yield _method(node, name)


def _set_in_init(init: ast.FunctionDef, name: str) -> Iterator[Member]:
    """Public attributes of an instance: those with a type."""
    for node, following in zip(init.body, [*init.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute) and _public(node.target.attr):
            yield Member(name, node.target.attr, "attribute", ast.unparse(node.annotation), _text_of(following))


def _method(node: ast.FunctionDef, name: str) -> Member:
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    returns = ast.unparse(node.returns) if node.returns is not None else ""
    doc = ast.get_docstring(node) or ""
    if "property" in decorators:
        return Member(name, node.name, "property", returns, doc)
    if "contextlib.contextmanager" in decorators:
        returns = returns.replace("Iterator[", "AbstractContextManager[")
    kind: Literal["method", "classmethod"] = "classmethod" if "classmethod" in decorators else "method"
    return Member(name, node.name, kind, _call(node.args, returns, bound=True), doc)


def _call(arguments: ast.arguments, returns: str, *, bound: bool) -> str:
    """Arguments and result, spaced as in the source."""
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [*([None] * (len(plain) - len(arguments.defaults))), *arguments.defaults]
    parts = [_argument(argument, default) for argument, default in zip(plain, defaults, strict=True)]
    if arguments.posonlyargs:
        parts.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg:
        parts.append(f"*{_argument(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [_argument(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        parts.append(f"**{_argument(arguments.kwarg, None)}")
    return f"({', '.join(parts[1:] if bound else parts)})" + (f" -> {returns}" if returns else "")


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    text = argument.arg + (f": {ast.unparse(argument.annotation)}" if argument.annotation is not None else "")
    if default is None:
        return text
    return text + (" = " if argument.annotation is not None else "=") + ast.unparse(default)


def _spoken(node: ast.FunctionDef) -> bool:
    return node.name in SPECIAL or _public(node.name)


def _public(name: str) -> bool:
    return not name.startswith("_")


def _text_of(node: ast.stmt | None) -> str:
    """The string that stands beneath an attribute."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _class_node(cls: type) -> ast.ClassDef:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    return node


def class_member(cls: type) -> Member:
    """The class itself: how it is made where people make it, else nothing but its name."""
    node = _class_node(cls)
    doc = ast.get_docstring(node) or ""
    inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    return Member("", cls.__name__, "class", _call(inits[0].args, "", bound=True) if inits else "", doc)


def function_member(function: object, name: str) -> Member:
    """A function; of an overloaded one, the last definition, with the signatures of all."""
    module = inspect.getmodule(function)
    assert module is not None
    nodes = [n for n in ast.parse(inspect.getsource(module)).body if isinstance(n, ast.FunctionDef) and n.name == name]
    signatures = [_call(n.args, ast.unparse(n.returns) if n.returns else "", bound=False) for n in nodes]
    shown = signatures[:-1] or signatures
    return Member("", name, "function", f"\n{name}".join(shown), ast.get_docstring(nodes[-1]) or "")


def alias(name: str) -> Member:
    """A type that is defined as others."""
    body = ast.parse(inspect.getsource(ALIASES[name])).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return Member("", name, "constant", ast.unparse(node.value), _text_of(following))
    raise ValueError(f"{name} is not defined in {ALIASES[name].__name__}")


# --- the surface ------------------------------------------------------------------------------------------------------


def public(name: str) -> list[Member]:
    """What ``trainpoint.<name>`` is: itself, then its members."""
    value = getattr(trainpoint, name)
    if name == "Flow":
        return [
            Member("", name, "constant", "Workflow", "The same as `Workflow`, under the name that Metaflow has for it.")
        ]
    if isinstance(value, type):
        return [class_member(value), *members_of(value)]
    if inspect.isfunction(value):
        return [function_member(value, name)]
    return [Member("", name, "constant", type(value).__name__, "The one instance: `from trainpoint import current`.")]


def reached(cls: type) -> list[Member]:
    """A class that nobody imports, with its fields and special methods; of a Protocol, all methods."""
    protocol = getattr(cls, "_is_protocol", False)
    shown = [m for m in members_of(cls) if m.kind == "attribute" or m.name in SPECIAL or protocol]
    return [Member("", cls.__name__, "class", "", class_member(cls).doc), *shown]


def surface() -> dict[str, list[list[Member]]]:
    """Chapters of the page, each with its names, each with its members."""
    doubles = [getattr(trainpoint.testing, name) for name in trainpoint.testing.__all__]
    return {
        **{chapter: [public(name) for name in names] for chapter, names in CHAPTERS.items()},
        "What these take and return": [reached(cls) for cls in REACHED],
        "Types in signatures": [[alias(name)] for name in ALIASES],
        "trainpoint.testing": [
            *([class_member(double), *members_of(double)] for double in doubles),
            *(reached(cls) for cls in REACHED_IN_TESTS),
        ],
    }


def not_in_a_chapter() -> set[str]:
    """Public names that the page would miss."""
    named = {name for names in CHAPTERS.values() for name in names}
    return {name for name in trainpoint.__all__ if name not in named and not _is_error(getattr(trainpoint, name))}


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, TrainpointError)
