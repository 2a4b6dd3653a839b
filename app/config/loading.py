"""From the layers to settings that can be used: every problem at once, each with its place and the nearest key."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pydantic
from pydantic import BaseModel

from app.config.layers import DEFAULT, Layers, Origin, Problem, read_layers
from app.config.positions import Key
from app.config.settings import Settings
from app.paths import Paths
from storage.private_file import write_private


class ConfigError(Exception):
    """The configuration cannot be used; the message names every problem, with its place."""

    hint = "`spoke config check` lists them; correct it, or move the file away to start with the defaults"

    def __init__(self, *problems: Problem | str) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and what set each of them."""

    settings: Settings
    layers: Layers

    def origin(self, key: Key) -> Origin:
        """What set a value."""
        return self.layers.origins.get(key, DEFAULT)


def load(paths: Paths, flags: Sequence[str] = ()) -> Settings:
    """Read the configuration; `flags` are `TABLE.KEY=VALUE` of the command line.

    Raises:
        ConfigError: a file cannot be read, is not TOML, or something holds unknown keys or unfit values: all at once.
    """
    return read(paths, flags).settings


def read(paths: Paths, flags: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Loaded:
    """Like `load`, with where everything came from.

    Raises:
        ConfigError: as `load`.
    """
    layers = read_layers(paths, os.environ if environment is None else environment, flags)
    problems = list(layers.problems)
    try:
        settings = Settings(**layers.values)
    except pydantic.ValidationError as error:
        problems += _problems(error, layers, paths)
    if problems:
        raise ConfigError(*problems)
    return Loaded(settings, layers)


def refuse_flags(paths: Paths, flags: Sequence[str]) -> None:
    """Refuse a wrong `--set` of the command line; what else is wrong is for commands that read the configuration.

    Raises:
        ConfigError: a flag names no key, or its value does not fit.
    """
    try:
        read(paths, flags)
    except ConfigError as error:
        wrong = [one for one in error.problems if isinstance(one, Problem) and one.where.startswith("--set ")]
        if wrong:
            raise ConfigError(*wrong) from None


def save_hub(
    paths: Paths, url: str, *, api_key: str | None = None, ca: str | None = None, hub_id: str | None = None
) -> None:
    """Remember the hub, readable by this user alone; replaces what was there, whole or not at all."""
    paths.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    said = {"url": url, "api_key": api_key, "ca": ca, "hub_id": hub_id}
    known = {name: value for name, value in said.items() if value is not None}
    write_private(paths.hub_file, json.dumps({"hub": known}))


def fields_of(key: Key) -> list[str]:
    """The keys that the table at `key` may have; none where anything may stand, or nothing."""
    kind: Any = Settings
    for name in key:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found = kind.model_fields.get(name)
            kind = None if found is None else found.annotation
        else:
            kind = (get_args(kind) or (None,))[-1]  # dict[str, X]
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def dotted(key: Key) -> str:
    """A key as it is written in TOML.

    >>> dotted(("operations", "team.total", "argv"))
    'operations."team.total".argv'
    """
    return ".".join(name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in key)


_BARE = re.compile("[A-Za-z0-9_-]+")


_IN_TOML = {"tuple_type": "input should be an array", "too_short": "the array may not be empty"}
"""What pydantic says of Python's types, in the words of the file."""


def _problems(error: pydantic.ValidationError, layers: Layers, paths: Paths) -> list[Problem]:
    """What pydantic says, at the places that said it."""
    found: dict[tuple[str, str], list[str]] = {}
    for item in error.errors(include_url=False, include_input=False):
        key: Key = ()
        there: Any = layers.values
        for step in item["loc"]:  # it goes on with names of types, and indexes, where nobody has written them
            if not isinstance(there, dict) or (item["type"] != "missing" and step not in there):
                break
            key, there = (*key, str(step)), there.get(step)
        origin = layers.origin(key)
        where = str(paths.config_file) if origin.kind == "default" else str(origin)
        message = _IN_TOML.get(item["type"]) or f"{item['msg'][:1].lower()}{item['msg'][1:]}"
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key[-1], fields_of(key[:-1]), n=1)
            message = "unknown key" + (f", did you mean {near[0]}?" if near else "")
        found.setdefault((where, dotted(key)), []).append(message)
    told = [Problem(where, f"{name}: {messages[0]}{_others(messages)}") for (where, name), messages in found.items()]
    return sorted(told, key=lambda problem: _place(problem.where))


def _place(where: str) -> tuple[str, int]:
    """`FILE:LINE`, in the order in which a person reads the file; other origins as they are."""
    file, _, line = where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (where, 0)


def _others(messages: Sequence[str]) -> str:
    """Of a value that may be of several types: what it could be too."""
    return "".join(f" or {text.removeprefix('input should be ')}" for text in messages[1:])
