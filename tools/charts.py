"""Make what the charts have from elsewhere: kinds, policies and roles, the pod contract, schemas, the reference page.

    python tools/charts.py            # write what has changed
    python tools/charts.py --check    # write nothing; exit 1 and name each file that is behind

| made | from |
|---|---|
| charts/trainpoint/templates/{crds,admission,rbac} | crds/, config/ |
| charts/trainpoint-lib/templates/_contract.tpl | sdk/trainpoint/contract.py |
| charts/trainpoint-namespace/values.schema.json, its definitions | crds/ |
| charts/training-job/charts/trainpoint-lib | charts/trainpoint-lib |
| docs/reference/charts.md | README.md and values.yaml of each chart |
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs as a script from anywhere

from tools.charts_reference import reference
from trainpoint import contract

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = {"crds": "crds", "admission": "config/admission", "rbac": "config/rbac"}
CONDITIONS: Final = {
    "CustomResourceDefinition": ".Values.crds.install",
    "trainpoint-operator-secrets": ".Values.rbac.allSecrets",
    "trainpoint-owner": ".Values.owners.check",
    "trainpoint-owner-stamp": 'and .Values.owners.stamp (include "trainpoint.mutation" .)',
}
"""By kind or name: what the chart's user has to want, and the server to have."""
NARROWED: Final = ("trainpoint-owner", "trainpoint-owner-stamp")
"""Policies on kinds of Kubernetes: they hold where the operator works only."""
BY_SERVER: Final = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
"""Not every server has these in the version that the source names."""
KEPT: Final = "CustomResourceDefinition"
"""Helm never deletes these: all objects of the kind would go with them."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Make what the charts have from elsewhere.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is behind")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: the one this file is in)")
    arguments = parser.parse_args()
    root: Path = arguments.root
    wanted = outputs(root)
    behind = [path for path, text in wanted.items() if _current(path) != text]
    stray = [path for folder in _generated(root) for path in sorted(folder.rglob("*")) if _is_stray(path, wanted)]
    for path in (*behind, *stray):
        name = path.relative_to(root)
        if arguments.check:
            sys.stderr.write(f"{name} is {'made from nothing' if path in stray else 'behind'}; run: make generate\n")
        elif path in stray:
            path.unlink()
            sys.stdout.write(f"removed {name}\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if arguments.check and (behind or stray) else 0


def outputs(root: Path) -> dict[Path, str]:
    """Text by path, of every file that is made."""
    charts = root / "charts"
    made = {
        charts / "trainpoint/templates" / folder / source.name: template(source, root)
        for folder, sources in SOURCES.items()
        for source in sorted((root / sources).glob("*.yaml"))
    }
    library = charts / "trainpoint-lib"
    made[library / "templates/_contract.tpl"] = contract_templates()
    schema = charts / "trainpoint-namespace/values.schema.json"
    made[schema] = namespace_schema(schema, root)
    vendored = charts / "training-job/charts/trainpoint-lib"
    in_library = {path for path in library.rglob("*") if path.is_file() and path.name != "README.md"}
    for file in sorted(in_library | {path for path in made if path.is_relative_to(library)}):
        made[vendored / file.relative_to(library)] = made.get(file) or file.read_text(encoding="utf-8")
    made[root / "docs/reference/charts.md"] = reference(charts)
    return made


def _generated(root: Path) -> Iterator[Path]:
    """Folders in which nothing else lies."""
    yield from (root / "charts/trainpoint/templates" / folder for folder in SOURCES)
    yield root / "charts/training-job/charts"


def _is_stray(path: Path, wanted: Mapping[Path, str]) -> bool:
    return path.is_file() and path not in wanted


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


# --- objects as templates ---------------------------------------------------------------------------------------------


def template(source: Path, root: Path) -> str:
    """A file of objects as a template: with the chart's labels, its conditions, and nothing else changed."""
    text = source.read_text(encoding="utf-8")
    head = f"# Generated from {source.relative_to(root)} by tools/charts.py: do not edit.\n"
    return head + "---\n".join(_object(part) for part in re.split(r"^---\n", text, flags=re.MULTILINE))


def _object(text: str) -> str:
    found = yaml.safe_load(text)
    kind, name = found["kind"], found["metadata"]["name"]
    escaped = text.replace("{{", "{{ `{{` }}")
    lines: list[str] = []
    for line in escaped.splitlines(keepends=True):
        if line == "  labels:\n":
            continue  # the chart's come with it, above these
        if line == f"apiVersion: {found['apiVersion']}\n" and kind in BY_SERVER:
            line = 'apiVersion: {{ include "trainpoint.mutation" . }}\n'
        lines.append(line)
        if line == "  matchConstraints:\n" and name in NARROWED:
            lines.append('    {{- with include "trainpoint.watched" . }}\n    {{- . | nindent 4 }}\n    {{- end }}\n')
        if line == f"  name: {name}\n":
            if kind == KEPT:
                lines.append("  annotations:\n    helm.sh/resource-policy: keep\n")
            if kind == "Role":
                lines.append("  namespace: {{ .Release.Namespace }}\n")
            lines.append('  labels:\n    {{- include "trainpoint.labels" . | nindent 4 }}\n')
    body = "".join(lines)
    condition = CONDITIONS.get(kind) or CONDITIONS.get(name)
    return f"{{{{- if {condition} }}}}\n{body}{{{{- end }}}}\n" if condition else body


# --- the pod contract -------------------------------------------------------------------------------------------------


def contract_templates() -> str:
    """Named templates of the library chart, with what ``trainpoint.contract`` puts into a pod."""
    parts = {
        "env": ("Environment variables for each container.", contract.env()),
        "envFrom": ("Sources of environment variables for each container.", [contract.env_from()]),
        "volumes": ("Volumes of the pod.", [contract.volume()]),
        "volumeMounts": ("Where each container mounts them.", [contract.volume_mount()]),
    }
    blocks = ["{{- /* Generated from sdk/trainpoint/contract.py by tools/charts.py: do not edit. */ -}}\n"]
    for name, (text, value) in parts.items():
        lines = yaml.safe_dump(value, sort_keys=False, width=200).rstrip()
        blocks.append(
            f'{{{{- /* {text} */ -}}}}\n{{{{- define "trainpoint-lib.{name}" -}}}}\n{lines}\n{{{{- end -}}}}\n'
        )
    return "\n".join(blocks)


# --- schemas ----------------------------------------------------------------------------------------------------------

PLAIN: Final = (
    "type", "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties", "required",
)  # fmt: skip
"""What JSON Schema and the kinds' own schemas say in the same words."""


def namespace_schema(path: Path, root: Path) -> str:
    """The chart's schema, with the definitions of ``store`` and ``policy`` made from the kinds' own."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    store = json_schema(_spec(root, "checkpointstores"))
    for name in ("credentials", "writerCredentials"):
        del store["properties"][name]
    store["properties"]["credentials"] = {"$ref": "#/definitions/credentials"}
    schema["definitions"]["store"] = store
    schema["definitions"]["policy"] = {**json_schema(_spec(root, "checkpointpolicies")), "type": ["object", "null"]}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _spec(root: Path, plural: str) -> Mapping[str, Any]:
    crd = yaml.safe_load((root / "crds" / f"{plural}.yaml").read_text(encoding="utf-8"))
    spec: Mapping[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


def json_schema(structural: Mapping[str, Any]) -> dict[str, Any]:
    """A structural schema as one of draft 7, which every Helm knows; unknown fields are refused."""
    result = {key: structural[key] for key in PLAIN if key in structural}
    if "properties" in structural:
        result["properties"] = {name: json_schema(inner) for name, inner in structural["properties"].items()}
        result["additionalProperties"] = False
    if "items" in structural:
        result["items"] = json_schema(structural["items"])
    if structural.get("x-kubernetes-list-type") == "set":
        result["uniqueItems"] = True
    return result


if __name__ == "__main__":
    sys.exit(main())
