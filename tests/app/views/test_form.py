"""Forms from JSON Schemas: what goes in comes out, errors are of their fields, no schema hangs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import Settings
from app.operations import builtin_registry
from app.views.forms.field import GIVEN, Field
from app.views.forms.form import MAX_FIELDS, Problem, build, schema_problems, told_problem
from app.views.forms.text import same
from tests.json_values import json_values

PERSON = {
    "type": "object",
    "required": ["name", "age"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "maxLength": 20, "description": "Who it is."},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "size": {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}], "default": None},
        "kind": {"enum": ["cat", "dog"], "default": "cat"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "home": {"anyOf": [{"$ref": "#/$defs/Home"}, {"type": "null"}], "default": None},
        "since": {"type": "string", "format": "date-time"},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
        "extra": {},
    },
    "$defs": {
        "Home": {
            "type": "object",
            "required": ["street"],
            "properties": {"street": {"type": "string"}, "at": {"type": "object", "properties": {"x": {}}}},
        }
    },
}


def typed(schema: object, **texts: str) -> tuple[Any, dict[str, str]]:
    """What a form says when these texts are typed, and the errors by label."""
    form = build(schema)
    lines = [texts.get(".".join(field.path), texts.get(field.label, "")) for field in form.fields]
    filled = form.read(lines)
    return filled.value, {
        ".".join(field.path): error for field, error in zip(form.fields, filled.errors, strict=True) if error
    }


def test_texts_become_a_value_of_the_schema() -> None:
    value, errors = typed(
        PERSON,
        name="Ada",
        age="36",
        size="1.5",
        kind="dog",
        tags="a, b",
        home=GIVEN,
        street="Main",
        at='{"x": 1}',
        since="2027-01-31T12:00:00Z",
        code="abc",
        extra="[1]",
    )
    assert errors == {}
    assert value == {
        "name": "Ada",
        "age": 36,
        "size": 1.5,
        "kind": "dog",
        "tags": ["a", "b"],
        "home": {"street": "Main", "at": {"x": 1}},
        "since": "2027-01-31T12:00:00Z",
        "code": "abc",
        "extra": [1],
    }
    jsonschema.validate(value, PERSON)


@pytest.mark.parametrize(
    ("label", "text", "error"),
    [
        ("name", "", 'required ("" is an empty text)'),
        ("name", "x" * 21, "at most 20 characters, these are 21"),
        ("age", "", "required"),
        ("age", "old", "not a whole number"),
        ("age", "1.5", "not a whole number"),
        ("age", "-1", "at least 0"),
        ("age", "151", "at most 150"),
        ("age", "9" * 9_000, "too long for a number"),
        ("size", "big", "not a number"),
        ("size", "1e999", "not a number that JSON has"),
        ("size", "nan", "not a number that JSON has"),
        ("size", "0", "more than 0"),
        ("kind", "cow", "one of cat, dog"),
        ("tags", "a,,b", 'an empty item: write "" or take the comma away'),
        ("tags", "a,b,c,d", "at most 3 items, these are 4"),
        ("since", "yesterday", "not a date and time, such as 2027-01-31T12:00:00Z"),
        ("code", "ABC", "does not match ^[a-z]+$"),
        ("home.at", "{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
    ],
)
def test_an_error_is_told_at_its_field(label: str, text: str, error: str) -> None:
    texts = {"name": "Ada", "age": "36", "home": GIVEN, "street": "Main"} | {label: text}
    assert typed(PERSON, **texts)[1] == {label: error}


def test_a_choice_says_what_may_be_chosen() -> None:
    assert {field.label: field.hint for field in build(PERSON).fields}["kind"] == "one of cat, dog"


def test_a_group_that_is_left_out_asks_for_nothing() -> None:
    assert typed(PERSON, name="Ada", age="1") == ({"name": "Ada", "age": 1}, {})
    assert typed(PERSON, name="Ada", age="1", home="null")[0]["home"] is None
    form = build(PERSON)
    shown = [field.label for index, field in enumerate(form.fields) if form.visible(index, form.texts)]
    assert "home" in shown
    assert "street" not in shown


def test_quotes_say_what_plain_text_cannot() -> None:
    schema = {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "any": {}}}
    assert typed(schema, a='""')[0] == {"a": ""}
    assert typed(schema, a="null")[0] == {"a": None}
    assert typed(schema, a='"null"')[0] == {"a": "null"}
    assert typed(schema, a='say "hi"')[0] == {"a": 'say "hi"'}
    assert typed(schema, any="12")[0] == {"any": 12}
    assert typed(schema, any='"12"')[0] == {"any": "12"}
    assert typed(schema, any="plain words")[0] == {"any": "plain words"}


def test_what_a_validator_says_comes_to_the_field() -> None:
    form = build(PERSON, {"home": {"street": "x"}})
    problems = [
        Problem(("home", "at", "x"), "odd"),
        Problem(("age",), "old"),
        Problem((), "all of it"),
        Problem(("q",), "?"),
    ]
    errors, rest = form.place(problems)
    by_label = {field.label: error for field, error in zip(form.fields, errors, strict=True) if error}
    assert by_label == {"at": "x: odd", "age": "old"}
    assert rest == "all of it; q: ?"
    assert schema_problems(PERSON, {"name": "Ada", "age": -1}) == [
        Problem(("age",), "-1 is less than the minimum of 0")
    ]
    assert told_problem("limit: Input should be less than or equal to 1000")[0] == ("limit",)


def test_a_field_that_is_written_only_is_secret() -> None:
    form = build({"properties": {"p": {"type": "string", "writeOnly": True}, "q": {"type": "string"}}})
    assert [field.secret for field in form.fields] == [True, False]


# -- identity ---------------------------------------------------------------------------------------------------------


def schemas() -> st.SearchStrategy[Any]:
    """Schemas as pydantic makes them, and worse."""
    leaf = st.sampled_from(
        [
            {"type": "string"},
            {"type": "integer", "minimum": 3},
            {"type": "number"},
            {"type": "boolean"},
            {"enum": ["a", "b", 1, "1", None, "", "null"]},
            {"const": "only"},
            {"type": "array", "items": {"type": "string"}},
            {"type": "array", "items": {"type": "integer"}},
            {"type": "array"},
            {"type": ["string", "null"]},
            {"$ref": "#/$defs/A"},
            {"$ref": "#/$defs/missing"},
            {"allOf": [{"$ref": "#/$defs/A"}]},
            {},
            True,
            None,
            7,
        ]
    )
    names = st.sampled_from(["a", "b", "", "…", "ключ"])
    return st.recursive(
        leaf,
        lambda inner: (
            st.builds(lambda many: {"anyOf": many}, st.lists(inner, max_size=3))
            | st.builds(
                lambda properties, required, more: {
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": more,
                    "$defs": {"A": {"type": "object", "properties": {"n": {"type": "integer"}}}},
                },
                st.dictionaries(names, inner, max_size=4),
                st.lists(names, max_size=2),
                st.booleans(),
            )
        ),
        max_leaves=8,
    )


VALUES = st.dictionaries(
    st.sampled_from(["a", "b", "", "…", "ключ", "z"]),
    json_values(words=["null", "a", "given"], keys=["n", "a"]),
    max_size=4,
)


@given(schemas(), VALUES)
def test_the_texts_of_an_untouched_form_are_its_value(schema: Any, value: dict[str, Any]) -> None:
    form = build(schema, value)
    assert same(form.read(form.texts).value, value)


@given(schemas(), st.lists(st.text() | st.sampled_from([GIVEN, "null", "true", "[", "{}"]), max_size=40))
def test_any_text_is_a_value_or_an_error(schema: Any, texts: list[str]) -> None:
    form = build(schema)
    lines = (texts + [""] * len(form.fields))[: len(form.fields)]
    filled = form.read(lines)
    assert len(filled.errors) == len(form.fields)
    json.dumps(filled.value)
    if filled.good and filled.value is not None and isinstance(filled.value, dict):
        again = build(schema, filled.value)
        assert same(again.read(again.texts).value, filled.value)


@given(json_values(keys=["properties", "type", "$ref", "anyOf", "enum", "required", "items", "pattern", "default"]))
def test_any_json_is_a_schema_of_some_form(schema: Any) -> None:
    form = build(schema, {"a": 1})
    assert same(form.read(form.texts).value, {"a": 1})


# -- hostile ----------------------------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


HOSTILE: dict[str, Any] = {
    "deep": nested(5_000),
    "deep alternatives": {"properties": {"a": json.loads('{"anyOf": [' * 300 + "{}" + "]}" * 300)}},
    "itself": {"properties": {"a": {"$ref": "#"}}},
    "a circle": {
        "properties": {"a": {"$ref": "#/$defs/B"}},
        "$defs": {"B": {"$ref": "#/$defs/C"}, "C": {"$ref": "#/$defs/B"}},
    },
    "doubling": {
        "properties": {"a": {"$ref": "#/$defs/0"}},
        "$defs": {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(60)},
    },
    "lists in lists": {
        "properties": {"a": {"$ref": "#/$defs/L"}},
        "$defs": {"L": {"type": "array", "items": {"$ref": "#/$defs/L"}}},
    },
    "a huge enum": {"properties": {"a": {"enum": list(range(100_000))}}},
    "many properties": {"properties": {str(n): {"type": "string"} for n in range(50_000)}},
    "many types": {"properties": {"a": {"type": ["string"] * 100_000}}},
    "groups of groups": {
        "properties": {
            f"g{g}": {"type": "object", "properties": {f"f{f}": {"type": "string"} for f in range(50)}}
            for g in range(50)
        }
    },
    "far away": {"$ref": "http://example.com/schema"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_makes_a_form(name: str) -> None:
    value = {"a": 77}
    form = build(HOSTILE[name], value)
    assert len(form.fields) <= MAX_FIELDS + 1, "and one for what is in no field"
    assert form.read(form.texts).value == value


def test_a_pattern_that_takes_python_for_ever_takes_none() -> None:
    schema = {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    assert typed(schema, a="a" * 5_000 + "!")[1] == {"a": "does not match ^(a+)+$"}
    around = {"properties": {"a": {"type": "string", "pattern": "^(?!x)"}}}
    assert typed(around, a="x")[1] == {}, "left to who takes the value"


def test_every_operation_has_a_form(tmp_path: Path) -> None:
    registry = builtin_registry(Settings(), tmp_path / "key")
    kinds: dict[str, Field] = {}
    for spec in registry.list():
        form = build(spec.input_schema)
        filled = form.read(form.texts)
        missing = {field.path[-1] for field, error in zip(form.fields, filled.errors, strict=True) if error}
        assert missing == set(spec.input_schema.get("required", ())), spec.operation_id
        kinds |= {field.kind: field for field in form.fields}
    assert set(kinds) == {"text", "integer", "number", "boolean", "choice", "list", "json", "group"}
