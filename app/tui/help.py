"""Every key of a screen, from the bindings themselves."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import ComposeResult

from app.tui.lines.line_list import LineList
from app.tui.verbs import shown_keys, verbs_of
from app.tui.view import View
from app.views.text import fit


class Help(View):
    """The keys of the screen that it was called from."""

    def __init__(self, about: View) -> None:
        super().__init__()
        self._about = about
        self.place = None

    def compose_body(self) -> ComposeResult:
        """One list of keys."""
        yield LineList[str](lambda row, _: row, lambda row: row, ("",))

    async def load(self) -> None:
        """Collect the bindings."""
        self.set_title(f"keys of {type(self._about).__name__.removesuffix('View').lower()}")
        rows = [f" {fit(keys, 24)} {text}" for keys, text in self.keys() if self.matches(f"{keys} {text}")]
        self.query_one(LineList).show(rows)

    def keys(self) -> Iterator[tuple[str, str]]:
        """Keys, what they do, and why they do not when they cannot now."""
        for verb in verbs_of(self._about):
            reason = verb.why_not(self._about)
            text = verb.binding.description + (f"   ({reason})" if reason else "")
            yield shown_keys(verb.binding, self.spoke.keymap), text
