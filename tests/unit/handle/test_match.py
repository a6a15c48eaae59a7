"""``match=``: a sweep whose values were put into another order does not go on with another value's weights."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from trainpoint import Checkpoint, InvalidArgumentError, NotMatchingError, ResumeRequestError


def save(ckpt: Checkpoint, step: int, **metadata: object) -> str:
    with ckpt.stage(step=step, metadata=metadata) as folder:
        (folder / "n").write_text(str(step))
    ckpt.wait()
    found = ckpt.list()[0]
    assert found.step == step
    return found.name


def handle(url: str, **more: object) -> Checkpoint:
    return Checkpoint(workflow="sweep", run="r", store=url, **more)  # type: ignore[arg-type]


def test_every_checkpoint_says_what_its_handle_asks_for(url: str) -> None:
    with handle(url, match={"lr": 0.1}) as ckpt:
        save(ckpt, 1, seed=7)
        save(ckpt, 2, lr=0.1)
        assert [info.metadata for info in ckpt.list()] == [{"lr": 0.1}, {"lr": 0.1, "seed": 7}]
        with pytest.raises(InvalidArgumentError, match=r"has lr=0\.2, not 0\.1"), ckpt.stage(metadata={"lr": 0.2}):
            raise AssertionError("not reached: a mistake is told before anything is staged")


def test_a_policy_passes_over_what_does_not_match_and_says_which_value_differs(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with handle(url, match={"lr": 0.1}) as ckpt:
        mine = save(ckpt, 1)
    with handle(url, match={"lr": 0.2}, load_policy="eager") as ckpt:
        assert not ckpt.is_loaded
        other = save(ckpt, 5)
        assert ckpt.why is not None
        assert [(s.checkpoint, s.step, s.reason) for s in ckpt.why.skipped] == [(mine, 1, "NotMatching")]
    with caplog.at_level(logging.INFO, "trainpoint"), handle(url, match={"lr": 0.1}) as ckpt:
        assert (ckpt.step, ckpt.info.name if ckpt.info else "") == (1, mine)
    assert f"skipped {other} (step 5): has lr=0.2, not 0.1" in caplog.text
    with handle(url) as ckpt:
        assert ckpt.step == 5, "without match= nothing is asked of the metadata"


def test_what_is_named_and_does_not_match_is_an_error(url: str, tmp_path: Path) -> None:
    with handle(url, match={"lr": 0.1}) as ckpt:
        mine = save(ckpt, 1)
    with handle(url, match={"lr": 0.2}) as ckpt:
        with pytest.raises(NotMatchingError, match=f"checkpoint {mine} has lr=0.1, not 0.2"):
            ckpt.load(mine, tmp_path / "there")
        assert not (tmp_path / "there").exists()
        assert not ckpt.is_loaded
    for request in (mine, "sweep/r", "latest"):
        with pytest.raises(NotMatchingError, match=f"resume_from={request}: .* has lr=0.1, not 0.2") as caught:
            handle(url, match={"lr": 0.2}, resume_from=request)
        assert caught.value.exit_code == 86
    with pytest.raises(ResumeRequestError, match="no checkpoint of this task has the metric 'loss'"):
        handle(url, match={"lr": 0.1}, resume_from="best:loss:min")


@pytest.mark.parametrize("match", [[("lr", 1)], {1: 2}, {"lr": object()}, {"text": "x" * 3000}])
def test_what_could_not_be_in_metadata_is_a_mistake(url: str, match: object) -> None:
    with pytest.raises(InvalidArgumentError):
        handle(url, match=match)
