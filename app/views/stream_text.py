"""Streams as columns and text."""

from __future__ import annotations

from app.views.columns import Column
from app.views.queue_text import When
from app.views.streams import Gap, StreamRow
from app.views.text import count, of, safe


def stream_columns(when: When) -> tuple[Column[StreamRow], ...]:
    """The columns of a list of streams."""
    return (
        Column("stream", "STREAM", lambda row: row.name, 18, grow=True),
        Column("events", "EVENTS", lambda row: count(row.events), 10, lambda row: row.events, right=True),
        Column("last", "LAST", lambda row: count(row.last), 10, lambda row: row.last, right=True),
        Column("lag", "LAG", lambda row: count(row.lag), 8, lambda row: row.lag, right=True),
        Column("rate", "/MIN", lambda row: count(row.per_minute), 6, lambda row: row.per_minute, right=True, rank=1),
        Column("newest", "NEWEST", lambda row: when(row.newest_ms), 14, lambda row: row.newest_ms),
        Column("consumers", "CONSUMERS", _consumers, 28, rank=2),
    )


def _consumers(row: StreamRow) -> str:
    return ", ".join(one.name + (f" -{count(one.lag)}" if one.lag else "") for one in row.consumers)


def stream_text(row: StreamRow, size: int, when: When) -> list[str]:
    """Everything about a stream, a line each."""
    lines = [
        f"stream     {safe(row.name)}",
        f"events     {count(row.events)}, offsets {count(row.first)} to {count(row.last)}",
        f"payloads   {size / 1e6:.1f} MB, {size // max(1, row.events)} bytes on average",
        f"newest     {when(row.newest_ms)}, {of(row.per_minute, 'event')} in the last minute",
    ]
    for number, one in enumerate(row.consumers):
        head = "consumers" if not number else ""
        lines.append(f"{head:<10} {safe(one.name)} at {count(one.offset)}, {count(one.lag)} behind")
    return lines


def gap_columns(when: When) -> tuple[Column[Gap], ...]:
    """The columns of a list of gaps."""
    return (
        Column("node", "NODE", lambda row: row.node_id[:8], 8),
        Column("stream", "STREAM", lambda row: row.stream, 18, grow=True),
        Column("generation", "GEN", lambda row: row.generation[:8], 8, rank=1),
        Column("after", "BEHIND", lambda row: count(row.after), 12, lambda row: row.after, right=True),
        Column("upto", "UP TO", lambda row: count(row.upto), 12, lambda row: row.upto, right=True),
        Column("noted", "FOUND", lambda row: when(row.noted_ms), 14, lambda row: row.noted_ms),
    )
