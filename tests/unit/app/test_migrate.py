"""Migrations: states of earlier versions are brought up to date step by step, on copies, before restoring."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from trainpoint.app import Flow, Work, migration
from trainpoint.app import migrate as module
from trainpoint.app.state import capture, differences, parse, restore
from trainpoint.errors import ComponentError, IncompatibleStateError

State = dict[str, Any]


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STEPS", [])


class Count(Work):
    def __init__(self) -> None:
        super().__init__()
        self.counter = 5


class Old(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.old_name = 7
        self.w = Count()


class New(Flow):
    app_version = "2"

    def __init__(self) -> None:
        super().__init__()
        self.new_name = 0
        self.extra = "default"
        self.worker = Count()


class Third(New):
    app_version = "3"


def saved(root: Flow) -> State:
    return parse(capture(root).text(), "test")


def first_step(state: State) -> State:
    state["vars"]["new_name"] = state["vars"].pop("old_name")
    state["works"]["worker"] = state["works"].pop("w")
    return state


def second_step(state: State) -> State:
    return {**state, "vars": {**state["vars"], "new_name": state["vars"]["new_name"] * 10}}


def test_a_renamed_variable_is_an_error_that_lists_all_until_a_migration_for_the_old_version_makes_it_load() -> None:
    class SameVersion(New):
        app_version = "1"

    with pytest.raises(IncompatibleStateError) as raised:
        restore(SameVersion(), saved(Old()))
    for name in ("root.w", "root.old_name", "root.new_name", "root.extra", "root.worker"):
        assert name in raised.value.message
    migration("1")(first_step)
    app = New()
    report = restore(app, saved(Old()))
    assert (app.new_name, app.extra, app.worker.counter) == (7, "default", 5)
    assert report.migrations == ("1 → 2",)
    assert report.kept_default == ("root.extra",)


def test_steps_are_chained_in_order_whatever_the_order_of_registration() -> None:
    migration("2")(second_step)
    migration("1")(first_step)
    app = Third()
    assert restore(app, saved(Old())).migrations == ("1 → 2", "2 → 3")
    assert app.new_name == 70
    two = New()
    two.new_name = 4
    assert restore(app, saved(two)).migrations == ("2 → 3",)
    assert app.new_name == 40


def test_a_state_of_the_codes_version_is_not_migrated() -> None:
    migration("2")(second_step)
    app = New()
    app.new_name = 4
    again = New()
    assert restore(again, saved(app)).migrations == ()
    assert again.new_name == 4


def test_the_saved_state_itself_is_never_changed() -> None:
    migration("1")(first_step)
    document = saved(Old())
    before = copy.deepcopy(document)
    restore(New(), document)
    differences(New(), document)
    assert document == before


def test_migration_comes_before_load_state_dict() -> None:
    seen: list[State] = []

    class Looks(New):
        def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
            seen.append({**flow_state["vars"], **children_states})
            super().load_state_dict(flow_state, children_states, strict)

    migration("1")(first_step)
    restore(Looks(), saved(Old()))
    assert set(seen[0]) == {"new_name", "worker"}


@pytest.mark.parametrize(
    ("registered", "version", "message"),
    [
        ([], "3", "saved by version 1 of the app, this code is version 3, and there is no migration of version 1"),
        ([("1", None)], "3", "version 3, and there is no migration of version 2"),
        ([("2", None)], "3", "version 3, and there is no migration of version 1"),
        ([("1", "5")], "3", "there is no migration of version 5"),
        ([("1", "1.5"), ("1.5", "1")], "3", "go in a circle: 1 → 1.5, 1.5 → 1"),
        ([], "0", "saved by version 1 of the app, and this code is version 0"),
        ([], "0.10", "saved by version 1 of the app, and this code is version 0.10"),
        ([], "blue", "version blue, and there is no migration of version 1"),
    ],
)
def test_without_a_way_to_the_codes_version_nothing_is_restored_and_the_versions_are_named(
    registered: list[tuple[str, str | None]], version: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start, to in registered:
        migration(start, to=to)(lambda state: state)
    monkeypatch.setattr(New, "app_version", version)
    app = New()
    with pytest.raises(IncompatibleStateError) as raised:
        restore(app, saved(Old()))
    assert message in raised.value.message
    assert app.new_name == 0
    with pytest.raises(IncompatibleStateError):
        differences(app, saved(Old()))
    with pytest.raises(IncompatibleStateError):
        restore(app, saved(Old()), strict=False)


def test_ten_is_newer_than_nine() -> None:
    class Nine(New):
        app_version = "1.9"

    class Ten(New):
        app_version = "1.10"

    with pytest.raises(
        IncompatibleStateError, match=r"saved by version 1\.10 of the app, and this code is version 1\.9"
    ):
        restore(Nine(), saved(Ten()))


def fails(state: State) -> State:
    state["vars"].clear()
    return dict(state["vars"]["old_name"])


def returns_nothing(state: State) -> None:
    state["vars"].clear()


def breaks_the_shape(state: State) -> State:
    return {**state, "works": []}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (fails, f"fails) failed in line {fails.__code__.co_firstlineno + 2} of test_migrate.py: KeyError: 'old_name'"),
        (returns_nothing, "returns_nothing) returned None"),
        (breaks_the_shape, "after the migrations 1 → 2 works of root is no object"),
    ],
)
def test_a_migration_that_goes_wrong_is_named_and_nothing_is_restored(step: Any, message: str) -> None:
    migration("1")(step)
    document = saved(Old())
    app = New()
    with pytest.raises(IncompatibleStateError) as raised:
        restore(app, document)
    assert message in raised.value.message
    assert raised.value.exit_code == 86
    assert document == saved(Old())
    assert app.new_name == 0


def test_versions_may_be_numbers_and_the_constructor_may_set_the_codes() -> None:
    class Set(New):
        def __init__(self) -> None:
            super().__init__()
            self.app_version = 3  # type: ignore[assignment, misc]

    migration(1)(first_step)
    migration(2, to=3)(lambda state: state)
    for state in (saved(Old()), saved(Set())):
        app = Set()
        restore(app, state)
    assert saved(Set())["app"]["version"] == "3"


def test_a_migration_may_refuse_with_an_error_of_its_own_family() -> None:
    def refuses(_: State) -> State:
        raise IncompatibleStateError("states before May cannot be used", remedy="train anew")

    migration("1")(refuses)
    with pytest.raises(IncompatibleStateError, match="before May"):
        restore(New(), saved(Old()))


def test_two_migrations_of_one_version_are_refused_unless_they_belong_to_different_apps() -> None:
    migration("1")(first_step)
    with pytest.raises(ComponentError, match=r"two migrations of version 1: .*first_step and .*second_step"):
        migration("1")(second_step)
    migration("1", app=Old)(second_step)
    migration("1", app=New)(first_step)
    with pytest.raises(ComponentError, match="two migrations of version 1"):
        migration("1", app=New)(second_step)


def test_the_same_file_executed_again_replaces_its_migrations() -> None:
    migration("1")(returns_nothing)  # type: ignore[arg-type]

    def again(state: State) -> State:
        return first_step(state)

    again.__module__, again.__qualname__ = returns_nothing.__module__, returns_nothing.__qualname__
    migration("1")(again)
    app = New()
    restore(app, saved(Old()))
    assert app.new_name == 7


def test_the_migration_of_the_app_itself_goes_before_one_for_all_and_is_inherited() -> None:
    migration("1")(returns_nothing)  # type: ignore[arg-type]
    migration("1", app=New)(first_step)
    app = New()
    restore(app, saved(Old()))
    assert app.new_name == 7

    class Derived(New):
        pass

    derived = Derived()
    restore(derived, saved(Old()))
    assert derived.new_name == 7


def test_a_version_that_is_no_whole_number_needs_its_next_one_said() -> None:
    with pytest.raises(ComponentError, match="which version comes next") as raised:
        migration("1.9")
    assert 'to="…"' in raised.value.remedy
    migration("1.9", to="2.0")(first_step)

    class Fine(New):
        app_version = "2.0"

    document = saved(Old())
    document["app"]["version"] = "1.9"
    assert restore(Fine(), document).migrations == ("1.9 → 2.0",)


def test_a_dry_run_tells_the_steps() -> None:
    migration("1")(first_step)
    found = differences(New(), saved(Old()))
    assert found.compatible
    assert "├─ migrated: 1 → 2" in list(found.lines())


def test_the_decorated_function_can_still_be_called() -> None:
    assert migration("1")(first_step) is first_step
