"""A terminal that is too small to show anything in."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

MIN_WIDTH, MIN_HEIGHT = 60, 15


class TooSmall(Screen[None]):
    """Says how large the terminal must be."""

    def compose(self) -> ComposeResult:
        """One line."""
        yield Static("", id="small", markup=False)

    def say(self, width: int, height: int) -> None:
        """Say it."""
        if self.is_mounted:
            self.query_one("#small", Static).update(
                f"terminal too small: need {MIN_WIDTH}x{MIN_HEIGHT}, have {width}x{height}"
            )
