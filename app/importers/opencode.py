"""opencode's database (`$XDG_DATA_HOME/opencode/opencode.db`): its sessions, messages and parts.

    session(id, project_id, parent_id, title, time_created, time_updated)
    message(id, session_id, time_created, data JSON: role, agent, modelID, time …)
    part(id, message_id, session_id, time_created, data JSON: type, text | tool, callID, state …)

A `tool` part is a call `tool.NAME` below the session's `agent.run`; its `state` knows input, output, error and times
(unix milliseconds). Sessions with a `parent_id` are sub-agents. What is still being written (a tool that runs, a text
without an end) is left for the next time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from app.importers.imported import Imported, ImportFailedError, derived_id, digest_of, envelope, raw, tool_operation
from storage.engine.errors import EngineError
from storage.events.call_events import AnyCallEvent, CallError, CallMetadata, CallRequested, CallResponded
from storage.events.envelope import encode, iso
from storage.events.session_events import AnySessionEvent, MessagePart, SessionEnded, SessionMessage, SessionStarted
from storage.foreign import ForeignFile, reading

SOURCE = "opencode"
QUIET_MS = 3_600_000
NEEDED = {
    "session": {"id", "parent_id", "title", "time_created", "time_updated"},
    "message": {"id", "session_id", "time_created", "data"},
    "part": {"id", "message_id", "session_id", "data"},
}


class Session(msgspec.Struct):
    """A row of `session`."""

    id: str
    parent_id: str | None
    title: str
    created_ms: int
    updated_ms: int


class Part(msgspec.Struct):
    """A row of `part`."""

    id: str
    data: dict[str, Any]


class Message(msgspec.Struct):
    """A row of `message` with its parts."""

    id: str
    created_ms: int
    data: dict[str, Any]
    parts: list[Part]


def read(path: Path, now_ms: int, *, since_ms: int = 0) -> Iterator[Imported]:
    """The sessions that were changed since then, in the order in which they began; one consistent view of the file.

    Args:
        path: the database; the program that owns it may be writing.
        now_ms: unix milliseconds: a session that nobody touched for an hour is over.
        since_ms: leave out sessions whose last change was before it.

    Raises:
        ImportFailedError: it is no such database, or a row in it is not what it should be.
    """
    try:
        with reading(path) as file:
            for table, needed in NEEDED.items():
                missing = needed - file.columns(table)
                if missing:
                    names = ", ".join(sorted(missing))
                    raise ImportFailedError(f"{path}: not opencode's database: table {table} has no {names}")
            for row in list(
                file.rows(
                    "SELECT id, parent_id, coalesce(title, ''), time_created, time_updated FROM session"
                    " WHERE time_updated >= ? ORDER BY time_created, id",
                    (since_ms,),
                )
            ):
                session = msgspec.convert(row, tuple[str, str | None, str, int, int])
                yield _imported(Session(*session), list(_messages(file, session[0])), now_ms)
    except (EngineError, msgspec.ValidationError) as error:
        raise ImportFailedError(f"{path}: not opencode's database: {error}") from error


def _messages(file: ForeignFile, session_id: str) -> Iterator[Message]:
    parts: dict[str, list[Part]] = {}
    for part_id, message_id, data in file.rows(
        "SELECT id, message_id, data FROM part WHERE session_id = ? ORDER BY id", (session_id,)
    ):
        parts.setdefault(str(message_id), []).append(Part(str(part_id), _object(data, f"part {part_id}")))
    for message_id, created, data in file.rows(
        "SELECT id, time_created, data FROM message WHERE session_id = ? ORDER BY time_created, id", (session_id,)
    ):
        decoded = _object(data, f"message {message_id}")
        yield Message(str(message_id), int(created), decoded, parts.get(str(message_id), []))


def _object(data: object, what: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data if isinstance(data, str | bytes) else "null", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ImportFailedError(f"{what}: its data is no JSON object: {error}") from error


def _imported(session: Session, messages: list[Message], now_ms: int) -> Imported:
    session_id, title = derived_id(SOURCE, session.id), session.title or session.id
    quiet = now_ms - session.updated_ms > QUIET_MS
    said = list(_session(session, session_id, title, messages, quiet=quiet))
    calls = list(_calls(session, session_id, title, messages, quiet=quiet))
    texts = "\n".join(encode(event) for event in [*said, *calls])
    return Imported(digest_of(texts.encode()), SOURCE, title, session_id, said, calls)


def _session(
    session: Session, session_id: str, title: str, messages: list[Message], *, quiet: bool
) -> Iterator[AnySessionEvent]:
    yield SessionStarted(
        session_id=session_id,
        title=title,
        source=SOURCE,
        slug=f"{SOURCE}-{session_id[:8]}",
        parent_id=None if session.parent_id is None else derived_id(SOURCE, session.parent_id),
        timestamp=_iso(session.created_ms),
    )
    for message in messages:
        parts = [
            MessagePart(derived_id(SOURCE, part.id), str(part.data.get("type", "unknown")), raw(part.data))
            for part in message.parts
            if quiet or _final(part.data)
        ]
        yield SessionMessage(
            session_id=session_id,
            message_id=derived_id(SOURCE, message.id),
            role=str(message.data.get("role", "")),
            agent=_text(message.data.get("agent") or message.data.get("mode") or message.data.get("modelID")),
            parts=parts,
            timestamp=_iso(message.created_ms),
        )
    if quiet:
        yield SessionEnded(session_id=session_id, status="completed", timestamp=_iso(session.updated_ms))


def _final(data: dict[str, Any]) -> bool:
    """Whether a part will not change any more."""
    match data.get("type"):
        case "tool":
            return _state(data).get("status") in ("completed", "error")
        case "text" | "reasoning":
            time = data.get("time")
            return not isinstance(time, dict) or "end" in time
        case _:
            return True


def _state(data: dict[str, Any]) -> dict[str, Any]:
    found = data.get("state")
    return found if isinstance(found, dict) else {}


def _calls(
    session: Session, session_id: str, title: str, messages: list[Message], *, quiet: bool
) -> Iterator[AnyCallEvent]:
    metadata = CallMetadata(session_id=session_id, imported_from=SOURCE)
    run = derived_id(session_id, "run")
    yield CallRequested(
        request_id=run,
        operation_id="agent.run",
        input=raw({"opencodeSession": session.id}),
        metadata=metadata,
        timestamp=_iso(session.created_ms),
    )
    for message in messages:
        for part in message.parts:
            if part.data.get("type") == "tool":
                yield from _tool(part, message, session_id, run, metadata)
    if quiet:
        ended = {"data": {"messages": len(messages)}, "meta": {"source": "local", "operationId": "agent.run"}}
        yield CallResponded(request_id=run, output=raw(ended), metadata=metadata, timestamp=_iso(session.updated_ms))


def _tool(part: Part, message: Message, session_id: str, run: str, metadata: CallMetadata) -> Iterator[AnyCallEvent]:
    state = _state(part.data)
    status = state.get("status")
    if status == "pending":
        return  # its input is still being written
    time = state.get("time")
    times: dict[str, Any] = time if isinstance(time, dict) else {}
    request_id = derived_id(session_id, "tool", part.id)
    operation_id = tool_operation(part.data.get("tool"))
    yield CallRequested(
        request_id=request_id,
        operation_id=operation_id,
        input=raw(state.get("input")),
        parent_request_id=run,
        metadata=metadata,
        timestamp=_iso(times.get("start", message.created_ms)),
    )
    ended = _iso(times.get("end"))
    if status == "completed":
        output = envelope(operation_id, {"output": state.get("output"), "title": state.get("title")})
        yield CallResponded(request_id=request_id, output=output, metadata=metadata, timestamp=ended)
    elif status == "error":
        text = str(state.get("error", ""))[:2_000]
        yield CallError(request_id=request_id, code="TOOL_ERROR", message=text, metadata=metadata, timestamp=ended)


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
