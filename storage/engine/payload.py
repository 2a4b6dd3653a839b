"""Payloads are JSON text, as in Honker; this module is the only one that encodes and decodes them."""

from __future__ import annotations

from typing import Any

import msgspec

from storage.engine.errors import PayloadError


def dumps(payload: Any) -> str:
    """Return the payload as compact JSON text.

    Raises:
        PayloadError: the value has no JSON form (a set, an object, text with a lone surrogate …).
    """
    try:
        return msgspec.json.encode(payload).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PayloadError(f"payload is not JSON: {error}") from error


def loads(text: str) -> Any:
    """Return what the JSON text says.

    Raises:
        PayloadError: the text is not JSON (a foreign program wrote it).
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise PayloadError(f"payload is not JSON: {error}") from error
