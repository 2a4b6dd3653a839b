"""A text to read: a call's JSON, an event's payload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.tui.line_list import LineList
from app.tui.view import View
from app.views.text import clip, safe

MAX_LINES = 100_000


class Detail(View):
    """Lines, wrapped to the width, escaped so that no payload can touch the terminal."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "back", "back", show=False)]
    hints = "j k move  / filter  y copy all  esc back"

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._heading = safe(title)
        self._text = text

    def compose_body(self) -> ComposeResult:
        """One list of lines."""
        yield LineList[tuple[int, str]](
            lambda row, _: row[1], lambda row: row[0], ("", "  Nothing matches the filter.")
        )

    async def load(self) -> None:
        """Wrap the text to the width."""
        self.set_title(f" {self._heading}")
        width = max(20, self.query_one(LineList).size.width or self.size.width)
        lines = [line for line in wrap(self._text, width, ascii_only=self.spoke.ascii_only) if self.matches(line)]
        self.query_one(LineList).show(list(enumerate(lines[:MAX_LINES])))

    def on_resize(self) -> None:
        """Wrap anew."""
        self.spoke.reload()

    def leave(self) -> None:
        """Back."""
        self.app.pop_screen()

    def copy_text(self) -> str:
        """All of it."""
        return self._text


def wrap(text: str, width: int, *, ascii_only: bool = False) -> Iterator[str]:
    """Yield the text's lines, the long ones in pieces of at most `width` cells, indented like their beginning.

    A line break that stands escaped in a JSON string ends a piece too: outputs of commands are read as they were.
    """
    for line in text.splitlines() or [""]:
        indent = " " * min(len(line) - len(line.lstrip()), width // 2)
        for number, piece in enumerate(line.replace("\\n", "\\n\n").split("\n")):
            rest = safe(piece, ascii_only=ascii_only)
            rest = indent + "  " + rest if number else rest
            while cell_len(rest) > width:
                head = clip(rest, width, ellipsis="")
                yield head
                rest = indent + "  " + rest[len(head) :]
            if rest.strip() or not number:
                yield rest
