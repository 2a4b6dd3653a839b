"""A JSON value as lines that fold: whatever its size, it costs what is shown of it. Pure.

Objects and arrays are known by their `id()`: a value that was read from a text holds each of them once, for as long as
it is shown.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from itertools import islice, repeat
from typing import Any, NamedTuple, TypeAlias

from app.views.text import of, safe

Node: TypeAlias = dict[str, Any] | list[Any]
_Member: TypeAlias = tuple[int, str, Any, str]
"""Which it is, what stands before it, itself, what stands behind it."""
_encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes an encoder for each member

OPEN_LINES = 1_000
"""As many levels are unfolded at first as fit in so many lines."""


class JsonLine(NamedTuple):
    """A line; a tuple, for there may be a hundred thousand."""

    place: tuple[int, int]
    """The `id` of what holds it and which of its members it is; -1: where that one ends."""
    depth: int
    text: str
    """Without its indentation, and as it is in the value: not yet safe for a terminal."""
    node: int | None = None
    """The object or array that begins, ends or lies folded here, when it has members."""
    folded: bool = False


def read_json(text: str) -> Node | None:
    """The object or array that the text is; None when it is none, or one that is nested too deeply to be read."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        found: Node = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found


def lines(root: Node, opened: Container[int] | None = None) -> Iterator[JsonLine]:
    """Yield the lines of what is `opened`, else all: indented by twos they are what `json.dumps(indent=2)` writes."""
    outermost: Iterator[_Member] = iter([(0, "", root, "")])
    levels: list[tuple[Iterator[_Member], Node | None, str]] = [(outermost, None, "")]  # any depth, without recursion
    while levels:
        members, holder, comma = levels[-1]
        depth = len(levels) - 1
        member = next(members, None)
        if member is None:
            levels.pop()
            if holder is not None:
                yield JsonLine((id(holder), -1), depth - 1, _brackets(holder)[1] + comma, id(holder))
            continue
        index, label, value, after = member
        place = (id(holder), index)
        if not isinstance(value, dict | list) or not value:
            yield JsonLine(place, depth, label + (str(value) if type(value) is int else _encode(value)) + after)
        elif opened is None or id(value) in opened:
            yield JsonLine(place, depth, label + _brackets(value)[0], id(value))
            levels.append((_members(value), value, after))
        else:
            begin, end = _brackets(value)
            held = of(len(value), "key" if begin == "{" else "item")
            yield JsonLine(place, depth, f"{label}{begin}…{end}{after}  {held}", id(value), folded=True)


def first_levels(root: Node, most: int = OPEN_LINES) -> set[int]:
    """What is unfolded at first: the value, and as many levels below it as have no more than `most` lines together."""
    opened, level = {id(root)}, [root]
    left = most - 2 - len(root)
    while level and left > 0:
        level = [one for node in level for one in _held(node) if isinstance(one, dict | list) and one]
        left -= sum(len(node) + 1 for node in level)
        if left >= 0:
            opened.update(map(id, level))
    return opened


def all_levels(root: Node, most: int) -> set[int]:
    """Everything that begins in the first `most` lines of the whole value."""
    return {line.node for line in islice(lines(root), most) if line.node is not None}


def pretty(root: Node) -> str:
    """The whole value for another program: a line for each member; still JSON, but nothing that a terminal obeys."""
    return "\n".join("  " * line.depth + _escaped(line.text) for line in lines(root))


def _escaped(text: str) -> str:
    if safe(text) == text:
        return text
    return "".join(one if safe(one) == one else json.dumps(one)[1:-1] for one in text)


def _brackets(node: Node) -> tuple[str, str]:
    return ("{", "}") if isinstance(node, dict) else ("[", "]")


def _held(node: Node) -> Iterator[Any]:
    return iter(node.values() if isinstance(node, dict) else node)


def _members(node: Node) -> Iterator[_Member]:
    labels = (_encode(key) + ": " for key in node) if isinstance(node, dict) else repeat("")
    for index, (label, value) in enumerate(zip(labels, _held(node), strict=False), 1):
        yield index, label, value, "" if index == len(node) else ","
