"""A line to type in, which may begin with text that came from a payload."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive
from textual.widgets import Input

from app.views.text import visible


class LineInput(Input):
    """Shows nothing that the terminal would obey, in ASCII alone where that is all it has; the value stays.

    Its cursor does not blink: that would send half a kilobyte a second while nothing happens.
    """

    cursor_blink = reactive(False, init=False)

    @property
    def _value(self) -> Text:
        ascii_only: bool = getattr(self.app, "ascii_only", False)
        shown = "*" * len(self.value) if self.password else visible(self.value, ascii_only=ascii_only)
        return Text(shown, no_wrap=True, overflow="ignore", end="")
