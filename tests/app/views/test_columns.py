"""Columns: every line has the width, whatever is in it; sorting and filtering; exports can be read back."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.views.columns import Column, arrange, export, lay_out, table
from app.views.filter import parse_filter
from app.views.text import safe


@dataclass(frozen=True)
class Thing:
    """A row."""

    name: str
    size_bytes: int | None


COLUMNS: tuple[Column[Thing], ...] = (
    Column("name", "NAME", lambda row: row.name, 8, grow=True),
    Column("size", "SIZE", lambda row: str(row.size_bytes), 6, lambda row: row.size_bytes, right=True),
    Column("twice", "TWICE", lambda row: str(row.size_bytes) * 2, 12, rank=2),
)
things = st.lists(st.builds(Thing, st.text(max_size=20), st.none() | st.integers(0, 999)), max_size=8)


@given(things, st.integers(1, 60), st.booleans())
def test_every_line_has_the_width(rows: list[Thing], width: int, ascii_only: bool) -> None:
    laid = lay_out(COLUMNS, width)
    assert cell_len(laid.header("size", descending=True)) == width
    for row in rows:
        line = laid.line(row, ascii_only=ascii_only)
        assert cell_len(line) == width
        assert safe(line) == line
        assert line.isascii() or not ascii_only


def test_the_column_of_the_highest_rank_goes_first() -> None:
    assert [len(lay_out(COLUMNS, width).columns) for width in (40, 28, 27, 15, 14, 5)] == [3, 3, 2, 2, 1, 1]


@given(things, st.booleans())
def test_sorted_by_value_with_the_unknown_last(rows: list[Thing], descending: bool) -> None:
    shown = arrange(rows, COLUMNS, parse_filter(""), "size", descending=descending)
    sizes = [row.size_bytes for row in shown]
    known = [size for size in sizes if size is not None]
    assert known == sorted(known, reverse=descending)
    assert sizes[len(known) :] == [None] * (len(rows) - len(known))


def test_the_sorted_column_is_marked_by_an_arrow() -> None:
    laid = lay_out(COLUMNS, 40)
    assert "SIZE▼" in laid.header("size", descending=True)
    assert "SIZE^" in laid.header("size", ascii_only=True)


@given(st.sampled_from(["name", "size", "twice"]), st.integers(1, 60))
def test_the_cells_of_the_sorted_title_are_where_the_header_has_them(sort: str, width: int) -> None:
    laid = lay_out(COLUMNS, width)
    cells, header = laid.sorted_cells(sort), laid.header(sort, descending=True)
    if sort not in [column.name for column in laid.columns]:
        assert cells is None
    elif width > 8:  # below it the arrow itself is cut
        assert cells is not None
        assert header[slice(*cells)] == f"{sort.upper()}▼"
    assert laid.sorted_cells(None) is None


def test_a_filter_sees_the_columns_their_values_and_what_the_screen_adds() -> None:
    rows = [Thing("a", 5), Thing("b", 50)]

    def found(text: str) -> list[str]:
        wanted = parse_filter(text, [column.name for column in COLUMNS])
        return [row.name for row in arrange(rows, COLUMNS, wanted, None, more=lambda row: f"secretly {row.name * 3}")]

    assert found("size:>10") == ["b"]
    assert found("aaa") == ["a"]
    assert found("name:b") == ["b"]
    assert found("secretly") == ["a", "b"]


@given(things)
def test_exports_can_be_read_back(rows: list[Thing]) -> None:
    assert json.loads(export(rows, COLUMNS, "json")) == [
        {"name": row.name, "sizeBytes": row.size_bytes} for row in rows
    ]
    read = list(csv.DictReader(io.StringIO(export(rows, COLUMNS, "csv"), newline="")))
    assert [row["name"] for row in read] == [row.name for row in rows]
    assert len(export(rows, COLUMNS, "txt").split("\n")) == len(rows) + 2


def test_a_table_for_commands_has_no_trailing_blanks() -> None:
    assert table([Thing("a", 1)], COLUMNS[:2], 20) == ["NAME            SIZE", "a                  1"]
