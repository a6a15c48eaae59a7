"""A namespace as a person with a kubeconfig sees it: an API server that has one ConfigMap and no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web

from tests.support.apidouble import ApiDouble, status

T = TypeVar("T")
CONFIG_MAP = "/api/v1/namespaces/team-a/configmaps/trainpoint"


def policy(url: str, *, default: bool = True, **store: str) -> str:
    """What the operator compiles for a policy whose CheckpointStore is called main."""
    return json.dumps({"default": default, "store": {"name": "main", "url": url, **store}})


def kubeconfig(folder: Path, url: str) -> str:
    """A file for KUBECONFIG; its path."""
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "elsewhere"}}],
                "current-context": "x",
            }
        )
    )
    return str(path)


def with_server(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    read: Callable[[], T],
    data: dict[str, str] | None,
    *,
    refused: int = 0,
) -> tuple[T, list[tuple[str, str]]]:
    """What ``read`` returns where namespace team-a has that ConfigMap, and the requests that the server got."""

    async def fault(_: web.Request) -> web.StreamResponse | None:
        return status(refused, "Forbidden", "configmaps is forbidden") if refused else None

    async def play() -> tuple[T, list[tuple[str, str]]]:
        async with ApiDouble(fault=fault) as api:
            if data is not None:
                api.objects[CONFIG_MAP] = {"metadata": {"name": "trainpoint", "namespace": "team-a"}, "data": data}
            monkeypatch.setenv("KUBECONFIG", kubeconfig(folder, api.url))
            result = await asyncio.to_thread(read)
            return result, [(asked.method, asked.path) for asked in api.log]

    return asyncio.run(play())
