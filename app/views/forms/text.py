"""Values as texts that people type, and back: numbers, words, lists, JSON. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

NULL = "null"
_MAX_DIGITS = 400


class TextError(ValueError):
    """A text that stands for no value; says why in a few words."""


def dumps(value: Any) -> str:
    """A value as JSON on one line, as people write it; what a terminal would obey or hide is escaped.

    >>> dumps({"ключ": "a\\u202eb"})
    '{"ключ": "a\\\\u202eb"}'
    """
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are one, numbers by kind too: 1, 1.0 and true differ."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def read_json(text: str) -> Any:
    """A text as JSON. Raises TextError."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise TextError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise TextError("not JSON that can be read: nested too deeply") from error
    except ValueError as error:
        raise TextError("not JSON: a number is too long") from error


def _refuse(name: str) -> Any:
    raise json.JSONDecodeError(f"{name} is no JSON number", name, 0)


def read_integer(text: str) -> int:
    """A whole number. Raises TextError."""
    words = text.strip().replace("_", "").replace(" ", "")
    if not words.removeprefix("-").removeprefix("+").isdecimal() or not words.isascii():
        raise TextError("not a whole number")
    if len(words) > _MAX_DIGITS:
        raise TextError("too long for a number")
    return int(words)


def read_number(text: str) -> int | float:
    """A number; whole ones stay whole. Raises TextError."""
    try:
        return read_integer(text)
    except TextError:
        try:
            found = float(text.strip())
        except ValueError as error:
            raise TextError("not a number") from error
    if not math.isfinite(found):
        raise TextError("not a number that JSON has")
    return found


def read_word(text: str) -> str:
    """A text as it stands, or what is between the quotes where it is a JSON string: that is how `""` is empty."""
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        try:
            found = json.loads(text)
        except ValueError:
            return text
        if isinstance(found, str):
            return found
    return text


def write_word(value: str) -> str:
    """The text that `read_word` reads as the value, plain where that can be shown on a line."""
    plain = value and value.isprintable() and value == value.strip() and read_word(value) == value
    return value if plain else dumps(value)


def read_list(text: str, item: Callable[[str], Any]) -> list[Any]:
    """Items between commas, or a JSON list. Raises TextError of the first item that is none."""
    if text.strip().startswith("["):
        found = read_json(text)
        if isinstance(found, list):
            return found
    items = []
    for part in text.split(","):
        if not part.strip():
            raise TextError('an empty item: write "" or take the comma away')
        items.append(item(part.strip()))
    return items


def write_list(values: list[Any], write: Callable[[Any], str], item: Callable[[str], Any]) -> str:
    """The text that `read_list` reads as the values: between commas, where that says the same."""
    try:
        text = ", ".join(write(value) for value in values)
        if text and not text.startswith("[") and same(read_list(text, item), values):
            return text
    except (TextError, TypeError, AttributeError):
        pass  # items of another kind than the schema says: JSON says everything
    return dumps(values)
