"""A screen that is a table: filter, sort, marks, next error, pause, copy and export come with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Generic, TypeVar, cast

from rich.style import Style
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.tui.lines.line_list import PLAIN, LineList
from app.tui.lines.table import Table
from app.tui.pause import Pause
from app.tui.prompts import Ask, Choose
from app.tui.view import View
from app.views.camel import camel
from app.views.columns import Column, arrange, export
from app.views.filter import Filter
from app.views.text import count
from storage.engine import Snapshot

T = TypeVar("T")


class TableView(View, Generic[T]):
    """A table of `T`. Subclasses give `columns`, `read`, `key` and what `enter` does (`open`)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "sort", id="table.sort"),
        Binding("S", "reverse", "sort the other way", show=False, id="table.reverse"),
        Binding("space", "mark", "mark", show=False, id="table.mark"),
        Binding("V", "mark_range", "mark from the last mark to here", show=False, id="table.mark_range"),
        Binding("asterisk", "mark_all", "mark all that the filter shows", show=False, id="table.mark_all"),
        Binding("e", "error(1)", "next failed", show=False, id="table.next_error"),
        Binding("E", "error(-1)", "previous failed", show=False, id="table.previous_error"),
        Binding("p", "pause", "pause the list", show=False, id="table.pause"),
        Binding("f", "follow", "follow", show=False, id="table.follow"),
        Binding("Y", "copy_row", "copy as JSON", show=False, id="table.copy_row"),
        Binding("w", "export", "write to a file", show=False, id="table.export"),
    ]
    columns: Sequence[Column[T]]
    """Of the class, or set by `__init__` when they need the application (times, glyphs)."""
    noun: ClassVar[str] = "row"
    empty: ClassVar[Sequence[str]] = ()
    follows: ClassVar[bool] = False
    """Whether the list stays at its end as rows come."""

    def __init__(self) -> None:
        super().__init__()
        self.sort: str | None = None
        self.descending = False
        self.pause = Pause()
        self._read: Sequence[T] = ()
        """What was read last, before filter and order: they work on it while the list is paused."""
        self._about = ""
        self._last_mark: object | None = None

    # -- what subclasses give ------------------------------------------------------------------------------------------

    def read(self, snapshot: Snapshot) -> Sequence[T]:
        """The rows; runs on a reader thread."""
        raise NotImplementedError

    def key(self, row: T) -> object:
        """What identifies a row."""
        raise NotImplementedError

    def open(self, row: T) -> None:
        """What `enter` does."""

    def failed(self, row: T) -> bool:
        """Whether `e` stops at the row."""
        return False

    def style(self, row: T) -> Style:
        """The row's colour."""
        return PLAIN

    def searched(self, row: T) -> str:
        """Text beside the columns that a filter finds."""
        return ""

    def as_json(self, row: T) -> str:
        """What `Y` copies."""
        return json.dumps(camel(row), ensure_ascii=False)

    def heading(self) -> str:
        """What the first line says before the counts."""
        return self.noun + "s"

    @property
    def opens(self) -> bool:
        """Whether the rows have more than what is listed."""
        return type(self).open is not TableView.open

    # -- the table -----------------------------------------------------------------------------------------------------

    @property
    def table(self) -> Table[T]:
        """The list."""
        return cast("Table[T]", self.query_one("#table", Table))

    def compose_body(self) -> ComposeResult:
        """One table."""
        yield self.make_table()

    def make_table(self) -> Table[T]:
        """The table, for screens that put something beside it."""
        table = Table[T](
            self.columns,
            self.key,
            self.empty,
            self.style,
            follow=self.follows,
            ascii_only=self.spoke.ascii_only,
        )
        table.id = "table"
        return table

    def field_names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(column.name for column in self.columns)

    async def load(self) -> None:
        """Read, filter and sort on a reader thread, then show; while it is paused, the rows that were there."""
        about = self.heading()  # jobs of another state, entries of another level: another list, held from now on
        held = self._read if self.pause.held and about == self._about else None
        sort, descending, wanted = self.sort, self.descending, self.wanted

        def read(snapshot: Snapshot) -> tuple[Sequence[T], list[T], int]:
            fresh = self.read(snapshot)
            rows = fresh if held is None else held
            shown = arrange(rows, self.columns, wanted, sort, descending=descending, more=self.searched)
            return rows, shown, 0 if held is None else self._beyond(held, fresh, wanted)

        self._read, rows, self.pause.new = await self.spoke.db.read(read)
        self._about = about
        no_match = ("", f"  No {self.noun} matches the filter. Esc clears it.")
        self.table.show(rows, empty=no_match if self._read else self.empty)
        self.set_title(self.counts())

    async def held_back(self) -> int:
        """Rows that came since the list was shown, of those that the filter passes."""
        held, wanted = self._read, self.wanted
        return await self.spoke.db.read(lambda snapshot: self._beyond(held, self.read(snapshot), wanted))

    def _beyond(self, held: Sequence[T], fresh: Sequence[T], wanted: Filter) -> int:
        known = {self.key(row) for row in held}
        new = [row for row in fresh if self.key(row) not in known]
        return len(arrange(new, self.columns, wanted, None, more=self.searched))

    def counts(self) -> str:
        """What the first line says: how many rows, marks, whether it is paused or follows."""
        shown = len(self.table.rows)
        text = f"{self.heading()} {count(shown)}" + (
            f" of {count(len(self._read))}" if shown != len(self._read) else ""
        )
        if self.table.marks:
            text += f", {count(len(self.table.marks))} marked"
        if self.pause.held:
            text += f"  {self.pause.words()}"
        elif self.follows:
            below = self.table.below
            text += "  following" if self.table.follow else f"  ↓ {count(below)} newer" if below else ""
        return text

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """Open a row."""
        self.open(message.row)

    # -- keys ----------------------------------------------------------------------------------------------------------

    @work
    async def action_sort(self) -> None:
        """Choose the column to sort by."""
        options = [("", "as they come"), *((column.name, column.title or column.name) for column in self.columns)]
        chosen = await self.app.push_screen_wait(Choose("sort by", options, self.sort or ""))
        if chosen is None:
            return
        self.sort = chosen or None
        self.descending = False
        self._sorted()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.descending = not self.descending
        self._sorted()

    def why_not_reverse(self) -> str | None:
        """Only what is sorted can be reversed."""
        return None if self.sort else "sort first: s"

    def _sorted(self) -> None:
        self.table.sort_by(self.sort, descending=self.descending)
        self.spoke.reload()

    def action_mark(self) -> None:
        """Mark the row, or take its mark away, and go on."""
        row = self.table.selected
        if row is not None:
            self._last_mark = self.table.key_of(row)
            self.table.mark(self.table.marks ^ {self._last_mark})
            self.table.move_to(self.table.cursor + 1)
            self.set_title(self.counts())

    def action_mark_range(self) -> None:
        """Mark every row from the last marked one to this."""
        keys = [self.table.key_of(row) for row in self.table.rows]
        begin = keys.index(self._last_mark)
        low, high = sorted((begin, self.table.cursor))
        self.table.mark(self.table.marks | set(keys[low : high + 1]))
        self.set_title(self.counts())

    def why_not_mark_range(self) -> str | None:
        """A range begins at a mark."""
        keys = {self.table.key_of(row) for row in self.table.rows}
        return None if self._last_mark in keys else "mark the first row of the range: space"

    def action_mark_all(self) -> None:
        """Mark every row that the filter shows, or none when all are."""
        keys = {self.table.key_of(row) for row in self.table.rows}
        self.table.mark(set() if self.table.marks == keys else keys)
        self.set_title(self.counts())

    def action_error(self, step: int) -> None:
        """Jump to the next or previous failed row, around the end."""
        failed = [i for i, row in enumerate(self.table.rows) if self.failed(row)]
        if not failed:
            self.notify(f"no failed {self.noun} here")
            return
        ahead = [i for i in failed if (i - self.table.cursor) * step > 0]
        self.table.follow = False
        self.table.move_to((ahead or failed)[0 if step > 0 else -1])

    def action_pause(self) -> None:
        """Freeze the list, or let it go on."""
        self.pause.toggle()
        self.spoke.reload()

    def action_follow(self) -> None:
        """Stay at the end, or stop doing so."""
        self.table.follow = not self.table.follow
        self.spoke.reload()

    def why_not_follow(self) -> str | None:
        """Lists that do not grow at the end cannot be followed."""
        return None if self.follows else "this list does not grow at its end"

    def copy_text(self) -> str:
        """What identifies the row."""
        row = self.table.selected
        return "" if row is None else str(self.table.key_of(row))

    def action_copy_row(self) -> None:
        """Copy the row as JSON."""
        row = self.table.selected
        self.spoke.copy("" if row is None else self.as_json(row))

    @work
    async def action_export(self) -> None:
        """Write what the list shows into a file: .json, .csv or .txt."""
        rows = list(self.table.rows)
        name = f"spoke-{self.noun}s.json"
        chosen = await self.app.push_screen_wait(
            Ask(f"write {count(len(rows))} rows to (.json .csv .txt)", name, check=_why_not_a_file)
        )
        if chosen is not None:
            form = Path(chosen).suffix.removeprefix(".")
            await self.spoke.write_file(Path(chosen), lambda: export(rows, self.columns, form))

    def why_not_export(self) -> str | None:
        """An empty list is not written."""
        return None if self.table.rows else "nothing to write: the list is empty"


def _why_not_a_file(name: str) -> str | None:
    path = Path(name).expanduser()
    if path.suffix not in (".json", ".csv", ".txt"):
        return "the name must end in .json, .csv or .txt"
    return "there is such a file already; choose another name" if path.exists() else None
