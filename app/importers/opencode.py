"""opencode's database (`$XDG_DATA_HOME/opencode/opencode.db`): its sessions, messages and parts.

    session(id, parent_id, title, time_created, time_updated, …)
    message(id, session_id, time_created, time_updated, data JSON: role, agent, modelID, time {created, completed} …)
    part(id, message_id, session_id, time_created, time_updated, data JSON: type, text | tool, callID, state …)

A `tool` part is a call `tool.NAME` below the session's `agent.run`; its `state` knows status, input, output, error and
times (unix milliseconds). Sessions with a `parent_id` are sub-agents. opencode writes its rows again and again while an
answer comes: a message is left for the next time until it is complete, a call until its input is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from app.importers.imported import (
    MAX_ERROR,
    QUIET_MS,
    Imported,
    ImportFailedError,
    derived_id,
    digest_of,
    envelope,
    raw,
    title_of,
    tool_operation,
)
from storage.engine.errors import EngineError
from storage.events.call_events import AnyCallEvent, CallError, CallMetadata, CallRequested, CallResponded
from storage.events.envelope import encode, iso
from storage.events.session_events import AnySessionEvent, MessagePart, SessionEnded, SessionMessage, SessionStarted
from storage.foreign import ForeignFile, reading

SOURCE = "opencode"
UNNAMED = ("New session - ", "Child session - ")
"""opencode calls a session so until the model has found a title."""

NEEDED = {
    "session": {"id", "parent_id", "title", "time_created", "time_updated"},
    "message": {"id", "session_id", "time_created", "time_updated", "data"},
    "part": {"id", "message_id", "session_id", "time_updated", "data"},
}

_SESSIONS = """
SELECT id, parent_id, title, time_created, max(
  time_updated,
  coalesce((SELECT max(time_updated) FROM message WHERE session_id = session.id), 0),
  coalesce((SELECT max(time_updated) FROM part WHERE session_id = session.id), 0)
) AS changed FROM session WHERE changed >= ? ORDER BY time_created, id
"""
"""A session's own `time_updated` stands still while an agent works."""


class Session(msgspec.Struct, array_like=True):
    """A row of `session`."""

    id: str
    parent_id: str | None
    title: str
    created_ms: int
    changed_ms: int


class Part(msgspec.Struct):
    """A row of `part`."""

    id: str
    data: dict[str, Any]

    @property
    def type(self) -> str:
        """text, reasoning, tool, file …"""
        return str(self.data.get("type", "unknown"))


class Message(msgspec.Struct):
    """A row of `message` with its parts."""

    id: str
    created_ms: int
    data: dict[str, Any]
    parts: list[Part]

    @property
    def is_assistant(self) -> bool:
        """Whether the model says it."""
        return self.data.get("role") == "assistant"


class _MessageRow(msgspec.Struct, array_like=True):
    id: str
    created_ms: int
    data: str


class _PartRow(msgspec.Struct, array_like=True):
    id: str
    message_id: str
    data: str


def read(path: Path, now_ms: int, *, since_ms: int = 0) -> Iterator[Imported]:
    """The sessions that were changed since then, in the order in which they began; one consistent view of the file.

    Args:
        path: the database; the program that owns it may be writing.
        now_ms: unix milliseconds: a session that nobody touched for an hour is over.
        since_ms: leave out sessions whose last change was before it.

    Raises:
        ImportFailedError: it is no such database; or, after all other sessions, a row in one is not what it should be.
    """
    failed: list[ImportFailedError] = []
    try:
        with reading(path) as file:
            for table, needed in NEEDED.items():
                missing = needed - file.columns(table)
                if missing:
                    names = ", ".join(sorted(missing))
                    raise ImportFailedError(f"not opencode's database: table {table} has no {names}")
            for row in list(file.rows(_SESSIONS, (since_ms,))):
                try:
                    session = msgspec.convert(row, Session)
                    imported = _imported(session, list(_messages(file, session.id)), now_ms)
                except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
                    failed.append(ImportFailedError(f"session {row[0]}: {error}"))
                else:
                    yield imported
    except (EngineError, UnicodeError) as error:
        raise ImportFailedError(f"not opencode's database: {error}") from error
    if failed:
        raise failed[0]


def _messages(file: ForeignFile, session_id: str) -> Iterator[Message]:
    parts: dict[str, list[Part]] = {}
    for found in file.rows("SELECT id, message_id, data FROM part WHERE session_id = ? ORDER BY id", (session_id,)):
        row = msgspec.convert(found, _PartRow)
        parts.setdefault(row.message_id, []).append(Part(row.id, _object(row.data)))
    for found in file.rows(
        "SELECT id, time_created, data FROM message WHERE session_id = ? ORDER BY time_created, id", (session_id,)
    ):
        message = msgspec.convert(found, _MessageRow)
        yield Message(message.id, message.created_ms, _object(message.data), parts.get(message.id, []))


def _object(data: str) -> dict[str, Any]:
    return msgspec.json.decode(data, type=dict[str, Any])


def _imported(session: Session, messages: list[Message], now_ms: int) -> Imported:
    session_id, title = derived_id(SOURCE, session.id), _title(session, messages)
    over = now_ms - session.changed_ms > QUIET_MS
    said = list(_session(session, session_id, title, messages if over else messages[: _complete(messages)]))
    calls = list(_calls(session, session_id, messages))
    if over:
        ended = _iso(session.changed_ms)
        output = envelope("agent.run", {"messages": len(messages)})
        metadata = CallMetadata(session_id=session_id, imported_from=SOURCE)
        said.append(SessionEnded(session_id=session_id, status="completed", timestamp=ended))
        calls.append(CallResponded(request_id=_run(session_id), output=output, metadata=metadata, timestamp=ended))
    texts = "\n".join(encode(event) for event in [*said, *calls])
    return Imported(digest_of(texts.encode()), SOURCE, title, session_id, said, calls)


def _title(session: Session, messages: list[Message]) -> str:
    if session.title and not session.title.startswith(UNNAMED):
        return session.title
    for message in messages:
        for part in message.parts if not message.is_assistant else []:
            words = title_of(part.data.get("text"))
            if part.type == "text" and words:
                return words
    return session.title or session.id


def _complete(messages: list[Message]) -> int:
    """How many messages will not change any more: those before the last answer, and that one when it is complete."""
    for number in range(len(messages) - 1, -1, -1):
        if messages[number].is_assistant:
            time = messages[number].data.get("time")
            return number + 1 if isinstance(time, dict) and time.get("completed") else number
    return 0


def _session(session: Session, session_id: str, title: str, messages: list[Message]) -> Iterator[AnySessionEvent]:
    yield SessionStarted(
        session_id=session_id,
        title=title,
        source=SOURCE,
        slug=f"{SOURCE}-{session_id[:8]}",
        parent_id=None if session.parent_id is None else derived_id(SOURCE, session.parent_id),
        timestamp=_iso(session.created_ms),
    )
    for message in messages:
        yield SessionMessage(
            session_id=session_id,
            message_id=derived_id(SOURCE, message.id),
            role=str(message.data.get("role", "")),
            agent=_text(message.data.get("agent") or message.data.get("mode") or message.data.get("modelID")),
            parts=[MessagePart(derived_id(SOURCE, part.id), part.type, raw(part.data)) for part in message.parts],
            timestamp=_iso(message.created_ms),
        )


def _run(session_id: str) -> str:
    return derived_id(session_id, "run")


def _calls(session: Session, session_id: str, messages: list[Message]) -> Iterator[AnyCallEvent]:
    metadata = CallMetadata(session_id=session_id, imported_from=SOURCE)
    yield CallRequested(
        request_id=_run(session_id),
        operation_id="agent.run",
        input=raw({"opencodeSession": session.id}),
        metadata=metadata,
        timestamp=_iso(session.created_ms),
    )
    for message in messages:
        for part in message.parts:
            if part.type == "tool":
                yield from _tool(part, message, session_id, metadata)


def _tool(part: Part, message: Message, session_id: str, metadata: CallMetadata) -> Iterator[AnyCallEvent]:
    state = _object_in(part.data, "state")
    status, times = state.get("status"), _object_in(state, "time")
    if status not in ("running", "completed", "error"):
        return  # its input is still being written
    request_id = derived_id(session_id, "tool", part.id)
    operation_id = tool_operation(part.data.get("tool"))
    yield CallRequested(
        request_id=request_id,
        operation_id=operation_id,
        input=raw(state.get("input")),
        parent_request_id=_run(session_id),
        metadata=metadata,
        timestamp=_iso(times.get("start", message.created_ms)),
    )
    ended = _iso(times.get("end"))
    if status == "completed":
        output = envelope(operation_id, {"output": state.get("output"), "title": state.get("title")})
        yield CallResponded(request_id=request_id, output=output, metadata=metadata, timestamp=ended)
    elif status == "error":
        text = str(state.get("error", ""))[:MAX_ERROR]
        yield CallError(request_id=request_id, code="TOOL_ERROR", message=text, metadata=metadata, timestamp=ended)


def _object_in(data: dict[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _iso(ms: object) -> str | None:
    """Unix milliseconds as events carry times; None where it is none that a calendar has."""
    if isinstance(ms, bool) or not isinstance(ms, int | float):
        return None
    try:
        return iso(datetime.fromtimestamp(ms / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return None
