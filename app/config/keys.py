"""What is wrong with a `[keys]` table: ids that nothing has, and keys that two things would have at once. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

EVERYWHERE = frozenset({"app", "go", "view", "list"})
"""Beginnings of ids whose keys work on every screen; the others meet only their like."""


def key_problems(said: Mapping[str, str], defaults: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong, by the id in `[keys]` that says it; `defaults` are the keys of every id (`a` or `a,b`).

    >>> list(key_problems({"view.copi": "c"}, {"view.copy": "y"}))
    [('view.copi', 'keys."view.copi": nothing has this id, did you mean view.copy?')]
    >>> list(key_problems({"view.copy": "q"}, {"view.copy": "y", "app.quit": "q"}))
    [('view.copy', 'keys."view.copy": q is the key of app.quit too')]
    """
    keys = {**defaults, **said}
    for name, text in said.items():
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, n=1)
            yield name, f'keys."{name}": nothing has this id' + (f", did you mean {near[0]}?" if near else "")
            continue
        for key in text.split(","):
            for other, taken in keys.items():
                mine, its = name.partition(".")[0], other.partition(".")[0]
                meet = mine == its or mine in EVERYWHERE or its in EVERYWHERE
                if other != name and other in defaults and meet and key.strip() in taken.split(","):
                    yield name, f'keys."{name}": {key.strip()} is the key of {other} too'
