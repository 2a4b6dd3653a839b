"""What changed in a running session since one looked, for a log that has no cursor to go back with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from app.views.calls import Call
from app.views.text import clip, clock, duration, safe
from app.views.times import When
from app.views.waterfall import ASCII_GLYPHS, GLYPHS, CallTree


@dataclass(frozen=True, slots=True)
class Change:
    """A call began, or has an outcome. One that did both since the last look only has an outcome."""

    kind: Literal["began", "ended"]
    call: Call
    depth: int


class Changes:
    """Knows what was seen."""

    def __init__(self) -> None:
        self._ended: dict[str, bool] = {}

    def since(self, tree: CallTree) -> Iterator[Change]:
        """What is new, in the order of the tree; what ended first, then what began."""
        began: list[Change] = []
        ended: list[Change] = []
        for call, depth in zip(tree.calls, tree.depths, strict=True):
            before = self._ended.get(call.request_id)
            if before is None or before != call.ended:
                self._ended[call.request_id] = call.ended
                (ended if call.ended else began).append(Change("ended" if call.ended else "began", call, depth))
        ended.sort(key=lambda change: (change.call.completed_ms or 0.0, -change.depth))
        yield from ended
        yield from began


def change_line(change: Change, width: int | None = None, *, ascii_only: bool = False, when: When | None = None) -> str:
    """One line: when (`when` writes it; the time of day, UTC, without), state, name (indented as deep as the call is),
    how long, why it failed.
    """
    call = change.call
    at_ms = call.completed_ms if change.kind == "ended" else call.started_ms
    told = f"{'-':12}" if at_ms is None else clock(round(at_ms)) if when is None else when(at_ms)
    glyph = (ASCII_GLYPHS if ascii_only else GLYPHS)[call.status]
    name = safe(call.operation_id, ascii_only=ascii_only)
    took = f"  {duration(call.duration_ms)}" if change.kind == "ended" and call.duration_ms is not None else ""
    why = f"  {safe(call.error, ascii_only=ascii_only)}" if call.error else ""
    line = f"{told} {glyph} {'  ' * min(change.depth, 20)}{name}{took}{why}"
    return line if width is None else clip(line, width, ellipsis="~" if ascii_only else "…")
