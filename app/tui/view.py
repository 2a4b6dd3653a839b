"""What all screens share: title, tabs, body, filter, keys; loading, empty and failed; verbs that may be disabled.

docs/tui.md shows how to write one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.css.query import NoMatches
from textual.events import Click, Resize
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input, Static

from app.tui.line_input import LineInput
from app.tui.lines.line_list import LineList
from app.tui.places import tab_at, tab_bar
from app.tui.verbs import shown_keys, verbs_of
from app.views.filter import Filter, parse_filter
from app.views.text import clip, count, fit, safe
from storage.engine import EngineError

if TYPE_CHECKING:
    from app.tui.app import SpokeApp

LOADING_S = 0.15
"""What is read faster than this shows no sign of it."""
LEAST_TITLE = 24
READ_ONLY = "this terminal UI is read-only (--read-only)"
STILL_READING = "what is here is still being read"
ALWAYS = frozenset({"view.help", "app.palette", "app.quit"})
"""Hints that are never left out: from there a person finds the rest."""


class View(Screen[None]):
    """A screen. Subclasses give the body and `load`, which reads what it shows, never on the event loop.

    A verb that is not possible now gives its reason in a method `why_not_NAME`, for the action `action_NAME`; pressing
    the key says it, the palette shows it. Verbs in `WRITES` are disabled as a whole when the TUI is read-only.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/", id="view.filter"),
        Binding("question_mark,f1", "help", "help", key_display="?", id="view.help"),
        Binding("y", "copy", "copy", show=False, id="view.copy"),
        Binding("escape", "back", "back", show=False, id="view.back"),
    ]
    WRITES: ClassVar[frozenset[str]] = frozenset()
    FIELDS: ClassVar[tuple[str, ...]] = ()
    """What a filter may say `field:value` of, beside the columns of a table."""
    place: str | None = None
    """The place that the screen is, if it is one."""

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""
        self.crumb = ""
        self._aside = ""
        self._said: dict[str, str] = {}
        self._typing: Timer | None = None
        self.first_read = asyncio.Event()
        """What is here was read once, or cannot be: before that no verb knows what there is to act upon."""

    @property
    def spoke(self) -> SpokeApp:
        """The application."""
        return cast("SpokeApp", self.app)

    @property
    def opens(self) -> bool:
        """Whether enter opens a row of its list."""
        return hasattr(self, "on_line_list_chosen")

    @property
    def lit(self) -> str | None:
        """The tab that is lit: of the place that this is, or above which it was opened; Esc leads there."""
        below = [self, *reversed(self.app.screen_stack)]
        return next((one.place for one in below if isinstance(one, View) and one.place is not None), None)

    # -- the frame -----------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Title with the state of the link, tabs, body, filter, keys."""
        yield Static("", id="title", classes="bar", markup=False)
        yield Static("", id="tabs", classes="bar", markup=False)
        with Vertical(id="body"):
            yield from self.compose_body()
        yield Static("", id="error", markup=False)
        yield LineInput(placeholder=self._filter_help(), id="filter", compact=True)
        yield Static("", id="keys", classes="bar", markup=False)

    def compose_body(self) -> ComposeResult:
        """What the screen shows."""
        raise NotImplementedError

    async def load(self) -> None:
        """Read and show; called when the screen opens and after every commit that may matter.

        Raises:
            EngineError: it cannot be read; the frame shows why and what to do.
        """
        raise NotImplementedError

    def field_names(self) -> tuple[str, ...]:
        """The fields that a filter may name."""
        return self.FIELDS

    def _filter_help(self) -> str:
        names = " ".join(f"{name}:" for name in self.field_names())
        return f"filter: word !not ~fuzzy {names}".rstrip()

    def say(self, id: str, text: str) -> None:
        """Change a line of the frame, or a `Static` of the body, when it differs: what is equal is not painted."""
        text = "\n".join(self.spoke.plain(safe(line)) for line in text.split("\n"))
        if self._said.get(id) != text:
            self._said[id] = text
            self.query_one(f"#{id}", Static).update(text)

    def set_title(self, text: str) -> None:
        """Say in the first line what is shown here."""
        self.crumb = safe(text)
        self.paint_frame()

    def paint_frame(self) -> None:
        """Title, tabs and keys, as they are now."""
        width, app = self.size.width or 80, self.spoke
        arrow = " > " if app.ascii_only else " ▸ "
        left = f" spoke{arrow}{app.node_name}{arrow}{self.crumb}"
        if self.filter_text:
            left += f"  / {safe(self.filter_text)}"
        if self.has_class("loading") and not self.first_read.is_set():
            left += "  reading…"
        if app.read_only:
            left += "  READ-ONLY"
        right = app.link_text + " "
        if cell_len(left) + cell_len(right) + 1 > width:  # the word alone; the overview and `:sync` have the rest
            right = clip(app.link_text.partition(" · ")[0], width - LEAST_TITLE) + " "
        self.say("title", app.plain(f"{fit(left, width - cell_len(right) - 1)} {right}"))
        self.say("tabs", app.plain(tab_bar(self.lit, width, hub=app.hub)))
        aside = self._aside + " " if self._aside else ""
        room = width - cell_len(aside)
        self.say("keys", app.plain(fit(" " + "  ".join(self.hints(room)), room) + aside))

    def hints(self, width: int) -> Iterator[str]:
        """The keys that matter here, as many as fit: those of the list, of the screen, of the application."""
        shown = [verb.binding for verb in verbs_of(self) if verb.binding.show]
        texts = [f"{shown_keys(one, self.spoke.keymap, first=True)} {one.description}" for one in shown]
        left = width - 2 - sum(cell_len(text) + 2 for one, text in zip(shown, texts, strict=True) if one.id in ALWAYS)
        for one, text in zip(shown, texts, strict=True):
            if one.id not in ALWAYS:
                if left < cell_len(text):
                    continue
                left -= cell_len(text) + 2
            yield text

    # -- states --------------------------------------------------------------------------------------------------------

    def on_screen_resume(self) -> None:
        """Opened, or come back to: show what is there now."""
        self.spoke.reload()

    async def reload(self) -> None:
        """Load, and turn a database that cannot be read into a panel that says what to do."""
        slow = self.set_timer(LOADING_S, self._say_loading)
        try:
            if self.spoke.lost is not None:
                raise self.spoke.lost
            await self.load()
            self._aside = await self._said_of_below()
        except (EngineError, OSError) as error:
            self.show_error(error)
        except NoMatches:
            if self.is_attached and self.app.is_running:
                raise
            # closed while its data was read: there is nobody to show it to
        else:
            self.first_read.set()
            self.remove_class("failed")
            self.paint_frame()
        finally:
            slow.stop()
            self.remove_class("loading")

    def _say_loading(self) -> None:
        """In words where nothing is shown yet; who sees rows already is not told of every look at the database."""
        self.add_class("loading")
        if not self.first_read.is_set():
            self.paint_frame()

    async def held_back(self) -> int:
        """How many rows came since they were shown; asked while a text that was opened from here is read."""
        return 0

    async def _said_of_below(self) -> str:
        """Whether the list holds rows back that this text was opened from: it rests until this is closed."""
        from app.tui.detail import Detail

        stack = self.app.screen_stack
        below = stack[stack.index(self) - 1] if isinstance(self, Detail) and self in stack else None
        new = await below.held_back() if isinstance(below, View) else 0
        return f"list paused · {count(new)} new" if new else ""

    def show_error(self, error: EngineError | OSError) -> None:
        """Say what happened, why, what to do and where to look."""
        lines = [
            "This cannot be shown.",
            "",
            f"why   {safe(str(error))}",
            f"do    {safe(getattr(error, 'hint', '') or 'look at the log')}",
            f"id    {type(error).__name__}",
        ]
        if self.spoke.log_file is not None:
            lines.append(f"log   {safe(str(self.spoke.log_file))}")
        self.first_read.set()
        self.say("error", "\n".join(lines))
        self.add_class("failed")
        self.paint_frame()

    def on_resize(self, event: Resize) -> None:
        """Another width: the frame is laid out anew."""
        self.paint_frame()

    @on(Click, "#tabs")
    def go_to_tab(self, event: Click) -> None:
        """A click on a tab goes there."""
        name = tab_at(event.x, self.lit, self.size.width, hub=self.spoke.hub)
        if name is not None:
            self.spoke.action_go(name)

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str | None:
        """Why an action of this screen is not possible now; None when it is."""
        if self.spoke.read_only and action in self.WRITES:
            return READ_ONLY
        ask = getattr(self, f"why_not_{action}", None)
        reason = None if ask is None else cast("str | None", ask())
        return reason if reason is None or self.first_read.is_set() else STILL_READING

    @property
    def wanted(self) -> Filter:
        """The filter as it is typed now."""
        return parse_filter(self.filter_text, self.field_names())

    def matches(self, text: str) -> bool:
        """Whether a line of text passes the filter."""
        return self.wanted.matches(text, {})

    def action_filter(self) -> None:
        """Type a filter."""
        self.add_class("filtering")
        self.query_one("#filter", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed, when the typing pauses."""
        if event.input.id != "filter":
            return
        event.stop()
        self.filter_text = event.value
        if self._typing is not None:
            self._typing.stop()
        if self.spoke.debounce_s:
            self._typing = self.set_timer(self.spoke.debounce_s, self.spoke.reload)
        else:
            self.spoke.reload()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go back to the list."""
        if event.input.id == "filter":
            event.stop()
            if not event.input.value:
                self.remove_class("filtering")
            self.focus_list()

    def focus_list(self) -> None:
        """Give the keys back to the list."""
        for found in self.query(LineList):
            if found.display:
                found.focus()
                return

    def action_back(self) -> None:
        """Esc: first the filter goes, then the marks, then the screen."""
        box = self.query_one("#filter", Input)
        marked = [found for found in self.query(LineList) if found.marks]
        if box.value or box.has_focus:
            box.value = ""
            self.remove_class("filtering")
            self.focus_list()
        elif marked:
            for found in marked:
                found.mark(set())
        else:
            self.leave()

    def leave(self) -> None:
        """What Esc does when there is nothing to clear: back to what was shown before; the first screens stay."""
        if self.place is None:
            self.spoke.back()

    def action_help(self) -> None:
        """Show every key of this screen."""
        from app.tui.help import Help

        self.app.push_screen(Help(self))

    def action_copy(self) -> None:
        """Copy what the cursor is on."""
        self.spoke.copy(self.copy_text())

    def copy_text(self) -> str:
        """What `y` copies."""
        return ""
