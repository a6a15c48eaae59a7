"""What loading the client of a cluster must not change."""

from __future__ import annotations

from trainpoint.errors import error_classes


def test_errors_of_the_clients_own_stay_out_of_the_reference() -> None:
    before = error_classes()
    import trainpoint.catalog.kube  # noqa: F401

    assert error_classes() == before
    assert all(not cls.__name__.startswith("_") for cls in before.values())
