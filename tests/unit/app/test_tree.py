"""Components and their attributes: what is a child, what a variable, what is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from trainpoint.app import CheckpointContext, Dict, Flow, List, Work
from trainpoint.app.component import MAX_LEVELS, Component, dotted, root_of, walk
from trainpoint.app.notices import left_out
from trainpoint.app.state import capture
from trainpoint.errors import ComponentError, UnsupportedStateError


class Count(Work):
    def __init__(self, start: int = 0) -> None:
        super().__init__()
        self.counter = start

    def run(self) -> None:
        self.counter += 1


class Main(Flow):
    preset = 5
    a: Count
    f: Main

    def __init__(self) -> None:
        super().__init__()
        self.n = 0
        self._cache: list[int] = []

    def run(self) -> None:
        if not getattr(self, "w", None):
            self.w = Count()
        self.w.run()

    @property
    def doubled(self) -> int:
        return self.n * 2

    @doubled.setter
    def doubled(self, value: int) -> None:
        self.n = value // 2

    @functools.cached_property
    def costly(self) -> int:
        return 42


def state_of(root: Flow) -> dict[str, object]:
    return dict(capture(root).state["state"])


def names(root: Flow) -> list[str]:
    return [".".join(path) for path, _ in walk(root)]


def test_a_component_assigned_in_run_is_a_child_from_then_on() -> None:
    app = Main()
    assert getattr(app, "w", None) is None
    app.run()
    assert names(app) == ["root", "root.w"]
    assert root_of(app.w) is app
    assert app.w.counter == 1


def test_public_attributes_are_variables_private_ones_are_not_saved() -> None:
    app = Main()
    app._cache.append(3)
    app.later = [1, 2]
    captured = capture(app)
    assert captured.state["state"]["vars"] == {"later": [1, 2], "n": 0}
    assert [text for _, text in left_out(app)] == ["root._cache: its name begins with _"]


def test_properties_cached_values_and_class_attributes_are_no_variables_until_they_are_set() -> None:
    app = Main()
    assert app.costly == 42
    app.doubled = 8
    assert state_of(app)["vars"] == {"n": 4}
    app.preset = 6
    assert state_of(app)["vars"] == {"n": 4, "preset": 6}
    assert Main.preset == 5


def test_settings_of_the_app_are_not_part_of_its_state() -> None:
    app = Main()
    app.consistent = False
    app.consistent_seconds = 3
    assert state_of(app)["vars"] == {"n": 0}
    assert "consistent" not in state_of(app)


def test_none_in_place_of_a_component_takes_it_out_of_the_tree() -> None:
    app = Main()
    app.run()
    work = app.w
    app.w = None  # type: ignore[assignment]
    assert names(app) == ["root"]
    assert state_of(app)["vars"] == {"n": 0, "w": None}
    app.other = work  # it is free again
    assert dotted(work) == "root.other"


def test_a_component_that_is_deleted_or_replaced_is_free_again() -> None:
    app = Main()
    first, second = Count(), Count()
    app.w = first
    app.w = first
    app.w = second
    assert dotted(first) == "root"
    del app.w
    assert names(app) == ["root"]
    app.a, app.b = first, second
    assert names(app) == ["root", "root.a", "root.b"]


def test_names_are_dotted_down_from_the_root() -> None:
    app, middle, work = Main(), Main(), Count()
    middle.w = work
    assert dotted(work) == "root.w"
    app.middle = middle
    app.d = Dict(x=List(Count()))
    assert names(app) == ["root", "root.middle", "root.middle.w", "root.d", "root.d.x", "root.d.x.0"]


def two_places(app: Main) -> None:
    app.b = app.a


def two_places_in_two_apps(app: Main) -> None:
    Main().a = app.a


def into_a_structure_too(app: Main) -> None:
    app.d = Dict(x=app.a)


def itself(app: Main) -> None:
    app.me = app


def a_circle(app: Main) -> None:
    app.f.root = app


def a_circle_through_structures(app: Main) -> None:
    inner = List[Component]()
    outer = app.d = Dict(x=inner)
    inner.append(outer)


def a_work_with_children(app: Main) -> None:
    app.a.child = Count()


def named_like_a_method(app: Main) -> None:
    app.should_save_checkpoint = True  # type: ignore[assignment, method-assign]


def run_of_a_work(app: Main) -> None:
    app.a.run = 3  # type: ignore[assignment, method-assign]


def a_child_named_like_a_method(app: Main) -> None:
    app.stop = Count()  # type: ignore[assignment, method-assign]


def too_deep(app: Main) -> None:
    for _ in range(MAX_LEVELS):
        app.f = Main()
        app = app.f


def in_the_class(_: Main) -> None:
    class Shared(Flow):
        w = Count()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (two_places, "root.b is already root.a: a component cannot be in two places"),
        (two_places_in_two_apps, "root.a is already root.a"),
        (into_a_structure_too, "x is already root.a"),
        (itself, "root.me would contain itself"),
        (a_circle, "root.f.root would contain itself"),
        (a_circle_through_structures, "root.d.x.0 would contain itself"),
        (a_work_with_children, "root.a.child cannot be a Work: a work has no children"),
        (named_like_a_method, "root.should_save_checkpoint cannot be set: it is the name of a method of Main"),
        (run_of_a_work, "root.a.run cannot be set: it is the name of a method of Count"),
        (a_child_named_like_a_method, "root.stop cannot be set"),
        (too_deep, "deeper than 100 levels"),
        (in_the_class, "Shared.w is a component shared by all objects of the class"),
    ],
    ids=lambda case: case.__name__ if callable(case) else "",
)
def test_a_tree_that_could_not_be_saved_is_refused_when_it_is_made(
    mistake: Callable[[Main], None], message: str
) -> None:
    app = Main()
    app.a = Count()
    app.f = Main()
    before = names(app)
    with pytest.raises(ComponentError) as raised:
        mistake(app)
    assert message in raised.value.message
    assert raised.value.remedy
    if mistake not in (too_deep, a_circle_through_structures):
        assert names(app) == before, "the mistake has changed the tree"


def test_a_tree_may_be_as_deep_as_the_limit_says_and_is_saved() -> None:
    root = app = Main()
    for _ in range(MAX_LEVELS - 1):
        app.f = Main()
        app = app.f
    assert capture(root).text().count('"flows"') == MAX_LEVELS


def test_a_constructor_that_forgets_super_is_told_so_at_the_first_attribute() -> None:
    class Forgets(Flow):
        def __init__(self) -> None:
            self.n = 1

    with pytest.raises(
        ComponentError, match=r"Forgets.__init__ has not called super\(\).__init__\(\) before self.n is"
    ):
        Forgets()


def test_a_constructor_that_forgets_super_and_sets_nothing_is_told_so_too() -> None:
    class Forgets(Work):
        def __init__(self) -> None:
            pass

    with pytest.raises(ComponentError, match=r"Forgets.__init__ has not called super\(\).__init__\(\)"):
        Forgets()


def test_a_constructor_may_set_private_attributes_before_super_and_mix_classes_in() -> None:
    class Mixed:
        def __init__(self) -> None:
            super().__init__()
            self.mixed = 1

    class Early(Flow, Mixed):
        def __init__(self) -> None:
            self._path = "x"
            super().__init__()

    assert state_of(Early())["vars"] == {"mixed": 1}


def test_names_that_our_own_code_might_use_are_the_users() -> None:
    class Mine(Flow):
        def __init__(self) -> None:
            super().__init__()
            self._parent = self._calls = self._scheduler = self._items = self._plan = "mine"
            self.name = self.state = self.flows = self.works = self.calls = self.vars = "mine"

        def run(self) -> None:
            self.w = Count()
            self.w.run()

    app = Mine()
    app.run()
    assert app._scheduler == "mine"
    assert app.w.counter == 1
    assert set(capture(app).state["state"]["vars"]) == {"name", "state", "flows", "works", "calls", "vars"}


def test_a_list_of_components_is_an_error_at_save_that_names_our_list() -> None:
    app = Main()
    app.works = [Count()]
    with pytest.raises(UnsupportedStateError, match=r"root.works\[0\] cannot be saved: it is .*Count") as raised:
        capture(app)
    assert "trainpoint.app.List" in raised.value.remedy


def test_an_unsupported_value_deep_in_the_tree_is_named_by_its_dotted_name() -> None:
    app = Main()
    app.d = Dict(x=Main())
    app.d["x"].w = Count()  # type: ignore[attr-defined]
    app.d["x"].w.table = {"a": (1, 2)}  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedStateError, match=r"root.d.x.w.table\['a'\] cannot be saved: it is a tuple"):
        capture(app)


def test_stop_anywhere_in_the_tree_stops_the_root() -> None:
    app = Main()
    app.d = Dict(x=Main())
    app.d["x"].stop()  # type: ignore[attr-defined]
    assert app._tp_stopped


def test_facts_about_checkpoints_are_the_roots_and_can_only_be_read() -> None:
    app = Main()
    app.f = Main()
    app._tp_context = CheckpointContext(iteration=7, seconds_since_save=2.5)
    assert app.f.checkpoint_context.iteration == 7
    with pytest.raises(AttributeError):
        app.checkpoint_context = CheckpointContext()  # type: ignore[misc]


def test_what_a_subclass_has_not_written_is_said() -> None:
    class Empty(Flow):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no run"):
        Empty().run()
    assert Empty().should_save_checkpoint() is False
