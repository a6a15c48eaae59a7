"""What is generated from ``crds/`` is what ``crds/`` says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.repository import ROOT
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.reference import checkpoint_name, run_object_name

KINDS = {
    "Checkpoint": "checkpoints",
    "CheckpointPolicy": "checkpointpolicies",
    "CheckpointRun": "checkpointruns",
    "CheckpointStore": "checkpointstores",
}
CRDS = tuple(f"crds/{plural}.yaml" for plural in KINDS.values())
SCHEMA = "sdk/trainpoint/api/schema/checkpointpolicies.json"
POLICY = ("sdk/trainpoint/api/types_checkpointpolicy.py", SCHEMA, "docs/reference/checkpointpolicy.md")
GENERATED = (
    *POLICY,
    "sdk/trainpoint/api/types.py",
    "sdk/trainpoint/api/types_condition.py",
    *(f"sdk/trainpoint/api/types_{kind.lower()}.py" for kind in KINDS if kind != "CheckpointPolicy"),
    *(f"docs/reference/{kind.lower()}.md" for kind in KINDS if kind != "CheckpointPolicy"),
)


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "generate.py"), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repository with nothing in it but the CRDs and what was generated from them."""
    for name in (*CRDS, *GENERATED):
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
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == list(POLICY)


def test_kinds_whose_conditions_differ_are_refused(copy: Path) -> None:
    crd = copy / "crds/checkpointpolicies.yaml"
    crd.write_text(crd.read_text().replace("A sentence for people.", "Anything."))
    done = generate(copy, "--check")
    assert (done.returncode, done.stderr) == (1, "the conditions of all kinds have to have the same fields\n")


def test_every_type_can_be_imported_from_one_module() -> None:
    text = (ROOT / "sdk/trainpoint/api/types.py").read_text(encoding="utf-8")
    for kind in KINDS:
        module = (ROOT / f"sdk/trainpoint/api/types_{kind.lower()}.py").read_text(encoding="utf-8")
        for name in re.findall(r"^class (\w+)\(TypedDict\)", module, flags=re.MULTILINE):
            assert f'    "{name}",\n' in text


def test_the_example_of_a_checkpoint_has_the_name_that_the_sdk_would_give_it() -> None:
    checkpoint = example_of("docs/reference/checkpoint.md")
    s = checkpoint["spec"]["snapshot"]
    task = TaskPath(s["workflow"], s["run"], s["task"], s["index"])
    assert checkpoint["metadata"]["name"] == checkpoint_name(task, SnapshotId(s["attempt"], s["sequence"], s["uid"]))
    run = example_of("docs/reference/checkpointrun.md")
    of = run["spec"]["identity"]
    task = TaskPath(of["workflow"], of["run"], of["task"], of["index"])
    assert run["metadata"]["name"] == run_object_name(task)


def test_the_schema_of_the_command_line_is_a_json_schema() -> None:
    schema = json.loads((ROOT / SCHEMA).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)


def example_of(page: str) -> Any:
    """The first piece of YAML on a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])


def test_the_example_of_the_reference_page_fits_the_schema() -> None:
    schema = json.loads((ROOT / SCHEMA).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(example_of(POLICY[2]))


@pytest.mark.parametrize("name", CRDS)
def test_every_field_of_a_crd_is_described_and_bounded(name: str) -> None:
    crd = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bounds = {
        "string": ("enum", "maxLength", "format"),
        "integer": ("maximum",),
        "array": ("maxItems",),
        "object": ("properties", "maxProperties"),
        "boolean": ("type",),
    }
    lacking = []

    def walk(node: dict[str, object], path: str) -> None:
        if not any(bound in node for bound in bounds[str(node["type"])]):
            lacking.append(f"{path} has no bound")
        if "description" not in node and not path.endswith("[]"):
            lacking.append(f"{path} has no description")
        for name, inner in node.get("properties", {}).items():  # type: ignore[attr-defined]
            walk(inner, f"{path}.{name}")
        for inner in (node.get("items"), node.get("additionalProperties")):
            if isinstance(inner, dict):
                walk(inner, f"{path}[]")

    for part in ("spec", "status"):
        walk(schema["properties"][part], part)
    assert not lacking


@pytest.mark.parametrize("name", CRDS)
def test_a_crd_keeps_what_every_kind_of_the_api_has_in_common(name: str) -> None:
    spec = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["spec"]
    kind = spec["names"]["kind"]
    version = spec["versions"][0]
    assert spec["scope"] == "Namespaced"
    assert spec["names"]["categories"] == ["trainpoint"]
    assert spec["names"]["shortNames"] == [f"ckpt{kind.removeprefix('Checkpoint').lower()}"]
    assert version["subresources"] == {"status": {}}
    assert len(version.get("selectableFields", ())) <= 8
    schema = version["schema"]["openAPIV3Schema"]
    assert schema["description"].startswith(f"{kind} ")
    for column in version["additionalPrinterColumns"]:
        assert has_field(schema, column["jsonPath"]), column
        if column["type"] == "date":  # kubectl shows a moment to come as <invalid>
            assert column["jsonPath"] in PAST, column
    for field in version.get("selectableFields", ()):
        assert has_field(schema, field["jsonPath"]), field


PAST = {".metadata.creationTimestamp", ".status.commit.time", ".status.lastSaveTime"}


def has_field(schema: dict[str, Any], path: str) -> bool:
    """Whether a JSON path leads to a field; a server does not ask, and shows an empty column for ever."""
    if path == ".metadata.creationTimestamp":
        return True
    for part in path.partition("[?")[0].strip(".").split("."):
        schema = schema.get("properties", {}).get(part)
        if schema is None:
            return False
    return True
