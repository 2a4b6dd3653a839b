"""Every key of a screen, from the bindings themselves."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import ComposeResult
from textual.binding import Binding

from app.tui.line_list import LineList
from app.tui.view import View
from app.views.text import fit


class Help(View):
    """The keys of the screen that it was called from."""

    hints = "esc back"

    def __init__(self, about: View) -> None:
        super().__init__()
        self._about = about

    def compose_body(self) -> ComposeResult:
        """One list of keys."""
        yield LineList[str](lambda row, _: row, lambda row: row, ("",))

    async def load(self) -> None:
        """Collect the bindings."""
        self.set_title(f" keys of {type(self._about).__name__.removesuffix('View').lower()}")
        rows = [f"  {fit(keys, 24)} {text}" for keys, text in key_table(self._about) if self.matches(f"{keys} {text}")]
        self.query_one(LineList).show(rows)

    def leave(self) -> None:
        """Back."""
        self.app.pop_screen()


def key_table(view: View) -> Iterator[tuple[str, str]]:
    """Keys and what they do: the list's, the screen's, the application's."""
    seen: set[str] = set()
    for owner in (LineList, *type(view).__mro__, *type(view.app).__mro__):
        for binding in getattr(owner, "BINDINGS", ()) if "BINDINGS" in vars(owner) else ():
            if isinstance(binding, Binding) and binding.description and binding.action not in seen:
                seen.add(binding.action)
                yield (
                    binding.key.replace("question_mark", "?").replace("slash", "/").replace(",", " "),
                    binding.description,
                )
