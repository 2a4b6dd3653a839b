"""The palette: everything that can be done now, and what cannot with the reason; `:noun id` goes there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from app.tui.line_input import LineInput
from app.tui.lines.line_list import LineList
from app.tui.places import NOUNS, PLACES, Noun, noun
from app.tui.verbs import shown_keys, verbs_of
from app.tui.view import View
from app.views.filter import near
from app.views.text import fit, safe

if TYPE_CHECKING:
    from app.tui.app import SpokeApp


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to do: an action of a node, or a typed command. With a reason it cannot be done now."""

    text: str
    keys: str
    action: str
    owner: DOMNode | None
    reason: str | None = None
    theme: str | None = None
    """What it would look like, shown while the cursor is on it."""


class Palette(ModalScreen[Entry | None]):
    """A line to type in and what matches it."""

    DEFAULT_CSS = """
    Palette { align: left top; background: transparent; }
    Palette > #typed { width: 100%; background: $panel; }
    Palette > #hint { width: 100%; height: 1; background: $panel; color: $text-muted; }
    Palette > LineList { height: auto; max-height: 16; width: 100%; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "cancel", id="palette.cancel"),
        Binding("down,ctrl+n", "move(1)", "next", show=False, id="palette.next"),
        Binding("up", "move(-1)", "previous", show=False, id="palette.previous"),
        Binding("tab", "complete", "complete", show=False, priority=True, id="palette.complete"),
    ]

    def __init__(self, about: View, typed: str = "") -> None:
        super().__init__()
        self._typed = typed
        self._entries = entries(about)
        self._names: dict[str, list[str]] = {}
        self._theme = about.app.theme
        """The one to go back to, when others were only looked at."""

    def compose(self) -> ComposeResult:
        """The line, its help, the entries."""
        yield LineInput(self._typed, placeholder=": what to do", id="typed", compact=True, select_on_focus=False)
        yield Static(
            "a verb, a place, or: session ID, theme NAME, q   tab completes, esc leaves", id="hint", markup=False
        )
        yield LineList[Entry](_line, lambda entry: (entry.text, entry.action), ("  nothing matches",))

    def on_mount(self) -> None:
        """Everything, until something is typed."""
        self.query_one(LineList).can_focus = False
        self._narrow(self._typed)
        for one in NOUNS:
            self._read_names(one)

    @work(group="names")
    async def _read_names(self, one: Noun) -> None:
        """What things of a noun are called, for tab; read while the person types, and shown if it is that noun's."""
        app = cast("SpokeApp", self.app)
        self._names[one.name] = await app.db.read(lambda snapshot: one.names(snapshot, app.calling))
        try:
            typed = self.query_one("#typed", Input).value
        except NoMatches:
            return  # chosen already
        if typed.lstrip(":").startswith(f"{one.name} "):
            self._narrow(typed)

    def _narrow(self, typed: str) -> None:
        lines = self.query_one(LineList)
        rows = self._matching(typed.lstrip(":"))
        lines.show(rows)
        lines.move_to(next((place for place, row in enumerate(rows) if row.theme == self._theme), 0))
        lines.styles.height = max(1, min(16, len(rows)))
        self._preview()

    def _matching(self, typed: str) -> list[Entry]:
        word, space, argument = typed.partition(" ")
        known = noun(word)
        if known is not None and space:
            names = near(argument, self._names.get(word, ())) or [argument]
            return [Entry(f"{word} {name}", "", f"open_noun({word!r}, {name!r})", self.app) for name in names[:200]]
        if word == "theme" and space:
            names = near(argument, sorted(self.app.available_themes))
            return [Entry(f"theme {name}", "", f"use_theme({name!r})", self.app, theme=name) for name in names]
        by_text = {entry.text: entry for entry in reversed(self._entries)}
        return [by_text[text] for text in near(typed, list(dict.fromkeys(entry.text for entry in self._entries)))]

    def _preview(self) -> None:
        """Wear the theme under the cursor, and without one that which was worn before."""
        row = self.query_one(LineList).selected
        self.app.theme = (row.theme if row is not None else None) or self._theme

    def on_line_list_moved(self) -> None:
        """Another entry, by key or by mouse."""
        self._preview()

    def on_unmount(self) -> None:
        """A theme that was not chosen was only looked at."""
        self.app.theme = self._theme

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow as it is typed."""
        self._narrow(event.value)

    def action_move(self, step: int) -> None:
        """Another entry."""
        self.query_one(LineList).action_move(step)

    def action_complete(self) -> None:
        """Take the text of the entry under the cursor."""
        row = self.query_one(LineList).selected
        if row is not None:
            box = self.query_one("#typed", Input)
            box.value = row.text + (" " if row.action == "" else "")
            box.cursor_position = len(box.value)

    def on_input_submitted(self) -> None:
        """Do it, or say why not."""
        self._choose(self.query_one(LineList).selected)

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """Chosen by mouse."""
        self._choose(message.row)

    def _choose(self, entry: Entry | None) -> None:
        if entry is None:
            self.notify("nothing matches; esc leaves")
        elif entry.reason is not None:
            self.notify(f"{entry.text}: {entry.reason}", severity="warning")
        elif entry.action == "":
            self.action_complete()
        else:
            self._theme = entry.theme or self._theme
            self.dismiss(entry)


def _line(entry: Entry, width: int) -> str:
    keys = fit(entry.keys, 8)
    reason = f"  ({entry.reason})" if entry.reason else ""
    return safe(f"  {keys} {entry.text}{reason}")


def entries(view: View) -> list[Entry]:
    """What the palette offers over a screen."""
    app = cast("SpokeApp", view.app)
    found = [
        Entry(
            verb.binding.description,
            shown_keys(verb.binding, app.keymap, first=True),
            verb.binding.action,
            verb.owner,
            verb.why_not(view),
        )
        for verb in verbs_of(view)
        if not verb.binding.action.startswith(("go(", "move(", "page(", "top", "bottom", "palette"))
    ]
    found += [
        Entry(
            one.name,
            one.key or "",
            f"go({one.name!r})",
            app,
            app.why_not(f"go({one.name!r})"),
        )
        for one in PLACES
    ]
    found += [Entry(one.name, "", "", None) for one in NOUNS]
    return [*found, Entry("theme", "", "", None), Entry("q", "", "quit", app)]
