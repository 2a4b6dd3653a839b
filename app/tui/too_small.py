"""A terminal that is too small to show anything in."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.geometry import Size
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


def is_too_small(app: App[None], size: Size) -> bool:
    """Whether the terminal is; as long as it is, the screen that says so is on top."""
    small = size.width < MIN_WIDTH or size.height < MIN_HEIGHT
    if small and not isinstance(app.screen, TooSmall):
        app.push_screen(TooSmall())
    elif not small and isinstance(app.screen, TooSmall):
        app.pop_screen()
    if isinstance(app.screen, TooSmall):
        app.call_after_refresh(app.screen.say, size.width, size.height)
        return True
    return False
