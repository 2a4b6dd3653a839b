"""A list of lines that holds any number of rows and repaints only those that changed.

Textual's DataTable, Tree and RichLog repaint everything for a changed cell (16 kB/s at four updates a second,
`reference/ux.md` section 3), so every live list is one of these: plain (`LineList`) or with columns (`Table`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, MouseEvent, MouseScrollDown, MouseScrollUp
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from app.views.text import fit, safe

if TYPE_CHECKING:
    from app.tui.app import SpokeApp

T = TypeVar("T")

CURSOR = Style(reverse=True)
HEADER = Style(bold=True)
PLAIN = Style()
WHEEL = 3
"""Lines that a notch of the mouse wheel moves by."""


class LineList(ScrollView, Generic[T], can_focus=True):
    """Rows of `T`, one line each.

    Args:
        draw: makes a row's text for a width; called for visible rows only.
        key: identifies a row, so that cursor and marks stay on it when rows come and go.
        empty: what to show when there is nothing: what this is, why it is empty, what to do.
        style: the colour of a row; never the only sign of anything.
        follow: stay on the last row as rows are added, until somebody moves up.
    """

    DEFAULT_CSS = """
    LineList { height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "down", show=False, id="list.down"),
        Binding("k,up", "move(-1)", "up", show=False, id="list.up"),
        Binding("ctrl+d,pagedown,ctrl+f", "page(1)", "page down", show=False, id="list.page_down"),
        Binding("ctrl+u,pageup,ctrl+b", "page(-1)", "page up", show=False, id="list.page_up"),
        Binding("g,home", "top", "first", show=False, id="list.first"),
        Binding("G,end", "bottom", "last", show=False, id="list.last"),
        Binding("enter", "choose", "open", id="list.open"),
    ]

    class Chosen(Message):
        """A row was chosen with enter or a click; `row` is what the list lists."""

        def __init__(self, row: Any) -> None:
            self.row = row
            super().__init__()

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, row: Any) -> None:
            self.row = row
            super().__init__()

    def __init__(
        self,
        draw: Callable[[T, int], str],
        key: Callable[[T], object],
        empty: Sequence[str] = (),
        style: Callable[[T], Style] = lambda _: PLAIN,
        *,
        follow: bool = False,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._draw = draw
        self._key = key
        self._empty = empty
        self._style = style
        self._rows: Sequence[T] = ()
        self._painted: dict[int, tuple[int, str]] = {}
        """What stands on each line of the screen: a row that is the same may read otherwise now (its age)."""
        self._loaded = False  # until the first rows came, nobody knows whether the list is empty
        self.cursor = 0
        self.marks: set[object] = set()
        """Keys of the marked rows; a key whose row is gone is forgotten at the next `show`."""
        self._follows = follow
        self.follow = follow
        """Stay on the last row as rows are added."""

    @property
    def rows(self) -> Sequence[T]:
        """What is listed."""
        return self._rows

    @property
    def selected(self) -> T | None:
        """The row under the cursor."""
        return self._rows[self.cursor] if self._rows else None

    @property
    def marked(self) -> list[T]:
        """The marked rows, in the order of the list; without marks the row under the cursor."""
        if self.marks:
            return [row for row in self._rows if self._key(row) in self.marks]
        return [] if self.selected is None else [self.selected]

    @property
    def below(self) -> int:
        """Rows below the last one that is seen."""
        return max(0, len(self._rows) - self.scroll_offset.y - self._height)

    # -- what subclasses add -----------------------------------------------------------------------------------------

    def header_line(self, width: int) -> str | None:
        """A line that stays above the rows; None: there is none."""
        return None

    def line_of(self, row: T, width: int) -> str:
        """A row's text."""
        return self._draw(row, width)

    # -- rows --------------------------------------------------------------------------------------------------------

    def show(self, rows: Sequence[T], *, empty: Sequence[str] | None = None) -> None:
        """Replace the rows; the cursor stays on its row, and only lines that differ are painted."""
        if not self._loaded:
            self._loaded = True
            self.refresh()
        before, width = self._rows, self._width
        if empty is not None and tuple(empty) != tuple(self._empty):
            self._empty = empty
            self.refresh()
        kept = self._position_of(before[self.cursor], rows) if before else 0
        top = self.scroll_offset.y
        old_cursor = self.cursor
        self._rows = rows
        if self.marks:
            self.marks &= {self._key(row) for row in rows}
        self.cursor = max(0, len(rows) - 1) if self.follow else min(kept, max(0, len(rows) - 1))
        self._measure()
        if bool(before) is not bool(rows):
            self.refresh()
        else:
            for line in range(top, top + self._height):
                cursor_moved = self.cursor != old_cursor and line in (old_cursor, self.cursor)
                if cursor_moved or self._painted.get(line - top, (line, "")) != (line, self._text(rows, line, width)):
                    self._refresh_line(line)
        if self.cursor != old_cursor or self.follow:
            self._scroll_to_cursor()

    def _position_of(self, row: T, rows: Sequence[T]) -> int:
        wanted = self._key(row)
        if self.cursor < len(rows) and self._key(rows[self.cursor]) == wanted:
            return self.cursor
        return next((i for i, candidate in enumerate(rows) if self._key(candidate) == wanted), self.cursor)

    def _text(self, rows: Sequence[T], line: int, width: int) -> str:
        if not 0 <= line < len(rows):
            return ""
        mark = "*" if self.marks and self._key(rows[line]) in self.marks else " "
        return mark + self._fit(self.line_of(rows[line], width - 1), width - 1)

    def _fit(self, text: str, width: int) -> str:
        """The text in exactly so many cells, in ASCII where that is all there is."""
        app = cast("SpokeApp", self.app)
        return fit(app.plain(safe(text)), width, ellipsis="~" if app.ascii_only else "…")

    # -- painting ----------------------------------------------------------------------------------------------------

    @property
    def _top(self) -> int:
        """Lines that the header takes."""
        return 0 if self.header_line(self._width - 1) is None else 1

    @property
    def _width(self) -> int:
        """Cells of a line: what the scroll bar leaves."""
        return self.scrollable_content_region.width

    @property
    def text_width(self) -> int:
        """Cells for a row's text, for who wraps texts to rows: without the mark's, and the scroll bar's if it comes."""
        return max(20, self.size.width - 2)

    @property
    def _height(self) -> int:
        return max(1, self.size.height - self._top)

    def render_line(self, y: int) -> Strip:
        """Draw one visible line."""
        width = self._width
        top = self._top
        if y < top:
            style = self.rich_style + HEADER
            return Strip([Segment(" " + self._fit(self.header_line(width - 1) or "", width - 1), style)], width)
        y -= top
        line = self.scroll_offset.y + y
        self._painted.pop(y, None)
        if not self._rows:
            text = self._empty[y] if self._loaded and y < len(self._empty) else ""
            return Strip([Segment(self._fit(text, width), self.rich_style)], width)
        if line >= len(self._rows):
            return Strip([Segment(" " * width, self.rich_style)], width)
        style = self.rich_style + self._style(self._rows[line])
        if line == self.cursor:
            style += CURSOR
        text = self._text(self._rows, line, width)
        self._painted[y] = line, text
        return Strip([Segment(text, style)], width)

    def _refresh_line(self, line: int) -> None:
        y = line - self.scroll_offset.y
        if 0 <= y < self._height:
            self.refresh(Region(0, y + self._top, self._width, 1))

    def _scroll_to_cursor(self) -> None:
        top, height = self.scroll_offset.y, self._height
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1 + self._ahead, animate=False, force=True, immediate=True)

    @property
    def _ahead(self) -> int:
        """Lines that stay free below the newest row where bytes are dear: a row that comes is then one line of text,
        not a whole screen that moves up; once in so many rows it moves by as many.
        """
        return self._height * 2 // 3 if self.follow and getattr(self.app, "sparing", False) else 0

    def _measure(self) -> None:
        size = Size(self._width, len(self._rows) + self._top + self._ahead)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)  # assigning it would paint every line for a row that came
            self._scroll_update(size)
            if self.styles.auto_dimensions:
                self.refresh(layout=True)

    def on_resize(self) -> None:
        """Widths changed: every line is drawn anew."""
        self._measure()
        self.refresh()
        self._scroll_to_cursor()

    # -- keys --------------------------------------------------------------------------------------------------------

    def move_to(self, position: int) -> None:
        """Put the cursor on a row."""
        if not self._rows:
            return
        before = self.cursor
        self.cursor = max(0, min(position, len(self._rows) - 1))
        if self.cursor != before:
            self._refresh_line(before)
            self._refresh_line(self.cursor)
            self._scroll_to_cursor()
            self.post_message(self.Moved(self._rows[self.cursor]))

    def mark(self, keys: set[object]) -> None:
        """Make these the marked rows."""
        self.marks = keys
        self.refresh()

    def key_of(self, row: T) -> object:
        """What identifies a row."""
        return self._key(row)

    def action_move(self, step: int) -> None:
        """One row up or down; moving up ends following."""
        if step < 0:
            self.follow = False
        self.move_to(self.cursor + step)

    def action_page(self, pages: int) -> None:
        """A page up or down."""
        self.follow = False
        self.move_to(self.cursor + pages * max(1, self._height - 1))

    def action_top(self) -> None:
        """The first row."""
        self.follow = False
        self.move_to(0)

    def action_bottom(self) -> None:
        """The last row; a list that follows does so again."""
        self.follow = self._follows
        self.move_to(len(self._rows) - 1)

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if not getattr(self.screen, "opens", True):
            self.app.notify("open: there is no more to it than what is here", severity="warning")
        elif self._rows:
            self.post_message(self.Chosen(self._rows[self.cursor]))

    def on_click(self, event: Click) -> None:
        """Choose by mouse: the first click moves the cursor, a click on the cursor opens."""
        y = event.y - self._top + self.scroll_offset.y
        if event.y < self._top:
            return
        if y == self.cursor:
            self.action_choose()
        elif 0 <= y < len(self._rows):
            self.move_to(y)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Some lines further."""
        self._roll(event, WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Some lines back; like moving up it ends following."""
        self.follow = False
        self._roll(event, -WHEEL)

    def _roll(self, event: MouseEvent, lines: int) -> None:
        """The lines move, and the cursor only as far as it must to be seen: no key jumps back to where it was."""
        event.stop()
        event.prevent_default()
        top = max(0, min(self.scroll_offset.y + lines, self.max_scroll_y))
        self.scroll_to(y=top, animate=False, force=True, immediate=True)
        self.move_to(max(top, min(self.cursor, top + self._height - 1)))
