"""Helm, as the tests run it: without anybody's own settings; charts of this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.repository import ROOT
from tools.kube import find_program
from tools.s3server import ServerError

CHARTS: Final = ROOT / "charts"
KUBERNETES: Final = "1.37.0"
"""What charts are rendered for where no server says."""
_SECONDS: Final = 120


class HelmError(Exception):
    """Helm refused; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Helm:
    """Commands of Helm; with a kubeconfig those that need a server too."""

    kubeconfig: Path | None = None

    def lint(self, chart: str | Path, *words: str) -> str:
        return self.run("lint", "--strict", str(CHARTS / chart), *words)

    def text(
        self,
        chart: str | Path,
        *words: str,
        values: Mapping[str, object] | Path | None = None,
        release: str = "llm",
        namespace: str = "team-a",
        kubernetes: str = KUBERNETES,
    ) -> str:
        """What a chart comes to, as one text of YAML documents."""
        words = (*words, "--namespace", namespace, "--kube-version", kubernetes)
        return self._with_values("template", release, str(CHARTS / chart), *words, values=values)

    def template(
        self,
        chart: str | Path,
        *words: str,
        values: Mapping[str, object] | Path | None = None,
        release: str = "llm",
        namespace: str = "team-a",
        kubernetes: str = KUBERNETES,
    ) -> list[dict[str, Any]]:
        """The same as objects."""
        text = self.text(chart, *words, values=values, release=release, namespace=namespace, kubernetes=kubernetes)
        return [document for document in yaml.safe_load_all(text) if document]

    def install(
        self, release: str, chart: str | Path, namespace: str, *words: str, values: Mapping[str, object] | None = None
    ) -> str:
        """What Helm printed, the chart's notes among it."""
        words = (*words, "--namespace", namespace, "--create-namespace")
        return self._with_values("install", release, str(CHARTS / chart), *words, values=values)

    def upgrade(
        self, release: str, chart: str | Path, namespace: str, *words: str, values: Mapping[str, object] | None = None
    ) -> str:
        return self._with_values("upgrade", release, str(CHARTS / chart), *words, "-n", namespace, values=values)

    def uninstall(self, release: str, namespace: str) -> str:
        return self.run("uninstall", release, "--namespace", namespace)

    def _with_values(self, *words: str, values: Mapping[str, object] | Path | None) -> str:
        if isinstance(values, Path):
            return self.run(*words, "--values", str(values))
        with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="trainpoint-values-") as file:
            json.dump(values or {}, file)
            file.flush()
            return self.run(*words, "--values", file.name)

    def run(self, *words: str) -> str:
        """Standard output. Raises HelmError."""
        try:
            program = find_program("helm")
        except ServerError as error:
            pytest.fail(str(error))
        with tempfile.TemporaryDirectory(prefix="trainpoint-helm-") as home:
            env = {"HOME": home, "PATH": os.environ["PATH"]}
            server = ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []
            done = subprocess.run(
                [str(program), *words, *server], env=env, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        if done.returncode:
            raise HelmError((done.stderr + done.stdout)[-4000:])
        return done.stdout


def one(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The object of that kind (and name); fails the test where it is not the only one."""
    found = [o for o in objects if o["kind"] == kind and name in ("", o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name} in {[(o['kind'], o['metadata']['name']) for o in objects]}"
    return found[0]
