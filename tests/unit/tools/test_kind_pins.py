"""One file pins every version; the module files, the kind file and the node agree with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tools.kind.binaries import CLIENTS, MODULES, SERVERS, Family, module_version
from tools.kind.node_image import OVERLAY
from tools.kind.places import HERE, NODES, Places, ToolError, pins

FAMILIES = (*CLIENTS, *SERVERS)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_s_go_mod_requires_the_pinned_version(family: Family) -> None:
    assert module_version((family.directory / "go.mod").read_text(), family.module) == pins()[family.pin]


@pytest.mark.parametrize("folder", sorted(p.name for p in MODULES.iterdir()))
def test_every_module_folder_is_built_and_has_checksums(folder: str) -> None:
    assert folder in {family.directory.name for family in FAMILIES}
    assert (MODULES / folder / "go.sum").stat().st_size > 0


def test_all_of_kubernetes_has_one_version() -> None:
    replaced = re.findall(r"=> (k8s\.io/\S+) (v\S+)", (MODULES / "kubernetes/go.mod").read_text())
    assert len(replaced) > 30
    assert {version for _, version in replaced} == {pins()["KUBERNETES_VERSION"].replace("v1.", "v0.", 1)}


def test_a_pin_that_differs_is_found_in_a_single_line_and_in_a_block() -> None:
    assert module_version("require example.org/a v1.2.3\n", "example.org/a") == "v1.2.3"
    assert module_version("require (\n\texample.org/a v1.2.3 // indirect\n)\n", "example.org/a") == "v1.2.3"
    assert module_version("tool example.org/a\n", "example.org/a") is None


def test_the_kind_file_makes_the_nodes_that_the_tests_name_and_gives_the_audit_policy_to_the_api_server() -> None:
    file = yaml.safe_load((HERE / "kind.yaml").read_text())
    assert [node["role"] for node in file["nodes"]] == ["control-plane", *["worker"] * (len(NODES) - 1)]
    mount = file["nodes"][0]["extraMounts"][0]
    assert (HERE / mount["hostPath"]).is_file()
    patches = {patch["kind"]: patch for patch in map(yaml.safe_load, file["kubeadmConfigPatches"])}
    arguments = {a["name"]: a["value"] for a in patches["ClusterConfiguration"]["apiServer"]["extraArgs"]}
    assert arguments["audit-policy-file"] == mount["containerPath"]
    volumes = {v["hostPath"] for v in patches["ClusterConfiguration"]["apiServer"]["extraVolumes"]}
    assert {str(Path(mount["containerPath"]).parent), str(Path(arguments["audit-log-path"]).parent)} == volumes


def test_the_audit_policy_leaves_out_the_cluster_s_own_traffic_before_it_takes_in_that_of_pods() -> None:
    rules = yaml.safe_load((HERE / "audit.yaml").read_text())["rules"]
    levels = [rule["level"] for rule in rules]
    assert levels == ["None", "None", "Metadata", "Metadata", "None"]
    assert "system:serviceaccounts:kube-system" in rules[0]["userGroups"]
    assert rules[2]["userGroups"] == ["system:serviceaccounts"]


def test_programs_of_the_node_are_executable() -> None:
    for program in (OVERLAY / "usr/local/bin").iterdir():
        assert program.stat().st_mode & 0o111, program


def test_the_cache_is_where_the_environment_says() -> None:
    assert Places.of({"HOME": "/home/me"}).cache == Path("/home/me/.cache/trainpoint/kind")
    assert Places.of({"HOME": "/home/me", "XDG_CACHE_HOME": "/c"}).cache == Path("/c/trainpoint/kind")
    assert Places.of({"HOME": "/home/me", "TRAINPOINT_KIND_CACHE": "/mine"}).cache == Path("/mine")


def test_two_cache_folders_have_engines_of_different_names() -> None:
    assert Places(Path("/a")).namespace != Places(Path("/b")).namespace


def test_a_cache_folder_where_no_engine_could_live_is_refused() -> None:
    with pytest.raises(ToolError, match="too long"):
        Places(Path("/home/" + "x" * 100)).check()
    with pytest.raises(ToolError, match="under /run"):
        Places(Path("/run/user")).check()
