from __future__ import annotations

from pathlib import Path

import pytest

from trainpoint.errors import StoreUrlError
from trainpoint.store.directory import DirectoryStore
from trainpoint.store.memory import MemoryStore
from trainpoint.store.s3 import S3Store
from trainpoint.store.url import open_store

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("url", "kind", "canonical"),
    [
        ("s3://ckpts", S3Store, "s3://ckpts"),
        ("s3://ckpts/", S3Store, "s3://ckpts"),
        ("s3://ckpts/team a/llm/", S3Store, "s3://ckpts/team a/llm"),
        ("S3://ckpts/x", S3Store, "s3://ckpts/x"),
        ("file:///data/ckpts", DirectoryStore, "file:///data/ckpts"),
        ("file://localhost/data/a%20b", DirectoryStore, "file:///data/a%20b"),
        ("/data/a b", DirectoryStore, "file:///data/a%20b"),
        ("/data/me@home", DirectoryStore, "file:///data/me%40home"),
        ("~/.trainpoint", DirectoryStore, "file:///home/ada/.trainpoint"),
        ("~", DirectoryStore, "file:///home/ada"),
        ("memory://name", MemoryStore, "memory://name"),
        ("memory://", MemoryStore, "memory://"),
    ],
)
def test_a_url_opens_its_kind_of_store(url: str, kind: type[object], canonical: str) -> None:
    store = open_store(url, environ={"HOME": "/home/ada"})
    assert isinstance(store, kind)
    assert store.url == canonical
    assert open_store(store.url, environ={}).url == canonical


def test_a_relative_path_starts_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("out/ckpts", environ={})
    assert isinstance(store, DirectoryStore)
    assert store.root == tmp_path.resolve() / "out/ckpts"


def test_a_memory_store_is_the_same_for_the_same_name_only() -> None:
    open_store("memory://one", environ={}).put("a", b"1")
    assert open_store("memory://one", environ={}).get("a") == b"1"
    assert list(open_store("memory://two", environ={}).list("")) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        ("gs://bucket/x", "gs://"),
        ("https://s3.example.com/bucket", "https://"),
        ("s3:bucket", "two slashes"),
        ("s3://", "3 to 255"),
        ("s3://ab", "3 to 255"),
        ("s3:///prefix", "3 to 255"),
        ("s3://-bad-/x", "3 to 255"),
        ("s3://bucket/x?endpoint=http://h", "query"),
        ("s3://bucket/a//b", "prefix"),
        ("s3://bucket/../b", "prefix"),
        ("file://host/path", "host"),
        ("file://relative", "three slashes"),
        ("memory://a/b", "memory store"),
    ],
)
def test_anything_else_is_refused_with_the_forms_there_are(url: str, says: str) -> None:
    with pytest.raises(StoreUrlError) as caught:
        open_store(url, environ={})
    assert says in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/prefix",
        f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}",
        f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}/with/slashes@bucket",
        f"s3://bucket/prefix?secret={SECRET}",
        f"s3://bucket/prefix#{SECRET}",
        f"https://AKIAIOSFODNN7EXAMPLE:{SECRET}@host/bucket",
        f"AKIAIOSFODNN7EXAMPLE:{SECRET}",
        f"memory://a@{SECRET}",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StoreUrlError) as caught:
        open_store(url, environ={})
    assert SECRET not in caught.value.report()
    assert "AKIA" not in caught.value.report().upper()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, "AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL_S3": f"http://user:{SECRET}@host"}, "AWS_ENDPOINT_URL"),
        ({"AWS_CA_BUNDLE": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
        ({"AWS_CA_BUNDLE": __file__}, "AWS_CA_BUNDLE"),
    ],
)
def test_unusable_settings_of_s3_are_named_before_any_request(environ: dict[str, str], says: str) -> None:
    with pytest.raises(StoreUrlError, match=says) as caught:
        open_store("s3://bucket", environ=environ)
    assert SECRET not in caught.value.report()


def test_the_default_store_may_lie_in_a_home_that_is_not_there_yet(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "new/home")}
    open_store("~/.trainpoint", environ=environ).put("a", b"1")
    assert (tmp_path / "new/home/.trainpoint/a").read_bytes() == b"1"
