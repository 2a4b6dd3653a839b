"""`session.*`: recording sessions and what is said in them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from app.operations.declare import Group, Json
from app.services.sessions import SessionRecorder
from storage.engine import Database
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry


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


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    group = Group(registry, "session")

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
