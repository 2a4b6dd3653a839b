"""A text to read: a call's JSON, an event's payload."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.tui.lines.line_list import LineList
from app.tui.programs import editor, pager, show_in
from app.tui.view import View
from app.views.text import clip, count, safe

MAX_LINES = 100_000


class Detail(View):
    """Lines, wrapped to the width, escaped so that no payload can touch the terminal."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "back", "back", show=False, id="detail.back"),
        Binding("o", "pager", "open in $PAGER", id="detail.pager"),
        Binding("O", "editor", "open a copy in $EDITOR", show=False, id="detail.editor"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._heading = safe(title)
        self._text = text
        self._wrapped: tuple[int, list[str]] = (0, [])

    def compose_body(self) -> ComposeResult:
        """One list of lines."""
        yield LineList[tuple[int, str]](
            lambda row, _: row[1], lambda row: row[0], ("", "  Nothing matches the filter.")
        )

    async def load(self) -> None:
        """Wrap the text to the width, once a width, off the event loop."""
        width = self.query_one(LineList).text_width
        if self._wrapped[0] != width:
            lines = await asyncio.to_thread(
                lambda: list(wrap(self._text, width, ascii_only=self.spoke.ascii_only, most=MAX_LINES))
            )
            self._wrapped = width, lines
        lines = self._wrapped[1]
        shown = [(number, line) for number, line in enumerate(lines) if not self.wanted or self.matches(line)]
        cut = f", the first {count(MAX_LINES)} lines: the whole with o" if len(lines) >= MAX_LINES else ""
        self.set_title(f"{self._heading}  {count(len(self._text))} characters{cut}")
        self.query_one(LineList).show(shown)

    def leave(self) -> None:
        """Back."""
        self.spoke.back()

    def copy_text(self) -> str:
        """All of it."""
        return self._text

    def action_pager(self) -> None:
        """Read it in the user's pager."""
        self._open(pager())

    def action_editor(self) -> None:
        """Open a copy in the user's editor; changes to it stay in the copy, which goes away."""
        self._open(editor())

    def _open(self, program: str) -> None:
        show_in(self.app, program, "\n".join(safe(line) for line in self._text.splitlines()) + "\n")
        self.refresh()


def wrap(text: str, width: int, *, ascii_only: bool = False, most: int | None = None) -> Iterator[str]:
    """Yield the text's lines, the long ones in pieces of at most `width` cells, indented like their beginning.

    A line break that stands escaped in a JSON string ends a piece too: outputs of commands are read as they were.
    At most `most` pieces, so that a payload of any size costs no more than what somebody may read.
    """
    yielded = 0
    for line in text.splitlines() or [""]:
        indent = " " * min(len(line) - len(line.lstrip()), width // 2)
        for number, piece in enumerate(line.replace("\\n", "\\n\n").split("\n")):
            rest = safe(piece, ascii_only=ascii_only)
            rest = indent + "  " + rest if number else rest
            start = 0
            while cell_len(rest[start : start + width + 1]) > width:  # a slice: `rest` may be megabytes
                room = width - (cell_len(indent) + 2 if start else 0)
                head = clip(rest[start : start + room + 1], room, ellipsis="")
                yield indent + "  " + head if start else head
                yielded += 1
                if yielded == most:
                    return
                start += len(head)
            tail = rest[start:]
            if tail.strip() or not number:
                yield indent + "  " + tail if start else tail
                yielded += 1
                if yielded == most:
                    return
