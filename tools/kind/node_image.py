"""The node image: a Debian with systemd, the overlay, the built programs, and the images that kubeadm will ask for."""

from __future__ import annotations

import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tools.kind.archive import write_image
from tools.kind.commands import run, wait_until, works
from tools.kind.engine import Engine
from tools.kind.made import key_of
from tools.kind.places import HERE, ToolError, pins

OVERLAY: Final = HERE / "overlay"
_SOURCES: Final = ("node_image.py", "archive.py", "node-setup", "pause.c", "overlay")
# kube-proxy's image: the node's own packet filter tools and their libraries, those of the iptables extensions too.
_PACKET_FILTER: Final = r"""
cd /
tools=$(for p in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore nft conntrack
        do command -v $p; done)
extensions=$(echo /usr/lib/*-linux-gnu/xtables)
libraries=$(for f in $tools $extensions/*.so; do ldd $f; done | grep -o "/[^ ]*" | sort -u | grep -v ":$")
tar -ch $tools $extensions $libraries /etc/protocols 2> /dev/null
"""


def image_name() -> str:
    return f"trainpoint-test/node:{pins()['KUBERNETES_VERSION']}"


def image_key(parts: Iterable[Path]) -> str:
    """Of an image made from these results (named by their own keys) by the code as it is."""
    return key_of(*(path.name for path in parts), *(HERE / name for name in _SOURCES))


def make_node_image(engine: Engine, tree: Path, programs: Mapping[str, Path], key: str) -> None:
    """Commit it under ``image_name()`` in the engine, with the key as its label."""
    builder = Builder(engine)
    with tempfile.TemporaryDirectory(dir=engine.places.state, prefix="images-") as scratch:
        try:
            builder.start(tree)
            builder.copy("/", [(path, path.name) for path in sorted(OVERLAY.iterdir())])
            at = {program.name: program for folder in programs.values() for program in folder.iterdir()}
            builder.copy("/usr/bin", [(at[name], name) for name in ("kubeadm", "kubelet", "kubectl")])
            runtime = ("containerd", "containerd-shim-runc-v2", "ctr")
            builder.copy("/usr/local/bin", [(at[name], name) for name in runtime])
            builder.shell((HERE / "node-setup").read_text())
            builder.shell(f"printf %s {pins()['KUBERNETES_VERSION']} > /kind/version")
            builder.shell("test -e /etc/systemd/system/multi-user.target.wants/kubelet.service")
            builder.load(_control_plane_images(builder, at, Path(scratch)))
            builder.commit(key)
        finally:
            builder.remove()


class Builder:
    """A container that becomes an image."""

    def __init__(self, engine: Engine) -> None:
        self._env = engine.env()
        self.name = f"node-builder-{engine.pid()}"

    def start(self, tree: Path) -> None:
        imported = run("docker", "import", tree, env=self._env).strip()
        run(
            "docker", "run", "--detach", "--name", self.name, "--network", "none", "--entrypoint", "sleep",
            "--security-opt", "seccomp=unconfined", imported, "infinity", env=self._env,
        )  # fmt: skip

    def copy(self, to: str, files: Iterable[tuple[Path, str]]) -> None:
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
                for source, name in files:
                    tar.add(source, name, filter=_owned_by_root)
            archive.seek(0)
            run("docker", "cp", "-", f"{self.name}:{to}", env=self._env, stdin=archive)

    def shell(self, script: str) -> None:
        run("docker", "exec", "--interactive", self.name, "bash", "-s", env=self._env, stdin=script)

    def output_to(self, path: Path, script: str) -> None:
        """The script's standard output, byte by byte."""
        with open(path, "wb") as out:
            command = ["docker", "exec", self.name, "bash", "-ec", script]
            done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=self._env, check=False)
        if done.returncode:
            raise ToolError(f"in the node image: {done.stderr.decode(errors='replace')[-2000:]}")

    def load(self, archives: Iterable[Path]) -> None:
        """Into containerd's images for Kubernetes, pinned so that none is ever collected as garbage."""
        run("docker", "exec", "--detach", self.name, "sh", "-c", "containerd > /tmp/containerd.log 2>&1", env=self._env)
        wait_until(
            lambda: works("docker", "exec", self.name, "ctr", "version", env=self._env),
            seconds=60, what="containerd answers in the node image",
            seen=lambda: run("docker", "exec", self.name, "cat", "/tmp/containerd.log", env=self._env)[-2000:],
        )  # fmt: skip
        for archive in archives:
            with open(archive, "rb") as content:
                run(
                    "docker", "exec", "--interactive", self.name, "ctr", "--namespace", "k8s.io", "images", "import",
                    "--label", "io.cri-containerd.pinned=pinned", "--all-platforms", "--no-unpack", "--digests", "-",
                    env=self._env, stdin=content,
                )  # fmt: skip
        self.shell(
            'kill "$(pidof containerd)"; while pidof containerd > /dev/null; do sleep 0.1; done; rm /tmp/containerd.log'
        )

    def commit(self, key: str) -> None:
        changes = (
            "ENV container=docker",
            'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]',
            f"LABEL key={key}",
        )
        options = [word for change in changes for word in ("--change", change)]
        run("docker", "commit", *options, self.name, image_name(), env=self._env)

    def remove(self) -> None:
        works("docker", "rm", "--force", "--volumes", self.name, env=self._env)


def _control_plane_images(builder: Builder, at: Mapping[str, Path], scratch: Path) -> list[Path]:
    """One archive for each image that kubeadm names, under the tags that it names."""
    pause = scratch / "pause"
    run("gcc", "-Os", "-static", "-s", "-o", pause, HERE / "pause.c")
    packet_filter = scratch / "packet-filter"
    builder.output_to(scratch / "packet-filter.tar", _PACKET_FILTER)
    packet_filter.mkdir()
    run("tar", "-xf", scratch / "packet-filter.tar", "-C", packet_filter)
    version = pins()["KUBERNETES_VERSION"]
    archives = []
    for image in run(at["kubeadm"], "config", "images", "list", "--kubernetes-version", version).split():
        name = image.rpartition(":")[0].rpartition("/")[2]
        out = scratch / f"{name}.tar"
        if name == "pause":
            write_image(out, [image, sandbox_image()], {"/pause": pause}, entrypoint=["/pause"])
        elif name == "coredns":
            write_image(out, [image], {"/coredns": at[name]}, entrypoint=["/coredns"])
        elif name == "kube-proxy":
            write_image(out, [image], {"/": packet_filter, f"/usr/local/bin/{name}": at[name], "/tmp": None})
        elif name in at:
            write_image(out, [image], {f"/usr/local/bin/{name}": at[name], "/tmp": None})
        else:
            raise ToolError(f"kubeadm asks for an image that is not made here: {image}")
        archives.append(out)
    return archives


def sandbox_image() -> str:
    """The name under which the node's containerd looks for the pause image."""
    found = re.search(r"sandbox = '(.+)'", (OVERLAY / "etc/containerd/config.toml").read_text())
    if found is None:
        raise ToolError("the node's containerd configuration names no sandbox image")
    return found[1]


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def has_image(engine: Engine, name: str, key: str) -> bool:
    """Whether the engine has that image with that key."""
    try:
        form = "{{.Config.Labels.key}}"
        return run("docker", "image", "inspect", "--format", form, name, env=engine.env()).strip() == key
    except ToolError:
        return False


def save_image(engine: Engine, name: str, out: Path) -> None:
    run("docker", "save", "--output", out, name, env=engine.env())


def load_image(engine: Engine, archive: Path) -> None:
    run("docker", "load", "--quiet", "--input", archive, env=engine.env())
