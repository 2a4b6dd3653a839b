"""A list that holds still."""

from __future__ import annotations

from typing import Literal

from app.views.text import count


class Pause:
    """Whether rows are held back, and why: a person asked for it, or reads what is beside the list.

    What a person paused goes on when he says so and not before; what was held for reading goes on when that is closed,
    or when he says so.
    """

    def __init__(self) -> None:
        self._by: Literal["person", "reading"] | None = None
        self.new = 0
        """Rows that came meanwhile."""

    @property
    def held(self) -> bool:
        """Whether rows that come are held back."""
        return self._by is not None

    def toggle(self) -> None:
        """As a person wants it: hold, or go on whatever the reason to hold was."""
        self._by = None if self.held else "person"

    def go_on(self) -> None:
        """Let every row come."""
        self._by = None

    def read(self, opened: bool) -> None:
        """What is read beside the list was opened, or closed."""
        if opened and self._by is None:
            self._by = "reading"
        elif not opened and self._by == "reading":
            self._by = None

    def words(self) -> str:
        """What to say of it: nothing while who reads misses nothing."""
        if self._by is None or (self._by == "reading" and not self.new):
            return ""
        return "paused" + (f" · {count(self.new)} new" if self.new else "")
