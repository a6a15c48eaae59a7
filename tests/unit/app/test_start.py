"""What ``--checkpoint`` means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainpoint import Checkpoint, CheckpointRef
from trainpoint.app import start
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.errors import LocalFileError, ResumeRequestError
from trainpoint.format.layout import manifest_key, snapshot_data
from trainpoint.policies.app_files import file_name, series_name
from trainpoint.testing import MemoryStore

WORKFLOW = "app"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def save(url: str, tmp_path: Path, *timestamps: int, workflow: str = WORKFLOW, run: str = "r1") -> list[CheckpointRef]:
    """States of an app as its loop saves them."""
    refs = []
    with Checkpoint(workflow=workflow, run=run, store=url, owner=f"owner-of-{run}") as ckpt:
        for at in timestamps:
            file = tmp_path / file_name(at)
            file.write_text(json.dumps({"at": at}))
            refs.append(ckpt.save(file, name=series_name(at)))
    return refs


def look_up(text: str, catalog: BucketCatalog, workflow: str = WORKFLOW) -> start.Start:
    return start.look_up(text, catalog, namespace="_", workflow=workflow)


def found(text: str, catalog: BucketCatalog, workflow: str = WORKFLOW) -> int:
    stored = look_up(text, catalog, workflow).stored
    assert stored is not None
    return stored.timestamp


def test_latest_is_the_newest_of_the_workflow_whoever_saved_it_and_in_whatever_run(
    url: str, tmp_path: Path, catalog: BucketCatalog
) -> None:
    save(url, tmp_path, 1574, 1576, run="r1")
    save(url, tmp_path, 1575, run="r2")
    save(url, tmp_path, 1999, workflow="other")
    assert found("latest", catalog) == 1576
    assert found("latest", catalog, "other") == 1999


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_latest_is_the_keyword_whatever_lies_in_the_current_directory(
    kind: str, url: str, tmp_path: Path, catalog: BucketCatalog
) -> None:
    Path("latest").write_text("{}") if kind == "file" else Path("latest").mkdir()
    save(url, tmp_path, 1574)
    assert found("latest", catalog) == 1574


@pytest.mark.parametrize("text", ["lightningapp_checkpoint_0000001575", "lightningapp_checkpoint_0000001575.json"])
def test_an_exact_name_is_found_with_and_without_its_ending(
    text: str, url: str, tmp_path: Path, catalog: BucketCatalog
) -> None:
    save(url, tmp_path, 1574, 1575, 1576)
    assert found(text, catalog) == 1575


def test_a_file_of_that_path_goes_before_a_name(url: str, tmp_path: Path, catalog: BucketCatalog) -> None:
    save(url, tmp_path, 1575)
    here = Path(file_name(1575))
    here.write_text("{}")
    assert look_up(str(here), catalog) == start.Start(str(here), path=here)


def test_a_directory_of_that_name_is_not_meant(url: str, tmp_path: Path, catalog: BucketCatalog) -> None:
    save(url, tmp_path, 1575)
    Path(series_name(1575)).mkdir()
    assert found(series_name(1575), catalog) == 1575


def test_the_name_that_kubectl_shows_is_found_too(url: str, tmp_path: Path, catalog: BucketCatalog) -> None:
    one, _ = save(url, tmp_path, 1574, 1575)
    assert found(one.name, catalog) == 1574


@pytest.mark.parametrize("text", ["lightningapp", "lightningapp_checkpoint_000000157"])
def test_a_prefix_is_an_error_that_lists_the_candidates(
    text: str, url: str, tmp_path: Path, catalog: BucketCatalog
) -> None:
    save(url, tmp_path, 1574, 1575)
    with pytest.raises(ResumeRequestError) as raised:
        look_up(text, catalog)
    assert raised.value.message == f"Could not find checkpoint: {text}"
    assert f"it could mean {file_name(1575)}, {file_name(1574)}; write" in raised.value.remedy


@pytest.mark.parametrize("text", ["latest", "nothing", "lightningapp_checkpoint_0000001575", "run-0f0f0f0f-0-1-abcde"])
def test_what_is_not_there_is_not_found(text: str, catalog: BucketCatalog) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        look_up(text, catalog)
    assert f"Could not find checkpoint: {text}" in str(raised.value)
    assert "trainpoint app checkpoints app" in str(raised.value)


def test_a_name_that_two_runs_have_is_an_error_that_tells_both_apart(
    url: str, tmp_path: Path, catalog: BucketCatalog
) -> None:
    refs = [*save(url, tmp_path, 1574, run="r1"), *save(url, tmp_path, 1574, run="r2")]
    with pytest.raises(ResumeRequestError) as raised:
        look_up(series_name(1574), catalog)
    assert all(ref.name in raised.value.remedy for ref in refs)
    assert found(refs[0].name, catalog) == 1574


def test_what_is_deleted_or_never_was_committed_is_not_found_and_what_is_corrupt_by_its_name_alone(
    url: str, tmp_path: Path, catalog: BucketCatalog, store: MemoryStore
) -> None:
    refs = save(url, tmp_path, 1573, 1574, 1575, 1576)
    catalog.delete(refs[3].task, refs[3].id, by="me")
    catalog.mark_corrupt(refs[2].task, refs[2].id, "bad")
    store.delete(manifest_key(refs[1].task, refs[1].id))
    assert found("latest", catalog) == 1573
    assert found(series_name(1575), catalog) == 1575, "whoever loads it is told what is wrong with it"
    for at in (1574, 1576):
        with pytest.raises(ResumeRequestError):
            look_up(file_name(at), catalog)


def test_latest_passes_over_a_damaged_one_and_a_name_does_not(
    url: str, tmp_path: Path, catalog: BucketCatalog, store: MemoryStore
) -> None:
    refs = save(url, tmp_path, 1574, 1575)
    store.put(f"{snapshot_data(refs[1].task, refs[1].id)}files/{file_name(1575)}", b'{"at": 1666}')
    assert found("latest", catalog) == 1574
    assert found(file_name(1575), catalog) == 1575, "the load will refuse it: nothing stands in for what is named"


def test_the_file_is_read_as_it_was_saved(url: str, tmp_path: Path, catalog: BucketCatalog) -> None:
    save(url, tmp_path, 1574)
    stored = look_up("latest", catalog).stored
    assert stored is not None
    assert json.loads(start.read_stored(catalog, stored)) == {"at": 1574}


@pytest.mark.parametrize(
    "key",
    [
        "ns/_/data/app/r/main/_/0-1-0011223344556677/files/other.json",
        "ns/_/data/app/r/main/_/0-1-0011223344556677/files/lightningapp_checkpoint_0000001574",
        "ns/_/data/app/r/main/_/0-1-0011223344556677/files/x/lightningapp_checkpoint_0000001574.json",
        "ns/_/data/app/r/main/_/0-1-0011223344556677/packs/lightningapp_checkpoint_0000001574.json",
        "ns/_/data/app/r/main/_/nonsense/files/lightningapp_checkpoint_0000001574.json",
    ],
)
def test_other_keys_are_no_checkpoints_of_apps(key: str) -> None:
    assert start.stored_at(key) is None


def test_a_text_that_no_file_can_be_called_is_not_found(catalog: BucketCatalog) -> None:
    for text in ("x" * 5000, "a\0b", "a\nb", ".", "/"):
        with pytest.raises(ResumeRequestError, match="Could not find checkpoint: "):
            look_up(text, catalog)


def test_a_file_that_may_not_be_seen_is_not_taken_for_missing(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_file(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", is_file)
    with pytest.raises(LocalFileError, match=r"secret/copy\.json cannot be read: Permission denied"):
        look_up("secret/copy.json", catalog)
