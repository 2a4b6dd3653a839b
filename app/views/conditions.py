"""`field=value` conditions on events: dotted paths into what is shown of an event, and into its payload. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True, slots=True)
class Condition:
    """`path=wanted`: the text that must stand there; in it `*`, `?` and `[…]` stand for what they do in a shell."""

    path: tuple[str, ...]
    wanted: str

    def holds(self, event: Mapping[str, Any]) -> bool:
        """Whether it holds of an event, as `spoke tail --json` prints it; a path may also begin in its payload."""
        for start in (event, event.get("payload")):
            found = _at(start, self.path)
            if found is not _NOTHING and self._fits(found):
                return True
        return False

    def _fits(self, found: Any) -> bool:
        text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        return text == self.wanted or fnmatchcase(text, self.wanted)


_NOTHING = object()


def parse_condition(text: str) -> Condition:
    """Read `type=call.error`, `input.path=/etc/*`, `parts.0.type=text`.

    Raises:
        ValueError: there is no `=`, or nothing before it.
    """
    path, equals, wanted = text.partition("=")
    names = tuple(path.strip().split("."))
    if not equals or not all(names):
        raise ValueError(f"{text!r} is not FIELD=VALUE, such as type=call.error or input.path=/etc/*")
    return Condition(names, wanted)


def all_hold(conditions: Sequence[Condition], event: Mapping[str, Any]) -> bool:
    """Whether every condition holds."""
    return all(condition.holds(event) for condition in conditions)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path. A name may hold dots itself: the longest that is there is taken."""
    if not path:
        return value
    if isinstance(value, Mapping):
        for length in range(len(path), 0, -1):
            name = ".".join(path[:length])
            if name in value:
                return _at(value[name], path[length:])
    if isinstance(value, list) and path[0].isdecimal() and int(path[0]) < len(value):
        return _at(value[int(path[0])], path[1:])
    return _NOTHING
