"""What loading the client of a cluster must not change."""

from __future__ import annotations

import importlib.util

import pytest

from trainpoint.errors import NotConfiguredError, error_classes


def test_errors_of_the_clients_own_stay_out_of_the_reference() -> None:
    before = error_classes()
    import trainpoint.catalog.kube  # noqa: F401

    assert error_classes() == before
    assert all(not cls.__name__.startswith("_") for cls in before.values())


def test_a_missing_client_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainpoint.catalog.kube import Kube

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotConfiguredError, match="kubernetes is not installed") as caught:
        Kube.from_kubeconfig("team-a")
    assert "trainpoint[cluster]" in caught.value.remedy
    with pytest.raises(NotConfiguredError, match="kubernetes is not installed"):
        Kube.in_pod("team-a")
