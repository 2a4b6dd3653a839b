"""Columns of lists: which of them fit a width, how a row is drawn, sorted, filtered and exported. Pure; CLI and TUI."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.cells import cell_len

from app.views.camel import camel
from app.views.filter import Filter
from app.views.text import fit, safe

T = TypeVar("T")


@dataclass(frozen=True)  # with slots, `Column[int](…)` fails (typing sets __orig_class__)
class Column(Generic[T]):
    """One column.

    Attributes:
        name: what filters and sorting call it: `lag`.
        title: what stands above it.
        text: what is shown for a row, already safe for a terminal (numbers, glyphs) or made safe when it is drawn.
        width: its cells; of the one column with `grow`, the least.
        value: what sorting and comparisons use; the text if not given. None sorts last.
        right: aligned right.
        grow: takes the cells that are left over.
        rank: columns with a higher rank are left out first when not all fit.
    """

    name: str
    title: str
    text: Callable[[T], str]
    width: int
    value: Callable[[T], Any] | None = None
    right: bool = False
    grow: bool = False
    rank: int = 0

    def of(self, row: T) -> Any:
        """What the row is sorted and compared by."""
        return self.text(row) if self.value is None else self.value(row)


@dataclass(frozen=True)
class Layout(Generic[T]):
    """The columns that fit, with their widths."""

    columns: tuple[Column[T], ...]
    widths: tuple[int, ...]
    width: int

    def header(self, sort: str | None = None, *, descending: bool = False, ascii_only: bool = False) -> str:
        """The line above the rows; the sorted column is marked with an arrow, not by colour."""
        up, down = ("^", "v") if ascii_only else ("▲", "▼")
        cells = []
        for column, width in zip(self.columns, self.widths, strict=True):
            title = column.title
            if column.name == sort:
                title = fit(title, max(0, min(cell_len(title), width - 1))) + (down if descending else up)
            cells.append(title.rjust(width) if column.right else fit(title, width))
        return fit(" ".join(cells), self.width)

    def sorted_cells(self, sort: str | None) -> tuple[int, int] | None:
        """Where the sorted column's title with its arrow begins and ends in `header`; None: it is not shown."""
        begin = 0
        for column, width in zip(self.columns, self.widths, strict=True):
            if column.name == sort:
                taken = min(cell_len(column.title) + 1, width)
                left = begin + (width - taken if column.right else 0)
                return left, min(left + taken, self.width)
            begin += width + 1
        return None

    def line(self, row: T, *, ascii_only: bool = False) -> str:
        """A row in exactly `width` cells."""
        ellipsis = "~" if ascii_only else "…"
        cells = []
        for column, width in zip(self.columns, self.widths, strict=True):
            text = column.text(row)
            if ascii_only and not text.isascii():
                text = text.replace("–", "-").replace("·", "-").replace("…", "~")
            text = fit(safe(text, ascii_only=ascii_only), width, ellipsis=ellipsis)
            if column.right:
                stripped = text.rstrip()
                text = " " * (width - cell_len(stripped)) + stripped
            cells.append(text)
        return fit(" ".join(cells), self.width, ellipsis=ellipsis)


def lay_out(columns: Sequence[Column[T]], width: int) -> Layout[T]:
    """Choose columns and widths: those of the highest rank go first, until the others fit."""
    kept = list(columns)
    while len(kept) > 1 and sum(column.width for column in kept) + len(kept) - 1 > width:
        worst = max(reversed(kept), key=lambda column: column.rank)
        kept.remove(worst)
    spare = width - sum(column.width for column in kept) - (len(kept) - 1)
    widths = [max(1, column.width + (max(0, spare) if column.grow else 0)) for column in kept]
    return Layout(tuple(kept), tuple(widths), width)


def arrange(
    rows: Sequence[T],
    columns: Sequence[Column[T]],
    wanted: Filter,
    sort: str | None,
    *,
    descending: bool = False,
    more: Callable[[T], str] = lambda _: "",
) -> list[T]:
    """The rows that pass the filter, sorted; the order of equal ones, and of all without `sort`, is that of `rows`.

    `more` is text beside the columns that words may occur in.
    """
    shown = list(rows)
    if wanted:
        named = {term.field for term in wanted.terms}
        used = [column for column in columns if column.name in named]
        shown = [
            row
            for row in shown
            if wanted.matches(
                " ".join([*(column.text(row) for column in columns), more(row)]),
                {column.name: column.of(row) for column in used},
            )
        ]
    by = next((column for column in columns if column.name == sort), None)
    if by is not None:
        known = [(by.of(row), row) for row in shown]
        with_value = [pair for pair in known if pair[0] is not None]
        with_value.sort(key=lambda pair: pair[0], reverse=descending)
        shown = [row for _, row in with_value] + [row for value, row in known if value is None]
    return shown


def table(rows: Sequence[T], columns: Sequence[Column[T]], width: int) -> list[str]:
    """A whole list as text, for commands: a header and a line each, without trailing blanks."""
    laid = lay_out(columns, width)
    return [laid.header().rstrip(), *(laid.line(row).rstrip() for row in rows)]


def export(rows: Sequence[T], columns: Sequence[Column[T]], form: str) -> str:
    """The rows as a document.

    Args:
        form: `json` (one document, every field of the rows), `csv` (values of the columns) or `txt` (the list).
    """
    if form == "json":
        return json.dumps(camel(list(rows)), ensure_ascii=False, indent=1) + "\n"
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow([column.name for column in columns])
        writer.writerows([[column.of(row) for column in columns] for row in rows])
        return out.getvalue()
    return "\n".join(table(rows, columns, 200)) + "\n"
