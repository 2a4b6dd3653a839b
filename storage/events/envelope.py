"""`EventEnvelope`: the one shape in which events cross a boundary (`reference/alkdev.md` 3.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from storage.engine import Event
from storage.engine.errors import EngineError

T = TypeVar("T")


class EventShapeError(EngineError, ValueError):
    """The payload is not an event of the kind its stream holds."""

    hint = "publish it in the shape that docs/architecture.md names"


class EventEnvelope(msgspec.Struct, frozen=True):
    """An event: `type` names it, `id` narrows the topic (often empty), `payload` is its JSON.

    Types that begin with `__` are reserved for control messages.
    """

    type: str
    id: str
    payload: msgspec.Raw

    @property
    def topic(self) -> str:
        """The composite topic `type:id` that listeners subscribe to."""
        return f"{self.type}:{self.id}"


class _Tag(msgspec.Struct):
    type: str


_tag_decoder = msgspec.json.Decoder(_Tag)
_encoder = msgspec.json.Encoder()


def envelope_of(event: Event) -> EventEnvelope:
    """Wrap an event of a stream, whose `type` stands in the payload, without decoding the rest of it.

    Raises:
        EventShapeError: the payload is not a JSON object with a `type`.
    """
    raw = event.payload_json.encode(errors="surrogatepass")
    try:
        tag = _tag_decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise EventShapeError(f"{event.topic} offset {event.offset}: {error}") from error
    return EventEnvelope(tag.type, "", msgspec.Raw(raw))


def decode(event: Event, decoder: msgspec.json.Decoder[T]) -> T:
    """Return an event's payload as what the decoder decodes.

    Raises:
        EventShapeError: it is nothing of that kind, or a field is missing or of another type.
    """
    try:
        return decoder.decode(event.payload_json)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise EventShapeError(f"{event.topic} offset {event.offset}: {error}") from error


def encode(value: msgspec.Struct) -> str:
    """Return an event as the JSON text that a stream stores."""
    return _encoder.encode(value).decode()


def iso(now: datetime) -> str:
    """A time as events carry it: ISO-8601, UTC, milliseconds."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
