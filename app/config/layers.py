"""The layers of the configuration, each value with where it came from. What is wrong is collected, not raised."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic_settings import EnvSettingsSource, SettingsError

from app.config.positions import Key, line_of_error, positions
from app.config.settings import Settings
from app.paths import Paths

PREFIX = "SPOKE_"
FILE_SUFFIX = "_FILE"
SECRETS: tuple[Key, ...] = (("hub", "api_key"),)
"""What is never shown, and may be named as a file in the environment."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What set a value: `where` is `FILE:LINE`, a file, a variable, or the words of the command line."""

    kind: Literal["default", "join", "file", "environment", "flag"]
    where: str

    def __str__(self) -> str:
        return self.where


DEFAULT = Origin("default", "default")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong: where, and what."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(slots=True)
class Layers:
    """All layers in one: values, where each came from, and what could not be read."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Key, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, values: Mapping[str, Any], origins: Mapping[Key, Origin]) -> None:
        """Put a layer on top: tables are merged, everything else is replaced."""
        self.values = _merge(self.values, values)
        self.origins.update(origins)

    def origin(self, key: Key) -> Origin:
        """What set a value, or the table that it is in."""
        for end in range(len(key), 0, -1):
            if (found := self.origins.get(key[:end])) is not None:
                return found
        return DEFAULT


def read_layers(paths: Paths, environment: Mapping[str, str], flags: Sequence[str] = ()) -> Layers:
    """Read every layer that there is, the lowest first."""
    layers = Layers()
    _add_join(layers, paths.hub_file)
    _add_file(layers, paths.config_file)
    for name in sorted(environment):
        _add_variable(layers, name, environment)
    for flag in flags:
        key, equals, text = flag.partition("=")
        origin = Origin("flag", f"--set {key}")
        path = key.split(".")
        if not equals or path[0] not in Settings.model_fields:
            layers.problems.append(Problem(str(origin), "say --set TABLE.KEY=VALUE; docs/config.md has the keys"))
            continue
        _add_text(layers, path, text, origin)
    return layers


def _add_join(layers: Layers, path: Path) -> None:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        layers.problems.append(Problem(str(path), str(error.strerror)))
        return
    except ValueError as error:
        layers.problems.append(Problem(str(path), f"{error}; join the hub again with `spoke join`"))
        return
    if isinstance(found, dict):
        layers.add(found, {key: Origin("join", str(path)) for key in _leaves(found)})


def _add_file(layers: Layers, path: Path) -> None:
    try:
        text = path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        layers.problems.append(Problem(str(path), str(error.strerror)))
        return
    except UnicodeDecodeError as error:
        layers.problems.append(Problem(str(path), f"not UTF-8: {error.reason} at byte {error.start}"))
        return
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        layers.problems.append(Problem(f"{path}:{line_of_error(error, text)}", str(error)))
        return
    layers.add(values, {key: Origin("file", f"{path}:{line}") for key, line in positions(text).items()})


def _add_variable(layers: Layers, name: str, environment: Mapping[str, str]) -> None:
    """A variable of the environment, if it names something of the configuration; others are other programs'."""
    path = name.upper().removeprefix(PREFIX).lower().split("__")
    if not name.upper().startswith(PREFIX) or path[0].removesuffix("_file") not in Settings.model_fields:
        return
    origin = Origin("environment", name)
    secret = (*path[:-1], path[-1].removesuffix(FILE_SUFFIX.lower()))
    if path[-1].endswith(FILE_SUFFIX.lower()) and secret in SECRETS:
        if name[: -len(FILE_SUFFIX)] in environment:
            layers.problems.append(Problem(name, f"{name[: -len(FILE_SUFFIX)]} is set too; one of them is enough"))
            return
        file = Path(environment[name])
        try:
            text = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            layers.problems.append(Problem(name, f"{file}: {getattr(error, 'strerror', None) or 'not text'}"))
            return
        _add_text(layers, list(secret), text, Origin("environment", f"{name} ({file})"))
    elif path[0] in Settings.model_fields:
        _add_text(layers, path, environment[name], origin)


def unknown_variables(environment: Mapping[str, str]) -> list[Problem]:
    """Variables that look like ours (`SPOKE_TABLE__KEY`) and name no table: what they say is not heard."""
    tables = [name.upper() for name in Settings.model_fields]
    found = []
    for name in sorted(environment):
        table, separator, _ = name.upper().removeprefix(PREFIX).partition("__")
        if name.upper().startswith(PREFIX) and separator and table not in tables:
            near = difflib.get_close_matches(table, tables, n=1)
            found.append(
                Problem(name, "there is no such table" + (f", did you mean {PREFIX}{near[0]}__…?" if near else ""))
            )
    return found


class _OneVariable(EnvSettingsSource):
    """What one variable says, as pydantic-settings reads it: text for texts, numbers and switches, else JSON."""

    def __init__(self, path: Sequence[str], text: str) -> None:
        super().__init__(Settings)
        self.env_vars = {(PREFIX + "__".join(path)).lower(): text}


def _add_text(layers: Layers, path: Sequence[str], text: str, origin: Origin) -> None:
    try:
        values = _OneVariable(path, text)()
    except SettingsError as error:
        layers.problems.append(Problem(str(origin), f"not JSON: {error.__cause__ or error}"))
        return
    layers.add(values, {key: origin for key in _leaves(values)})


def _leaves(values: Mapping[str, Any], above: Key = ()) -> Iterator[Key]:
    for name, value in values.items():
        key = (*above, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, key)
        else:
            yield key


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
