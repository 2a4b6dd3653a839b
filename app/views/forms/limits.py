"""What a JSON Schema asks of a single value beyond its kind, and what a value lacks. Pure, and in bounded time."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from app.views.text import clip


@dataclass(frozen=True, slots=True)
class Limits:
    """What a schema asks of a value beyond its kind."""

    minimum: int | float | None = None
    maximum: int | float | None = None
    above: int | float | None = None
    below: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    pattern: str | None = None
    format: str | None = None


def limits_of(schema: Mapping[str, Any]) -> Limits:
    """What a schema asks for; what is no limit in it is passed over."""

    def number(name: str) -> Any:
        value = schema.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def whole(name: str) -> int | None:
        value = number(name)
        return value if isinstance(value, int) else None

    return Limits(
        minimum=number("minimum"),
        maximum=number("maximum"),
        above=number("exclusiveMinimum"),
        below=number("exclusiveMaximum"),
        min_length=whole("minLength"),
        max_length=whole("maxLength"),
        min_items=whole("minItems"),
        max_items=whole("maxItems"),
        pattern=schema["pattern"] if isinstance(schema.get("pattern"), str) else None,
        format=schema["format"] if isinstance(schema.get("format"), str) else None,
    )


def unfit(limits: Limits, value: Any) -> str:
    """What a value lacks, in a few words; what only the whole schema can say is left to who takes the value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return next(_out_of_bounds(limits, value), "")
    if isinstance(value, str):
        if limits.min_length is not None and len(value) < limits.min_length:
            return f"at least {limits.min_length} characters"
        if limits.max_length is not None and len(value) > limits.max_length:
            return f"at most {limits.max_length} characters, these are {len(value)}"
        return _no_format(limits, value)
    if isinstance(value, list):
        if limits.min_items is not None and len(value) < limits.min_items:
            return f"at least {limits.min_items} items"
        if limits.max_items is not None and len(value) > limits.max_items:
            return f"at most {limits.max_items} items, these are {len(value)}"
    return ""


def _out_of_bounds(limits: Limits, value: int | float) -> Iterator[str]:
    if limits.minimum is not None and value < limits.minimum:
        yield f"at least {limits.minimum}"
    if limits.maximum is not None and value > limits.maximum:
        yield f"at most {limits.maximum}"
    if limits.above is not None and value <= limits.above:
        yield f"more than {limits.above}"
    if limits.below is not None and value >= limits.below:
        yield f"less than {limits.below}"


FORMATS: dict[str, tuple[Callable[[str], object], str]] = {
    "date-time": (datetime.fromisoformat, "a date and time, such as 2027-01-31T12:00:00Z"),
    "date": (date.fromisoformat, "a date, such as 2027-01-31"),
    "uuid": (uuid.UUID, "a UUID"),
}


def _no_format(limits: Limits, value: str) -> str:
    if limits.pattern is not None and not _fits(limits.pattern, value):
        return f"does not match {clip(limits.pattern, 40)}"
    if limits.format in FORMATS:
        read, what = FORMATS[limits.format]
        try:
            read(value)
        except ValueError:
            return f"not {what}"
    return ""


def _fits(pattern: str, value: str) -> bool:
    """Whether a regular expression occurs in a text, in linear time: Python's own takes exponential time for some.

    One that the linear engine does not know (it looks around) is left to whoever takes the value.
    """
    from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

    try:
        checker = SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        return True
    try:
        checker.validate_python(value)
    except ValidationError:
        return False
    return True
