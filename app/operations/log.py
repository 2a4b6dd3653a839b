"""`stream.*`, `queue.*`, `schedule.*`, `session.*`: the engine and the sessions of this node."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from app.operations.declare import Group
from app.services.sessions import SessionRecorder
from storage.engine import Database, jobs, schedules
from storage.engine.errors import UsageError
from storage.engine.payload import dumps
from storage.engine.stream import last_offset, read_events
from storage.graphs.errors import NotFoundError
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry

RESERVED = ("call-protocol", "session-events", "audit-events")
"""Streams that only the program writes: what is in them is believed."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
Json = dict[str, Any] | list[Any] | str | int | float | bool | None


class NothingInput(Model):
    """Nothing is needed."""


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


class PublishInput(Model):
    """An event to write."""

    topic: str
    payload: Json
    key: str | None = None


class OffsetOutput(Model):
    """Where it is."""

    offset: int


class QueueOutput(Model):
    """How a queue stands."""

    queue: str
    pending: int
    processing: int
    dead: int


class QueuesOutput(Model):
    """All queues."""

    queues: list[QueueOutput]


class EnqueueInput(Model):
    """A job to do."""

    queue: str
    payload: Json
    delay_s: float = Field(default=0, ge=0)
    priority: int = 0
    max_attempts: int = Field(default=3, ge=1, le=100)


class JobInput(Model):
    """Which job."""

    id: int


class JobOutput(Model):
    """A job's id."""

    id: int


class DoneOutput(Model):
    """Whether something changed."""

    done: bool


class JobsInput(Model):
    """Which jobs."""

    queue: str
    state: Literal["live", "dead"] = "live"
    limit: int = Field(default=100, ge=1, le=1_000)


class JobRowOutput(Model):
    """A job. Times are unix seconds."""

    id: int
    state: str
    payload: Any
    priority: int
    attempts: int
    max_attempts: int
    run_at: int
    error: str | None


class JobsOutput(Model):
    """Jobs, the newest first."""

    jobs: list[JobRowOutput]


class ScheduleOutput(Model):
    """A schedule; `nextFireAt` is unix seconds."""

    name: str
    queue: str
    expression: str
    payload: Any
    next_fire_at: int
    enabled: bool


class SchedulesOutput(Model):
    """All schedules."""

    schedules: list[ScheduleOutput]


class ScheduleInput(Model):
    """A job that is queued again and again: cron, or `@every 5m`."""

    name: str
    queue: str
    expression: str
    payload: Json = None


class NameInput(Model):
    """Which one."""

    name: str


class StartInput(Model):
    """A session that begins."""

    title: str = Field(min_length=1, max_length=500)
    source: str = "spoke"
    parent_id: str | None = None


class SessionOutput(Model):
    """A session."""

    session_id: str


class PartInput(Model):
    """A part of a message: text, reasoning, tool, file …"""

    type: str
    data: Json


class MessageInput(Model):
    """What somebody said in a session."""

    session_id: str
    role: Literal["user", "assistant", "system", "tool"]
    parts: list[PartInput] = Field(min_length=1)
    agent: str | None = None


class MessageOutput(Model):
    """The message."""

    message_id: str


class EndInput(Model):
    """A session that is over."""

    session_id: str
    status: Literal["completed", "failed", "aborted"] = "completed"


def _named(name: str) -> str:
    if not NAME.fullmatch(name):
        raise UsageError(f"{name[:40]!r} is no name: letters, digits and . _ : -, at most 128")
    return name


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    _streams(Group(registry, "stream"))
    _queues(Group(registry, "queue"))
    _schedules(Group(registry, "schedule"))
    _sessions(Group(registry, "session"))


def _streams(group: Group) -> None:
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
        events = [
            EventOutput(offset=event.offset, key=event.key, payload=event.payload, created_at=event.created_at)
            for event in found
        ]
        return EventsOutput(events=events, next=found[-1].offset if found else given.after)

    @group.mutation("publish", "Append an event to a stream of one's own.")
    def publish(given: PublishInput, context: OperationContext) -> OffsetOutput:
        if given.topic in RESERVED:
            raise UsageError(f"{given.topic} is written by the program alone: record calls and sessions instead")
        stream = context.database.stream(_named(given.topic))
        return OffsetOutput(offset=stream.publish(given.payload, given.key, context.transaction))


def _queues(group: Group) -> None:
    @group.query("list", "The queues of this node, and how many jobs wait, run, or failed for good.")
    def queues(_: NothingInput, context: OperationContext) -> QueuesOutput:
        with context.database.snapshot() as snapshot:
            rows = snapshot.rows(
                "SELECT queue, sum(state = 'pending'), sum(state = 'processing'), sum(state = 'dead') FROM"
                " (SELECT queue, state FROM _honker_live UNION ALL SELECT queue, 'dead' FROM _honker_dead)"
                " GROUP BY queue ORDER BY queue"
            )
        return QueuesOutput(
            queues=[QueueOutput(queue=row[0], pending=row[1], processing=row[2], dead=row[3]) for row in rows]
        )

    @group.query("jobs", "The jobs of a queue.")
    def list_jobs(given: JobsInput, context: OperationContext) -> JobsOutput:
        table, state, error = (
            ("_honker_dead", "'dead'", "last_error") if given.state == "dead" else ("_honker_live", "state", "NULL")
        )
        with context.database.snapshot() as snapshot:
            rows = snapshot.query(
                f"SELECT id, {state} AS state, payload, priority, attempts, max_attempts, run_at, {error} AS error"
                f" FROM {table} WHERE queue = ? ORDER BY id DESC LIMIT ?",
                (given.queue, given.limit),
            )
            errors = {
                row["id"]: jobs.last_error(snapshot, row["id"]) if given.state == "live" else row["error"]
                for row in rows
            }
        return JobsOutput(
            jobs=[
                JobRowOutput(**{**row, "payload": _payload(row["payload"]), "error": errors[row["id"]]}) for row in rows
            ]
        )

    @group.mutation("enqueue", "Queue a job.")
    def enqueue(given: EnqueueInput, context: OperationContext) -> JobOutput:
        job = context.database.queue(_named(given.queue)).enqueue(
            given.payload,
            tx=context.transaction,
            delay=given.delay_s or None,
            priority=given.priority,
            max_attempts=given.max_attempts,
        )
        return JobOutput(id=job)

    @group.mutation("cancel", "Remove a job that waits or runs.")
    def cancel(given: JobInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=jobs.cancel(context.transaction, given.id))

    @group.mutation("retry", "Queue a dead job anew.")
    def retry(given: JobInput, context: OperationContext) -> JobOutput:
        rows = context.transaction.rows(
            "SELECT queue, payload, priority, max_attempts FROM _honker_dead WHERE id = ?", (given.id,)
        )
        if not rows:
            raise NotFoundError(f"no dead job {given.id}")
        queue, payload, priority, attempts = rows[0]
        context.transaction.execute("DELETE FROM _honker_dead WHERE id = ?", (given.id,))
        (new,) = context.transaction.rows(
            "SELECT honker_enqueue(?, ?, NULL, NULL, ?, ?, NULL)", (queue, payload, priority, attempts)
        )[0]
        return JobOutput(id=new)


def _schedules(group: Group) -> None:
    @group.query("list", "The schedules of this node.")
    def list_schedules(_: NothingInput, context: OperationContext) -> SchedulesOutput:
        with context.database.snapshot() as snapshot:
            found = schedules.list_schedules(snapshot)
        return SchedulesOutput(
            schedules=[
                ScheduleOutput(
                    name=row["name"],
                    queue=row["queue"],
                    expression=row["cron_expr"],
                    payload=row["payload"],
                    next_fire_at=row["next_fire_at"],
                    enabled=row["enabled"],
                )
                for row in found
            ]
        )

    @group.mutation("add", "Add a schedule, or replace the one of that name.")
    def add(given: ScheduleInput, context: OperationContext) -> NameInput:
        schedules.register(
            context.transaction,
            _named(given.name),
            _named(given.queue),
            given.expression,
            dumps(given.payload),
            priority=0,
            expires_s=None,
            max_attempts=3,
            now=context.database.clock(),
        )
        return NameInput(name=given.name)

    @group.mutation("remove", "Remove a schedule; jobs that it has queued stay.")
    def remove(given: NameInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=schedules.unregister(context.transaction, given.name))

    @group.mutation("pause", "Stop a schedule until it is resumed.")
    def pause(given: NameInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=_enable(context, given.name, enabled=False))

    @group.mutation("resume", "Let a schedule go on; what was missed is not made up for.")
    def resume(given: NameInput, context: OperationContext) -> DoneOutput:
        return DoneOutput(done=_enable(context, given.name, enabled=True))


def _enable(context: OperationContext, name: str, *, enabled: bool) -> bool:
    return schedules.set_enabled(context.transaction, name, enabled=enabled, now=context.database.clock())


def _sessions(group: Group) -> None:
    @group.mutation("start", "Begin a session.")
    def start(given: StartInput, context: OperationContext) -> SessionOutput:
        recorder = _recorder(context.database)
        return SessionOutput(
            session_id=recorder.start(given.title, given.source, given.parent_id, tx=context.transaction)
        )

    @group.mutation("message", "Say something in a session.")
    def message(given: MessageInput, context: OperationContext) -> MessageOutput:
        made = _recorder(context.database).say(
            given.session_id,
            given.role,
            [(part.type, part.data) for part in given.parts],
            agent=given.agent,
            tx=context.transaction,
        )
        return MessageOutput(message_id=made)

    @group.mutation("end", "End a session; the first end counts.")
    def end(given: EndInput, context: OperationContext) -> SessionOutput:
        _recorder(context.database).end(given.session_id, given.status, tx=context.transaction)
        return SessionOutput(session_id=given.session_id)


def _recorder(db: Database) -> SessionRecorder:
    return SessionRecorder(db, lambda: datetime.now(UTC), lambda: str(uuid.uuid4()))


def _payload(text: str) -> Any:
    from storage.engine.errors import PayloadError
    from storage.engine.payload import loads

    try:
        return loads(text)
    except PayloadError:
        return text  # a foreign program wrote it; shown as it is
