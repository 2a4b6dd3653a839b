"""What all screens share: a title, a body, the state of the link, the keys; filter, help, copy; errors as a panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import Input, Static

from app.views.text import safe
from storage.engine import EngineError

if TYPE_CHECKING:
    from app.tui.app import SpokeApp


class View(Screen[None]):
    """A screen. Subclasses give the body and `load`, which reads what it shows, never on the event loop."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("question_mark,f1", "help", "help", key_display="?"),
        Binding("y", "copy", "copy id", show=False),
        Binding("escape", "back", "back", show=False),
    ]

    title_text = ""
    hints = ""

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""

    @property
    def spoke(self) -> SpokeApp:
        """The application."""
        return cast("SpokeApp", self.app)

    def compose(self) -> ComposeResult:
        """Title, body, filter, link state, keys."""
        yield Static(self.title_text, id="title", classes="bar", markup=False)
        with Vertical(id="body"):
            yield from self.compose_body()
        yield Static("", id="error", markup=False)
        yield Input(placeholder="filter: words that must occur; !word must not", id="filter", compact=True)
        yield Static("", id="link", classes="bar", markup=False)
        yield Static(self.hints, id="keys", classes="bar", markup=False)

    def compose_body(self) -> ComposeResult:
        """What the screen shows."""
        raise NotImplementedError

    async def load(self) -> None:
        """Read and show; called when the screen opens and after every commit that may matter."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """Opened, or come back to: show what is there now."""
        self.spoke.reload()

    async def reload(self) -> None:
        """Load, and turn a database that cannot be read into a panel that says what to do."""
        try:
            await self.load()
        except EngineError as error:
            self.query_one("#error", Static).update(
                f"This cannot be shown.\n\nwhy   {safe(str(error))}\ndo    {error.hint or 'look at the log'}"
            )
            self.add_class("failed")
        except NoMatches:
            if self.is_attached:
                raise
            # closed while its data was read: there is nobody to show it to
        else:
            self.remove_class("failed")

    def set_title(self, text: str) -> None:
        """Change the title line, when it differs."""
        shown = text + (f"   / {self.filter_text}" if self.filter_text else "")
        if shown != self.title_text:
            self.title_text = shown
            self.query_one("#title", Static).update(shown)

    def matches(self, text: str) -> bool:
        """Whether a row passes the filter: every word occurs in it, every !word does not."""
        lowered = text.lower()
        for word in self.filter_text.lower().split():
            wanted = not word.startswith("!")
            if (word.removeprefix("!") in lowered) is not wanted:
                return False
        return True

    # -- keys ------------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type a filter."""
        box = self.query_one("#filter", Input)
        box.add_class("open")
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        self.filter_text = event.value
        self.spoke.reload()

    def on_input_submitted(self) -> None:
        """Keep the filter and go back to the list."""
        self._close_filter()

    def _close_filter(self) -> None:
        box = self.query_one("#filter", Input)
        if not box.value:
            box.remove_class("open")
        self.focus_list()

    def focus_list(self) -> None:
        """Give the keys back to the list."""
        from app.tui.line_list import LineList

        self.query(LineList).first().focus()

    def action_back(self) -> None:
        """Esc: first the filter goes, then the screen."""
        box = self.query_one("#filter", Input)
        if box.value or box.has_focus:
            box.value = ""
            box.remove_class("open")
            self.focus_list()
        else:
            self.leave()

    def leave(self) -> None:
        """What Esc does when there is no filter; top screens stay."""

    def action_help(self) -> None:
        """Show every key of this screen."""
        from app.tui.help import Help

        self.app.push_screen(Help(self))

    def action_copy(self) -> None:
        """Copy what the cursor is on."""
        text = self.copy_text()
        if text:
            self.app.copy_to_clipboard(text)
            self.notify(f"copied {len(text)} characters")
        else:
            self.notify("nothing to copy: the list is empty")

    def copy_text(self) -> str:
        """What `y` copies."""
        return ""
