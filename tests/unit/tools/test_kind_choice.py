"""Which engine a cluster runs on, and how an engine is started: decisions without a machine."""

from __future__ import annotations

import pytest

from tools.kind.debian import for_suite
from tools.kind.engine import runtime
from tools.kind.hosts import Kind, Seen, choose
from tools.kind.places import ToolError


@pytest.mark.parametrize(
    ("seen", "kind", "reason"),
    [
        (Seen("host", own_runs=True), Kind.HOST, "TRAINPOINT_KIND_ENGINE=host"),
        (Seen("own", own_runs=False, host_answers=True, host_pulls=True), Kind.OWN, "TRAINPOINT_KIND_ENGINE=own"),
        (Seen("", own_runs=True), Kind.OWN, "it runs already"),
        (Seen("", own_runs=False, host_answers=True, host_pulls=True), Kind.HOST, "a Docker engine answers"),
        (Seen("", own_runs=False, host_answers=True, host_pulls=False, root=True), Kind.OWN, "no image can be pulled"),
        (Seen("", own_runs=False, host_answers=False, root=True), Kind.OWN, "no Docker engine answers"),
    ],
    ids=["order", "order to make one", "runs", "pulls", "cannot pull", "no engine"],
)
def test_an_order_goes_first_then_what_runs_then_what_can_pull(seen: Seen, kind: Kind, reason: str) -> None:
    choice = choose(seen)
    assert choice.kind is kind
    assert choice.reason.startswith(reason)


def test_without_root_and_without_an_engine_it_says_what_is_missing() -> None:
    with pytest.raises(ToolError, match=r"no Docker engine answers, and making .* needs root"):
        choose(Seen("", own_runs=False, host_answers=False))


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ToolError, match="podman is not an engine; choose host or own"):
        choose(Seen("podman", own_runs=False))


@pytest.mark.parametrize(
    ("capabilities", "expected"), [("000001ffffffffff", "runc"), ("000001fffeffffff", "unprivileged")]
)
def test_runc_is_wrapped_only_where_root_lacks_cap_sys_resource(capabilities: str, expected: str) -> None:
    assert runtime(f"Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t{capabilities}\n") == expected


def test_a_source_list_is_rewritten_for_another_release() -> None:
    listing = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n"
    assert for_suite(listing, "trixie") == listing.replace("bookworm", "trixie")
    assert for_suite(listing, "bookworm") == listing
