"""Attributes against the JSON Schema of their type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema
import referencing
from jsonschema.protocols import Validator

from storage.engine.payload import dumps
from storage.graphs.errors import AttributesError, TooLargeError

MAX_BYTES = 1_048_576
"""Of the attributes of one node or edge, as JSON."""
MAX_SCHEMA_BYTES = 262_144
MAX_PROBLEMS = 10


def check_schema(name: str, schema: object) -> None:
    """Refuse what is no JSON Schema (draft 2020-12), or points outside itself.

    Raises:
        AttributesError: says where and why.
    """
    if not isinstance(schema, Mapping):
        raise AttributesError(f"schema of {name}", ["a schema is an object"])
    text = dumps(schema)
    if len(text) > MAX_SCHEMA_BYTES:
        raise AttributesError(f"schema of {name}", [f"larger than {MAX_SCHEMA_BYTES} bytes"])
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        _validator(text).is_valid({})  # every $ref is followed now, and none leads out of the schema
    except jsonschema.SchemaError as error:
        raise AttributesError(f"schema of {name}", [f"{error.json_path}: {error.message}"]) from error
    except (referencing.exceptions.Unresolvable, RecursionError) as error:
        raise AttributesError(f"schema of {name}", [f"$ref leads nowhere: {error}"]) from error


def check_attributes(what: str, schema_text: str, attributes: Mapping[str, Any]) -> str:
    """Return attributes as JSON text, when they fit.

    Args:
        what: for the message, `node "k" of type "t"`.
        schema_text: the type's JSON Schema as it is stored.
        attributes: what the node or edge carries.

    Raises:
        AttributesError: they do not fit the schema, or are not JSON.
        TooLargeError: more than a MiB.
    """
    text = dumps(attributes)
    if len(text.encode()) > MAX_BYTES:
        raise TooLargeError(f"{what}: attributes of {len(text.encode())} bytes; {MAX_BYTES} are allowed")
    problems = []
    try:
        for error in _validator(schema_text).iter_errors(json.loads(text)):
            problems.append(f"{error.json_path}: {error.message[:200]}")
            if len(problems) == MAX_PROBLEMS:
                break
    except (referencing.exceptions.Unresolvable, RecursionError) as error:
        problems.append(f"the schema cannot be used: {error}")
    if problems:
        raise AttributesError(what, problems)
    return text


@lru_cache(256)
def _validator(schema_text: str) -> Validator:
    """A validator that never fetches anything: the registry is empty and has no retriever."""
    return jsonschema.Draft202012Validator(json.loads(schema_text), registry=referencing.Registry())
