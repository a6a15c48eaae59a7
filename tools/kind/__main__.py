"""The test cluster: `tools/kind/up`, `tools/kind/in CMD…`, `tools/kind/down`; `tools/kind/prepare` makes what it needs;
`tools/kind/images` puts the project's images on its nodes.

What is made is made once and lies in a cache folder: TRAINPOINT_KIND_CACHE, by default trainpoint/kind in the user's
cache folder. Nothing else stays on the machine when the cluster is down.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it runs from anywhere

from tools.images import BuildError
from tools.kind.binaries import CLIENTS, SERVERS, build
from tools.kind.cluster import cluster_down, cluster_up, recorded
from tools.kind.debian import install_host_packages, write_tree
from tools.kind.engine import Engine
from tools.kind.hosts import Host, Kind, choose, environment, look, prefix
from tools.kind.images import operator_image, s3_image, trainer_image
from tools.kind.made import alone, key_of, made, remove, say
from tools.kind.node_image import has_image, image_key, image_name, load_image, make_node_image, save_image
from tools.kind.places import HERE, Places, ToolError, pins
from tools.kind.python_image import base_image
from tools.kind.wheels import all_wheels
from tools.s3server import ServerError


def prepare(places: Places) -> tuple[Host, str]:
    """Everything that a cluster needs; the engine runs afterwards. The host, and the node image's key."""
    choice = choose(look(places))
    say(f"engine: {choice.kind} ({choice.reason})")
    host = Host(places, choice.kind)
    places.state.mkdir(parents=True, exist_ok=True)
    if host.kind is Kind.HOST:
        build(places, CLIENTS)
        all_wheels(places)
        return host, pins()["KIND_NODE_IMAGE"]
    places.check()
    if os.geteuid() != 0:
        raise ToolError("an engine of our own needs root")
    install_host_packages()
    all_wheels(places)
    programs = build(places, CLIENTS) | build(places, SERVERS)
    tree_key = key_of(pins()["NODE_SUITE"], pins()["NODE_PACKAGES"], HERE / "debian.py")
    tree = made(
        places, "node-tree.tar", tree_key, lambda out: write_tree(out, pins()["NODE_SUITE"], pins()["NODE_PACKAGES"])
    )
    engine = Engine(places)
    engine.up()
    key = image_key((tree, *(folder for name, folder in sorted(programs.items()) if name not in ("kind", "helm"))))

    def make(out: Path) -> None:
        make_node_image(engine, tree, programs, key)
        save_image(engine, image_name(), out)

    archive = made(places, "node-image.tar", key, make)
    if not has_image(engine, image_name(), key):
        load_image(engine, archive)
    base_image(places, engine)
    return host, key


def up(places: Places, made_for: str) -> None:
    host, key = prepare(places)
    if not cluster_up(host, key, made_by=made_for):
        say("the cluster is there")


def down(places: Places, *, only_of: str | None, purge: bool) -> None:
    """The cluster, and the engine if it is ours. ``only_of``: nothing unless that run had it made."""
    record = recorded(places)
    if only_of is not None and record.get("made_by") != only_of:
        return
    if record.get("engine") == Kind.HOST:
        cluster_down(Host(places, Kind.HOST))
    Engine(places).down()  # with the cluster, if it is its
    if purge:
        remove(places.state)


def there(places: Places) -> Kind:
    """The engine of the cluster; ToolError where there is none."""
    record = recorded(places)
    if not record or not places.kubeconfig.exists():
        raise ToolError("there is no cluster; make one with `make kind-up`")
    kind = Kind(record["engine"])
    if kind is Kind.OWN and Engine(places).pid() is None:
        raise ToolError("the cluster has ended with its engine; make another with `make kind-up`")
    return kind


def images(places: Places) -> None:
    """Build the project's images and put them on the nodes; prints their names as lines for a shell."""
    host = Host(places, there(places))
    for name, image in (("OPERATOR", operator_image), ("TRAINER", trainer_image), ("S3", s3_image)):
        print(f"export {name}_IMAGE={image(host)}", flush=True)


def inside(places: Places, command: list[str]) -> None:
    """Become that command, where the cluster's addresses can be reached."""
    kind = there(places)
    words = [*prefix(places, kind), *command]
    os.execvpe(words[0], words, environment(places, kind))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/kind", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("programs", help="build kubectl, an API server and the like, and no more")
    verbs.add_parser("prepare", help="make what a cluster needs, create none")
    up_verb = verbs.add_parser("up", help="the cluster, if it is not there")
    up_verb.add_argument("--made-by", default="", metavar="RUN", help="noted with a cluster that is created")
    down_verb = verbs.add_parser("down", help="remove the cluster and the engine; the cache stays")
    down_verb.add_argument("--only-of", metavar="RUN", help="only if it was created with --made-by RUN")
    down_verb.add_argument("--purge", action="store_true", help="the engine's images too")
    verbs.add_parser("images", help="build the project's images, put them on the nodes, print their names for a shell")
    in_verb = verbs.add_parser("in", help="run a command with KUBECONFIG, DOCKER_HOST, PATH and the cluster's network")
    in_verb.add_argument("command", nargs=argparse.REMAINDER)
    wanted = parser.parse_args(arguments)
    places = Places.of()
    try:
        if wanted.verb == "in":
            inside(places, wanted.command)
        if wanted.verb == "images":
            images(places)
            return 0
        with alone(places):
            if wanted.verb == "programs":
                build(places, CLIENTS)
                build(places, SERVERS)
            elif wanted.verb == "prepare":
                prepare(places)
            elif wanted.verb == "up":
                up(places, wanted.made_by)
            else:
                down(places, only_of=wanted.only_of, purge=wanted.purge)
    except (ToolError, BuildError, ServerError) as error:
        print(f"kind: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
