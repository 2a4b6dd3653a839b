"""Scopes: `noun:verb`, where `*` stands for any one segment, and alone for everything (OQ-25).

A set of scopes is authority; `intersect` never gives more than either side has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

EVERYTHING = "*"


def grants(held: str, wanted: str) -> bool:
    """Tell whether a held scope covers a wanted one.

    >>> grants("fs:*", "fs:read"), grants("*", "fs:read"), grants("fs:read", "fs:list"), grants("fs:read", "fs:*")
    (True, True, False, False)
    """
    if held == EVERYTHING:
        return True
    mine, theirs = held.split(":"), wanted.split(":")
    return len(mine) == len(theirs) and all(a in ("*", b) for a, b in zip(mine, theirs, strict=True))


def is_scope(text: str) -> bool:
    """Tell whether a text is a scope: 1 to 4 segments of letters, digits, `.`, `_`, `-`, or `*`.

    >>> is_scope("fs:read"), is_scope("*"), is_scope("fs:*"), is_scope("fs:"), is_scope("a b")
    (True, True, True, False, False)
    """
    segments = text.split(":")
    return len(segments) <= 4 and all(
        part == "*"
        or (part != "" and part.isascii() and part.replace(".", "").replace("_", "").replace("-", "").isalnum())
        for part in segments
    )


def meet(one: str, other: str) -> str | None:
    """The scope that both cover, or None.

    >>> meet("fs:*", "*:read"), meet("*", "fs:read"), meet("fs:read", "fs:list")
    ('fs:read', 'fs:read', None)
    """
    if one == EVERYTHING:
        return other
    if other == EVERYTHING:
        return one
    mine, theirs = one.split(":"), other.split(":")
    if len(mine) != len(theirs):
        return None
    joined = []
    for a, b in zip(mine, theirs, strict=True):
        if a != b and "*" not in (a, b):
            return None
        joined.append(b if a == "*" else a)
    return ":".join(joined)


def intersect(one: Iterable[str], other: Iterable[str]) -> frozenset[str]:
    """What both sets cover."""
    others = list(other)
    return reduced(found for a in one for b in others if (found := meet(a, b)) is not None)


def reduced(scopes: Iterable[str]) -> frozenset[str]:
    """The same authority without scopes that another one covers."""
    given = frozenset(scopes)
    return frozenset(scope for scope in given if not any(other != scope and grants(other, scope) for other in given))


def covers(held: Iterable[str], wanted: str) -> bool:
    """Tell whether any of the held scopes grants the wanted one."""
    return any(grants(scope, wanted) for scope in held)


Resources = Mapping[str, frozenset[str]]
"""Actions by resource, `"type:id" -> {"read", …}`; the id and the action may be `*`."""


def intersect_resources(one: Resources, other: Resources) -> dict[str, frozenset[str]]:
    """The resources and actions that both name."""
    found: dict[str, frozenset[str]] = {}
    for a, mine in one.items():
        for b, theirs in other.items():
            name = meet(a, b)
            if name is None:
                continue
            both = theirs if "*" in mine else mine if "*" in theirs else mine & theirs
            if both:
                found[name] = found.get(name, frozenset()) | both
    return found


def unite_resources(one: Resources, other: Resources) -> dict[str, frozenset[str]]:
    """The resources and actions that either names."""
    found = dict(one)
    for name, actions in other.items():
        found[name] = found.get(name, frozenset()) | actions
    return found


def covers_resource(held: Resources, resource: str, action: str) -> bool:
    """Tell whether an action on a resource (`"type:id"`) is allowed. Ids are compared, not only types."""
    return any(grants(name, resource) and ("*" in actions or action in actions) for name, actions in held.items())
