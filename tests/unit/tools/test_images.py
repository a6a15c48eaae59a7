"""The project's images: what their Dockerfiles promise, and how one is brought onto a node."""

from __future__ import annotations

import io
import json
import re
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tools.images import IMAGES, ROOT
from tools.kind.archive import write_image
from tools.kind.loading import write_difference

DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_takes_its_base_as_an_argument_and_runs_as_a_numbered_user(path: Path) -> None:
    lines = path.read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    stages = {line.split()[3] for line in lines if line.startswith("FROM ") and " AS " in line}
    assert set(bases) <= {"${BASE}", *stages}
    assert any(re.match(r"ARG BASE=\S+", line) for line in lines)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_the_trainer_s_requirements_lock_all_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cluster"]]
    names = {re.split(r"[<>=!~\[; ]", line)[0].lower().replace("_", "-") for line in wanted}
    locked = re.findall(r"^([a-z0-9-]+)==", (IMAGES / "trainer/requirements.txt").read_text(), re.MULTILINE)
    assert names - set(locked) == set(), "run `make lock`"


def test_only_layers_that_a_node_lacks_are_sent(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_text("layer")
    write_image(tmp_path / "saved.tar", ["a/b:1"], {"/content": content})
    with tarfile.open(tmp_path / "saved.tar") as saved:
        sent = {}
        for present in (set[str](), {_layer(saved)}):
            out = io.BytesIO()
            write_difference(saved, "a/b:1", present, out)
            out.seek(0)
            with tarfile.open(fileobj=out) as archive:
                sent[len(present)] = {name: _content(archive, name) for name in archive.getnames()}
        layer = "blobs/" + _layer(saved).replace(":", "/")
    assert sent[0].keys() - sent[1].keys() == {layer}
    manifest = json.loads(sent[1]["blobs/" + _entry(sent[1])["digest"].replace(":", "/")])
    assert "blobs/" + manifest["layers"][0]["digest"].replace(":", "/") == layer
    assert manifest["layers"][0]["size"] == len(sent[0][layer])
    assert _entry(sent[1])["annotations"] == {"io.containerd.image.name": "docker.io/a/b:1"}


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _layer(saved: tarfile.TarFile) -> str:
    config = json.loads(_content(saved, "manifest.json"))[0]["Config"]
    return str(json.loads(_content(saved, config))["rootfs"]["diff_ids"][0])


def _entry(files: dict[str, bytes]) -> Any:
    return json.loads(files["index.json"])["manifests"][0]
