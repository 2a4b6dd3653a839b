"""Which line of a TOML text says what. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, ...]


def positions(text: str) -> dict[Key, int]:
    """The line, from 1, on which each key and table of a valid TOML text begins.

    Statement by statement: the lines of one are those that TOML needs together. A key inside an inline table, or of
    an array, has the line of its statement.
    """
    found: dict[Key, int] = {}
    table: Key = ()
    began, pending = 1, ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not pending:
            began = number
        pending += line
        try:
            said = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        if pending.lstrip().startswith("["):
            keys = list(_keys(said))
            table = keys[-1] if keys else ()
            for key in keys:
                found.setdefault(key, began)
        else:
            for key in _keys(said):
                found.setdefault((*table, *key), began)
        pending = ""
    return found


def line_of_error(error: tomllib.TOMLDecodeError, text: str) -> int:
    """The line of a syntax error; the last one when TOML says that the text ends too early."""
    at = re.search(r"at line (\d+)", str(error))
    return int(at[1]) if at else max(1, len(text.splitlines()))


def _keys(said: dict[str, Any], above: Key = ()) -> Iterator[Key]:
    for name, value in said.items():
        key = (*above, name)
        yield key
        if isinstance(value, dict):
            yield from _keys(value, key)
