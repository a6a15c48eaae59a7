"""What is generated from ``crds/`` is what ``crds/`` says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.support.repository import ROOT

GENERATED = (
    "sdk/trainpoint/api/types.py",
    "sdk/trainpoint/api/schema/checkpointpolicies.json",
    "docs/reference/checkpointpolicy.md",
)


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "generate.py"), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repository with nothing in it but the CRDs and what was generated from them."""
    for name in ("crds/checkpointpolicies.yaml", *GENERATED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_what_is_committed_is_what_the_crds_say() -> None:
    done = generate(ROOT, "--check")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", GENERATED)
def test_a_file_that_was_changed_or_is_missing_is_named(copy: Path, name: str) -> None:
    (copy / name).write_text((copy / name).read_text() + "\n")
    changed = generate(copy, "--check")
    assert (changed.returncode, changed.stderr.splitlines()) == (
        1,
        [f"{name} is behind crds/; run: python tools/generate.py"],
    )
    (copy / name).unlink()
    assert generate(copy, "--check").returncode == 1
    assert generate(copy).stdout == f"wrote {name}\n"
    assert (copy / name).read_text() == (ROOT / name).read_text()


def test_a_changed_crd_leaves_no_generated_file_current(copy: Path) -> None:
    crd = copy / "crds/checkpointpolicies.yaml"
    crd.write_text(crd.read_text().replace("What the jobs do.", "What jobs do about checkpoints."))
    done = generate(copy, "--check")
    assert done.returncode == 1
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == list(GENERATED)


def test_the_schema_of_the_command_line_is_a_json_schema() -> None:
    schema = json.loads((ROOT / GENERATED[1]).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_example_of_the_reference_page_fits_the_schema() -> None:
    page = (ROOT / GENERATED[2]).read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    schema = json.loads((ROOT / GENERATED[1]).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(example))


def test_every_field_of_the_crd_is_described_and_bounded() -> None:
    crd = yaml.safe_load((ROOT / "crds/checkpointpolicies.yaml").read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bounds = {
        "string": ("enum", "maxLength"),
        "integer": ("maximum",),
        "array": ("maxItems",),
        "object": ("properties",),
    }
    lacking = []

    def walk(node: dict[str, object], path: str) -> None:
        if not any(bound in node for bound in bounds[str(node["type"])]):
            lacking.append(f"{path} has no bound")
        if "description" not in node and not path.endswith("[]"):
            lacking.append(f"{path} has no description")
        for name, inner in node.get("properties", {}).items():  # type: ignore[attr-defined]
            walk(inner, f"{path}.{name}")
        if isinstance(items := node.get("items"), dict):
            walk(items, f"{path}[]")

    walk(schema["properties"]["spec"], "spec")
    assert not lacking
