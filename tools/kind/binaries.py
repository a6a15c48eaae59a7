"""Programs built from pinned Go modules: each family has its own go.mod and go.sum, since their own pins differ.

``-mod=readonly`` verifies every module against the committed checksums. With -trimpath and fixed dates the result is a
function of these files, the flags and the Go version, which make its key.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tools.kind.commands import run
from tools.kind.made import key_of, link, made
from tools.kind.places import HERE, Places, ToolError, pins

MODULES: Final = HERE / "modules"
_FLAGS: Final = "-buildvcs=false -trimpath -modcacherw -mod=readonly"
_KUBERNETES: Final = "k8s.io/kubernetes"


@dataclass(frozen=True, slots=True)
class Family:
    """Programs of one go.mod. ``stamp``: what the linker writes into them, given the version."""

    name: str
    module: str
    pin: str
    packages: tuple[str, ...]
    stamp: Callable[[str], str] = lambda version: ""
    tags: str = ""
    folder: str = ""

    @property
    def directory(self) -> Path:
        return MODULES / (self.folder or self.name)


def _kubernetes_stamp(version: str) -> str:
    major, minor, _ = version.removeprefix("v").split(".")
    facts = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "0" * 40,
        "gitTreeState": "archive",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    where = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "".join(f" -X {package}.{name}={value}" for package in where for name, value in facts.items())


_CONTAINERD: Final = "github.com/containerd/containerd/v2"
CLIENTS: Final = (
    Family("kind", "sigs.k8s.io/kind", "KIND_VERSION", ("sigs.k8s.io/kind",)),
    Family(
        "kubectl", _KUBERNETES, "KUBERNETES_VERSION", (f"{_KUBERNETES}/cmd/kubectl",), _kubernetes_stamp,
        folder="kubernetes",
    ),
    Family(
        "helm", "helm.sh/helm/v4", "HELM_VERSION", ("helm.sh/helm/v4/cmd/helm",),
        lambda version: f" -X helm.sh/helm/v4/internal/version.version={version}",
    ),
)  # fmt: skip
"""What every machine needs."""
SERVERS: Final = (
    Family(
        "kubernetes", _KUBERNETES, "KUBERNETES_VERSION",
        tuple(f"{_KUBERNETES}/cmd/{program}" for program in (
            "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubeadm", "kubelet")),
        _kubernetes_stamp,
    ),
    Family("etcd", "go.etcd.io/etcd/server/v3", "ETCD_VERSION", ("go.etcd.io/etcd/server/v3",)),
    Family(
        "containerd", _CONTAINERD, "CONTAINERD_VERSION",
        tuple(f"{_CONTAINERD}/cmd/{program}" for program in ("containerd", "containerd-shim-runc-v2", "ctr")),
        lambda version: f" -X {_CONTAINERD}/version.Version={version.removeprefix('v')}",
        tags="no_btrfs,no_zfs,no_devmapper",
    ),
    Family("coredns", "github.com/coredns/coredns", "COREDNS_VERSION", (".",)),
)  # fmt: skip
"""What the node image is made of."""


def module_version(go_mod: str, module: str) -> str | None:
    """The version that a go.mod requires of a module."""
    for line in go_mod.splitlines():
        words = line.removeprefix("require").split()
        if len(words) >= 2 and words[0] == module and words[1].startswith("v"):
            return words[1]
    return None


def build(places: Places, families: tuple[Family, ...]) -> dict[str, Path]:
    """Folder of each family's programs; they are linked into the cache's ``bin``."""
    found: dict[str, Path] = {}
    for family in families:
        version = pins()[family.pin]
        required = module_version((family.directory / "go.mod").read_text(), family.module)
        if required != version:
            raise ToolError(f"{family.directory}/go.mod has {family.module} {required}, versions.env {version}")
        settings = f"{family.packages}{family.stamp(version)}{family.tags}{_FLAGS}{pins()['GO_VERSION']}"
        key = key_of(family.directory, settings)
        found[family.name] = made(places, family.name, key, partial(_compile, family, version))
        link(places, sorted(found[family.name].iterdir()))
    return found


def _compile(family: Family, version: str, out: Path) -> None:
    if shutil.which("go") is None:
        raise ToolError("Go is not installed: the test cluster's programs are built with it (any Go since 1.21)")
    out.mkdir()
    # A newer or older Go fetches the pinned one by itself. No setting of the machine's own may change the result.
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": pins()["GO_VERSION"], "GOFLAGS": _FLAGS, "GOWORK": "off"}
    tags = ("-tags", family.tags) if family.tags else ()
    # One package goes to a file of the family's name: that of etcd's package would be "v3".
    to = f"{out}/" if len(family.packages) > 1 else str(out / family.name)
    run(
        *("nice", "-n", "10"), "go", "build", *tags, "-ldflags", "-s -w" + family.stamp(version), "-o", to,
        *family.packages, env=env, cwd=family.directory,
    )  # fmt: skip
