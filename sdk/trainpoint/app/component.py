"""What flows, works and structures have in common: attributes, a place in the tree, and a way back.

A component's state is its ``__dict__``: public names are children or variables, names that begin with ``_`` are private
and not saved. What trainpoint keeps of a component lies in slots named ``_tp_…``, so that every other private name is
the user's.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import ClassVar, Final, Protocol

from trainpoint.app.findings import Finding, Plan, What
from trainpoint.app.values import copied, same
from trainpoint.errors import ComponentError, IncompatibleStateError
from trainpoint.format.digest import JsonObject

ROOT: Final = "root"
MISSING: Final = object()
PLAIN: Final = frozenset({int, str, float, bool, list, dict, type(None)})
"""Types of most variables; they are no components, which isinstance would find out more slowly."""
MAX_LEVELS: Final = 100
"""Components within components; a state is nested twice as deep, and JSON parsers have limits."""


class _Built(ABCMeta):
    """Sees the end of the outermost constructor: what it has made, and whether it called ours."""

    def __call__(cls, *args: object, **kwargs: object) -> object:
        made = super().__call__(*args, **kwargs)
        if isinstance(made, Component):
            require_started(made, "it is used")
            for _, component in walk(made):
                if component._tp_seen is None:  # what an app has had already was not made by this constructor
                    component._tp_mark()
        return made


class Before(Protocol):
    """A work as it was before a call."""

    keys: set[str]
    """of the calls that are saved as if they had not begun: that one, and where it has failed those after it"""
    failed: bool
    thread: int
    """that makes it; 0: not yet"""

    def put(self, name: str, value: object) -> None:
        """Somebody else has set a variable meanwhile: that counts."""
        ...

    def drop(self, name: str) -> None:
        """Somebody else has deleted one."""
        ...

    def state(self, work: Component) -> JsonObject:
        """What is saved of it while that call runs."""
        ...


class Component(metaclass=_Built):
    """A node of an app's tree. Users derive from Flow and Work."""

    __slots__ = (
        "__dict__", "__weakref__", "_tp_before", "_tp_born", "_tp_calls", "_tp_from", "_tp_made", "_tp_parent",
        "_tp_plan", "_tp_seen", "_tp_unfinished",
    )  # fmt: skip

    _tp_kind: ClassVar[str]
    _tp_settings: ClassVar[frozenset[str]] = frozenset()
    """public attributes that direct trainpoint and are not part of the state"""

    _tp_parent: Component | None
    _tp_calls: dict[str, JsonObject]
    _tp_unfinished: tuple[str, ...]
    """keys of calls that an earlier process had not brought to their end, as they were made"""
    _tp_born: frozenset[str]
    """variables that the constructor has set"""
    _tp_made: frozenset[str]
    """children that the constructor has made, by name"""
    _tp_from: tuple[Component, int] | None
    """the list into which a constructor has put it, and its number there"""
    _tp_plan: Plan | None
    _tp_before: Before | None
    """what a work was like when the call began that runs; None: none runs, or it is saved as it is"""
    _tp_seen: object
    """what was captured last: :mod:`trainpoint.app.fragments`"""

    def __init__(self) -> None:
        self._tp_parent = None
        self._tp_calls = {}
        self._tp_born = self._tp_made = frozenset()
        self._tp_from = None
        self._tp_unfinished = ()
        self._tp_plan = None
        self._tp_before = None
        self._tp_seen = None
        super().__init__()  # of classes that are mixed in

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in vars(cls).items():
            if isinstance(value, Component):
                raise ComponentError(
                    f"{cls.__qualname__}.{name} is a component shared by all objects of the class",
                    remedy=f"create it in __init__: self.{name} = {type(value).__name__}(…)",
                )

    # --- attributes ---------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        held = self.__dict__
        if (
            name in held
            and name != "run"
            and not isinstance(value, Component)
            and not isinstance(held[name], Component)
        ):
            held[name] = value  # a variable gets another value: what every loop does all the time
            return
        require_started(self, f"self.{name} is set")
        if hasattr(type(defined(type(self), name)), "__set__") or name in self._tp_settings:
            object.__setattr__(self, name, value)  # a property knows what to do
            return
        if problem := not_a_variable(self, name):
            raise ComponentError(f"{dotted(self)}.{name} cannot be set: {problem}", remedy="choose another name")
        current = self.__dict__.get(name)
        if isinstance(value, Component):
            if current is value:
                return
            self._tp_adopt(name, value)
        if isinstance(current, Component):
            current._tp_parent = None
            if isinstance(value, Component):
                value._tp_replace(current)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        current = self.__dict__.get(name)
        object.__delattr__(self, name)
        if isinstance(current, Component) and not name.startswith("_"):
            current._tp_parent = None

    # --- the tree -----------------------------------------------------------------------------------------------------

    def _tp_children(self) -> list[tuple[str, Component]]:
        """Children by name, as they were added."""
        return children_in(self.__dict__.copy())

    def _tp_adopt(self, name: str, child: Component) -> None:
        """Make ``child`` a part of this component, if it can be."""
        require_started(child, "it becomes part of another component")
        if child is self or any(child is above for above in ancestors(self)):
            raise ComponentError(
                f"{dotted(self)}.{name} would contain itself",
                remedy="a component has one place, in one tree without circles",
            )
        if child._tp_parent is not None:
            raise ComponentError(
                f"{dotted(self)}.{name} is already {dotted(child)}: a component cannot be in two places",
                remedy="create a second one, or take it away from there first: set that attribute to None",
            )
        if len(list(ancestors(self))) + 2 > MAX_LEVELS:
            raise ComponentError(
                f"{dotted(self)}.{name} is deeper than {MAX_LEVELS} levels", remedy="make the tree flatter"
            )
        child._tp_parent = self

    def _tp_as_made(self) -> dict[str, Component]:
        """Children by the names under which the constructor makes them."""
        return dict(self._tp_children())

    # --- state --------------------------------------------------------------------------------------------------------

    def _tp_mark(self) -> None:
        """A constructor is at its end: what is there now is there at every start of this code."""
        self._tp_born = frozenset(variables(self))
        self._tp_made = frozenset(name for name, _ in self._tp_children())

    def _tp_replace(self, former: Component) -> None:
        """It has taken the place of ``former``: there a start of the code makes what it has made for that one."""
        if type(former) is not type(self):
            return  # of another class it is something that the code does not make there
        number = former._tp_from
        if number is not None and number[0] is self._tp_parent and root_of(self)._tp_plan is None:
            self._tp_from = number  # (what load_state_dict makes has none: it goes by its place)
        self._tp_born, self._tp_made, former._tp_from = former._tp_born, former._tp_made, None
        theirs = former._tp_as_made()
        for name, child in self._tp_as_made().items():
            if name in theirs:
                child._tp_replace(theirs[name])

    def _tp_take(self) -> JsonObject:
        """The state of this component and of all beneath it; values as they are in Python, copied."""
        raise NotImplementedError

    def _tp_restore(self, state: JsonObject, strict: bool, plan: Plan) -> None:
        """Take over ``state``; what does not fit goes into ``plan``."""
        raise NotImplementedError

    def _tp_remember(self) -> Callable[[], None]:
        """Attributes, place and calls as they are now; the function that is returned brings them back."""
        held, parent, calls = dict(self.__dict__), self._tp_parent, (dict(self._tp_calls), self._tp_unfinished)
        marks = self._tp_born, self._tp_made, self._tp_from

        def back() -> None:
            self.__dict__.clear()
            self.__dict__.update(held)
            self._tp_parent, (self._tp_calls, self._tp_unfinished) = parent, calls
            self._tp_born, self._tp_made, self._tp_from = marks

        return back


def require_started(component: Component, when: str) -> None:
    """Whether our constructor has run, said so that the missing line is found."""
    try:
        component._tp_parent  # noqa: B018
    except AttributeError:
        cls = type(component).__qualname__
        raise ComponentError(
            f"{cls}.__init__ has not called super().__init__() before {when}",
            remedy=f"make super().__init__() the first line of {cls}.__init__",
        ) from None


def ancestors(component: Component) -> Iterator[Component]:
    """From the parent up to the root."""
    above = component._tp_parent
    while above is not None:
        yield above
        above = above._tp_parent


def root_of(component: Component) -> Component:
    *_, top = (component, *ancestors(component))
    return top


def path_of(component: Component) -> tuple[str, ...]:
    """``("root", "a", "w")``; where there is no app yet, the topmost component is the root."""
    parent = component._tp_parent
    if parent is None:
        return (ROOT,)
    own = next((name for name, child in parent._tp_children() if child is component), "?")
    return (*path_of(parent), own)


def path_in(plan: Plan, component: Component) -> tuple[str, ...]:
    """The same, quickly: where the parent is restored, it has noted its children's paths."""
    return plan.paths.get(id(component)) or path_of(component)


def dotted(component: Component) -> str:
    return ".".join(path_of(component))


def walk(component: Component, path: tuple[str, ...] = (ROOT,)) -> Iterator[tuple[tuple[str, ...], Component]]:
    """It and all beneath it, with their paths."""
    yield path, component
    for name, child in component._tp_children():
        yield from walk(child, (*path, name))


def children_in(held: Mapping[str, object]) -> list[tuple[str, Component]]:
    """The components among the public attributes of a ``__dict__``."""
    return [
        (name, value)
        for name, value in held.items()
        if type(value) not in PLAIN and isinstance(value, Component) and not name.startswith("_")
    ]


# --- variables --------------------------------------------------------------------------------------------------------


def defined(cls: type, name: str) -> object:
    """What the class says of ``name``, without calling anything; MISSING if it says nothing."""
    return next((vars(c)[name] for c in cls.__mro__ if name in vars(c)), MISSING)


def not_a_variable(component: Component, name: str) -> str:
    """Why ``name`` can be no variable of this component; empty if it can."""
    if name.startswith("_"):
        return "it is private"
    if name in component._tp_settings:
        return "it is a setting"
    meant = defined(type(component), name)
    if meant is MISSING or not (callable(meant) or hasattr(type(meant), "__get__")):
        return ""
    return f"it is the name of a {'property' if not callable(meant) else 'method'} of {type(component).__qualname__}"


def variables(component: Component) -> dict[str, object]:
    """Public attributes that are no components, by name in alphabetical order."""
    return variables_in(component, component.__dict__.copy())


def variables_in(component: Component, held: Mapping[str, object]) -> dict[str, object]:
    """The same of its ``__dict__`` as it was at one moment."""
    of_class = names_of(type(component))
    found = {
        name: value
        for name, value in held.items()
        if (type(value) in PLAIN or not isinstance(value, Component))
        and (not name.startswith("_") if name not in of_class else not not_a_variable(component, name))
    }
    return dict(sorted(found.items()))


def later_than_born(component: Component, names: Iterable[str]) -> list[str]:
    """Those that neither the constructor nor the class has set."""
    of_class, born = names_of(type(component)), component._tp_born
    return [name for name in names if name not in born and name not in of_class]


@lru_cache(maxsize=512)
def names_of(cls: type[Component]) -> frozenset[str]:
    """Names about which a class has something to say."""
    return frozenset(cls._tp_settings).union(*(vars(c) for c in cls.__mro__))


def gone_since_born(component: Component, held: Mapping[str, object]) -> list[str]:
    """What the constructor makes and the app has taken away; ``held`` is the ``__dict__`` at one moment."""
    children = dict(children_in(held))
    return sorted({name for name in component._tp_born if name not in held} | (component._tp_made - children.keys()))


def take_variables(component: Component) -> JsonObject:
    """``vars``; under ``later`` those that the constructor has not set, since at a start the code cannot know them;
    under ``gone`` what it makes and the app has taken away."""
    held = variables(component)
    later, gone = later_than_born(component, held), gone_since_born(component, component.__dict__)
    taken: JsonObject = {"vars": {name: copied(value) for name, value in held.items()}}
    return {**taken, **({"later": later} if later else {}), **({"gone": gone} if gone else {})}


def restore_variables(
    component: Component, state: JsonObject, strict: bool, plan: Plan, *, children: frozenset[str]
) -> None:
    """Set what the state has. A name among ``children`` is said to be missing where the children are restored."""
    path = path_in(plan, component)
    values = section(state, "vars", path)
    later, gone = state.get("later") or [], state.get("gone") or []
    _take_away(component, [name for name in gone if name not in children and name not in values], plan)
    for name, value in values.items():
        current = component.__dict__.get(name, MISSING)
        if problem := not_a_variable(component, name):
            what, detail = What.OTHER_KIND, f"a variable of the state, but {problem}"
        elif isinstance(current, Component) and value is not None and name not in gone:
            what, detail = What.OTHER_KIND, f"a variable in the state and a {current._tp_kind} in the code"
        elif current is MISSING and name not in later and defined(type(component), name) is MISSING:
            what, detail = What.MISSING_VARIABLE, ""
        else:
            before = current if current is not MISSING else defined(type(component), name)
            if isinstance(current, Component):
                current._tp_parent = None  # the app had taken it away, by setting the attribute to None
            component.__dict__[name] = copied(value)
            if before is MISSING or not same(before, value):
                plan.changed.append((*path, name))
            continue
        plan.add(Finding(what, (*path, name), detail, refused=strict))
    for name in variables(component):
        if name not in values and name not in children:
            plan.add(Finding(What.NEW_VARIABLE, (*path, name)))


def _take_away(component: Component, names: Iterable[str], plan: Plan) -> None:
    """What the app had taken away before it was saved."""
    for name in names:
        current = component.__dict__.get(name, MISSING)
        if current is MISSING or not_a_variable(component, name):
            continue
        if isinstance(current, Component):
            current._tp_parent = None
        del component.__dict__[name]
        plan.changed.append((*path_in(plan, component), name))


def section(state: JsonObject, name: str, path: tuple[str, ...]) -> JsonObject:
    """One part of a component's state; empty if it is not there.

    Raises:
        IncompatibleStateError: it is no object, so somebody's migration has put something else there.
    """
    value = state.get(name, {}) if isinstance(state, dict) else None
    if not isinstance(value, dict):
        raise IncompatibleStateError(
            f"The state of the component {'.'.join(path)} has no usable {name!r}",
            remedy="look at what load_state_dict or a migration has put there: it is an object by name",
        )
    return value
