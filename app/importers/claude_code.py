"""Claude Code transcripts (`~/.claude/projects/*/*.jsonl`): one JSON object a line.

Lines of the types `user` and `assistant` become messages; each `tool_use` block is a call `tool.NAME` below the call
`agent.run`, answered by the `tool_result` that names it. Sub-agents (`isSidechain`: lines among the others, or files in
`SESSION/subagents/`) are sessions of their own whose parent is the session. Times are those of the lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.importers.imported import (
    MAX_BYTES,
    MAX_ERROR,
    QUIET_MS,
    Imported,
    ImportFailedError,
    derived_id,
    digest_of,
    envelope,
    raw,
    time_of,
    title_of,
    tool_operation,
)
from storage.events.call_events import AnyCallEvent, CallError, CallMetadata, CallRequested, CallResponded
from storage.events.envelope import encode
from storage.events.session_events import AnySessionEvent, MessagePart, SessionEnded, SessionMessage, SessionStarted
from storage.projections.sessions import milliseconds

SOURCE = "claude-code"


class _Said(msgspec.Struct):
    role: str = ""
    content: Any = None
    model: str | None = None


class Spoken(msgspec.Struct, rename="camel", tag_field="type"):
    """A line in which something is said; what else is in it is left."""

    uuid: str
    session_id: str
    message: _Said
    parent_uuid: str | None = None
    timestamp: str | None = None
    is_sidechain: bool = False
    is_meta: bool = False
    agent_id: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None


class User(Spoken, tag="user"):
    """A person, or the result of a tool."""


class Assistant(Spoken, tag="assistant"):
    """The model."""


class Titled(msgspec.Struct, rename="camel"):
    """Any other line: those of the types `custom-title`, `ai-title` and `summary` name a session."""

    type: str
    custom_title: Any = None
    ai_title: Any = None
    summary: Any = None
    leaf_uuid: Any = None


_Line = User | Assistant | Titled

_spoken: msgspec.json.Decoder[User | Assistant] = msgspec.json.Decoder(User | Assistant)
_titled = msgspec.json.Decoder(Titled)


class _Type(msgspec.Struct):
    type: str


_type = msgspec.json.Decoder(_Type)
OTHERS = {"summary", "file-history-snapshot", "system", "progress", "queue-operation", "custom-title", "ai-title"}
"""The types by which a transcript in which nothing was said yet is known."""


@dataclass(slots=True)
class _Thread:
    """The lines of one session: the main one, or a sub-agent's."""

    session_id: str
    parent_id: str | None
    lines: list[Spoken] = field(default_factory=list)


def read(data: bytes, name: str, now_ms: int) -> list[Imported]:
    """Return the sessions of a file: the main one first, its sub-agents behind it. Pure.

    Args:
        data: the file. A last line without its end is being written: it is left for the next time.
        name: what to call a session that has said nothing yet.
        now_ms: unix milliseconds: a session whose last line is an hour old is over.

    Raises:
        ImportFailedError: too large, not such a file, or a line in it is none of a transcript; says which.
    """
    if len(data) > MAX_BYTES:
        raise ImportFailedError(f"larger than {MAX_BYTES} bytes")
    lines = list(_lines(data))
    spoken: list[Spoken] = [line for line in lines if isinstance(line, Spoken)]
    others = [line for line in lines if isinstance(line, Titled)]
    if not spoken and not any(line.type in OTHERS for line in others):
        raise ImportFailedError("not a Claude Code transcript: nothing is said in it")
    title = _given_title(others, {line.uuid for line in spoken})
    try:
        return [_imported(thread, title, name, now_ms) for thread in _threads(spoken)]
    except (RecursionError, UnicodeEncodeError) as error:
        raise ImportFailedError(f"what is said in it cannot be written: {error}") from error


def _lines(data: bytes) -> Iterator[_Line]:
    complete, _, rest = data.rpartition(b"\n")
    for number, text in enumerate(complete.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            yield _line(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ImportFailedError(f"line {number}: not a line of a Claude Code transcript: {error}") from error
    try:
        yield _line(rest)  # a whole line whose end is still to come
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return


def _line(text: bytes) -> _Line:
    return (_spoken if _type.decode(text).type in ("user", "assistant") else _titled).decode(text)


def _given_title(others: list[Titled], uuids: set[str]) -> str | None:
    """What the user called the session, or else the program. A summary may be of a session in another file."""
    custom = [line.custom_title for line in others if line.type == "custom-title"]
    given = [line.ai_title for line in others if line.type == "ai-title"]
    summaries = [line.summary for line in others if line.type == "summary" and str(line.leaf_uuid) in uuids]
    return next(
        (text for titles in (custom, given, summaries) for title in reversed(titles) if (text := title_of(title))), None
    )


def _threads(lines: list[Spoken]) -> list[_Thread]:
    threads: dict[tuple[str, str | None], _Thread] = {}
    roots: dict[str, str] = {}
    for line in lines:
        main = derived_id(SOURCE, line.session_id)
        agent: str | None = None
        if line.is_sidechain:
            # Older files name no agent: a sub-agent is then the tree below a line without a parent in it.
            root = roots.get(line.parent_uuid or "", line.uuid)
            roots[line.uuid] = root
            agent = line.agent_id or root
        thread = threads.get((main, agent))
        if thread is None:
            own = main if agent is None else derived_id(SOURCE, line.session_id, agent)
            thread = threads[main, agent] = _Thread(own, None if agent is None else main)
        thread.lines.append(line)
    return sorted(threads.values(), key=lambda thread: thread.parent_id is not None)


def _imported(thread: _Thread, given: str | None, name: str, now_ms: int) -> Imported:
    title = (given if thread.parent_id is None else None) or _first_words(thread) or name
    times = [at for line in thread.lines if (at := time_of(line.timestamp)) is not None]
    last = times[-1] if times else None
    over = now_ms - (milliseconds(last) or 0) > QUIET_MS
    session = list(_session(thread, title))
    calls = list(_calls(thread, title))
    if over:
        metadata = CallMetadata(session_id=thread.session_id, imported_from=SOURCE)
        output = envelope("agent.run", {"messages": len(thread.lines)})
        session.append(SessionEnded(session_id=thread.session_id, status="completed", timestamp=last))
        calls.append(CallResponded(request_id=_run(thread), output=output, metadata=metadata, timestamp=last))
    texts = "\n".join(encode(event) for event in [*session, *calls])
    return Imported(digest_of(texts.encode()), SOURCE, title, thread.session_id, session, calls)


def _first_words(thread: _Thread) -> str | None:
    for line in thread.lines:
        if isinstance(line, User) and not line.is_meta:
            for kind, data in _parts(line):
                words = title_of(data.get("text"))
                if kind == "text" and words and not words.startswith("<"):  # what the program says for the user
                    return words
    return None


def _session(thread: _Thread, title: str) -> Iterator[AnySessionEvent]:
    yield SessionStarted(
        session_id=thread.session_id,
        title=title,
        source=SOURCE,
        slug=f"{SOURCE}-{thread.session_id[:8]}",
        parent_id=thread.parent_id,
        timestamp=time_of(thread.lines[0].timestamp),
    )
    for line in thread.lines:
        message_id = derived_id(thread.session_id, line.uuid)
        yield SessionMessage(
            session_id=thread.session_id,
            message_id=message_id,
            role=line.message.role or ("user" if isinstance(line, User) else "assistant"),
            agent=line.message.model,
            parts=[
                MessagePart(derived_id(message_id, str(number)), kind, raw(data))
                for number, (kind, data) in enumerate(_parts(line))
            ],
            timestamp=time_of(line.timestamp),
        )


def _parts(line: Spoken) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(line.message.content, str):
        yield "text", {"text": line.message.content}
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


def _blocks(line: Spoken) -> list[dict[str, Any]]:
    content = line.message.content
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _run(thread: _Thread) -> str:
    return derived_id(thread.session_id, "run")


def _calls(thread: _Thread, title: str) -> Iterator[AnyCallEvent]:
    metadata = CallMetadata(session_id=thread.session_id, imported_from=SOURCE)
    first = thread.lines[0]
    yield CallRequested(
        request_id=_run(thread),
        operation_id="agent.run",
        input=raw({"title": title, "cwd": first.cwd, "gitBranch": first.git_branch, "version": first.version}),
        metadata=metadata,
        timestamp=time_of(first.timestamp),
    )
    asked: dict[str, str] = {}
    for line in thread.lines:
        for block in _blocks(line):
            match block:
                case {"type": "tool_use", "id": str(call_id)}:
                    operation_id = asked[call_id] = tool_operation(block.get("name"))
                    yield CallRequested(
                        request_id=derived_id(thread.session_id, "tool", call_id),
                        operation_id=operation_id,
                        input=raw(block.get("input")),
                        parent_request_id=_run(thread),
                        metadata=metadata,
                        timestamp=time_of(line.timestamp),
                    )
                case {"type": "tool_result", "tool_use_id": str(call_id)} if call_id in asked:
                    request_id = derived_id(thread.session_id, "tool", call_id)
                    yield _answer(request_id, asked[call_id], block, line, metadata)


def _answer(
    request_id: str, operation_id: str, block: dict[str, Any], line: Spoken, metadata: CallMetadata
) -> AnyCallEvent:
    at, content = time_of(line.timestamp), block.get("content")
    if block.get("is_error"):
        text = (content if isinstance(content, str) else msgspec.json.encode(content).decode())[:MAX_ERROR]
        return CallError(request_id=request_id, code="TOOL_ERROR", message=text, metadata=metadata, timestamp=at)
    output = envelope(operation_id, {"output": content})
    return CallResponded(request_id=request_id, output=output, metadata=metadata, timestamp=at)
