"""Tables of unknown rows: columns keep their places, and nothing in a value reaches the terminal as it is."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.views.table import MAX_CELL, MEASURED, table_lines
from app.views.text import safe

values = st.none() | st.integers() | st.floats() | st.text() | st.binary()


def test_a_table() -> None:
    rows = [(1, "a\x1b[31m", None), (200, "宽字符", b"\x00\xff")]
    assert list(table_lines(("n", "text", "x"), rows)) == [
        "  n  text    x",
        "---  ------  -------",
        "  1  a␛[31m  NULL",
        "200  宽字符  x'00ff'",
    ]
    assert list(table_lines(("a", "a"), [])) == ["a  a", "-  -"]


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[values] * n), max_size=5)), st.text(max_size=5))
def test_no_value_breaks_a_column(rows: list[tuple[Any, ...]], name: str) -> None:
    columns = [name] * (len(rows[0]) if rows else 2)
    lines = list(table_lines(columns, rows))
    assert len(lines) == len(rows) + 2
    widest = cell_len(lines[1])
    assert widest <= (MAX_CELL + 2) * len(columns)
    for line in lines:
        assert cell_len(line) <= widest
        assert safe(line) == line


def test_rows_are_read_as_they_are_printed() -> None:
    taken = 0

    def rows() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield (taken,)

    lines = table_lines(("n",), rows())
    assert [next(lines).strip() for _ in range(4)] == ["n", "---", "1", "2"]
    assert taken <= MEASURED + 1
