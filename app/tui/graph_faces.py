"""The faces of a graph: an outline, a node between its neighbours, a picture. Each shows what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Horizontal, ScrollableContainer, Vertical
from textual.geometry import Region
from textual.widgets import Static

from app.tui.lines.line_list import PLAIN, LineList
from app.views.graphs.neighbourhood import Neighbourhood, fan_head, link_text, node_lines, only_type
from app.views.graphs.nodes import FAILED, Fan, Link, NodeRow
from app.views.graphs.outline import OutlineRow, outline_line
from app.views.graphs.picture import Picture
from app.views.text import clip, count, fit, safe

if TYPE_CHECKING:
    from app.tui.app import SpokeApp

_FAILED = Style(color="red")
_DIM = Style(dim=True)


def node_style(node: NodeRow) -> Style:
    """The colour of a node's line."""
    return _FAILED if node.status in FAILED else PLAIN


class Outline(LineList[OutlineRow]):
    """The graph as a tree."""

    def __init__(self, empty: Sequence[str], *, ascii_only: bool) -> None:
        super().__init__(
            lambda row, width: outline_line(row, width - 1, ascii_only=ascii_only),
            lambda row: row.identity,
            empty,
            lambda row: _DIM if row.mark in ("see", "cycle", "more") else node_style(row.node),
            id="outline",
        )

    def put_on(self, key: str, *, path: tuple[str, ...] | None = None) -> bool:
        """Put the cursor on a node, where it stands in full or at a path; False when it is not shown."""
        for position, row in enumerate(self.rows):
            here = row.path == path if path is not None else row.mark not in ("see", "cycle")
            if row.node.key == key and row.mark != "more" and here:
                self.move_to(position)
                return True
        return False


class Side(LineList[Link]):
    """What leads to a node, or what it leads on to."""

    def __init__(self, *, leads_away: bool, ascii_only: bool) -> None:
        super().__init__(self._text_of, lambda link: link.edge_id, (), lambda link: node_style(link.node))
        self.id = "after" if leads_away else "before"
        self._leads_away = leads_away
        self._ascii = ascii_only
        self._node: NodeRow | None = None
        self._title = ""
        self._typed = True

    def header_line(self, width: int) -> str | None:
        """How many there are."""
        return fit(self._title, width)

    def give(self, node: NodeRow, fan: Fan) -> None:
        """Show the edges of a node."""
        title = fan_head(fan, leads_away=self._leads_away, ascii_only=self._ascii)
        title += f", the first {count(len(fan.links))}" if fan.more else ""
        if (node, title) != (self._node, self._title):
            self._node, self._title, self._typed = node, title, only_type(fan) is None
            self.refresh()
        self.show(fan.links, empty=("", "  nothing leads on" if self._leads_away else "  nothing leads here"))

    def _text_of(self, link: Link, width: int) -> str:
        assert self._node is not None
        away, plain, typed = self._leads_away, self._ascii, self._typed
        return link_text(link, self._node, width, leads_away=away, ascii_only=plain, typed=typed)


class Columns(Vertical):
    """A node between what leads to it and what it leads on to; above them the way that was walked."""

    DEFAULT_CSS = """
    Columns #trail { height: 1; color: $text-muted; }
    Columns LineList { width: 3fr; }
    Columns LineList:focus { background: $surface; }
    Columns #middle { width: 2fr; height: 1fr; padding: 0 1; text-style: bold; }
    """

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="neighbourhood")
        self._ascii = ascii_only
        self._said: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """The way, and three columns."""
        yield Static("", id="trail", markup=False)
        with Horizontal():
            yield Side(leads_away=False, ascii_only=self._ascii)
            yield Static("", id="middle", markup=False)
            yield Side(leads_away=True, ascii_only=self._ascii)

    @property
    def sides(self) -> tuple[Side, Side]:
        """What leads here, and what it leads on to."""
        return self.query_one("#before", Side), self.query_one("#after", Side)

    @property
    def focused_side(self) -> Side | None:
        """The side that has the keys."""
        return next((side for side in self.sides if side.has_focus), None)

    def give(self, found: Neighbourhood, trail: Sequence[str], facts: Sequence[str]) -> None:
        """Show a node; `facts` are lines about it."""
        before, after = self.sides
        before.give(found.node, found.before)
        after.give(found.node, found.after)
        middle = self.query_one("#middle", Static)
        width = max(8, middle.size.width - 2)
        lines = [*node_lines(found.node, width, ascii_only=self._ascii), "", *(clip(line, width) for line in facts)]
        self._say(middle, "\n".join(lines))
        arrow, ellipsis = (" > ", "~") if self._ascii else (" ▸ ", "…")
        names = [safe(name, ascii_only=self._ascii) for name in trail]
        while len(names) > 2 and sum(map(len, names)) + 3 * len(names) > self.size.width - 4:
            names = [ellipsis, *names[2:]]
        self._say(self.query_one("#trail", Static), " " + arrow.join(names))

    def _say(self, line: Static, text: str) -> None:
        if self._said.get(line.id or "") != text:
            self._said[line.id or ""] = text
            line.update("\n".join(map(cast("SpokeApp", self.app).plain, text.split("\n"))))


class Canvas(ScrollableContainer):
    """A picture, larger than the screen perhaps."""

    DEFAULT_CSS = """
    Canvas { height: 1fr; scrollbar-size: 1 1; }
    Canvas Static { width: auto; height: auto; }
    """

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(Static("", id="picture", markup=False), id="canvas", can_focus=False)
        if ascii_only:  # scroll bars are drawn with blocks
            self.styles.scrollbar_size_horizontal = self.styles.scrollbar_size_vertical = 0
        self._shown = ""
        self.picture: Picture | None = None
        """What is shown."""

    def give(self, picture: Picture, notes: Sequence[str], selected: str | None) -> None:
        """Show a picture and what is to be said about it; the selected box is scrolled into view."""
        self.picture = picture
        text = "\n".join((*picture.lines, *(("", *notes) if notes else ())))
        if text != self._shown:
            self._shown = text
            self.query_one(Static).update(text)
        box = next((box for box in picture.boxes if box.key == selected), None)
        if box is not None:
            region = Region(box.x, box.y, box.width, box.height)
            self.call_after_refresh(self.scroll_to_region, region, animate=False, force=True)
