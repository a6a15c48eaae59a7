"""Ranks of one task in one process, each with a context of its own; and what only one of them meets."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from trainpoint import (
    Checkpoint,
    CheckpointRef,
    IdentityError,
    InvalidArgumentError,
    LocalFileError,
    ObjectNotFoundError,
    RanksError,
    ResumeRequestError,
    SaveFailedError,
    StorePermissionError,
    SupersededError,
)
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.claim.announce import put_fence
from trainpoint.claim.history import read_attempts
from trainpoint.context import open_context
from trainpoint.format.layout import TaskPath
from trainpoint.format.manifest import Manifest
from trainpoint.format.records import LoadedRecord
from trainpoint.handle import follower, ranks
from trainpoint.handle.follower import Follower
from trainpoint.handle.rhythm import Rhythm
from trainpoint.handle.role import Role, take_part
from trainpoint.handle.save import Source
from trainpoint.handle.together import Answer, Together, agreed, torch_together
from trainpoint.handle.writer import Describe, Writer
from trainpoint.policies.request import Asked
from trainpoint.policies.settings import SaveSettings
from trainpoint.store.base import Store
from trainpoint.testing import FakeChance, FakeClock, MemoryStore

SIZE = 3
TASK = TaskPath("w", "r", "main")


class Double:
    """A store that one rank sees otherwise than the others do."""

    def __init__(self, store: Store, get: Callable[[str, bytes], bytes]) -> None:
        self._store = store
        self._get = get

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def get(self, key: str) -> bytes:
        return self._get(key, self._store.get(key))

    def read(self, key: str, offset: int, length: int) -> bytes:
        return self._get(key, self._store.get(key))[offset : offset + length]


def damaged(steps: Sequence[int], manifests: dict[str, int]) -> Callable[[str, bytes], bytes]:
    """Files of the checkpoints of these steps are not what was saved."""

    def get(key: str, data: bytes) -> bytes:
        step = next((step for folder, step in manifests.items() if key.startswith(folder)), None)
        return bytes([data[0] ^ 1, *data[1:]]) if step in steps else data

    return get


def rank_of(url: str, rank: int, *, size: int = SIZE, see: Callable[[str, bytes], bytes] | None = None) -> Role:
    """One rank, opened as far as its claim."""
    environ = {
        "TRAINPOINT_STORE": url,
        "TRAINPOINT_WORKFLOW": "w",
        "TRAINPOINT_RUN": "r",
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
    }
    context = open_context(environ=environ)
    if see is not None:
        double: Store = Double(context.catalog.store, see)  # type: ignore[assignment]
        context = replace(context, catalog=BucketCatalog(double, clock=context.clock, chance=context.chance))
    assert context.identity is not None
    return take_part(context, context.identity, every_steps=2, every_seconds=None, on_error="raise", collective=True)


class Gang:
    """All ranks, each in a thread while they wait for each other."""

    def __init__(self, url: str, folder: Path, see: dict[int, Callable[[str, bytes], bytes]]) -> None:
        self.roles = [rank_of(url, rank, see=see.get(rank)) for rank in range(SIZE)]
        self.paths = [folder / str(rank) for rank in range(SIZE)]
        for path in self.paths:
            path.mkdir(exist_ok=True, parents=True)

    def resume(self) -> list[Future[Manifest | None]]:
        with ThreadPoolExecutor(SIZE) as pool:
            return [pool.submit(role.resume, path) for role, path in zip(self.roles, self.paths, strict=True)]

    def end(self) -> None:
        for role in self.roles:
            role.flush()
            role.end("Completed", "", 0)


@contextmanager
def gang(url: str, folder: Path, **see: Callable[[str, bytes], bytes]) -> Iterator[Gang]:
    together = Gang(url, folder, {int(name.removeprefix("rank")): get for name, get in see.items()})
    try:
        yield together
    finally:
        together.end()


@pytest.fixture
def saved(url: str, store: MemoryStore) -> dict[str, int]:
    """Steps 1 to 3 are there; by the prefix of their data."""
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        for step in (1, 2, 3):
            (ckpt.path / "counter").write_text(str(step))
            ckpt.save(step=step)
        return {f"{TASK.data}{info.ref.id}/": info.step or 0 for info in ckpt.list()}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(ranks, "LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(ranks, "DEADLINE_SECONDS", 60.0)


def describe(step: int) -> Describe:
    return Describe.of(name=None, step=step, epoch=None, metrics=None, metadata=None, latest=True, match={})


def nothing(path: Path) -> Source:
    return Source(take=lambda: path, release=lambda taken: None)


def loaded(role: Role) -> LoadedRecord:
    assert role.why is not None
    return role.why


# --- loading ----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_that_one_rank_cannot_verify_is_discarded_by_all(
    url: str, store: MemoryStore, saved: dict[str, int], tmp_path: Path
) -> None:
    with gang(url, tmp_path, rank2=damaged([3], saved)) as together:
        found = [future.result() for future in together.resume()]
        assert [m.snapshot.step if m else None for m in found] == [2] * SIZE
        assert [(path / "counter").read_text() for path in together.paths] == ["2"] * SIZE
        records = [loaded(role) for role in together.roles]
        assert records == [records[0]] * SIZE
        assert (records[0].round, records[0].ranks, records[0].step) == (2, SIZE, 2)
        (skipped,) = records[0].skipped
        assert skipped.reason == "Corrupt"
        assert skipped.step == 3
        assert "rank 2 could not use it" in skipped.message
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert ckpt.step == 2, "it is marked, so that nothing chooses it again"


def test_where_no_rank_can_use_what_another_can_all_begin_with_nothing(
    url: str, saved: dict[str, int], tmp_path: Path
) -> None:
    with gang(url, tmp_path, rank1=damaged([3, 1], saved), rank2=damaged([2], saved)) as together:
        assert [future.result() for future in together.resume()] == [None] * SIZE
        assert [list(path.iterdir()) for path in together.paths] == [[]] * SIZE, "nobody keeps half of it"
        record = loaded(together.roles[1])
        assert record.round == 4
        assert [s.step for s in record.skipped] == [3, 2, 1]


def test_a_rank_that_reads_another_manifest_than_rank_0_refuses_it(
    url: str, store: MemoryStore, saved: dict[str, int], tmp_path: Path
) -> None:
    def other(key: str, data: bytes) -> bytes:
        if "/manifests/" not in key or not key.endswith(".json"):
            return data
        found = Manifest.from_bytes(data, key=key)
        if found.snapshot.step != 3:
            return data
        return replace(found, snapshot=replace(found.snapshot, epoch=9)).to_bytes()

    with gang(url, tmp_path, rank1=other) as together:
        found = [future.result() for future in together.resume()]
        assert [m.snapshot.step if m else None for m in found] == [2] * SIZE
        assert "is another than rank 0 has read" in loaded(together.roles[0]).skipped[0].message


def test_a_rank_that_cannot_read_the_store_ends_the_start_and_condemns_no_checkpoint(
    url: str, saved: dict[str, int], tmp_path: Path
) -> None:
    def refused(key: str, data: bytes) -> bytes:
        if any(key.startswith(folder) for folder in saved):
            raise StorePermissionError("access denied")
        return data

    with gang(url, tmp_path, rank1=refused) as together:
        zero, one, _ = _until_the_first_fail(together)
        with pytest.raises(RanksError, match="rank 1 could not load: access denied"):
            zero.result()
        with pytest.raises(StorePermissionError):
            one.result()
        assert loaded_rounds(url) == [1], "no older one was tried"
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert ckpt.step == 3


def test_a_full_disk_of_one_rank_is_no_reason_to_go_back(url: str, saved: dict[str, int], tmp_path: Path) -> None:
    with gang(url, tmp_path) as together:
        together.paths[1].rmdir()
        together.paths[1].write_text("in the way")
        zero, one, _ = _until_the_first_fail(together)
        with pytest.raises(RanksError, match="rank 1 could not load"):
            zero.result()
        with pytest.raises(LocalFileError):
            one.result()
        assert loaded_rounds(url) == [1]


def _until_the_first_fail(together: Gang) -> list[Future[Manifest | None]]:
    """As :meth:`Gang.resume`; who would wait on is asked to end when rank 0 has failed."""
    pool = ThreadPoolExecutor(SIZE)
    futures = [pool.submit(role.resume, path) for role, path in zip(together.roles, together.paths, strict=True)]
    assert futures[0].exception(timeout=60) is not None
    for role in together.roles:
        role.rhythm.preempted = True
    pool.shutdown()
    return futures


def loaded_rounds(url: str) -> list[int]:
    views = read_attempts(MemoryStore.named(url.removeprefix("memory://")), TASK)
    return [view.loaded.round for view in views if view.loaded is not None and view.loaded.ranks > 1]


def test_what_was_asked_for_by_name_is_not_replaced_by_another_where_one_rank_cannot_use_it(
    url: str, saved: dict[str, int], tmp_path: Path
) -> None:
    with Checkpoint(store=url) as reader:
        name = next(info.ref.name for info in reader.list(task=str(TASK)) if info.step == 2)
    with gang(url, tmp_path, rank2=damaged([2], saved)) as together:
        zero = together.roles[0]
        assert isinstance(zero, Writer)
        zero._context = replace(zero._context, asked=Asked(name, "Argument"))
        first, *_ = _until_the_first_fail(together)
        with pytest.raises(ResumeRequestError, match="rank 2 could not use it"):
            first.result()


def test_other_ranks_than_0_ask_nothing_of_the_api_server(url: str, saved: dict[str, int], tmp_path: Path) -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"the cluster was asked for {name}")

    with gang(url, tmp_path) as together:
        for role in together.roles[1:]:
            assert isinstance(role, Follower)
            role._context = replace(role._context, cluster=Untouchable())  # type: ignore[arg-type]
        assert [future.result() is not None for future in together.resume()] == [True] * SIZE
        for role in together.roles:
            role.save(describe(4), nothing(together.paths[0]), wait=True)
        for role in together.roles[1:]:
            role.wait()
            role.end("Completed", "", 0)


def test_a_rank_alone_asks_nobody(url: str, store: MemoryStore) -> None:
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert ckpt.why is not None
        assert (ckpt.why.ranks, ckpt.why.round) == (1, 1)
        ckpt.save(step=1)
    keys = [row.key for row in store.list("ns/")]
    assert not [key for key in keys if "/votes/" in key or key.endswith(".go")]


# --- waiting ----------------------------------------------------------------------------------------------------------


def waiting(url: str, rank: int, clock: FakeClock) -> Follower:
    role = rank_of(url, rank)
    assert isinstance(role, Follower)
    role._context = replace(role._context, clock=clock, chance=FakeChance())
    return role


def test_a_rank_whose_former_process_was_counted_waits_for_a_new_attempt_in_vain(url: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with gang(url, tmp_path) as together:
        for future in together.resume():
            future.result()
        again = waiting(url, 1, clock)
        with pytest.raises(RanksError, match="attempt 0 has begun without this process") as caught:
            again.resume(tmp_path / "1")
        assert "rank 0" in caught.value.remedy
    assert 60 <= clock.monotonic() < 70, "signs of life of the attempt that went on count for nothing"


def test_sigterm_while_ranks_wait_for_each_other_ends_with_143(url: str, tmp_path: Path) -> None:
    role = waiting(url, 1, FakeClock())
    role.rhythm.preempted = True
    with pytest.raises(SystemExit) as caught:
        role.resume(tmp_path)
    assert caught.value.code == 143


def test_a_living_rank_0_is_waited_for_and_after_ten_seconds_the_log_says_so(
    url: str, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ranks, "LONGEST_PAUSE_SECONDS", 2.0)
    zero = rank_of(url, 0)
    assert isinstance(zero, Writer)
    clock, looks = FakeClock(), 0

    def live(verb: str, key: str) -> None:
        nonlocal looks
        if verb == "list" and key == TASK.attempts:
            looks += 1
            if looks < 200:  # it loads, for minutes
                zero.claim.beat()

    one = waiting(url, 1, clock)
    store.before = live
    with (
        caplog.at_level("INFO", logger="trainpoint"),
        pytest.raises(RanksError, match="has not decided what attempt 0"),
    ):
        one.resume(tmp_path)
    store.before = None
    zero.end("Failed", "", 1)
    assert looks > 200
    assert clock.monotonic() > 180, "three times the deadline, since there were signs of life"
    told = [record.getMessage() for record in caplog.records if "is waiting" in record.getMessage()]
    assert told == ["rank 1 of 3 is waiting: rank 0 has not decided what attempt 0 starts from"]


def test_rank_0_that_is_overtaken_while_it_waits_says_so(
    url: str, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "LOOK_SECONDS", 0.0)
    zero = rank_of(url, 0)
    put_fence(store, TASK, attempt=1, uid="f" * 16, seen=0, time="2026-01-01T00:00:00Z")
    with pytest.raises(SupersededError):
        zero.resume(tmp_path)
    zero.end("Failed", "", 87)


# --- saving -----------------------------------------------------------------------------------------------------------


def test_the_same_call_gives_the_same_reference_on_all_ranks_also_after_calls_that_failed(
    url: str, store: MemoryStore, tmp_path: Path
) -> None:
    with gang(url, tmp_path) as together:
        for future in together.resume():
            future.result()
        for role, path in zip(together.roles, together.paths, strict=True):
            (path / "counter").write_text("1")
            if role.identity.rank:
                role.save(describe(2), nothing(path), wait=True)
            else:
                with pytest.raises(ZeroDivisionError):  # on rank 0, which alone looks at its files
                    role.save(describe(2), Source(lambda: Path(str(1 / 0)), lambda taken: None), wait=True)
        refs = [
            role.save(describe(4), nothing(path), wait=True)
            for role, path in zip(reversed(together.roles), reversed(together.paths), strict=True)
        ]
        assert refs == [refs[0]] * SIZE
        assert refs[0].id.sequence == 2
        assert all(ref.committed for ref in refs)
        with pytest.raises(SaveFailedError, match="rank 0 did not commit"):
            together.roles[1].wait()
        together.roles[1].wait()


def test_a_followers_reference_is_committed_when_the_manifest_is_there_and_asks_no_more_then(
    url: str, store: MemoryStore, tmp_path: Path
) -> None:
    with gang(url, tmp_path) as together:
        for future in together.resume():
            future.result()
        before = store.requests.total()
        ref = together.roles[1].save(describe(2), nothing(tmp_path), wait=True)
        assert store.requests.total() == before + 1, "whether a later attempt has claimed the task"
        assert not ref.committed
        together.roles[0].save(describe(2), nothing(together.paths[0]), wait=True)
        assert ref.committed
        before = store.requests.total()
        assert ref.committed
        assert store.requests.total() == before


def test_a_reference_that_is_sent_to_another_rank_is_one_like_any_other(url: str, tmp_path: Path) -> None:
    with gang(url, tmp_path) as together:
        for future in together.resume():
            future.result()
        for role, path in zip(together.roles, together.paths, strict=True):
            ref = role.save(describe(2), nothing(path), wait=True)
            sent = pickle.loads(pickle.dumps(ref))
            assert type(sent) is CheckpointRef
            assert (sent, sent.committed) == (ref, True)


def test_wait_on_a_follower_returns_with_the_commit_of_rank_0(url: str, store: MemoryStore, tmp_path: Path) -> None:
    with gang(url, tmp_path) as together:
        for future in together.resume():
            future.result()
        together.roles[1].save(describe(2), nothing(tmp_path), wait=False)
        done = threading.Event()

        def wait() -> None:
            together.roles[1].wait()
            done.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not done.is_set()
        together.roles[0].save(describe(2), nothing(together.paths[0]), wait=True)
        thread.join(60)
        assert done.is_set()


def test_wait_on_a_follower_says_when_rank_0_has_ended_without(url: str, tmp_path: Path) -> None:
    with gang(url, tmp_path) as together:
        for future in together.resume():
            future.result()
        ref = together.roles[2].save(describe(2), nothing(tmp_path), wait=False)
        together.roles[0].end("Failed", "", 1)
        with pytest.raises(SaveFailedError, match=f"rank 0 did not commit {ref.name}: it has ended"):
            together.roles[2].wait()


def test_wait_on_a_follower_ends_after_an_hour_without_a_commit(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gang(url, tmp_path) as together:
        for future in together.resume():
            future.result()
        one = together.roles[1]
        assert isinstance(one, Follower)
        clock = FakeClock()
        one._context = replace(one._context, clock=clock)
        monkeypatch.setattr(ranks, "LONGEST_PAUSE_SECONDS", 120.0)
        one.save(describe(2), nothing(tmp_path), wait=False)
        with pytest.raises(RanksError, match="rank 0 has not committed 1 of the saves"):
            one.wait()
        assert clock.monotonic() >= follower.WAIT_SECONDS


def test_a_follower_of_an_overtaken_attempt_is_told_at_its_next_save(
    url: str, store: MemoryStore, tmp_path: Path
) -> None:
    with gang(url, tmp_path) as together:
        for future in together.resume():
            future.result()
        put_fence(store, TASK, attempt=1, uid="f" * 16, seen=0, time="2026-01-01T00:00:00Z")
        for role in together.roles:
            with pytest.raises(SupersededError, match="attempt 1 has claimed the task"):
                role.save(describe(2), nothing(tmp_path), wait=True)


def test_a_follower_stages_into_a_folder_that_is_thrown_away(
    url: str, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with ThreadPoolExecutor(1) as pool:
        zero = pool.submit(lambda: Checkpoint(workflow="w", run="r", store=url, temp_dir_root=tmp_path / "0"))
        _until(lambda: bool(read_attempts(store, TASK)))
        monkeypatch.setenv("RANK", "1")
        with Checkpoint(workflow="w", run="r", store=url, temp_dir_root=tmp_path / "1") as one:
            with zero.result() as first:
                for ckpt in (one, first):
                    with ckpt.stage(step=2) as folder:
                        (folder / "a").write_text("1")
                    with pytest.raises(KeyError), ckpt.stage(step=3):
                        raise KeyError("a mistake of the program, on all ranks")
                first.wait()
                one.wait()
                ref = first.save(step=4)
                assert one.save(tmp_path / "not there", step=4, move=True) == ref
                assert ref.committed
                assert not list((tmp_path / "1").glob("*/stage-*"))
                assert not list((tmp_path / "1").glob("*/sealed-*"))
            assert one.attempt == 0
            assert one.why == first.why


def _until(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    for _ in range(6000):
        if condition():
            return
        deadline.wait(0.01)
    pytest.fail("it did not happen within a minute")


# --- the rhythm -------------------------------------------------------------------------------------------------------


def test_by_steps_all_ranks_save_at_the_same_steps(url: str, saved: dict[str, int], tmp_path: Path) -> None:
    with gang(url, tmp_path) as together:
        for future in together.resume():
            future.result()
        said = [[role.rhythm.should_save(step) for step in range(4, 9)] for role in together.roles]
        assert said == [[False, True, True, True, True]] * SIZE, "two steps after step 3, until a save begins"


def test_by_time_a_follower_has_to_know_what_rank_0_says() -> None:
    found: list[Answer] = []

    def channel(answers: list[Answer]) -> Together:
        def ask(mine: Answer) -> Answer:
            found.append(mine)
            return Answer(answers[0].due, any(a.preempted for a in answers))

        return ask

    assert agreed(Answer(True, False), rank=0, together=None) == Answer(True, False)
    with pytest.raises(InvalidArgumentError, match="goes by time") as caught:
        agreed(Answer(True, False), rank=1, together=None)
    assert "every_steps" in caught.value.remedy
    assert "torch.distributed" in caught.value.remedy
    answers = [Answer(True, False), Answer(False, True)]
    assert agreed(answers[1], rank=1, together=channel(answers)) == Answer(True, True)
    assert found == [answers[1]]


@pytest.mark.parametrize("settings", [SaveSettings(), SaveSettings(every_steps=10, every_seconds=1)])
def test_with_a_channel_all_ranks_give_rank_0s_answer_and_stop_at_the_same_step(settings: SaveSettings) -> None:
    clocks = [FakeClock(), FakeClock()]

    def together(answers: list[Answer]) -> list[Answer]:
        return [Answer(answers[0].due, any(a.preempted for a in answers))] * 2

    both = _Lockstep(2, together)

    def rhythm_of(rank: int) -> Rhythm:
        return Rhythm(settings, clocks[rank], rank=rank, world_size=2, find_together=lambda size: both.of(rank))

    rhythms = [rhythm_of(0), rhythm_of(1)]
    assert both.all(lambda rank: rhythms[rank].should_save(1)) == [False, False]
    clocks[0].advance(400)  # rank 1's clock has not moved
    assert both.all(lambda rank: rhythms[rank].should_save(2)) == [True, True]
    for rhythm in rhythms:
        rhythm.saved(2)
    rhythms[1].preempted = True
    assert both.all(lambda rank: rhythms[rank].should_save(3)) == [True, True], "the final save, on both"
    assert [rhythm.preempted for rhythm in rhythms] == [True, True]
    assert both.all(lambda rank: rhythms[rank].should_save(4)) == [False, False]
    assert [rhythm.should_stop for rhythm in rhythms] == [True, True]


class _Lockstep:
    """A channel between threads: each call of all of them is answered at once."""

    def __init__(self, size: int, answer: Callable[[list[Answer]], list[Answer]]) -> None:
        self._size = size
        self._answer = answer
        self._barrier = threading.Barrier(size, action=self._all_in, timeout=60)
        self._in: dict[int, Answer] = {}
        self._out: list[Answer] = []

    def _all_in(self) -> None:
        self._out = self._answer([self._in[rank] for rank in range(self._size)])

    def of(self, rank: int) -> Together:
        def ask(mine: Answer) -> Answer:
            self._in[rank] = mine
            self._barrier.wait()
            out = self._out[rank]
            self._barrier.wait()
            return out

        return ask

    def all(self, call: Callable[[int], bool]) -> list[bool]:
        with ThreadPoolExecutor(self._size) as pool:
            return list(pool.map(call, range(self._size)))


class _Torch:
    """What is used of torch.distributed."""

    def __init__(self, *, initialized: bool = True, size: int = 2) -> None:
        self._initialized = initialized
        self._size = size

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return self._initialized

    def get_world_size(self) -> int:
        return self._size

    def all_gather_object(self, object_list: list[object], obj: object) -> None:
        object_list[:] = [(True, False), obj]


def test_torch_is_asked_only_where_the_program_has_set_it_up_for_these_ranks() -> None:
    assert torch_together(2, {}) is None
    assert torch_together(2, {"torch.distributed": _Torch(initialized=False)}) is None
    assert torch_together(2, {"torch.distributed": _Torch(size=8)}) is None
    ask = torch_together(2, {"torch.distributed": _Torch()})
    assert ask is not None
    assert ask(Answer(due=False, preempted=True)) == Answer(due=True, preempted=True)


# --- who opens one ----------------------------------------------------------------------------------------------------


def test_a_run_that_each_rank_would_name_for_itself_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(IdentityError, match="no run is named"):
        Checkpoint(workflow="w", store=url)
    with Checkpoint(workflow="w", store=url, collective=False) as ckpt:
        assert ckpt.attempt == 0
        assert isinstance(ckpt._writer, Writer)


def test_a_follower_makes_no_store_and_claims_nothing(
    url: str, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "DEADLINE_SECONDS", 0.0)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RanksError, match="rank 1 of 2: rank 0 has not claimed the task"):
        Checkpoint(workflow="w", run="r", store=url)
    assert store.requests["put"] == 0
    with pytest.raises(ObjectNotFoundError):
        store.get("trainpoint.json")


@pytest.mark.parametrize(
    ("rank", "size", "message"),
    [("1", "", "nothing says of how many"), ("2", "2", "do not go together"), ("x", "2", "not numbers")],
)
def test_ranks_that_make_no_sense_are_refused(
    url: str, monkeypatch: pytest.MonkeyPatch, rank: str, size: str, message: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(IdentityError, match=message):
        Checkpoint(workflow="w", run="r", store=url)
