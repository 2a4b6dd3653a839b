"""A form made from a JSON Schema: what is asked for, field by field, as texts that a person edits. Pure.

`build(schema, value)` makes the fields, `Form.texts` has a text for each of them, `Form.read(texts)` gives the value
back, or says of each field what is wrong with it. Whatever JSON object `value` is, and whatever the schema says of it,
reading the texts of an untouched form gives exactly that value; what a field cannot hold as its kind is JSON there.

What is checked here is what can be said of a field alone, at once and in bounded time: the schema may come from another
machine. The whole value is checked by whoever takes it; `Form.place` brings what that one says to the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.views.forms.field import GIVEN, Field, field_of, read_text, text_of
from app.views.forms.schema import resolve
from app.views.forms.text import NULL, dumps, same

MAX_FIELDS = 60
"""What would make more fields than this is edited as JSON: first the groups, then the whole."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a value, and where in it; an empty path is the whole."""

    path: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Filled:
    """What a form says: `value` is what could be read; `errors` has a text for each field, empty where it is fine."""

    value: Any
    errors: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether every field could be read."""
        return not any(self.errors)


@dataclass(frozen=True, slots=True)
class Form:
    """Fields in order, and the text that each of them begins with; the fields of a group follow its heading."""

    fields: tuple[Field, ...]
    texts: tuple[str, ...]

    def read(self, texts: Sequence[str]) -> Filled:
        """Return the value that the texts stand for. A field whose text is empty is left out of it."""
        value: Any = {}
        errors = [""] * len(self.fields)
        for index, field in enumerate(self.fields):
            if not self.visible(index, texts):
                continue
            found, errors[index] = read_text(field, texts[index])
            if not texts[index] or (errors[index] and found is None):
                continue
            if not field.path:
                value = found
                continue
            place = value
            for step in field.path[:-1]:
                place = place.setdefault(step, {})
            if field.kind == "others":
                place.update({key: item for key, item in found.items() if key not in place})
            else:
                place[field.path[-1]] = found
        return Filled(value, tuple(errors))

    def visible(self, index: int, texts: Sequence[str]) -> bool:
        """Whether a field counts and is shown: those of a group that is left out do not and are not."""
        group = self.fields[index].group
        return group is None or texts[group] == GIVEN

    def place(self, problems: Sequence[Problem]) -> tuple[tuple[str, ...], str]:
        """What is wrong, by field (the nearest one on the way to it), and what belongs to none."""
        errors = [""] * len(self.fields)
        rest: list[str] = []
        for problem in problems:
            index = self._nearest(problem.path)
            if index is None:
                rest.append(f"{'.'.join(problem.path)}: {problem.message}" if problem.path else problem.message)
            elif not errors[index]:
                deeper = ".".join(problem.path[len(self.fields[index].path) :])
                errors[index] = f"{deeper}: {problem.message}" if deeper else problem.message
        return tuple(errors), "; ".join(rest)

    def _nearest(self, path: tuple[str, ...]) -> int | None:
        near = [
            index
            for index, field in enumerate(self.fields)
            if field.kind != "others" and field.path == path[: len(field.path)]
        ]
        return max(near, key=lambda index: len(self.fields[index].path), default=None)


def build(schema: object, value: Mapping[str, Any] | None = None) -> Form:
    """Make the form of a schema, filled with a value (None: with nothing; the defaults are told, not filled in).

    Objects in the object become groups, one level; what is deeper, and what has no simple form, is JSON text. A schema
    that is no object's gives a single JSON field.
    """
    top = resolve(schema, schema)
    fields = list(_object(top, schema, (), value)) if _has_fields(top) else []
    if len(fields) > MAX_FIELDS:
        fields = list(_object(top, schema, (), value, groups=False))
    if not fields:
        whole = Field(path=(), kind="json", required=False, hint="JSON")
        return Form((whole,), ("" if value is None else dumps(value),))
    numbered: list[Field] = []
    texts: list[str] = []
    heading = 0
    for field, text in fields:
        if field.kind == "group":
            heading = len(numbered)
        numbered.append(replace(field, group=heading) if field.group is not None else field)
        texts.append(text)
    return Form(tuple(numbered), tuple(texts))


def schema_problems(schema: Mapping[str, Any], value: Mapping[str, Any]) -> list[Problem]:
    """What a JSON Schema of this machine's own says against a value, as when it is written into a graph.

    Not for schemas of others: their regular expressions can take for ever.
    """
    from storage.graphs.attributes import check_attributes
    from storage.graphs.errors import AttributesError, GraphError

    try:
        check_attributes("value", dumps(schema), value)
    except AttributesError as error:
        return [Problem(*told_problem(text.removeprefix("$").removeprefix("."))) for text in error.problems]
    except GraphError as error:
        return [Problem((), str(error))]
    return []


def told_problem(text: str) -> tuple[tuple[str, ...], str]:
    """A problem as the registry words it: where, with dots in between, a colon, and what.

    >>> told_problem("where.limit: Input should be a valid integer")
    (('where', 'limit'), 'Input should be a valid integer')
    >>> told_problem("the input is an object")
    ((), 'the input is an object')
    """
    where, colon, what = text.partition(": ")
    if not colon or " " in where:
        return (), text
    return tuple(step for step in where.replace("[", ".").replace("]", "").split(".") if step), what


def _has_fields(schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties")
    return isinstance(properties, dict) and 0 < len(properties) <= MAX_FIELDS


def _object(
    schema: Mapping[str, Any],
    root: object,
    path: tuple[str, ...],
    value: object,
    *,
    inside: bool = False,
    groups: bool = True,
) -> Iterator[tuple[Field, str]]:
    """The fields of an object's properties, each with its text; `group` is 0 for those of a group, for now."""
    given: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    wanted = schema.get("required")
    required = frozenset(name for name in wanted if isinstance(name, str)) if isinstance(wanted, list) else frozenset()
    within = 0 if inside else None
    for name, raw in schema["properties"].items():
        field = replace(field_of(raw, root, (*path, name), required=name in required), group=within)
        has, item = name in given, given.get(name)
        inner = resolve(raw, root) if field.kind == "group" else {}
        if field.kind == "group" and groups and not inside and _has_fields(inner) and _holds(field, has, item):
            begun = GIVEN if value is None and field.required and not field.nullable else ""
            yield field, NULL if has and item is None else GIVEN if has else begun
            yield from _object(inner, root, (*path, name), item, inside=True)
            continue
        if field.kind == "group":
            field = replace(field, kind="json", hint=field.hint or "JSON")
        text = text_of(field, item) if has else ""
        found, error = read_text(field, text) if has else (None, "")
        if has and ((error and found is None) or not same(found, item)):
            field = replace(field, kind="json", bare=False)
            text = dumps(item)
        yield field, text
    others = {name: item for name, item in given.items() if name not in schema["properties"]}
    if others or schema.get("additionalProperties", False) is not False:
        hint = "more fields, as a JSON object"
        field = Field(path=(*path, "…"), kind="others", required=False, hint=hint, group=within)
        yield field, dumps(others) if others else ""


def _holds(field: Field, has: bool, item: object) -> bool:
    return not has or isinstance(item, Mapping) or (item is None and field.nullable)
