"""Make everything that follows from ``crds/*.yaml``: Python types, the command line's schema, reference pages.

    python tools/generate.py            # write what has changed
    python tools/generate.py --check    # write nothing; exit 1 and name each file that is behind

The CRDs are written by hand and are the source of truth. A general code generator was tried (datamodel-code-generator
0.89): it names every struct by its field alone, so that a second kind's ``spec`` becomes ``Spec1``, types free-form
objects as ``Any``, and leaves descriptions on one line. Structural schemas have no references and no unions, so what
is needed fits on this page. Output depends on the input alone: same order, no dates, no paths.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 120
EXCLUDED_FROM_REFERENCE = ("apiVersion", "kind", "metadata")
FILE_KINDS = ("CheckpointPolicy",)
"""Kinds that the command line reads from files, and so checks against a schema without a cluster."""
LABELS = {
    "workflow": "the training program",
    "run": "one launch of it",
    "task": "one step of the run",
    "index": "which one of parallel copies; absent in a single one, and where a label has no room for it",
    "policy": "the CheckpointPolicy that the run follows, where it names one",
}
LABELED = ("Checkpoint", "CheckpointRun")
EXAMPLE_NAMES = {
    "Checkpoint": "llm-4c1d9e02ab-4da09133-1-17-4e8c1",
    "CheckpointRun": "llm-4c1d9e02ab-4da09133",
    "CheckpointStore": "main",
}

Schema = Mapping[str, Any]
"""One node of a structural schema."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The storage version of one CRD."""

    name: str
    plural: str
    group: str
    version: str
    short_names: tuple[str, ...]
    columns: tuple[Mapping[str, Any], ...]
    selectable: tuple[str, ...]
    schema: Schema
    file: str


def main() -> int:
    parser = argparse.ArgumentParser(description="Make what follows from crds/*.yaml.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is behind")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: the one this file is in)")
    arguments = parser.parse_args()
    behind = [path for path, text in outputs(arguments.root).items() if current(path) != text]
    for path in behind:
        name = path.relative_to(arguments.root)
        if arguments.check:
            sys.stderr.write(f"{name} is behind crds/; run: python tools/generate.py\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(outputs(arguments.root)[path], encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if behind and arguments.check else 0


def current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def outputs(root: Path) -> dict[Path, str]:
    """Every generated file with the text that it ought to have."""
    kinds = [read_kind(path) for path in sorted((root / "crds").glob("*.yaml"))]
    api = root / "sdk/trainpoint/api"
    files = {api / "types.py": every_type(kinds)}
    if conditions := [condition for kind in kinds for condition in _conditions(kind)]:
        if any(condition != conditions[0] for condition in conditions):
            raise SystemExit("the conditions of all kinds have to have the same fields")
        files[api / "types_condition.py"] = python_types([_class("Condition", (), conditions[0])])
    for kind in kinds:
        files[api / f"types_{kind.name.lower()}.py"] = python_types(list(_classes(kind.name, kind.schema, ())))
        if kind.name in FILE_KINDS:
            files[api / f"schema/{kind.plural}.json"] = json_schema(kind)
        files[root / f"docs/reference/{kind.name.lower()}.md"] = reference(kind)
    return files


def read_kind(path: Path) -> Kind:
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
    version = next(v for v in spec["versions"] if v["storage"])
    names = spec["names"]
    return Kind(
        name=names["kind"],
        plural=names["plural"],
        group=spec["group"],
        version=version["name"],
        short_names=tuple(names.get("shortNames", ())),
        columns=tuple(version.get("additionalPrinterColumns", ())),
        selectable=tuple(field["jsonPath"].removeprefix(".") for field in version.get("selectableFields", ())),
        schema=version["schema"]["openAPIV3Schema"],
        file=f"crds/{path.name}",
    )


# --- Python types -----------------------------------------------------------------------------------------------------


TYPES_DOCSTRING = '"""{} as YAML and JSON have it. Made from crds/ by tools/generate.py: do not edit."""'


def python_types(classes: list[str]) -> str:
    """A module of TypedDicts, inner ones first."""
    marks = {"Literal": "Literal[", "NotRequired": "NotRequired[", "TypedDict": "(TypedDict)"}
    used = [name for name, mark in marks.items() if any(mark in text for text in classes)]
    imports = ["", f"from typing import {', '.join(used)}"]
    if any("list[Condition]" in text for text in classes):
        imports += ["", "from trainpoint.api.types_condition import Condition"]
    name = classes[-1].partition("(")[0].removeprefix("class ")
    head = [TYPES_DOCSTRING.format(name), "", "from __future__ import annotations", *imports]
    return "\n".join([*head, *(f"\n\n{text}" for text in classes)]) + "\n"


def every_type(kinds: list[Kind]) -> str:
    """A module with the types of all kinds."""
    modules = {f"types_{kind.name.lower()}": list(_classes(kind.name, kind.schema, ())) for kind in kinds}
    if any(list(_conditions(kind)) for kind in kinds):
        modules["types_condition"] = ["class Condition("]
    lines = [TYPES_DOCSTRING.format("Every kind of the API"), "", "from __future__ import annotations", ""]
    every = []
    for module, classes in sorted(modules.items()):
        names = sorted(text.partition("(")[0].removeprefix("class ") for text in classes)
        every += names
        whole = f"from trainpoint.api.{module} import {', '.join(names)}"
        if len(whole) <= WIDTH:
            lines.append(whole)
        else:
            lines += [f"from trainpoint.api.{module} import (", *(f"    {name}," for name in names), ")"]
    return "\n".join([*lines, "", "__all__ = [", *(f'    "{name}",' for name in sorted(every)), "]"]) + "\n"


def _conditions(kind: Kind) -> Iterator[Schema]:
    status: Schema = kind.schema["properties"].get("status", {})
    if "conditions" in status.get("properties", {}):
        yield status["properties"]["conditions"]["items"]


def _is_conditions(path: tuple[str, ...]) -> bool:
    return path == ("status", "conditions")


def _classes(root: str, schema: Schema, path: tuple[str, ...]) -> Iterator[str]:
    """The struct at ``path`` of the kind ``root``, after those that it is made of."""
    properties: Mapping[str, Schema] = schema.get("properties", {})
    for name, inner in properties.items():
        node = inner["items"] if inner.get("type") == "array" else inner
        if "properties" in node and not _is_conditions((*path, name)):
            yield from _classes(root, node, (*path, name))
    yield _class(root, path, schema)


def _class(root: str, path: tuple[str, ...], schema: Schema) -> str:
    required = schema.get("required", ())
    lines = [f"class {_class_name(root, path)}(TypedDict):", *_docstring(schema.get("description", "")), ""]
    if not schema.get("description"):
        lines.pop()
    for name, inner in schema["properties"].items():
        kind_of = _python_type(root, inner, (*path, name))
        line = f"    {name}: {kind_of if name in required else f'NotRequired[{kind_of}]'}"
        if len(line) > WIDTH:  # as the formatter breaks it
            line = f"    {name}: NotRequired[\n        {kind_of}\n    ]"
        lines.append(line)
        if "properties" not in inner:  # a struct has its text at its class
            lines += _docstring(inner.get("description", ""))
    return "\n".join(lines)


def _class_name(root: str, path: tuple[str, ...]) -> str:
    """``CheckpointPolicySpec``, and for what lies in it ``CheckpointPolicyRetryBackoff``."""
    shown = path[1:] if len(path) > 1 and path[0] == "spec" else path
    return root + "".join(part[0].upper() + part[1:] for part in shown)


def _python_type(root: str, schema: Schema, path: tuple[str, ...]) -> str:
    if "enum" in schema:
        return "Literal[" + ", ".join(json.dumps(value) for value in schema["enum"]) + "]"
    match schema["type"]:
        case "object" if "properties" in schema:
            return "Condition" if _is_conditions(path) else _class_name(root, path)
        case "object" if isinstance(schema.get("additionalProperties"), Mapping):
            return f"dict[str, {_python_type(root, schema['additionalProperties'], path)}]"
        case "object":
            return "dict[str, object]"
        case "array":
            return f"list[{_python_type(root, schema['items'], path)}]"
        case plain:
            return {"string": "str", "integer": "int", "boolean": "bool", "number": "float"}[plain]


def _docstring(text: str) -> list[str]:
    """``text`` as a docstring, four spaces in."""
    if not text:
        return []
    text = text.replace("\\", "\\\\").replace("`", "``")
    if len(text) <= WIDTH - 10:
        return [f'    """{text}"""']
    indented = textwrap.wrap(
        f'"""{text}', WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )
    return [*indented, '    """']


# --- the schema for the command line ----------------------------------------------------------------------------------


def json_schema(kind: Kind) -> str:
    """The structural schema as JSON Schema: what the API server would refuse, this refuses too."""
    schema = _strict(kind.schema)
    properties = schema["properties"]
    properties["apiVersion"] = {**properties["apiVersion"], "const": f"{kind.group}/{kind.version}"}
    properties["kind"] = {**properties["kind"], "const": kind.name}
    properties["metadata"] = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string",
                "maxLength": 253,
                "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            },
            "namespace": {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
    schema["required"] = ["apiVersion", "kind", "metadata", *schema.get("required", ())]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Generated from {kind.file} by tools/generate.py: do not edit.",
        "title": kind.name,
    }
    return json.dumps({**head, **schema}, indent=2, ensure_ascii=False) + "\n"


def _strict(schema: Schema) -> dict[str, Any]:
    """``schema`` with unknown fields and repeated members of sets refused, as ``kubectl`` does."""
    result = dict(schema)
    if "properties" in schema:
        result["properties"] = {name: _strict(inner) for name, inner in schema["properties"].items()}
        result["additionalProperties"] = False
    if "items" in schema:
        result["items"] = _strict(schema["items"])
    if schema.get("x-kubernetes-list-type") == "set":
        result["uniqueItems"] = True
    return result


# --- the reference page -----------------------------------------------------------------------------------------------


def reference(kind: Kind) -> str:
    """A page in Markdown: an example, then every field."""
    api_version = f"{kind.group}/{kind.version}"
    example = {
        "apiVersion": api_version,
        "kind": kind.name,
        "metadata": {"name": EXAMPLE_NAMES.get(kind.name, "default")},
        "spec": _example(kind.schema["properties"]["spec"]),
    }
    short = f", short name `{kind.short_names[0]}`" if kind.short_names else ""
    lines = [
        f"# {kind.name}",
        "",
        f"<!-- Generated from {kind.file} by tools/generate.py: do not edit. -->",
        "",
        *textwrap.wrap(kind.schema["description"], WIDTH, break_on_hyphens=False),
        "",
        f"`{api_version}`, namespaced{short}. An example with every field:",
        "",
        "```yaml",
        yaml.safe_dump(example, sort_keys=False, default_flow_style=None, width=WIDTH).rstrip(),
        "```",
    ]
    lines += _shown_columns(kind)
    for path, schema in _structs(kind.schema, ()):
        lines += ["", f"## {'.'.join(path)}", ""]
        lines += textwrap.wrap(schema.get("description", ""), WIDTH, break_on_hyphens=False)
        if path == ("status", "conditions[]"):
            lines += ["What each `type` says: see [status](#status)."]
        lines += ["", "| field | type | default | meaning |", "|---|---|---|---|"]
        for name, inner in schema["properties"].items():
            default = f"`{json.dumps(inner['default'])}`" if "default" in inner and "properties" not in inner else ""
            needed = "; required" if name in schema.get("required", ()) else ""
            meaning = inner.get("description", "")
            if "properties" in inner or "properties" in inner.get("items", {}):
                section = ".".join((*path, name)) + ("[]" if "items" in inner else "")
                link = f"see [{section}](#{section.replace('.', '').removesuffix('[]').replace('[]', '').lower()})"
                meaning = f"{meaning} {link[0].upper()}{link[1:]}." if "items" in inner else link
            lines.append(f"| `{name}` | {_shown_type(inner)}{needed} | {default} | {meaning} |")
        rules = [*_rules(schema, ""), *(r for n, inner in schema["properties"].items() for r in _rules(inner, n))]
        if path == ("spec",):
            rules += _rules(kind.schema, "")
        if rules:
            lines += ["", "Rules:", "", *rules]
    return "\n".join(lines) + "\n"


def _shown_columns(kind: Kind) -> list[str]:
    """What ``kubectl get`` shows, and what it can select by; for kinds that have a status."""
    if "status" not in kind.schema["properties"]:
        return []
    lines = ["", "## kubectl get", "", "| column | shows |", "|---|---|"]
    for column in kind.columns:
        wide = " (with `-o wide`)" if column.get("priority") else ""
        lines.append(f"| {column['name'].upper()}{wide} | `{column['jsonPath'].removeprefix('.')}` |")
    if kind.selectable:
        fields = ", ".join(f"`{field}`" for field in kind.selectable)
        text = f"`--field-selector` takes {fields}. A field that is absent counts as empty text."
        lines += ["", *textwrap.wrap(text, WIDTH, break_on_hyphens=False)]
    if kind.name in LABELED:
        lines += ["", "| label | says |", "|---|---|"]
        lines += [f"| `{kind.group}/{label}` | {text} |" for label, text in LABELS.items()]
        text = "Labels are for selecting (`-l`). Who may edit an object may change them; nothing is decided by them."
        lines += ["", text]
    return lines


def _structs(schema: Schema, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Schema]]:
    if path:
        yield path, schema
    for name, inner in schema["properties"].items():
        if not path and name in EXCLUDED_FROM_REFERENCE:
            continue
        if "properties" in inner:
            yield from _structs(inner, (*path, name))
        elif "properties" in inner.get("items", {}):
            yield from _structs(inner["items"], (*path, f"{name}[]"))


def _rules(schema: Schema, name: str) -> list[str]:
    if name and "properties" in schema:
        return []  # a struct has a section of its own
    subject = f"`{name}` " if name else ""
    return [f"- {subject}{rule['message']}" for rule in schema.get("x-kubernetes-validations", ())]


def _shown_type(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        return f"list of {_shown_type(schema['items'])}; at most {schema['maxItems']}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"{_shown_type(schema['additionalProperties'])} by name; at most {schema['maxProperties']}"
    if schema.get("format") == "date-time":
        return "time"
    if schema["type"] == "string":
        return "duration" if "m|h|d" in schema.get("pattern", "") else "text"
    if schema["type"] == "integer":
        return f"integer, {schema['minimum']} to {schema['maximum']}"
    return str(schema["type"])


def _example(schema: Schema) -> Any:
    if "properties" in schema:
        return {name: _example(inner) for name, inner in schema["properties"].items()}
    return schema["example"] if "example" in schema else schema["default"]


if __name__ == "__main__":
    sys.exit(main())
