"""SWE-agent trajectories (`*.traj`): one file is one session.

Each step of `trajectory` becomes a call `tool.<command>` below the call `agent.run`; `history` becomes messages. The
files know how long some steps took (`execution_time`) but not when: no time is invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from app.importers.imported import MAX_BYTES, Imported, ImportFailedError, derived_id, digest_of, envelope, raw
from storage.events.call_events import (
    AnyCallEvent,
    CallError,
    CallMetadata,
    CallRequested,
    CallResponded,
)
from storage.events.session_events import AnySessionEvent, MessagePart, SessionEnded, SessionMessage, SessionStarted

SOURCE = "swe-agent"


class Step(msgspec.Struct):
    """One thing the agent did."""

    action: str
    observation: str | None
    thought: str | None = None
    execution_time: float | None = None
    state: Any = None


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: str
    content: Any = None
    agent: str | None = None
    thought: str | None = None
    tool_calls: Any = None
    tool_call_ids: Any = None


class Info(msgspec.Struct):
    """How it ended."""

    exit_status: str | None = None
    submission: str | None = None
    model_stats: Any = None


class Trajectory(msgspec.Struct):
    """A whole file."""

    trajectory: list[Step]
    history: list[Message]
    info: Info
    environment: str = ""


_decoder = msgspec.json.Decoder(Trajectory)


def has_ended(data: bytes) -> bool:
    """Whether a trajectory says how it ended: SWE-agent writes the file anew after each step."""
    try:
        return _decoder.decode(data).info.exit_status is not None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def read(data: bytes, name: str) -> Imported:
    """Make a session of a trajectory file's bytes. Pure: the same bytes give the same events.

    Args:
        data: the file.
        name: what to call the session, such as the file's name without its suffix.

    Raises:
        ImportFailedError: too large, cut off, not JSON, or not a trajectory; says which field.
    """
    if len(data) > MAX_BYTES:
        raise ImportFailedError(f"larger than {MAX_BYTES} bytes")
    try:
        trajectory = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ImportFailedError(f"not a SWE-agent trajectory: {error}") from error
    digest = digest_of(data)
    session_id = derived_id(SOURCE, digest)
    return Imported(
        digest,
        SOURCE,
        name,
        session_id,
        list(_session(trajectory, session_id, name)),
        list(_calls(trajectory, session_id, name)),
    )


def _session(trajectory: Trajectory, session_id: str, name: str) -> Iterator[AnySessionEvent]:
    yield SessionStarted(session_id=session_id, title=name, source=SOURCE, slug=f"{SOURCE}-{session_id[:8]}")
    for number, message in enumerate(trajectory.history):
        message_id = derived_id(session_id, "message", str(number))
        parts = [
            MessagePart(derived_id(message_id, str(index)), kind, msgspec.Raw(msgspec.json.encode(data)))
            for index, (kind, data) in enumerate(_parts(message))
        ]
        yield SessionMessage(
            session_id=session_id, message_id=message_id, role=message.role, agent=message.agent, parts=parts
        )
    yield SessionEnded(session_id=session_id, status="completed" if _succeeded(trajectory.info) else "failed")


def _parts(message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
    if message.thought and message.thought != message.content:
        yield "reasoning", {"text": message.thought}
    if isinstance(message.content, str):
        yield "text", {"text": message.content}
    elif message.content is not None:
        yield "content", {"content": message.content}
    if message.tool_calls:
        yield "tool", {"toolCalls": message.tool_calls}
    if message.tool_call_ids:
        yield "tool-result", {"toolCallIds": message.tool_call_ids}


def _succeeded(info: Info) -> bool:
    return (info.exit_status or "").startswith("submitted")


def _calls(trajectory: Trajectory, session_id: str, name: str) -> Iterator[AnyCallEvent]:
    metadata = CallMetadata(session_id=session_id, imported_from=SOURCE)
    run = derived_id(session_id, "run")
    yield CallRequested(
        request_id=run,
        operation_id="agent.run",
        input=raw({"name": name, "environment": trajectory.environment}),
        metadata=metadata,
    )
    for number, step in enumerate(trajectory.trajectory):
        request_id = derived_id(session_id, "step", str(number))
        operation_id = f"tool.{tool_of(step.action)}"
        yield CallRequested(
            request_id=request_id,
            operation_id=operation_id,
            input=raw({"action": step.action, "thought": step.thought}),
            parent_request_id=run,
            metadata=metadata,
        )
        yield CallResponded(
            request_id=request_id,
            output=envelope(operation_id, {"observation": step.observation, "state": step.state}),
            metadata=CallMetadata(
                session_id=session_id,
                imported_from=SOURCE,
                duration_ms=None if step.execution_time is None else round(step.execution_time * 1000, 3),
            ),
        )
    info = trajectory.info
    ended = {"exitStatus": info.exit_status, "submission": info.submission, "modelStats": info.model_stats}
    if _succeeded(info):
        yield CallResponded(request_id=run, output=envelope("agent.run", ended), metadata=metadata)
    else:
        status = info.exit_status or "no exit status"
        yield CallError(request_id=run, code="EXIT_STATUS", message=status, details=raw(ended), metadata=metadata)


def tool_of(action: str) -> str:
    """The tool an action calls: its first word, as far as it is a name.

    >>> tool_of('open "/tmp/x.py" 12'), tool_of("/usr/bin/python -V"), tool_of("")
    ('open', 'python', 'none')
    """
    word = (action.split() or [""])[0].rsplit("/", 1)[-1]
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in word)[:40] or "none"
