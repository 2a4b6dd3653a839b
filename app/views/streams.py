"""Streams and their events as lists show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from app.views.text import safe
from storage.engine import Event, Snapshot


@dataclass(frozen=True, slots=True)
class Topic:
    """A stream: its first and last offset and how many events it holds."""

    name: str
    first: int
    last: int
    events: int


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


_decoder: msgspec.json.Decoder[_Known] = msgspec.json.Decoder(_Known)


def list_topics(snapshot: Snapshot) -> list[Topic]:
    """Every topic, by name; walks the index, so run it off the event loop."""
    rows = snapshot.rows(
        "SELECT topic, min(offset), max(offset), count(*) FROM _honker_stream GROUP BY topic ORDER BY topic"
    )
    return [Topic(*row) for row in rows]


def newest(snapshot: Snapshot, topic: str, limit: int) -> list[Event]:
    """The newest events of a topic, oldest of them first."""
    rows = snapshot.rows(
        "SELECT offset, topic, key, payload, created_at FROM _honker_stream WHERE topic = ?"
        " ORDER BY offset DESC LIMIT ?",
        (topic, limit),
    )
    return [Event(*row) for row in reversed(rows)]


def describe(event: Event, when: Callable[[str | None, int], str] | None = None) -> str:
    """One line about an event: offset, time where it has one, type, and what is most telling.

    `when` writes the time, from the event's own timestamp (ISO-8601, None where it has none) and the unix seconds at
    which it came into the log; without it, the time of day of the former.
    """
    try:
        known = _decoder.decode(event.payload_json)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        at = f"{'':12}" if when is None else when(None, event.created_at)
        return f"{event.offset:>9}  {at}  (not an event)  {safe(event.payload_json[:200])}"
    at = f"{safe((known.timestamp or '')[11:23]):12}" if when is None else when(known.timestamp, event.created_at)
    who = (known.request_id or known.session_id or event.key or "")[:8]
    what = known.operation_id or known.title or known.status or known.role or ""
    failure = f"{known.code}: {known.message}" if known.code else ""
    words = [known.type.ljust(15), who.ljust(8), what, failure]
    return f"{event.offset:>9}  {at}  " + "  ".join(safe(word[:200]) for word in words if word)
