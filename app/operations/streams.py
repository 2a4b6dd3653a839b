"""`stream.*`: the event log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pydantic import Field

from app.operations.declare import Group, Json, NothingInput, check_name
from storage.engine import Event
from storage.engine.errors import UsageError
from storage.engine.stream import last_offset, read_events
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry

RESERVED = ("call-protocol", "session-events", "audit-events", "node")
"""Streams that only the program writes: what is in them is believed."""


class TopicInput(Model):
    """What to read of a stream."""

    topic: str
    after: int = Field(default=0, ge=0)
    limit: int = Field(default=100, ge=1, le=1_000)


class EventOutput(Model):
    """An event; `createdAt` is unix seconds."""

    offset: int
    key: str | None
    payload: Any
    created_at: int


class EventsOutput(Model):
    """Events, and the offset to go on behind."""

    events: list[EventOutput]
    next: int


class StreamOutput(Model):
    """A stream."""

    topic: str
    last_offset: int


class StreamsOutput(Model):
    """All streams."""

    streams: list[StreamOutput]


class FollowInput(Model):
    """Which stream, and where to begin: behind `after`, or behind what is there now."""

    topic: str
    after: int | None = Field(default=None, ge=0)


class PublishInput(Model):
    """An event to write."""

    topic: str
    payload: Json
    key: str | None = None


class OffsetOutput(Model):
    """Where it is."""

    offset: int


def _output(event: Event) -> EventOutput:
    return EventOutput(offset=event.offset, key=event.key, payload=event.payload, created_at=event.created_at)


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    group = Group(registry, "stream")

    @group.query("list", "The streams of this node.")
    def streams(_: NothingInput, context: OperationContext) -> StreamsOutput:
        with context.database.snapshot() as snapshot:
            names = [str(row[0]) for row in snapshot.rows("SELECT DISTINCT topic FROM _honker_stream ORDER BY topic")]
            found = [StreamOutput(topic=name, last_offset=last_offset(snapshot, name)) for name in names]
        return StreamsOutput(streams=found)

    @group.query("read", "Events of a stream behind an offset.")
    def read(given: TopicInput, context: OperationContext) -> EventsOutput:
        with context.database.snapshot() as snapshot:
            found = read_events(snapshot, given.topic, given.after, given.limit)
        return EventsOutput(events=[_output(event) for event in found], next=found[-1].offset if found else given.after)

    @group.subscription("follow", "Events of a stream as they come.")
    async def follow(given: FollowInput, context: OperationContext) -> AsyncIterator[EventOutput]:
        db, after = context.database, given.after
        if after is None:
            after = await db.read(lambda snapshot: last_offset(snapshot, given.topic))
        async for event in db.stream(given.topic).subscribe(from_offset=after):
            yield _output(event)

    @group.mutation("publish", "Append an event to a stream of one's own.")
    def publish(given: PublishInput, context: OperationContext) -> OffsetOutput:
        if given.topic in RESERVED:
            raise UsageError(f"{given.topic} is written by the program alone: record calls and sessions instead")
        stream = context.database.stream(check_name(given.topic))
        return OffsetOutput(offset=stream.publish(given.payload, given.key, context.transaction))
