"""trainpoint report: one page that holds the facts, is well formed, and carries nobody's markup."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from math import inf, nan
from pathlib import Path

import pytest

from tests.support import command_line
from trainpoint import Checkpoint
from trainpoint.catalog.base import CheckpointInfo
from trainpoint.claim.history import AttemptView
from trainpoint.cli.report import attempt_of, outcome_of
from trainpoint.cli.report_page import CHARTS, Report, TaskReport, page
from trainpoint.cli.why import Told
from trainpoint.cli.words import next_start
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.records import AttemptRecord, EndRecord, Holder, LoadedRecord, RunEndRecord, Skipped
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.lineage import LineageEntry

SVG = "{http://www.w3.org/2000/svg}"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TASK = TaskPath("digits", "digits-1", "main")
UID = "0123456789abcdef"
EVIL = "<script>alert('1')</script>\"&\x00\ud800"


class Balanced(HTMLParser):
    """Fails where an element is closed that is not open; ``open`` is empty at the end of a whole page."""

    VOID = frozenset({"br", "meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.addresses: list[str] = []
        self.data: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.addresses += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "xlink:href", "action"}]
        self.addresses += [f"{tag} {name}" for name, _ in attrs if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def parsed(text: str) -> Balanced:
    """The page as a browser sees it; checked to be whole, and to need nothing but itself."""
    text.encode()  # no half characters
    parser = Balanced()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert not parser.seen & {"script", "link", "img", "iframe", "object"}
    assert parser.addresses == []
    ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    return parser


def info(sequence: int = 1, *, attempt: int = 0, step: int | None = None, **more: object) -> CheckpointInfo:
    made = CheckpointInfo(
        ref=CheckpointRef(TASK, SnapshotId(attempt, sequence, UID)),
        step=sequence * 10 if step is None else step,
        epoch=None,
        series="",
        metrics={"loss": 1 / sequence},
        metadata={},
        owner="ada",
        parents=(),
        time=NOON + timedelta(minutes=sequence),
        size=2048,
        files=1,
        status="Committed",
    )
    return replace(made, **more)  # type: ignore[arg-type]  # fields by name


def told(number: int = 0, *, message: str = "newest of this run", end: EndRecord | None = None) -> Told:
    holder = Holder("gpu-7", 1, "1", "boot", UID)
    skipped = (Skipped("digits-1-skipped", 30, "Corrupt", message),)
    loaded = LoadedRecord(
        number, UID, "eager", "the argument load_policy", "Newest", message, "loaded-name", step=20, skipped=skipped
    )
    record = AttemptRecord(TASK, number, UID, holder, "2026-11-22T12:00:00.000000Z")
    return Told(AttemptView(number, UID, record, loaded, end, NOON, NOON), 40, 2, "" if end else "Alive")


def entry(name: str, *, why: str = "") -> LineageEntry:
    return LineageEntry(name, info().ref, "there", 0, why, 20, "ada", NOON, ())


def report_of(
    *infos: CheckpointInfo,
    attempts: Sequence[Told] = (),
    lineage: Sequence[LineageEntry] = (),
    end: RunEndRecord | None = None,
) -> Report:
    rows = [attempt_of(one) for one in attempts]
    task = TaskReport(TASK, rows, infos, next_start(infos[0] if infos else None), lineage)
    return Report("digits", "digits-1", "ada", outcome_of(end), "file:///store", NOON, (task,))


def svgs(text: str) -> dict[str, ET.Element]:
    root = ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    return {str(svg.get("aria-label")): svg for svg in root.iter(f"{SVG}svg")}


def test_the_page_tells_the_run_its_attempts_checkpoints_and_lineage() -> None:
    killed = EndRecord(0, UID, "Killed", signal=9, last_step=47, time="2026-11-22T12:30:00.000000Z")
    text = page(
        report_of(
            info(2, attempt=1, series="best", pinned="table 2 of the paper", metadata={"lr": 0.1}),
            info(1, status="Corrupt"),
            attempts=[told(0, end=killed), told(1)],
            lineage=[entry("digits-0-ancestor", why="eager: newest of run digits-0")],
            end=RunEndRecord("Failed", "out of retries", "2026-11-22T13:00:00.000000Z"),
        )
    )
    seen = "\n".join(parsed(text).data)
    for fact in (
        "digits/digits-1",
        "ada",
        "Failed, 2026-11-22 13:00:00: out of retries",
        "killed by signal 9",
        "2026-11-22 12:30:00",
        "lost 7 steps",
        "running",
        "loaded-name",
        "newest of this run",
        "skipped digits-1-skipped: newest of this run",
        "eager, from the argument load_policy",
        info(2, attempt=1).name,
        "2026-11-22 12:02:00",
        "2.0Ki",
        "loss=0.5",
        "Corrupt",
        "best",
        "table 2 of the paper",
        "lr=0.1",
        "digits-0-ancestor",
        "eager: newest of run digits-0",
    ):
        assert fact in seen
    assert "color-scheme: light dark" in text


def test_whatever_comes_from_a_store_is_text_and_no_markup() -> None:
    end = EndRecord(0, UID, "Failed", exit_code=1, message=EVIL)
    nasty = info(1, metrics={EVIL: 1.0}, metadata={EVIL: [EVIL]}, series=EVIL, pinned=EVIL, owner=EVIL)
    made = report_of(
        nasty,
        attempts=[told(message=EVIL, end=end)],
        lineage=[entry(EVIL, why=EVIL)],
        end=RunEndRecord("Failed", EVIL, "2026-11-22T13:00:00.000000Z"),
    )
    text = page(replace(made, owner=EVIL, store=EVIL))
    seen = "".join(parsed(text).data)
    assert "<script" not in text
    assert seen.count("<script>alert('1')</script>\"&\ufffd\ufffd") >= 10


def test_a_run_without_checkpoints_has_a_page_too() -> None:
    seen = "".join(parsed(page(report_of())).data)
    assert "It was never claimed." in seen
    assert "It has no checkpoints." in seen
    assert "no end was written down" in seen
    assert "nothing to load; it would begin at step 0" in seen
    assert svgs(page(report_of(attempts=[told()]))) == {}


def test_nan_and_infinity_are_in_the_table_and_not_in_the_line() -> None:
    values = [0.5, nan, inf, -inf, 1e308, -1e308]
    made = [info(n, metrics={"loss": value, "never": nan}) for n, value in enumerate(values, start=1)]
    text = page(report_of(*made[::-1]))
    seen = "".join(parsed(text).data)
    assert "loss=nan never=nan" in seen
    assert "loss=-inf" in seen
    assert set(svgs(text)) == {"when checkpoints were saved", "loss over steps"}
    (line,) = svgs(text)["loss over steps"].iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in str(line.get("points")).split()]
    assert len(points) == 3
    assert points[1][1] < points[0][1] < points[2][1]  # 1e308 is at the top, -1e308 at the bottom


def test_the_drawings_have_a_row_and_a_line_for_each_attempt() -> None:
    made = [info(n, attempt=n // 4, status="Superseded" if n == 3 else "Committed") for n in range(1, 7)]
    found = svgs(page(report_of(*made[::-1])))
    dots = list(found["when checkpoints were saved"].iter(f"{SVG}circle"))
    assert len(dots) == 6
    assert len({dot.get("cy") for dot in dots}) == 2
    across = [float(str(dot.get("cx"))) for dot in dots]
    assert across == sorted(across, reverse=True)  # the newest first, as in the list
    assert [dot.get("class") for dot in dots].count("bad") == 1
    assert len(list(found["loss over steps"].iter(f"{SVG}polyline"))) == 2


def test_a_checkpoint_without_step_or_metrics_is_no_point_of_a_line() -> None:
    text = page(report_of(replace(info(2), step=None), info(1, metrics={})))
    parsed(text)
    assert set(svgs(text)) == {"when checkpoints were saved"}


def test_many_metrics_get_so_many_charts_and_a_word() -> None:
    text = page(report_of(info(1, metrics={f"m{n}": 1.0 for n in range(CHARTS + 3)})))
    assert len(svgs(text)) == 1 + CHARTS
    assert "Further metrics without a chart: 3." in "".join(parsed(text).data)


def test_300_checkpoints_stay_below_one_mib() -> None:
    made = [
        info(n, attempt=n // 60, metrics={"loss": 1 / n, "accuracy": n / 300}, metadata={"note": "x" * 1900})
        for n in range(300, 0, -1)
    ]
    text = page(report_of(*made, attempts=[told(n) for n in range(6)]))
    assert len(text.encode()) < 2**20
    assert "".join(parsed(text).data).count("2.0Ki") == 300


# --- the verb ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with two runs, the newer one gone on with from the older."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINPOINT_STORE", f"{tmp_path}/store")
    for run in ("old", "new"):
        with Checkpoint(workflow="mnist", run=run, store=f"{tmp_path}/store", load_policy="eager") as ckpt:
            (ckpt.path / "weights.bin").write_bytes(bytes(1000))
            ckpt.save(step=ckpt.step + 5, metrics={"val/loss": 0.25}, metadata={"who": "<script>"})
    return f"{tmp_path}/store"


def test_the_newest_run_is_written_under_its_name_and_the_path_is_printed(url: str) -> None:
    done = command_line.invoke("report")
    assert (done.exit_code, done.stdout) == (0, "new.html\n")
    seen = "\n".join(parsed(Path("new.html").read_text(encoding="utf-8")).data)
    assert "mnist/new" in seen
    assert "newest of run old" in seen
    assert "val/loss=0.25" in seen
    assert 'who="<script>"' in seen
    assert seen.count("there") >= 2, "it and the checkpoint of the older run are in the lineage"


def test_a_scope_chooses_the_run_and_the_page_goes_where_it_is_told(url: str) -> None:
    assert command_line.invoke("report", "mnist/old", "--output", "page.html").stdout == "page.html\n"
    out = command_line.invoke("report", "mnist/old", "--output", "-").stdout
    assert "mnist/old" in "".join(parsed(out).data)
    assert sorted(os.listdir()) == ["page.html", "store"]


def test_a_place_that_cannot_be_written_is_a_wrong_command_line(url: str) -> None:
    done = command_line.invoke("report", "--output", "no/such/folder/page.html")
    assert done.exit_code == 2
    assert "no/such/folder/page.html cannot be written: No such file or directory" in done.stderr


def test_a_run_that_saved_nothing_and_one_that_is_not_there(url: str) -> None:
    with Checkpoint(workflow="mnist", run="empty", store=url, load_policy="eager"):
        pass
    seen = "".join(parsed(command_line.invoke("report", "mnist/empty", "--output", "-").stdout).data)
    assert "It has no checkpoints." in seen
    assert "newest of run new" in seen, "what its attempt started from is its lineage"
    missing = command_line.invoke("report", "nonsense")
    assert missing.exit_code not in (0, 2)
    assert "there is no workflow or run 'nonsense'" in missing.stderr
