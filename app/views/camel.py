"""Rows as JSON values, named as on the wire: camelCase."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any


def camel(value: Any) -> Any:
    """A dataclass, or a list of them, as JSON values; what is neither stays as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {_camel(field.name): camel(getattr(value, field.name)) for field in fields(value)}
    return [camel(item) for item in value] if isinstance(value, list | tuple) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
