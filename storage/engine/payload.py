"""Payloads are JSON text, as in Honker; this module is the only one that encodes and decodes them."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from storage.engine.errors import PayloadError


def dumps(payload: Any) -> str:
    """Return the payload as compact JSON text. Tuples and sets become arrays, bytes become base64 text.

    Raises:
        PayloadError: the value has no JSON form (an object, NaN, text with a lone surrogate …).
    """
    try:
        text = msgspec.json.encode(payload).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PayloadError(f"payload is not JSON: {error}") from error
    if "null" in text and _has_non_finite(payload):  # msgspec writes NaN as null: a value lost in silence
        raise PayloadError("payload is not JSON: NaN and infinity have no JSON form")
    return text


def _has_non_finite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_non_finite, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_has_non_finite, value))


def loads(text: str) -> Any:
    """Return what the JSON text says.

    Raises:
        PayloadError: the text is not JSON (a foreign program wrote it).
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise PayloadError(f"payload is not JSON: {error}") from error
