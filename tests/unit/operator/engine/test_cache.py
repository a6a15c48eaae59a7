"""The cache: what is in it, what its indexes find, and that a list tells of what has gone."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trainpoint.format.digest import JsonObject
from trainpoint_operator.engine.cache import Cache, without_managed_fields


def thing(name: str, namespace: str = "team", **more: Any) -> JsonObject:
    return {"metadata": {"name": name, "namespace": namespace}, **more}


View = tuple[str, str, tuple[str, ...]]


def view(obj: JsonObject) -> View:
    return obj["metadata"]["namespace"], obj["metadata"]["name"], tuple(obj.get("tags", ()))


def cache() -> Cache[View]:
    return Cache(view, indexes={"tag": lambda v: v[2], "everything": lambda v: ["all"]})


def names(views: list[View]) -> list[str]:
    return sorted(f"{v[0]}/{v[1]}" for v in views)


def test_what_was_told_is_there_as_its_view() -> None:
    c = cache()
    c.apply("ADDED", thing("a", tags=["x"]))
    assert c.get("team", "a") == ("team", "a", ("x",))
    assert c.get("team", "b") is None
    assert c.get("other", "a") is None


def test_all_of_a_namespace_and_all_of_them() -> None:
    c = cache()
    for name, namespace in (("a", "one"), ("b", "one"), ("a", "two")):
        c.apply("ADDED", thing(name, namespace))
    assert names(c.all("one")) == ["one/a", "one/b"]
    assert names(c.all()) == ["one/a", "one/b", "two/a"]
    assert (c.all("three"), len(c)) == ([], 3)


def test_indexes_follow_updates_and_deletions() -> None:
    c = cache()
    c.apply("ADDED", thing("a", tags=["x", "y", "x"]))
    c.apply("ADDED", thing("b", tags=["y"]))
    assert names(c.by("tag", "y")) == ["team/a", "team/b"]
    c.apply("MODIFIED", thing("a", tags=["z"]))
    assert (c.by("tag", "x"), names(c.by("tag", "y")), names(c.by("tag", "z"))) == ([], ["team/b"], ["team/a"])
    assert c.by("tag", "z")[0][2] == ("z",)
    c.apply("DELETED", thing("a"))
    assert c.by("tag", "z") == []
    assert set(c._indexed["tag"]) == {"y"}  # nothing is left of it


def test_listeners_are_told_old_and_new() -> None:
    c = cache()
    told: list[tuple[View | None, View | None]] = []
    c.listeners.append(lambda old, new: told.append((old, new)))
    c.apply("ADDED", thing("a"))
    c.apply("MODIFIED", thing("a", tags=["x"]))
    c.apply("DELETED", thing("a"))
    c.apply("DELETED", thing("a"))
    first, second = ("team", "a", ()), ("team", "a", ("x",))
    assert told == [(None, first), (first, second), (second, None)]


def test_a_listener_is_called_when_the_cache_already_has_the_news() -> None:
    c = cache()
    seen: list[int] = []
    c.listeners.append(lambda old, new: seen.append(len(c.by("everything", "all"))))
    c.apply("ADDED", thing("a"))
    c.apply("DELETED", thing("a"))
    assert seen == [1, 0]


def test_a_list_tells_of_what_is_not_in_it() -> None:
    c = cache()
    c.replace([thing("a"), thing("b", tags=["x"]), thing("c")])
    gone: list[View] = []
    c.listeners.append(lambda old, new: gone.append(old) if new is None and old else None)
    c.replace([thing("a"), thing("c")])
    assert (names(gone), c.by("tag", "x"), names(c.all())) == (["team/b"], [], ["team/a", "team/c"])


def test_a_list_of_one_namespace_leaves_the_others_alone() -> None:
    c = cache()
    c.replace([thing("a", "one"), thing("a", "two")])
    c.replace([thing("b", "one")], namespace="one")
    assert names(c.all()) == ["one/b", "two/a"]
    c.replace([], namespace="two")
    assert names(c.all()) == ["one/b"]


def test_a_list_that_breaks_off_takes_nothing_out() -> None:
    c = cache()
    c.replace([thing("a"), thing("b")])
    listed = c.relist()
    listed.page([thing("c")])
    assert names(c.all()) == ["team/a", "team/b", "team/c"]


def test_it_is_synced_after_the_first_complete_list() -> None:
    c = cache()
    c.replace([thing("a", "one")], namespace="one")  # who lists namespaces one by one says when that is all
    assert not c.synced.is_set()
    c.replace([])
    assert c.synced.is_set()


def test_an_object_that_cannot_be_read_and_a_listener_that_fails_stop_nothing() -> None:
    c = cache()
    told: list[View | None] = []
    c.listeners.append(lambda old, new: 1 / 0)  # type: ignore[arg-type]
    c.listeners.append(lambda old, new: told.append(new))
    c.replace([thing("a", tags=7), thing("b")])
    assert names(c.all()) == ["team/b"]
    assert told == [("team", "b", ())]


def test_an_object_that_becomes_unreadable_is_not_taken_for_gone() -> None:
    c = cache()
    c.replace([thing("a", tags=["x"])])
    c.replace([thing("a", tags=7)])
    assert names(c.by("tag", "x")) == ["team/a"]


def test_managed_fields_are_not_kept_and_the_object_itself_is_not_touched() -> None:
    obj: JsonObject = {"metadata": {"name": "a", "managedFields": [{"manager": "m"}]}, "spec": {"x": 1}}
    assert without_managed_fields(obj) == {"metadata": {"name": "a"}, "spec": {"x": 1}}
    assert "managedFields" in obj["metadata"]


OBJECTS = st.builds(
    lambda name, namespace, tags: thing(name, namespace, tags=tags),
    st.sampled_from("abcd"),
    st.sampled_from(["one", "two"]),
    st.lists(st.sampled_from("xyz"), max_size=3),
)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["ADDED", "MODIFIED", "DELETED"]), OBJECTS),
    st.tuples(st.just("list"), st.lists(OBJECTS, max_size=5), st.sampled_from(["", "one"])),
)


@given(st.lists(STEPS, max_size=12))
def test_indexes_and_listeners_agree_with_the_objects(steps: list[Any]) -> None:
    c = cache()
    heard: dict[tuple[str, str], View] = {}

    def listen(old: View | None, new: View | None) -> None:
        known = old or new
        assert known is not None
        key = known[0], known[1]
        assert heard.get(key) == old
        if new is None:
            del heard[key]
        else:
            heard[key] = new

    c.listeners.append(listen)
    for step in steps:
        if step[0] == "list":
            scope: str = step[2]
            c.replace([o for o in step[1] if not scope or o["metadata"]["namespace"] == scope], scope)
        else:
            c.apply(step[0], step[1])
        assert sorted(heard.values()) == sorted(c.all())
        for tag in "xyz":
            assert sorted(c.by("tag", tag)) == sorted(v for v in c.all() if tag in v[2])
