"""A payload to read: JSON that folds, text, bytes; a call, an event, a job."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.tui.lines.line_list import LineList
from app.tui.programs import editor, pager, show_in
from app.tui.view import View
from app.views.hexdump import hexdump
from app.views.json_tree import JsonLine, Node, all_levels, first_levels, lines, pretty, read_json
from app.views.text import clip, count, safe, size

MAX_LINES = 100_000
"""Of a text, of a hexdump, and of JSON that is searched."""
FOLD_LINES = 20_000
"""Of JSON that folds: they are laid out anew for each fold."""


class Piece(NamedTuple):
    """As much of a line as fits the width. `key` stays the same while other lines fold."""

    key: object
    text: str
    line: JsonLine | None = None


class Content:
    """What is read. Bytes that are UTF-8 are text; text that is an object or an array is JSON."""

    def __init__(self, given: str | bytes) -> None:
        self.bytes = len(given) if isinstance(given, bytes) else len(given.encode(errors="surrogatepass"))
        self.binary = given if isinstance(given, bytes) and not _is_text(given) else None
        self._text = given if isinstance(given, str) else "" if self.binary is not None else given.decode()
        self.root: Node | None = read_json(self._text)
        self.opened = set() if self.root is None else first_levels(self.root)

    def whole(self) -> str:
        """All of it, to be read elsewhere: JSON with a line for each member, bytes as a hexdump."""
        if self.binary is not None:
            return "\n".join(hexdump(self.binary))
        return self._text if self.root is None else pretty(self.root)

    def most(self, *, folds: bool) -> int:
        """How many lines are shown at most."""
        return FOLD_LINES if folds and self.root is not None else MAX_LINES

    def pieces(self, width: int, *, folds: bool, ascii_only: bool) -> Iterator[Piece]:
        """Yield at most so many lines that fit a width; with `folds` without what is folded away."""
        most = self.most(folds=folds)
        if self.root is not None:
            return islice(self._members(self.root, width, folds=folds, ascii_only=ascii_only), most)
        if self.binary is not None:
            return (Piece(number, line) for number, line in enumerate(islice(hexdump(self.binary), most)))
        wrapped = wrap(self._text, width, ascii_only=ascii_only, most=most)
        return (Piece(number, line) for number, line in enumerate(wrapped))

    def _members(self, root: Node, width: int, *, folds: bool, ascii_only: bool) -> Iterator[Piece]:
        for line in lines(root, self.opened if folds else None):
            text = " " * min(2 * line.depth, width // 2) + line.text
            if len(text) <= width and text.replace("…", ".").isascii() and "\\n" not in text:
                yield Piece((line.place, 0), text, line)
                continue
            for number, piece in enumerate(wrap(text, width, ascii_only=ascii_only, most=MAX_LINES)):
                yield Piece((line.place, number), piece, line)


def _is_text(stored: bytes) -> bool:
    try:
        stored.decode()
    except UnicodeDecodeError:
        return False
    return True


class Detail(View):
    """A payload, wrapped to the width, escaped so that nothing in it can touch the terminal.

    Args:
        title: what it is.
        given: a text, or what is stored where a text belongs.
        facts: lines about it that stand above it.
    """

    DEFAULT_CSS = """
    Detail.-maximised .bar { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "back", "back", show=False, id="detail.back"),
        Binding("space", "fold", "fold", id="detail.fold"),
        Binding("left,h", "shut", "fold, or go to what holds it", show=False, id="detail.shut"),
        Binding("right,l", "unfold", "unfold, or go into it", show=False, id="detail.unfold"),
        Binding("Z", "fold_all", "unfold all, or fold all", show=False, id="detail.fold_all"),
        Binding("o", "pager", "open in $PAGER", id="detail.pager"),
        Binding("z", "maximise", "maximise", id="detail.maximise"),
        Binding("O", "editor", "open a copy in $EDITOR", show=False, id="detail.editor"),
    ]

    def __init__(self, title: str, given: str | bytes, facts: Sequence[str] = ()) -> None:
        super().__init__()
        self._heading = safe(title)
        self._given = given
        self._facts = facts
        self._content: Content | None = None
        self._laid: tuple[object, Sequence[Piece], str] = (None, (), "")

    def compose_body(self) -> ComposeResult:
        """One list of lines."""
        yield LineList[Piece](lambda row, _: row.text, lambda row: row.key, ("", "  Nothing matches the filter."))

    @property
    def opens(self) -> bool:
        """Whether there is something to unfold."""
        return self._content is not None and self._content.root is not None

    @property
    def _list(self) -> LineList[Piece]:
        return self.query_one(LineList)

    async def load(self) -> None:
        """Lay it out for the width, the folds and the filter, once for each, off the event loop."""
        if self._content is None:
            self._content = await asyncio.to_thread(Content, self._given)
        content = self._content
        while self._laid[0] != (wanted := self._wanted(content)):  # it may be folded meanwhile
            pieces, cut = await asyncio.to_thread(self._lay_out, content, wanted[0])
            self._laid = wanted, pieces, cut
        _, shown, cut = self._laid
        binary = "" if content.binary is None else ", binary"
        self.set_title(f"{self._heading}  {size(content.bytes)}{binary}{cut}")
        self._list.show(shown)

    def _wanted(self, content: Content) -> tuple[int, str, frozenset[int]]:
        return self._list.text_width, self.filter_text, frozenset(content.opened)

    def _lay_out(self, content: Content, width: int) -> tuple[Sequence[Piece], str]:
        """What the filter passes, it looks into what is folded away too; and what is to be told of missing lines."""
        ascii_only, searching = self.spoke.ascii_only, bool(self.wanted)
        facts = wrap("\n".join(self._facts), width, ascii_only=ascii_only) if self._facts else ()
        found = [Piece(("fact", number), piece) for number, piece in enumerate(facts)]
        above = len(found)
        found += content.pieces(width, folds=not searching, ascii_only=ascii_only)
        shown = [piece for piece in found if self.matches(piece.text)] if searching else found
        most = content.most(folds=not searching)
        return shown, f", {count(most)} lines (all: o)" if len(found) - above >= most else ""

    def leave(self) -> None:
        """Back; what is maximised gets its frame again first."""
        if self.has_class("-maximised"):
            self.remove_class("-maximised")
        else:
            self.spoke.back()

    # -- folds ---------------------------------------------------------------------------------------------------------

    @property
    def _line(self) -> JsonLine | None:
        row = self._list.selected
        return None if row is None else row.line

    def why_not_fold_all(self) -> str | None:
        """Only JSON has members, and the filter shows those that it finds."""
        if self._content is None or self._content.root is None:
            return "only JSON folds"
        return "the filter looks everywhere; esc clears it" if self.filter_text else None

    why_not_shut = why_not_unfold = why_not_fold_all

    def why_not_fold(self) -> str | None:
        """Only what has members."""
        line = self._line
        return self.why_not_fold_all() or (None if line and line.node else "this has no members")

    async def action_fold(self) -> None:
        """Fold or unfold what begins or ends under the cursor."""
        line = self._line
        if line is not None and line.node is not None:
            await self._fold(line.node, away=not line.folded)

    async def on_line_list_chosen(self) -> None:
        """Fold or unfold with enter and the mouse too."""
        if self.why_not_fold() is None:
            await self.action_fold()

    async def action_shut(self) -> None:
        """Fold it, or go to what holds it."""
        line = self._line
        if line is not None and line.node is not None and not line.folded:
            await self._fold(line.node, away=True)
        elif line is not None:
            self._go_to_begin_of(line.place[0])

    async def action_unfold(self) -> None:
        """Unfold it, or go into it."""
        line = self._line
        if line is not None and line.node is not None and line.folded:
            await self._fold(line.node, away=False)
        elif line is not None and line.node is not None:
            self._list.action_move(1)

    async def action_fold_all(self) -> None:
        """Unfold everything that can be shown; when that is so, fold all but the outermost."""
        content = self._content
        if content is not None and content.root is not None:
            everything = await asyncio.to_thread(all_levels, content.root, FOLD_LINES)
            content.opened = {id(content.root)} if everything <= content.opened else everything
            await self._folded()

    async def _fold(self, node: int, *, away: bool) -> None:
        assert self._content is not None, "there is a line of it"
        if away:
            self._go_to_begin_of(node)  # the cursor may be at its end, which goes
        self._content.opened ^= {node}
        await self._folded()

    async def _folded(self) -> None:
        """Show it now, not in the next round; which comes too: one that was under way shows what was before."""
        await self.load()
        self.spoke.reload()

    def _go_to_begin_of(self, node: int) -> None:
        rows = self._list.rows
        for number in range(self._list.cursor, -1, -1):
            line = rows[number].line
            if line is not None and line.node == node and rows[number].key == (line.place, 0) and line.place[1] >= 0:
                self._list.move_to(number)
                return

    def action_maximise(self) -> None:
        """Give the lines the whole terminal, or the frame its lines back."""
        self.toggle_class("-maximised")

    # -- elsewhere -----------------------------------------------------------------------------------------------------

    def copy_text(self) -> str:
        """All of it."""
        return "" if self._content is None else self._content.whole()

    def action_pager(self) -> None:
        """Read it in the user's pager; JSON in the one for JSON, if there is one."""
        is_json = self._content is not None and self._content.root is not None
        self._open((self.spoke.pager_json if is_json else None) or pager())

    def action_editor(self) -> None:
        """Read a copy in the user's editor: it cannot be written, and goes away."""
        self._open(editor())

    @work(exclusive=True, group="program")
    async def _open(self, program: str) -> None:
        content = self._content
        if content is None:
            return

        def safely() -> str:
            return "".join(f"{safe(line)}\n" for line in content.whole().splitlines())

        text = await asyncio.to_thread(safely)
        show_in(self.app, program, text, "payload.json" if content.root else "payload.txt", read_only=True)
        self.refresh()


def wrap(text: str, width: int, *, ascii_only: bool = False, most: int | None = None) -> Iterator[str]:
    """Yield the text's lines, the long ones in pieces of at most `width` cells, indented like their beginning.

    A line break that stands escaped in a JSON string ends a piece too: outputs of commands are read as they were.
    At most `most` pieces, so that a payload of any size costs no more than what somebody may read.
    """
    yielded = 0
    for line in text.splitlines() or [""]:
        indent = " " * min(len(line) - len(line.lstrip()), width // 2)
        for number, piece in enumerate(line.replace("\\n", "\\n\n").split("\n")):
            rest = safe(piece, ascii_only=ascii_only)
            rest = indent + "  " + rest if number else rest
            start = 0
            while cell_len(rest[start : start + width + 1]) > width:  # a slice: `rest` may be megabytes
                room = width - (cell_len(indent) + 2 if start else 0)
                head = clip(rest[start : start + room + 1], room, ellipsis="")
                yield indent + "  " + head if start else head
                yielded += 1
                if yielded == most:
                    return
                start += len(head)
            tail = rest[start:]
            if tail.strip() or not number:
                yield indent + "  " + tail if start else tail
                yielded += 1
                if yielded == most:
                    return
