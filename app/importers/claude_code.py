"""Claude Code transcripts (`~/.claude/projects/*/*.jsonl`): one JSON object a line.

Lines of a session become messages; each `tool_use` block is a call `tool.NAME` below the call `agent.run`, answered by
the `tool_result` that names it. Sub-agents (`isSidechain`) are sessions of their own whose parent is the session. Times
are those of the lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from app.importers.imported import Imported, ImportFailedError, derived_id, digest_of, envelope, raw, tool_operation
from storage.events.call_events import AnyCallEvent, CallError, CallMetadata, CallRequested, CallResponded
from storage.events.envelope import encode
from storage.events.session_events import AnySessionEvent, MessagePart, SessionEnded, SessionMessage, SessionStarted

SOURCE = "claude-code"
MAX_BYTES = 268_435_456
MAX_TITLE = 80


class _Said(msgspec.Struct):
    role: str = ""
    content: Any = None
    model: str | None = None


class Line(msgspec.Struct, rename="camel"):
    """What we read of a line; everything else in it is left."""

    type: str
    uuid: str | None = None
    parent_uuid: str | None = None
    session_id: str | None = None
    timestamp: str | None = None
    is_sidechain: bool = False
    is_meta: bool = False
    agent_id: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    summary: str | None = None
    message: _Said | None = None


_decoder = msgspec.json.Decoder(Line)


@dataclass(slots=True)
class _Thread:
    """The lines of one session: the main one, or a sub-agent's."""

    session_id: str
    parent_id: str | None
    name: str
    lines: list[Line] = field(default_factory=list)


def read(data: bytes, name: str, *, quiet: bool) -> list[Imported]:
    """Return the sessions of a file: the main one first, its sub-agents behind it. Pure.

    Args:
        data: the file. A last line without its end is being written: it is left for the next time.
        name: what to call a session that has said nothing yet.
        quiet: nobody has written to the file for a while: sessions are over.

    Raises:
        ImportFailedError: too large, not such a file, or a line in it is no JSON; says which.
    """
    if len(data) > MAX_BYTES:
        raise ImportFailedError(f"{name}: larger than {MAX_BYTES} bytes")
    lines = list(_lines(data, name))
    spoken = [line for line in lines if line.message is not None and line.uuid and line.session_id]
    if not spoken:
        if any(line.type in ("summary", "file-history-snapshot", "system", "progress") for line in lines):
            return []  # a session in which nothing was said
        raise ImportFailedError(f"{name}: not a Claude Code transcript: no line with a session and a message")
    title = next((line.summary for line in lines if line.type == "summary" and line.summary), None)
    return [_imported(thread, title, quiet=quiet) for thread in _threads(spoken, name)]


def _lines(data: bytes, name: str) -> Iterator[Line]:
    complete, _, rest = data.rpartition(b"\n")
    for number, text in enumerate(complete.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            yield _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ImportFailedError(f"{name} line {number}: not a line of a Claude Code transcript: {error}") from error
    try:
        if rest.strip():
            yield _decoder.decode(rest)  # a whole line whose end is still to come
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return


def _threads(lines: list[Line], name: str) -> list[_Thread]:
    threads: dict[tuple[str, str | None], _Thread] = {}
    roots: dict[str, str] = {}
    for line in lines:
        assert line.uuid is not None, "spoken lines have one"
        main = derived_id(SOURCE, str(line.session_id))
        agent: str | None = None
        if line.is_sidechain:
            # Older files name no agent: a sub-agent is then the tree below a line without a parent in it.
            root = roots.get(line.parent_uuid or "", line.uuid)
            roots[line.uuid] = root
            agent = line.agent_id or root
        thread = threads.get((main, agent))
        if thread is None:
            own = main if agent is None else derived_id(SOURCE, str(line.session_id), agent)
            thread = _Thread(own, None if agent is None else main, name)
            threads[main, agent] = thread
        thread.lines.append(line)
    return sorted(threads.values(), key=lambda thread: thread.parent_id is not None)


def _imported(thread: _Thread, title: str | None, *, quiet: bool) -> Imported:
    title = (title if thread.parent_id is None else None) or _title(thread)
    session = list(_session(thread, title, quiet=quiet))
    calls = list(_calls(thread, title, quiet=quiet))
    texts = "\n".join(encode(event) for event in [*session, *calls])
    return Imported(digest_of(texts.encode()), SOURCE, title, thread.session_id, session, calls)


def _title(thread: _Thread) -> str:
    for line in thread.lines:
        if line.type == "user" and not line.is_meta:
            for kind, data in _parts(line):
                words = " ".join(str(data.get("text", "")).split())
                if kind == "text" and words and not words.startswith("<"):
                    return words if len(words) <= MAX_TITLE else f"{words[: MAX_TITLE - 1]}…"
    return thread.name


def _session(thread: _Thread, title: str, *, quiet: bool) -> Iterator[AnySessionEvent]:
    yield SessionStarted(
        session_id=thread.session_id,
        title=title,
        source=SOURCE,
        slug=f"{SOURCE}-{thread.session_id[:8]}",
        parent_id=thread.parent_id,
        timestamp=_time(thread.lines[0].timestamp),
    )
    for line in thread.lines:
        message_id = derived_id(thread.session_id, str(line.uuid))
        assert line.message is not None, "spoken lines have one"
        yield SessionMessage(
            session_id=thread.session_id,
            message_id=message_id,
            role=line.message.role or line.type,
            agent=line.message.model,
            parts=[
                MessagePart(derived_id(message_id, str(number)), kind, raw(data))
                for number, (kind, data) in enumerate(_parts(line))
            ],
            timestamp=_time(line.timestamp),
        )
    if quiet:
        last = _time(thread.lines[-1].timestamp)
        yield SessionEnded(session_id=thread.session_id, status="completed", timestamp=last)


def _parts(line: Line) -> Iterator[tuple[str, dict[str, Any]]]:
    content = line.message.content if line.message is not None else None
    if isinstance(content, str):
        yield "text", {"text": content}
        return
    for block in _blocks(line):
        match block.get("type"):
            case "text":
                yield "text", {"text": block.get("text")}
            case "thinking":
                yield "reasoning", {"text": block.get("thinking")}
            case "tool_use":
                yield "tool", {"callId": block.get("id"), "tool": block.get("name"), "input": block.get("input")}
            case "tool_result":
                yield "tool-result", {"callId": block.get("tool_use_id"), "output": block.get("content")}
            case other:
                yield str(other), block


def _blocks(line: Line) -> list[dict[str, Any]]:
    content = line.message.content if line.message is not None else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _calls(thread: _Thread, title: str, *, quiet: bool) -> Iterator[AnyCallEvent]:
    metadata = CallMetadata(session_id=thread.session_id, imported_from=SOURCE)
    run, first = derived_id(thread.session_id, "run"), thread.lines[0]
    yield CallRequested(
        request_id=run,
        operation_id="agent.run",
        input=raw({"title": title, "cwd": first.cwd, "gitBranch": first.git_branch, "version": first.version}),
        metadata=metadata,
        timestamp=_time(first.timestamp),
    )
    asked: dict[str, str] = {}
    for line in thread.lines:
        for block in _blocks(line):
            if block.get("type") == "tool_use" and isinstance(block.get("id"), str):
                operation_id = asked[block["id"]] = tool_operation(block.get("name"))
                yield CallRequested(
                    request_id=derived_id(thread.session_id, "tool", block["id"]),
                    operation_id=operation_id,
                    input=raw(block.get("input")),
                    parent_request_id=run,
                    metadata=metadata,
                    timestamp=_time(line.timestamp),
                )
            elif block.get("type") == "tool_result" and block.get("tool_use_id") in asked:
                call_id = block["tool_use_id"]
                yield _answer(derived_id(thread.session_id, "tool", call_id), asked.pop(call_id), block, line, metadata)
    if quiet:
        output, last = envelope("agent.run", {"messages": len(thread.lines)}), _time(thread.lines[-1].timestamp)
        yield CallResponded(request_id=run, output=output, metadata=metadata, timestamp=last)


def _answer(
    request_id: str, operation_id: str, block: dict[str, Any], line: Line, metadata: CallMetadata
) -> AnyCallEvent:
    at = _time(line.timestamp)
    if block.get("is_error"):
        content = block.get("content")
        message = content if isinstance(content, str) else msgspec.json.encode(content).decode()
        return CallError(
            request_id=request_id, code="TOOL_ERROR", message=message[:2_000], metadata=metadata, timestamp=at
        )
    output = envelope(operation_id, {"output": block.get("content")})
    return CallResponded(request_id=request_id, output=output, metadata=metadata, timestamp=at)


def _time(text: str | None) -> str | None:
    """A timestamp of a line, if it is one."""
    if text is None:
        return None
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return None
    return text
