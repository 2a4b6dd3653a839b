"""What a JSON Schema says that a value may be: references and alternatives followed, but not for ever. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_STEPS = 32
"""How many references lead to a schema at most, and how many alternatives of one are looked at."""


def resolve(schema: object, root: object) -> Mapping[str, Any]:
    """The schema that references and single alternatives lead to, without `null`; {} where they lead nowhere."""
    found, _ = alternatives(schema, root)
    return found[0] if len(found) == 1 else {}


def alternatives(schema: object, root: object) -> tuple[list[Mapping[str, Any]], bool]:
    """What a value may be, references followed, and whether it may be null."""
    found: list[Mapping[str, Any]] = []
    nullable = False
    waiting: list[object] = [schema]
    for _ in range(MAX_STEPS):
        if not waiting:
            break
        one = waiting.pop(0)
        if not isinstance(one, Mapping):
            found.append({})
            continue
        if isinstance(one.get("$ref"), str):
            waiting.append(_follow(one["$ref"], root))
            continue
        several = next((one[word] for word in ("anyOf", "oneOf") if isinstance(one.get(word), list)), None)
        together = one.get("allOf")
        if several is not None:
            waiting += several[:MAX_STEPS]
        elif isinstance(together, list) and len(together) == 1 and "properties" not in one:
            waiting.append(together[0])
        elif isinstance(one.get("type"), list):
            waiting += [{**one, "type": each} for each in one["type"][:MAX_STEPS]]
        elif one.get("type") == "null":
            nullable = True
        else:
            nullable = nullable or None in enum_of(one)
            found.append(one)
    if waiting:
        found += [{}, {}]  # references in a circle, or more alternatives than anybody reads: anything
    return found, nullable


def _follow(reference: str, root: object) -> object:
    """What a `#/…` leads to; {} for what is not in the document."""
    place = root
    if not reference.startswith("#"):
        return {}
    for step in reference.removeprefix("#").removeprefix("/").split("/") if len(reference) > 1 else ():
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, Mapping) or name not in place:
            return {}
        place = place[name]
    return place


def common(found: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What several alternatives have in common, as a schema: words, numbers, or {} for anything."""
    kinds = {type_of(one) for one in found}
    if kinds == {"string"} and not any(enum_of(one) for one in found):
        return {"type": "string"}
    return {"type": "number"} if kinds and kinds <= {"integer", "number"} else {}


def type_of(schema: Mapping[str, Any]) -> str | None:
    """The type that it names, or that it must be."""
    said = schema.get("type")
    if isinstance(said, str):
        return said
    return "object" if isinstance(schema.get("properties"), Mapping) else None


def enum_of(schema: Mapping[str, Any]) -> list[Any]:
    """The values that it allows, where it lists them."""
    if "const" in schema:
        return [schema["const"]]
    return schema["enum"] if isinstance(schema.get("enum"), list) else []
