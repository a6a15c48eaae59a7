"""What the charts have from elsewhere is what it is made from; the reference page has every value."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.repository import ROOT
from tools.charts import json_schema, template
from tools.charts_reference import Value, values

SOURCES = ("charts", "crds", "config", "docs/reference")


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "charts.py"), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repository with nothing in it but the charts and what they are made from."""
    for source in SOURCES:
        shutil.copytree(ROOT / source, tmp_path / source)
    return tmp_path


def test_all_is_current() -> None:
    done = run(ROOT, "--check")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("source", "behind"),
    [
        ("config/rbac/trainer.yaml", ["charts/trainpoint/templates/rbac/trainer.yaml"]),
        (
            "charts/trainpoint-lib/templates/_job.tpl",
            ["charts/training-job/charts/trainpoint-lib/templates/_job.tpl"],
        ),
    ],
)
def test_a_change_of_the_source_is_told_and_made_up_for(copy: Path, source: str, behind: list[str]) -> None:
    with (copy / source).open("a") as file:
        file.write("# more\n")
    done = run(copy, "--check")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"{name} is behind; run: make generate" for name in behind]
    assert run(copy).stdout.splitlines() == [f"wrote {name}" for name in behind]
    assert run(copy, "--check").returncode == 0


def test_a_copy_of_what_is_no_more_is_told_and_removed(copy: Path) -> None:
    (copy / "config/rbac/trainer.yaml").unlink()
    name = "charts/trainpoint/templates/rbac/trainer.yaml"
    assert run(copy, "--check").stderr == f"{name} is made from nothing; run: make generate\n"
    assert run(copy).stdout == f"removed {name}\n"
    assert not (copy / name).exists()


# --- objects as templates ---------------------------------------------------------------------------------------------


def rendered(text: str) -> list[dict[str, object]]:
    """A template with its constructs filled in, as Helm would with the chart's own values."""
    text = text.replace('{{ include "trainpoint.mutation" . }}', "admissionregistration.k8s.io/v1")
    text = text.replace('    {{- include "trainpoint.labels" . | nindent 4 }}\n', "    chart: ours\n")
    text = text.replace("{{ .Release.Namespace }}", "home").replace("{{ `{{` }}", "{{")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("{{-")]
    return [document for document in yaml.safe_load_all("\n".join(lines)) if document]


@pytest.mark.parametrize(
    "source", [*sorted((ROOT / "config").glob("*/*.yaml")), *sorted((ROOT / "crds").glob("*.yaml"))]
)
def test_a_copy_has_the_charts_labels_and_is_else_the_same(source: Path) -> None:
    originals = list(yaml.safe_load_all(source.read_text()))
    copies = rendered(template(source, ROOT))
    assert len(copies) == len(originals)
    for original, copied in zip(originals, copies, strict=True):
        metadata = {**original["metadata"], "labels": {"chart": "ours", **original["metadata"].get("labels", {})}}
        if original["kind"] == "CustomResourceDefinition":
            metadata["annotations"] = {"helm.sh/resource-policy": "keep"}
        if original["kind"] == "Role":
            metadata["namespace"] = "home"
        assert copied == {**original, "metadata": metadata}


def test_braces_of_an_object_are_no_template(tmp_path: Path) -> None:
    source = tmp_path / "one.yaml"
    source.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  a: '{{ .b }}'\n")
    assert "a: '{{ `{{` }} .b }}'" in template(source, tmp_path)


def test_a_schema_refuses_unknown_fields_at_every_depth() -> None:
    structural = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "string"}}}}},
    }
    schema = json_schema(structural)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["a"]["items"]["additionalProperties"] is False


# --- the reference ----------------------------------------------------------------------------------------------------


def test_a_comment_belongs_to_the_key_beneath_it() -> None:
    text = """\
# Of nobody.

# How many,
# at most.
count: 3
log:
  # One | or two.
  level: info
# Passed on.
resources:
  requests: {cpu: 1}
"""
    assert values(text) == [
        Value("count", "`3`", "How many, at most."),
        Value("log.level", "`info`", "One \\| or two."),
        Value("resources", '`{"requests": {"cpu": 1}}`', "Passed on."),
    ]


def test_a_value_that_nothing_explains_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"log\.format has no comment"):
        values("log:\n  # Said.\n  level: info\n\n  format: text\n")


def test_the_charts_carry_the_versions_of_the_project() -> None:
    project = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version"))
    charts = {p.parent.name: yaml.safe_load(p.read_text()) for p in (ROOT / "charts").glob("*/Chart.yaml")}
    assert f'version = "{charts["trainpoint"]["appVersion"]}"' == project
    (dependency,) = charts["training-job"]["dependencies"]
    assert dependency["version"] == charts["trainpoint-lib"]["version"]
