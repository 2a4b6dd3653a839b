"""The tail of a stream."""

from __future__ import annotations

import json
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from app.tui.detail import Detail
from app.tui.lines.line_list import LineList
from app.tui.view import View
from app.views.streams import Topic, describe, list_topics, newest
from app.views.text import of
from storage.engine import Event, PayloadError, Snapshot

EMPTY = (
    "",
    "  No events yet. Every call and every session leaves events here, in order, for ever.",
    "",
    "  Make some:   spoke call system.info",
)
SHOWN = 5_000


class StreamsView(View):
    """The newest events of one topic; follows new ones."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "topic(1)", "next stream", id="streams.next"),
        Binding("left,h", "topic(-1)", "previous stream", show=False, id="streams.previous"),
        Binding("f", "follow", "follow", id="streams.follow"),
        Binding("p", "pause", "pause", id="streams.pause"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._topic: str | None = None
        self._topics: list[Topic] = []
        self._paused = False

    def compose_body(self) -> ComposeResult:
        """One list of events."""
        yield LineList[Event](
            lambda event, _: self.spoke.plain(describe(event)), lambda event: event.offset, EMPTY, follow=True
        )

    async def load(self) -> None:
        """Read the topics and the newest events of the chosen one."""
        self._topics, events = await self.spoke.db.read(self._read)
        lines = self.query_one(LineList)
        topic = next((t for t in self._topics if t.name == self._topic), None)
        total = topic.events if topic else 0
        state = "paused" if self._paused else "following" if lines.follow else "not following"
        place = f"{self._names().index(self._topic) + 1}/{len(self._topics)}" if self._topic in self._names() else "0/0"
        self.set_title(f"stream {place} {self._topic or ''}  {of(total, 'event')}  {state}")
        if not self._paused:
            lines.show([event for event in events if self.matches(f"{describe(event)} {event.payload_json}")])

    def _names(self) -> list[str]:
        return [topic.name for topic in self._topics]

    def _read(self, snapshot: Snapshot) -> tuple[list[Topic], list[Event]]:
        topics = list_topics(snapshot)
        if self._topic is None and topics:
            self._topic = topics[0].name
        return topics, newest(snapshot, self._topic, SHOWN) if self._topic else []

    def action_topic(self, step: int) -> None:
        """Show another stream."""
        names = self._names()
        if len(names) < 2:
            self.notify("there is no other stream")
            return
        here = names.index(self._topic) if self._topic in names else 0
        self._topic = names[(here + step) % len(names)]
        self.query_one(LineList).follow = True
        self.spoke.reload()

    def action_follow(self) -> None:
        """Stay at the newest event, or stop doing so."""
        lines = self.query_one(LineList)
        lines.follow = not lines.follow
        self.spoke.reload()

    def action_pause(self) -> None:
        """Freeze the list, or let it go on."""
        self._paused = not self._paused
        self.spoke.reload()

    def on_line_list_chosen(self, message: LineList.Chosen) -> None:
        """Show an event's payload."""
        event = message.row
        try:
            text = json.dumps(event.payload, ensure_ascii=False, indent=2)
        except PayloadError:
            text = event.payload_json
        self.app.push_screen(Detail(f"{event.topic} offset {event.offset}", text))

    def copy_text(self) -> str:
        """The payload."""
        event = self.query_one(LineList).selected
        return event.payload_json if isinstance(event, Event) else ""
