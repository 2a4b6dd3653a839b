"""Rows of unknown kind as a table of text; what is in them cannot break it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from rich.cells import cell_len

from app.views.text import fit, safe

MEASURED = 500
"""The rows that decide how wide the columns are; those behind them are clipped to that."""
MAX_CELL = 60


def cell(value: Any) -> str:
    """A value of a database as text for people: NULL, numbers, text on one line, blobs in hexadecimal.

    >>> cell(None), cell(1.5), cell("a\\n"), cell(bytes([1, 255]))
    ('NULL', '1.5', 'a␊', "x'01ff'")
    """
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        more = "…" if len(value) > MAX_CELL else ""
        return f"x'{value[:MAX_CELL].hex()}{more}'"
    return safe(value[: 4 * MAX_CELL]) if isinstance(value, str) else str(value)


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """A header, a rule, and a line a row; numbers on the right, no cell wider than 60."""
    rest = iter(rows)
    first = list(islice(rest, MEASURED))
    texts = [[cell(value) for value in row] for row in first]
    names = [safe(name) for name in columns]
    widths = [
        min(MAX_CELL, max([cell_len(name), *(cell_len(row[at]) for row in texts)])) for at, name in enumerate(names)
    ]
    numbers = [
        bool(first) and all(isinstance(row[at], int | float | None) for row in first) for at in range(len(names))
    ]

    def line(cells: Sequence[str]) -> str:
        shown = (fit(text, width, right=number) for text, width, number in zip(cells, widths, numbers, strict=True))
        return "  ".join(shown).rstrip()

    yield line(names)
    yield "  ".join("-" * width for width in widths)
    yield from map(line, chain(texts, ([cell(value) for value in row] for row in rest)))
