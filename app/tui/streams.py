"""The streams, and the tail of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual import work

from app.tui.detail import Detail
from app.tui.style import FAILED
from app.tui.table_view import TableView
from app.views.columns import Column
from app.views.stream_text import stream_columns
from app.views.streams import StreamRow, Told, newest, read_streams, stored_payload, tell
from app.views.text import count, safe
from storage.engine import Event, Snapshot

SHOWN = 5_000


class StreamsView(TableView[StreamRow]):
    """Every stream, with what its slowest consumer has not read."""

    noun: ClassVar[str] = "stream"
    empty: ClassVar[Sequence[str]] = (
        "",
        "  No events yet. Every call and every session leaves events here, in order, for ever.",
        "",
        "  Make some:   spoke call system.info",
    )

    def __init__(self) -> None:
        super().__init__()
        self.columns = stream_columns(lambda at: self.spoke.when(at))

    def read(self, snapshot: Snapshot) -> Sequence[StreamRow]:
        """The streams."""
        return read_streams(snapshot)

    def key(self, row: StreamRow) -> object:
        """Its name."""
        return row.name

    def open(self, row: StreamRow) -> None:
        """Its tail."""
        self.spoke.open_noun("stream", row.name)


class StreamView(TableView[Told]):
    """The newest events of a stream; new ones come at the end."""

    noun: ClassVar[str] = "event"
    follows: ClassVar[bool] = True
    empty: ClassVar[Sequence[str]] = ("", "  This stream has no events, or they have been deleted (retention).")
    columns = (
        Column[Told](
            "offset", "OFFSET", lambda row: str(row.event.offset), 9, lambda row: row.event.offset, right=True
        ),
        Column[Told]("time", "TIME", lambda row: row.time, 12),
        Column[Told]("type", "TYPE", lambda row: row.type, 16),
        Column[Told]("who", "WHO", lambda row: row.who, 8, rank=1),
        Column[Told]("what", "WHAT", lambda row: row.what, 20, grow=True),
    )

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def heading(self) -> str:
        """Which stream."""
        return f"{safe(self._topic)} · newest"

    def read(self, snapshot: Snapshot) -> Sequence[Told]:
        """The newest events."""
        return [tell(event) for event in newest(snapshot, self._topic, SHOWN)]

    def key(self, row: Told) -> object:
        """Its offset."""
        return row.event.offset

    def searched(self, row: Told) -> str:
        """The payload too."""
        return row.event.payload_json

    def as_json(self, row: Told) -> str:
        """The payload."""
        return row.event.payload_json

    def failed(self, row: Told) -> bool:
        """Errors of calls."""
        return row.failed

    def style(self, row: Told) -> Style:
        """Red for errors."""
        return FAILED if row.failed else Style()

    def open(self, row: Told) -> None:
        """The payload."""
        self._show(row.event)

    @work
    async def _show(self, event: Event) -> None:
        stored = await self.spoke.db.read(lambda snapshot: stored_payload(snapshot, event))
        self.app.push_screen(Detail(f"{safe(event.topic)} offset {count(event.offset)}", stored))

    def copy_text(self) -> str:
        """The payload."""
        row = self.table.selected
        return "" if row is None else row.event.payload_json
