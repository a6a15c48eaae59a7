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
    files = {root / "sdk/trainpoint/api/types.py": python_types(kinds)}
    for kind in kinds:
        files[root / f"sdk/trainpoint/api/schema/{kind.plural}.json"] = json_schema(kind)
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
        schema=version["schema"]["openAPIV3Schema"],
        file=f"crds/{path.name}",
    )


# --- Python types -----------------------------------------------------------------------------------------------------


def python_types(kinds: list[Kind]) -> str:
    """A module of TypedDicts, inner ones first."""
    classes = [text for kind in kinds for text in _classes(kind, kind.schema, ())]
    used = [name for name in ("Literal", "NotRequired", "TypedDict") if any(name in text for text in classes)]
    head = [
        '"""The kinds of the API as YAML and JSON have them. Made from crds/ by tools/generate.py: do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        f"from typing import {', '.join(used)}",
    ]
    return "\n".join([*head, *(f"\n\n{text}" for text in classes)]) + "\n"


def _classes(kind: Kind, schema: Schema, path: tuple[str, ...]) -> Iterator[str]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    for name, inner in properties.items():
        node = inner["items"] if inner.get("type") == "array" else inner
        if "properties" in node:
            yield from _classes(kind, node, (*path, name))
    required = schema.get("required", ())
    lines = [f"class {_class_name(kind, path)}(TypedDict):", *_docstring(schema.get("description", "")), ""]
    for name, inner in properties.items():
        kind_of = _python_type(kind, inner, (*path, name))
        lines.append(f"    {name}: {kind_of if name in required else f'NotRequired[{kind_of}]'}")
        if "properties" not in inner:  # a struct has its text at its class
            lines += _docstring(inner.get("description", ""))
    yield "\n".join(lines)


def _class_name(kind: Kind, path: tuple[str, ...]) -> str:
    """``CheckpointPolicySpec``, and for what lies in it ``CheckpointPolicyRetryBackoff``."""
    shown = path[1:] if len(path) > 1 and path[0] == "spec" else path
    return kind.name + "".join(part[0].upper() + part[1:] for part in shown)


def _python_type(kind: Kind, schema: Schema, path: tuple[str, ...]) -> str:
    if "enum" in schema:
        return "Literal[" + ", ".join(json.dumps(value) for value in schema["enum"]) + "]"
    match schema["type"]:
        case "object" if "properties" in schema:
            return _class_name(kind, path)
        case "object" if isinstance(schema.get("additionalProperties"), Mapping):
            return f"dict[str, {_python_type(kind, schema['additionalProperties'], path)}]"
        case "object":
            return "dict[str, object]"
        case "array":
            return f"list[{_python_type(kind, schema['items'], path)}]"
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
        "metadata": {"name": "default"},
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
    for path, schema in _structs(kind.schema, ()):
        lines += ["", f"## {'.'.join(path)}", ""]
        lines += textwrap.wrap(schema.get("description", ""), WIDTH, break_on_hyphens=False)
        lines += ["", "| field | type | default | meaning |", "|---|---|---|---|"]
        for name, inner in schema["properties"].items():
            default = f"`{json.dumps(inner['default'])}`" if "default" in inner and "properties" not in inner else ""
            needed = "; required" if name in schema.get("required", ()) else ""
            meaning = inner.get("description", "")
            if "properties" in inner:
                section = ".".join((*path, name))
                meaning = f"see [{section}](#{section.replace('.', '').lower()})"
            lines.append(f"| `{name}` | {_shown_type(inner)}{needed} | {default} | {meaning} |")
        rules = [*_rules(schema, ""), *(r for n, inner in schema["properties"].items() for r in _rules(inner, n))]
        if rules:
            lines += ["", "Rules:", "", *rules]
    return "\n".join(lines) + "\n"


def _structs(schema: Schema, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Schema]]:
    if path:
        yield path, schema
    for name, inner in schema["properties"].items():
        if "properties" in inner and not (not path and name in EXCLUDED_FROM_REFERENCE):
            yield from _structs(inner, (*path, name))


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
    if schema["type"] == "integer":
        return f"integer, {schema['minimum']} to {schema['maximum']}"
    if "m|h|d" in schema.get("pattern", ""):
        return "duration"
    return str(schema["type"])


def _example(schema: Schema) -> Any:
    if "properties" in schema:
        return {name: _example(inner) for name, inner in schema["properties"].items()}
    return schema["example"] if "example" in schema else schema["default"]


if __name__ == "__main__":
    sys.exit(main())
