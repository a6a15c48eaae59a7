"""The work queue, by a clock that the test commands."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trainpoint.testing import FakeChance, FakeClock
from trainpoint_operator.engine.queue import BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS, URGENT_IN_A_ROW, Queue
from trainpoint_operator.engine.resources import Key

A, B, C = (Key("CheckpointRun", "team", name) for name in "abc")


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.waits: list[tuple[Key, float]] = []
        self.retries: list[Key] = []
        self.queue = Queue(
            self.clock, FakeChance(), taken=lambda k, s: self.waits.append((k, s)), retried=self.retries.append
        )

    def drain(self) -> list[Key]:
        found = []
        while (key := self.queue.take()) is not None:
            found.append(key)
        return found


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def queue(world: World) -> Queue:
    return world.queue


def test_keys_come_in_the_order_in_which_they_were_added(world: World) -> None:
    for key in (B, A, C):
        world.queue.add(key)
    assert world.drain() == [B, A, C]


def test_a_key_is_in_it_once(world: World) -> None:
    for key in (A, B, A, A):
        world.queue.add(key)
    assert world.queue.depth() == 2
    assert world.drain() == [A, B]


def test_a_key_in_flight_is_not_handed_out_and_comes_once_more_afterwards(world: World) -> None:
    world.queue.add(A)
    assert world.drain() == [A]
    world.queue.add(A)
    world.queue.add(A)
    assert world.drain() == []
    world.queue.done(A)
    assert world.drain() == [A]
    world.queue.done(A)
    assert world.drain() == []


def test_done_without_news_hands_nothing_out(world: World) -> None:
    world.queue.add(A)
    world.drain()
    world.queue.done(A)
    assert world.drain() == []
    assert (world.queue.depth(), world.queue.delayed(), world.queue.in_flight()) == (0, 0, 0)


def test_a_delayed_key_comes_when_it_is_due(world: World) -> None:
    world.queue.add(A, 10)
    assert (world.drain(), world.queue.until_due()) == ([], 10)
    world.clock.advance(9.5)
    assert world.drain() == []
    world.clock.advance(0.5)
    assert world.drain() == [A]


def test_of_two_delays_the_shorter_counts_whichever_came_first(world: World) -> None:
    world.queue.add(A, 10)
    world.queue.add(A, 5)
    world.queue.add(B, 5)
    world.queue.add(B, 10)
    assert world.queue.delayed() == 2
    world.clock.advance(5)
    assert world.drain() == [A, B]
    for key in (A, B):
        world.queue.done(key)
    world.clock.advance(10)
    assert world.drain() == []


def test_a_key_that_becomes_due_in_flight_comes_afterwards(world: World) -> None:
    world.queue.add(A)
    world.drain()
    world.queue.add(A, 1)
    world.clock.advance(2)
    assert world.drain() == []
    world.queue.done(A)
    assert world.drain() == [A]


def test_urgent_keys_come_first_and_one_that_waits_can_become_urgent(world: World) -> None:
    for key in (A, B):
        world.queue.add(key)
    world.queue.add(C, urgent=True)
    world.queue.add(B, urgent=True)
    world.queue.add(C)
    assert world.drain() == [C, B, A]


def test_a_delayed_key_and_one_in_flight_stay_urgent(world: World) -> None:
    world.queue.add(C)
    world.drain()
    world.queue.add(A, 1)
    world.queue.add(B, 1, urgent=True)
    world.queue.add(C, urgent=True)
    world.queue.add(C)
    world.clock.advance(1)
    world.queue.done(C)
    assert set(world.drain()[:2]) == {B, C}


def test_many_urgent_keys_do_not_starve_the_others(world: World) -> None:
    world.queue.add(A)
    many = [Key("Checkpoint", "team", f"{n:03}") for n in range(100)]
    for key in many:
        world.queue.add(key, urgent=True)
    assert world.drain().index(A) == URGENT_IN_A_ROW


def test_a_key_that_fails_comes_back_after_delays_that_double_up_to_a_limit(world: World) -> None:
    delays = []
    world.queue.add(A)
    for _ in range(40):
        assert world.drain() == [A]
        delays.append(world.queue.failed(A))
        assert world.drain() == []
        world.clock.advance(delays[-1])
    bounds = [min(BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS * 2**n) for n in range(40)]
    assert all(bound / 2 <= delay <= bound for delay, bound in zip(delays, bounds, strict=True))
    assert len({delay / bound for delay, bound in zip(delays, bounds, strict=True)}) > 30  # jitter
    assert len(world.retries) == 40


def test_a_success_forgets_the_failures(world: World) -> None:
    world.queue.add(A)
    for _ in range(8):
        world.clock.advance(BACKOFF_LIMIT_SECONDS)
        assert world.drain() == [A]
        world.queue.failed(A)
    assert world.queue.failures(A) == 8
    world.clock.advance(BACKOFF_LIMIT_SECONDS)
    world.drain()
    world.queue.done(A)
    world.queue.add(A)
    world.drain()
    assert world.queue.failed(A) <= BACKOFF_SECONDS


def test_a_key_that_failed_comes_soon_when_something_changed_meanwhile(world: World) -> None:
    world.queue.add(A)
    for _ in range(12):
        world.clock.advance(BACKOFF_LIMIT_SECONDS)
        world.drain()
        world.queue.failed(A)
    world.queue.add(A)  # between two tries: at once
    assert world.drain() == [A]
    world.queue.add(A)  # during one
    assert 0 < world.queue.failed(A) <= 5


def test_what_the_server_asks_to_wait_is_the_least(world: World) -> None:
    world.queue.add(A)
    world.drain()
    assert 30 <= world.queue.failed(A, 30) <= 30 * 1.25


def test_a_key_that_is_given_back_comes_at_once_and_counts_as_no_failure(world: World) -> None:
    world.queue.add(A)
    world.drain()
    world.queue.give_back(A)
    assert world.drain() == [A]
    assert world.queue.failures(A) == 0


def test_how_long_a_key_was_ready_is_told(world: World) -> None:
    world.queue.add(A, 7)
    world.queue.add(B)
    world.clock.advance(7)
    world.queue.take()  # B; A has just become ready
    world.clock.advance(3)
    world.queue.take()
    assert world.waits == [(B, 7.0), (A, 3.0)]


def test_waiting_workers_are_woken_one_key_each() -> None:
    async def scenario() -> None:
        world = World()
        first, second = (asyncio.create_task(world.queue.get()) for _ in range(2))
        await asyncio.sleep(0)
        world.queue.add(A)
        world.queue.add(A)
        world.queue.add(B)
        assert {await first, await second} == {A, B}
        assert world.queue.depth() == 0

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_worker_that_is_cancelled_while_it_waits_loses_no_key() -> None:
    async def scenario() -> None:
        world = World()
        waiting = asyncio.create_task(world.queue.get())
        await asyncio.sleep(0)
        world.queue.add(A)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await world.queue.get() == A

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_delayed_key_wakes_a_worker_that_waits_for_a_later_one() -> None:
    from trainpoint.clock import SystemClock

    async def scenario() -> None:
        queue = Queue(SystemClock(), FakeChance())
        queue.add(A, 60)
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add(B, 0.02)
        assert await waiting == B

    asyncio.run(asyncio.wait_for(scenario(), 10))


class QueueMachine(RuleBasedStateMachine):
    """Whatever happens: no key is handed out twice at a time, and none that was added is lost."""

    keys = st.sampled_from([A, B, C])

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.owed: set[Key] = set()
        """keys that something changed for since they were last handed out"""
        self.flying: set[Key] = set()

    @rule(key=keys, after=st.sampled_from([0.0, 1.0, 30.0]), urgent=st.booleans())
    def add(self, key: Key, after: float, urgent: bool) -> None:
        self.world.queue.add(key, after, urgent=urgent)
        self.owed.add(key)

    @rule()
    def take(self) -> None:
        key = self.world.queue.take()
        if key is not None:
            assert key not in self.flying
            self.flying.add(key)
            if not self.later(key):
                self.owed.discard(key)

    def later(self, key: Key) -> bool:
        return key in self.world.queue._later

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), how=st.sampled_from(["done", "failed", "give_back"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.flying)))
        self.flying.remove(key)
        getattr(self.world.queue, how)(key)
        if how != "done":
            self.owed.add(key)

    @rule(seconds=st.sampled_from([0.5, 5.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.world.queue.in_flight() == len(self.flying)

    def teardown(self) -> None:
        for key in self.flying:
            self.world.queue.done(key)
        self.world.clock.advance(1000)
        got = self.world.drain()
        assert self.owed <= set(got)
        assert len(got) == len(set(got))


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
