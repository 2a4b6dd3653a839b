"""A line that holds one of several values: left and right, space, or the first letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, Key
from textual.message import Message
from textual.widgets import Static

from app.views.text import safe


class Picker(Static, can_focus=True):
    """One of `options`; what stands for the empty one is said in words.

    Args:
        options: what there is to choose, as texts.
        value: what is chosen at first; need not be among them.
        nothing: the words for the empty text.
        arrows: what stands left and right of the value.
    """

    DEFAULT_CSS = """
    Picker { height: 1; width: 1fr; }
    Picker:focus { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space", "step(1)", "next value", id="picker.next"),
        Binding("left", "step(-1)", "previous value", show=False, id="picker.previous"),
    ]

    class Changed(Message):
        """Another value was chosen."""

        def __init__(self, picker: Picker) -> None:
            self.picker = picker
            super().__init__()

    def __init__(
        self, options: Sequence[str], value: str, nothing: str, *, arrows: tuple[str, str] = ("‹", "›")
    ) -> None:
        super().__init__("", markup=False)
        self._options = tuple(options)
        self._nothing = nothing
        self._arrows = arrows
        self.value = value

    def on_mount(self) -> None:
        """Show the value."""
        self._show()

    def _show(self) -> None:
        left, right = self._arrows
        words = safe(self.value, ascii_only=left.isascii()) if self.value else self._nothing
        self.update(f"{left} {words} {right}")

    def _set(self, value: str) -> None:
        if value != self.value:
            self.value = value
            self._show()
            self.post_message(self.Changed(self))

    def action_step(self, step: int) -> None:
        """The next or previous value, around the end."""
        here = self._options.index(self.value) if self.value in self._options else -1 if step > 0 else 0
        self._set(self._options[(here + step) % len(self._options)])

    def on_key(self, event: Key) -> None:
        """A letter: the next value that begins with it."""
        if event.is_printable and event.character and event.character != " ":
            event.stop()
            letter = event.character.lower()
            here = self._options.index(self.value) + 1 if self.value in self._options else 0
            order = (*self._options[here:], *self._options[:here])
            self._set(next((one for one in order if one.lower().startswith(letter)), self.value))

    def on_click(self, event: Click) -> None:
        """The next value."""
        self.action_step(1)
