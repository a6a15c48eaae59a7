"""Works run once per set of arguments, by themselves or through a scheduler; what is known of it is saved."""

from __future__ import annotations

import pytest

from trainpoint.app import Flow, Work
from trainpoint.app.state import capture, parse, restore
from trainpoint.app.tree import cancel, execute, install
from trainpoint.errors import UnsupportedStateError


class Add(Work):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.runs = 0

    def run(self, *numbers: int, factor: int = 1, **more: object) -> None:
        self.runs += 1
        if factor == 0:
            raise ValueError("no factor")
        self.total += sum(numbers) * factor


class Main(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.w = Add()


class Queue:
    def __init__(self) -> None:
        self.waiting: list[tuple[Work, tuple[object, ...], dict[str, object]]] = []

    def submit(self, work: Work, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        self.waiting.append((work, args, kwargs))


def statuses(root: Main) -> list[str]:
    return [call["status"] for call in capture(root).state["state"]["works"]["w"]["calls"].values()]


def restarted(root: Main) -> Main:
    again = Main()
    restore(again, parse(capture(root).text(), "test"))
    return again


def test_a_work_runs_once_per_set_of_arguments() -> None:
    app = Main()
    for _ in range(3):
        app.w.run(1, 2)
        app.w.run(1, 2, factor=10)
    assert (app.w.total, app.w.runs) == (33, 2)
    assert app.w.has_succeeded
    assert not app.w.has_failed


@pytest.mark.parametrize(
    ("first", "second", "is_another"),
    [
        (((1,), {}), ((1,), {}), False),
        (((), {"a": 1, "b": 2}), ((), {"b": 2, "a": 1}), False),
        (((1,), {}), ((True,), {}), True),
        (((1,), {}), ((1.0,), {}), True),
        (((), {}), ((0,), {}), True),
        (((1, 2), {}), ((2, 1), {}), True),
        (((), {"a": [1]}), ((), {"a": [1, 1]}), True),
    ],
)
def test_which_arguments_are_the_same(
    first: tuple[tuple[int, ...], dict[str, object]],
    second: tuple[tuple[int, ...], dict[str, object]],
    is_another: bool,
) -> None:
    work = Add()
    for args, kwargs in (first, second):
        work.run(*args, **kwargs)  # type: ignore[arg-type]
    assert work.runs == (2 if is_another else 1)


def test_finished_work_is_not_repeated_after_a_restart_and_other_work_is_done() -> None:
    app = Main()
    app.w.run(1)
    again = restarted(app)
    again.w.run(1)
    assert (again.w.runs, again.w.total) == (1, 1)
    assert again.w.has_succeeded
    again.w.run(2)
    assert (again.w.runs, again.w.total) == (2, 3)


def test_a_failed_call_raises_is_noted_and_runs_again() -> None:
    app = Main()
    with pytest.raises(ValueError, match="no factor"):
        app.w.run(factor=0)
    assert app.w.has_failed
    assert capture(app).state["state"]["works"]["w"]["calls"]["run:" + next(iter(app.w._tp_calls))[4:]] == {
        "name": "run",
        "args": [],
        "kwargs": {"factor": 0},
        "status": "failed",
        "error": "ValueError: no factor",
    }
    with pytest.raises(ValueError, match="no factor"):
        app.w.run(factor=0)
    assert app.w.runs == 2


def test_after_a_restart_a_failed_call_counts_as_not_made() -> None:
    app = Main()
    with pytest.raises(ValueError, match="no factor"):
        app.w.run(factor=0)
    again = restarted(app)
    assert not again.w.has_failed
    assert statuses(again) == ["pending"]


def test_a_scheduler_is_given_each_call_once() -> None:
    app, queue = Main(), Queue()
    install(app, queue)
    for _ in range(3):
        app.w.run(1)
        app.w.run(2)
    assert [(work, args) for work, args, _ in queue.waiting] == [(app.w, (1,)), (app.w, (2,))]
    assert statuses(app) == ["pending", "pending"]
    assert app.w.runs == 0
    for work, args, kwargs in queue.waiting:
        execute(work, args, kwargs)
    app.w.run(1)
    assert len(queue.waiting) == 2
    assert statuses(app) == ["succeeded", "succeeded"]


def test_the_last_call_is_the_one_that_was_made_last() -> None:
    app, queue = Main(), Queue()
    install(app, queue)
    app.w.run(factor=0)
    with pytest.raises(ValueError, match="no factor"):
        execute(*queue.waiting.pop())
    app.w.run(1)
    execute(*queue.waiting.pop())
    assert app.w.has_succeeded
    app.w.run(factor=0)
    assert not app.w.has_succeeded, "a call is waiting now"


def test_a_running_call_is_saved_as_pending_and_runs_again_after_a_restart() -> None:
    class Looks(Add):
        def run(self, *numbers: int, factor: int = 1, **more: object) -> None:
            seen.append(statuses(app))
            super().run(*numbers)
            again.append(restarted(app))

    seen: list[list[str]] = []
    again: list[Main] = []
    app = Main()
    app.w = Looks()
    app.w.run(5)
    assert seen == [["pending"]]
    assert statuses(app) == ["succeeded"]
    assert again[0].w.total == 5
    again[0].w.run(5)
    assert again[0].w.total == 10


def test_a_call_that_is_given_up_is_pending_and_can_be_made_again() -> None:
    app, queue = Main(), Queue()
    install(app, queue)
    app.w.run(1)
    cancel(*queue.waiting.pop())
    assert statuses(app) == ["pending"]
    app.w.run(1)
    assert len(queue.waiting) == 1


def test_a_work_is_given_copies_so_that_the_flow_may_go_on_changing_its_lists() -> None:
    app, queue, mine = Main(), Queue(), [1, 2]
    install(app, queue)
    app.w.run(data=mine)
    mine.append(3)
    app.w.run(data=mine)
    assert [kwargs for _, _, kwargs in queue.waiting] == [{"data": [1, 2]}, {"data": [1, 2, 3]}]
    for call in queue.waiting:
        execute(*call)
    assert statuses(app) == ["succeeded", "succeeded"]
    assert not app.w._tp_in_flight


def test_an_argument_that_cannot_be_saved_is_an_error_that_names_it() -> None:
    app = Main()
    with pytest.raises(UnsupportedStateError, match=r"root.w.run\(data=…\)\['x'\] cannot be saved: it is a tuple"):
        app.w.run(data={"x": (1,)})
    assert app.w.runs == 0
    assert statuses(app) == []


def test_super_within_a_run_is_the_plain_method() -> None:
    class More(Add):
        def run(self, *numbers: int, factor: int = 1, **more: object) -> None:
            super().run(*numbers)
            super().run(*numbers)

    work = More()
    work.run(4)
    work.run(4)
    assert (work.runs, work.total) == (2, 8)
    assert len(work._tp_calls) == 1
