"""A list with columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.style import Style
from textual.strip import Strip

from app.tui.lines.line_list import PLAIN, LineList
from app.views.columns import Column, Layout, lay_out

T = TypeVar("T")

SORTED = Style(reverse=True)


class Table(LineList[T]):
    """Rows under a header; the columns that fit are chosen by the width. Sorting and filtering is done by who shows
    the rows (`app.views.columns.arrange`), off the event loop.
    """

    def __init__(
        self,
        columns: Sequence[Column[T]],
        key: Callable[[T], object],
        empty: Sequence[str] = (),
        style: Callable[[T], Style] = lambda _: PLAIN,
        *,
        follow: bool = False,
        ascii_only: bool = False,
        id: str | None = None,
    ) -> None:
        super().__init__(lambda row, _: self._laid.line(row, ascii_only=ascii_only), key, empty, style, follow=follow)
        self.columns = columns
        self.sort: str | None = None
        self.descending = False
        self._ascii_only = ascii_only
        self._laid: Layout[T] = lay_out(columns, 80)

    def header_line(self, width: int) -> str | None:
        """Titles, and which column is sorted; nothing above a list that is empty."""
        if not self.rows:
            return None
        self._lay_out(width)
        return self._laid.header(self.sort, descending=self.descending, ascii_only=self._ascii_only)

    def render_line(self, y: int) -> Strip:
        """Draw one visible line; the title of the sorted column is reverse video, which needs no colour."""
        strip = super().render_line(y)
        cells = self._laid.sorted_cells(self.sort) if y == 0 and self.rows else None
        if cells is None:
            return strip
        left, right = (1 + cell for cell in cells)  # behind the column of the marks
        return Strip.join(
            [strip.crop(0, left), strip.crop(left, right).apply_style(SORTED), strip.crop(right, strip.cell_length)]
        )

    def line_of(self, row: T, width: int) -> str:
        """The row's cells."""
        self._lay_out(width)
        return super().line_of(row, width)

    def _lay_out(self, width: int) -> None:
        if self._laid.width != width:
            self._laid = lay_out(self.columns, width)

    def sort_by(self, name: str | None, *, descending: bool) -> None:
        """Say in the header what the rows are sorted by."""
        self.sort, self.descending = name, descending
        self.refresh()
