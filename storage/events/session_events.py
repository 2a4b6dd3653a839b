"""The events of the `session-events` stream: a session starts, says something, ends."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from storage.engine import Event
from storage.events import envelope

STREAM = "session-events"

EndStatus: TypeAlias = Literal["completed", "failed", "aborted"]


class SessionEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True, tag_field="type"):
    """What the events share. `timestamp` is ISO-8601 UTC, absent where nobody knows it."""

    session_id: str
    timestamp: str | None = None


class SessionStarted(SessionEvent, frozen=True, tag="session.started"):
    """A session begins; `source` says what recorded it (`spoke`, `swe-agent` …)."""

    title: str
    source: str
    slug: str
    parent_id: str | None = None


class MessagePart(msgspec.Struct, frozen=True, rename="camel"):
    """One part of a message; `type` is text, reasoning, tool, file …, `data` its JSON."""

    part_id: str
    type: str
    data: msgspec.Raw


class SessionMessage(SessionEvent, frozen=True, tag="session.message"):
    """Somebody said something; `role` is user, assistant, system or tool."""

    message_id: str
    role: str
    agent: str | None = None
    parts: list[MessagePart] = []


class SessionEnded(SessionEvent, frozen=True, tag="session.ended"):
    """A session is over."""

    status: EndStatus


AnySessionEvent: TypeAlias = SessionStarted | SessionMessage | SessionEnded

_decoder: msgspec.json.Decoder[AnySessionEvent] = msgspec.json.Decoder(AnySessionEvent)


def decode(event: Event) -> AnySessionEvent:
    """Decode one event of the stream.

    Raises:
        EventShapeError: it is none of the three, or a field is missing or of another type.
    """
    return envelope.decode(event, _decoder)
