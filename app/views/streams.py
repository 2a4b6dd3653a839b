"""Streams and their events as lists show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from app.views.text import readable, safe
from storage.engine import Event, Snapshot
from storage.events.operator_events import ACTED


@dataclass(frozen=True, slots=True)
class Topic:
    """A stream: its first and last offset and how many events it holds."""

    name: str
    first: int
    last: int
    events: int


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who reads a stream, and how far it is. `lag`: events that it has not read."""

    name: str
    offset: int
    lag: int


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream in a list.

    Attributes:
        newest_ms: when its last event was written (unix milliseconds, to the second).
        per_minute: events of the last minute; of a very busy stream, at least so many.
    """

    name: str
    first: int
    last: int
    events: int
    newest_ms: int
    per_minute: int
    consumers: tuple[Consumer, ...]

    @property
    def lag(self) -> int:
        """What the slowest consumer has not read."""
        return max((consumer.lag for consumer in self.consumers), default=0)


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that are missing for good: those of a node's stream behind `after`, up to `upto`."""

    node_id: str
    stream: str
    generation: str
    after: int
    upto: int
    noted_ms: int


RATE_OF = 1_000
"""So many of the newest events are looked at for the rate."""


class _Known(msgspec.Struct, rename="camel"):
    """The fields that tell most about an event, where it has them."""

    type: str
    operation_id: str | None = None
    request_id: str | None = None
    session_id: str | None = None
    title: str | None = None
    role: str | None = None
    status: str | None = None
    code: str | None = None
    message: str | None = None
    timestamp: str | None = None
    user: Any = None
    action: Any = None
    arguments: Any = None
    """Of `operator.acted`; in events of others they may be anything."""


_decoder: msgspec.json.Decoder[_Known] = msgspec.json.Decoder(_Known)


def list_topics(snapshot: Snapshot) -> list[Topic]:
    """Every topic, by name; walks the index, so run it off the event loop."""
    rows = snapshot.rows(
        "SELECT topic, min(offset), max(offset), count(*) FROM _honker_stream GROUP BY topic ORDER BY topic"
    )
    return [Topic(*row) for row in rows]


def read_streams(snapshot: Snapshot) -> list[StreamRow]:
    """Every stream with its consumers, by name; counts by the index, so run it off the event loop."""
    found = []
    for topic in list_topics(snapshot):
        ((newest_at, recent),) = snapshot.rows(
            "SELECT max(created_at), sum(created_at > unixepoch() - 60) FROM (SELECT created_at FROM _honker_stream"
            " WHERE topic = ? ORDER BY offset DESC LIMIT ?)",
            (topic.name, RATE_OF),
        )
        consumers = snapshot.rows(
            "SELECT name, offset,"
            " (SELECT count(*) FROM _honker_stream s WHERE s.topic = c.topic AND s.offset > c.offset)"
            " FROM _honker_stream_consumers c WHERE topic = ? ORDER BY name",
            (topic.name,),
        )
        found.append(
            StreamRow(
                topic.name,
                topic.first,
                topic.last,
                topic.events,
                newest_at * 1000,
                recent,
                tuple(Consumer(*row) for row in consumers),
            )
        )
    return found


def payload_bytes(snapshot: Snapshot, topic: str) -> int:
    """Bytes of a stream's payloads; reads all of them."""
    ((size,),) = snapshot.rows(
        "SELECT total(length(CAST(payload AS BLOB))) FROM _honker_stream WHERE topic = ?", (topic,)
    )
    return int(size)


def read_gaps(snapshot: Snapshot) -> list[Gap]:
    """What this file knows to be missing of the streams of others, the newest first."""
    rows = snapshot.rows(
        "SELECT node_id, topic, hex(gen_id), after, upto, noted_at FROM link_gaps ORDER BY noted_at DESC"
    )
    return [Gap(node, topic, gen.lower(), after, upto, noted) for node, topic, gen, after, upto, noted in rows]


def newest(snapshot: Snapshot, topic: str, limit: int) -> list[Event]:
    """The newest events of a topic, oldest of them first."""
    rows = snapshot.rows(
        "SELECT offset, topic, key, payload, created_at FROM _honker_stream WHERE topic = ?"
        " ORDER BY offset DESC LIMIT ?",
        (topic, limit),
    )
    return [
        Event(offset, topic, None if key is None else readable(key), readable(payload), created_at)
        for offset, topic, key, payload, created_at in reversed(rows)
    ]


def stored_payload(snapshot: Snapshot, event: Event) -> str | bytes:
    """The payload as it lies in the file: bytes where a foreign program stored some; as it was read when it is gone."""
    rows = snapshot.rows("SELECT payload FROM _honker_stream WHERE offset = ?", (event.offset,))
    found: str | bytes = rows[0][0] if rows else event.payload_json
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """An event in a list, with what is most telling about it."""

    event: Event
    timestamp: str | None
    """The time that the event says (ISO-8601), if it says one."""
    type: str
    who: str
    what: str
    failed: bool

    @property
    def time(self) -> str:
        """The time of day that the event says; empty when it says none."""
        return (self.timestamp or "")[11:23]


def tell(event: Event) -> Told:
    """What is most telling about an event; of what is no event, its beginning."""
    payload, key = readable(event.payload_json), None if event.key is None else readable(event.key)
    try:
        known = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return Told(event, None, "(not an event)", "", payload[:200], failed=False)
    if known.type == ACTED:
        return Told(event, known.timestamp, known.type, str(known.user), _act(known), failed=False)
    who = (known.request_id or known.session_id or key or "")[:8]
    failure = f"{known.code}: {known.message}" if known.code else ""
    what = known.operation_id or known.title or known.status or known.role or ""
    failed = known.type == "call.error" or known.status == "failed"
    return Told(event, known.timestamp, known.type, who, f"{what}  {failure}".strip()[:400], failed)


def _act(known: _Known) -> str:
    said = known.arguments.items() if isinstance(known.arguments, dict) else ()
    return " ".join([str(known.action), *(f"{name}={value}" for name, value in said)])[:400]


def describe(event: Event, when: Callable[[str | None, int], str] | None = None) -> str:
    """One line about an event: offset, time where it has one, type, and what is most telling.

    `when` writes the time, from the event's own timestamp (ISO-8601, None where it has none) and the unix seconds at
    which it came into the log; without it, the time of day of the former.
    """
    told = tell(event)
    at = f"{safe(told.time):12}" if when is None else when(told.timestamp, event.created_at)
    words = [told.type.ljust(15), told.who.ljust(8), told.what]
    return f"{event.offset:>9}  {at}  " + "  ".join(safe(word) for word in words if word.strip())
