"""Two sessions side by side: which calls are new, gone, slower, faster, and which fail now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.views.calls import Call
from app.views.text import clip, duration, safe
from app.views.waterfall import CallTree
from app.views.waterfall.tree import ROOT

DifferenceKind: TypeAlias = Literal["now-failing", "now-passing", "added", "removed", "slower", "faster"]

LEAST_MS = 1.0
"""Calls that differ by less are as fast as each other."""
_GLYPHS: dict[DifferenceKind, str] = {
    "now-failing": "✗",
    "now-passing": "✓",
    "added": "+",
    "removed": "-",
    "slower": "▲",
    "faster": "▼",
}
_ASCII_GLYPHS: dict[DifferenceKind, str] = {
    **_GLYPHS,
    "now-failing": "x",
    "now-passing": "o",
    "slower": ">",
    "faster": "<",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One call that is not as it was. `path` is its operations from the root; `#2` is the second of that name there."""

    kind: DifferenceKind
    path: str
    before: Call | None
    after: Call | None


def paths(tree: CallTree) -> dict[str, Call]:
    """Every call by its path: the names of its callers and its own, each with its number among siblings of the name."""
    found: list[str] = []
    counts: Counter[tuple[int, str]] = Counter()
    for position, call in enumerate(tree.calls):
        parent = tree.parents[position]
        counts[parent, call.operation_id] += 1
        number = counts[parent, call.operation_id]
        name = call.operation_id if number == 1 else f"{call.operation_id}#{number}"
        found.append(name if parent == ROOT else f"{found[parent]} > {name}")
    return dict(zip(found, tree.calls, strict=True))


def diff(before: CallTree, after: CallTree, percent: float = 20.0) -> list[Difference]:
    """What is different in `after`, in its order; what is gone comes last.

    A call is slower (faster) if it took more than `percent` longer (less), and at least a millisecond. A call that is
    new says nothing of those below it that they do not say themselves.
    """
    old, new = paths(before), paths(after)
    found = [difference for path, call in new.items() for difference in _compared(path, old.get(path), call, percent)]
    return found + [Difference("removed", path, call, None) for path, call in old.items() if path not in new]


def _compared(path: str, before: Call | None, after: Call, percent: float) -> Iterator[Difference]:
    if before is None:
        yield Difference("added", path, None, after)
        return
    if (before.status == "failed") != (after.status == "failed") and before.ended and after.ended:
        yield Difference("now-failing" if after.status == "failed" else "now-passing", path, before, after)
    elif before.duration_ms is not None and after.duration_ms is not None:
        more = after.duration_ms - before.duration_ms
        if abs(more) >= LEAST_MS and abs(more) * 100 > min(before.duration_ms, after.duration_ms) * percent:
            yield Difference("slower" if more > 0 else "faster", path, before, after)


def difference_line(difference: Difference, width: int | None = None, *, ascii_only: bool = False) -> str:
    """One line: what, which call, how long it took and takes, why it fails."""
    glyph = (_ASCII_GLYPHS if ascii_only else _GLYPHS)[difference.kind]
    both = [duration(call.duration_ms) for call in (difference.before, difference.after) if call is not None]
    took = (" -> " if ascii_only else " → ").join(both)
    if ascii_only:
        took = took.replace("–", "-")
    path = safe(difference.path, ascii_only=ascii_only)
    failed = difference.after is not None and difference.after.status == "failed"
    why = f"  {safe(difference.after.error or '', ascii_only=ascii_only)}" if failed and difference.after else ""
    line = f"{glyph} {difference.kind:11} {path}  {took}{why}"
    return line if width is None else clip(line, width, ellipsis="~" if ascii_only else "…")
