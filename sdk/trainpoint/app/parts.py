"""A component's state as pure JSON, and back. Its parts are known, so that only values are encoded."""

from __future__ import annotations

from trainpoint.app.values import decode, encode
from trainpoint.format.digest import JsonObject


def encoded(state: JsonObject, path: tuple[str, ...]) -> JsonObject:
    """A component's state as pure JSON; errors name the attribute as the code writes it."""
    done: JsonObject = {}
    here = ".".join(path)
    for part, value in state.items():
        if part == "vars":
            done[part] = {name: encode(held, f"{here}.{name}") for name, held in value.items()}
        elif part == "calls":
            done[part] = {key: encoded_call(call, ".".join((*path, "run"))) for key, call in value.items()}
        elif part in ("flows", "works", "structures") or (part == "items" and isinstance(value, dict)):
            done[part] = {name: encoded(child, (*path, name)) for name, child in value.items()}
        elif part == "items":
            done[part] = [encoded(child, (*path, str(number))) for number, child in enumerate(value)]
        else:
            done[part] = encode(value, ".".join((*path, part)))
    return done


def encoded_call(call: JsonObject, where: str) -> JsonObject:
    return {name: encode(value, f"{where}({name})") for name, value in call.items()}


def decoded(state: JsonObject) -> JsonObject:
    """The way back from :func:`encoded`: a copy, part by part, since only values are encoded."""
    done: JsonObject = {}
    for part, value in state.items():
        if part == "vars":
            done[part] = {name: decode(held) for name, held in value.items()}
        elif part == "calls":
            done[part] = {key: {name: decode(held) for name, held in call.items()} for key, call in value.items()}
        elif part in ("flows", "works", "structures") or (part == "items" and isinstance(value, dict)):
            done[part] = {name: decoded(child) for name, child in value.items()}
        elif part == "items":
            done[part] = [decoded(child) for child in value]
        else:
            done[part] = decode(value)
    return done
