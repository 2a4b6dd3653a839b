"""One field of a form: what a JSON Schema says of a value, and texts for it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from app.views.forms.limits import FORMATS, Limits, limits_of, unfit
from app.views.forms.schema import MAX_STEPS, alternatives, common, enum_of, resolve, type_of
from app.views.forms.text import (
    NULL,
    TextError,
    dumps,
    read_integer,
    read_json,
    read_list,
    read_number,
    read_word,
    write_list,
    write_word,
)
from app.views.text import clip

Kind: TypeAlias = Literal["text", "integer", "number", "boolean", "choice", "list", "json", "group", "others"]
GIVEN = "given"
"""The text of a group that is part of the value."""


@dataclass(frozen=True, slots=True)
class Field:
    """Something that a form asks for.

    `path` leads to it from the top; `choices` are the texts of its values (`values` has those, in the same order);
    `default` is what it is when it is left out, as text; `items` the kind of a list's items; `bare`: what is no JSON is
    text; `secret`: not to be shown; `group`: the index of the heading that it stands below.
    """

    path: tuple[str, ...]
    kind: Kind
    required: bool
    nullable: bool = False
    description: str = ""
    hint: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    items: Kind = "text"
    bare: bool = False
    secret: bool = False
    limits: Limits = field(default_factory=Limits)
    group: int | None = None

    @property
    def label(self) -> str:
        """Its name."""
        return self.path[-1] if self.path else "input"

    @property
    def options(self) -> tuple[str, ...]:
        """The texts to choose among, for kinds that are chosen; empty for those that are typed."""
        if self.kind not in ("boolean", "choice", "group"):
            return ()
        texts = {"boolean": ("true", "false"), "group": (GIVEN,)}.get(self.kind, self.choices)
        return (*(() if self.required else ("",)), *texts, *((NULL,) if self.nullable else ()))


def field_of(schema: object, root: object, path: tuple[str, ...], *, required: bool) -> Field:
    """The field of a property. Kind `group` means: an object with properties of its own."""
    outer = schema if isinstance(schema, Mapping) else {}
    found, nullable = alternatives(schema, root)
    one: Mapping[str, Any] = found[0] if len(found) == 1 else common(found)
    kind, items = _kind(one, root)
    values = tuple(item for item in enum_of(one) if item is not None)
    default = dumps(outer["default"]) if outer.get("default") is not None else ""
    if isinstance(outer.get("default"), str):
        default = write_word(outer["default"])
    choices = _choice_texts(values) if kind == "choice" else ()
    limits = limits_of(one)
    bare = kind == "json" and (not one or any(type_of(each) in ("string", None) for each in found))
    return Field(
        path=path,
        kind=kind,
        required=required,
        nullable=nullable,
        description=_text(outer.get("description") or one.get("description")),
        hint=_one_of(choices) if choices else _hint(kind, items, found, limits, bare=bare),
        default=default,
        choices=choices,
        values=values if kind == "choice" else (),
        items=items,
        bare=bare,
        secret=one.get("writeOnly") is True or one.get("format") == "password" or outer.get("writeOnly") is True,
        limits=limits,
    )


def text_of(field: Field, value: Any) -> str:
    """The text of a value in a field; one that is not of the field's kind comes as JSON."""
    if value is None:
        return NULL
    if field.kind == "choice":
        for text, choice in zip(field.choices, field.values, strict=True):
            if type(choice) is type(value) and choice == value:
                return text
    if isinstance(value, str) and (field.kind == "text" or (field.kind == "json" and field.bare)):
        text = write_word(value)
        return text if read_text(field, text)[0] == value else dumps(value)
    if field.kind == "list" and isinstance(value, list):
        return write_list(value, _WRITERS.get(field.items, dumps), _READERS.get(field.items, read_word))
    return dumps(value)


def read_text(field: Field, text: str) -> tuple[Any, str]:
    """The value that a text stands for, and what is wrong with it, in a few words."""
    if not text:
        return None, ("required" + (' ("" is an empty text)' if field.kind == "text" else "")) if field.required else ""
    try:
        value = _read(field, text)
    except TextError as error:
        return None, str(error)
    return value, unfit(field.limits, value) if field.kind in _LIMITED else ""


def _read(field: Field, text: str) -> Any:
    if text.strip() == NULL and (field.nullable or field.kind == "json"):
        return None
    match field.kind:
        case "boolean":
            if text not in ("true", "false"):
                raise TextError("true or false")
            return text == "true"
        case "choice":
            if text not in field.choices:
                raise TextError(_one_of(field.choices))
            return field.values[field.choices.index(text)]
        case "list":
            return read_list(text, _READERS.get(field.items, read_word))
        case "group":
            return {}
        case "others":
            found = read_json(text)
            if not isinstance(found, dict):
                raise TextError("a JSON object is needed: {…}")
            return found
        case "json":
            try:
                return read_json(text)
            except TextError:
                if not field.bare or text.lstrip()[:1] in ("{", "[", '"'):
                    raise
                return text
        case _:
            return _READERS[field.kind](text)


_LIMITED = frozenset({"text", "integer", "number", "list"})
_READERS: dict[str, Callable[[str], Any]] = {"text": read_word, "integer": read_integer, "number": read_number}
_WRITERS: dict[str, Callable[[Any], str]] = {"text": write_word}


def _kind(schema: Mapping[str, Any], root: object) -> tuple[Kind, Kind]:
    """The kind, and for lists the kind of the items."""
    if enum_of(schema):
        return "choice", "text"
    match type_of(schema):
        case "string":
            return "text", "text"
        case "integer":
            return "integer", "text"
        case "number":
            return "number", "text"
        case "boolean":
            return "boolean", "text"
        case "object" if isinstance(schema.get("properties"), Mapping):
            return "group", "text"
        case "array":
            item = _SCALARS.get(type_of(inner := resolve(schema.get("items"), root)) or "")
            if item is not None and not enum_of(inner):
                return "list", item
    return "json", "text"


_SCALARS: dict[str, Kind] = {"string": "text", "integer": "integer", "number": "number"}


def _choice_texts(values: tuple[Any, ...]) -> tuple[str, ...]:
    plain = tuple(value if isinstance(value, str) else dumps(value) for value in values)
    if len(set(plain)) == len(plain) and not {"", NULL} & set(plain) and all(text.isprintable() for text in plain):
        return plain
    return tuple(dumps(value) for value in values)


# -- words ------------------------------------------------------------------------------------------------------------

_WORDS: dict[Kind, str] = {
    "text": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "yes or no",
    "choice": "choice",
    "list": "list",
    "json": "JSON",
    "group": "object",
    "others": "JSON object",
}


def _one_of(choices: tuple[str, ...]) -> str:
    return f"one of {clip(', '.join(choices[:20]), 60)}"


def _hint(kind: Kind, items: Kind, found: list[Mapping[str, Any]], limits: Limits, *, bare: bool) -> str:
    words = [_WORDS[kind]]
    if kind == "list":
        words = [f"{_WORDS[items]}s, with commas between"] if items != "text" else ["texts, with commas between"]
    elif kind == "json":
        kinds = sorted({type_of(one) or "anything" for one in found[:MAX_STEPS]})
        anything = not kinds or "anything" in kinds or len(kinds) > 3
        known = "any JSON" if anything else f"JSON: {' or '.join(one for one in kinds if not bare or one != 'string')}"
        words = [f"text, or {known}" if bare else known]
    elif kind == "text" and limits.format in FORMATS:
        words = [FORMATS[limits.format][1]]
    low, high = limits.minimum, limits.maximum
    if low is not None and high is not None:
        words.append(f"{low} to {high}")
    elif low is not None or high is not None:
        words.append(f"at least {low}" if low is not None else f"at most {high}")
    if limits.max_length is not None and kind == "text":
        words.append(f"at most {limits.max_length} characters")
    if limits.pattern is not None:
        words.append(f"matches {clip(limits.pattern, 40)}")
    return ", ".join(words)


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
