"""What was said in a session, as a conversation: messages, their parts, and the calls that the parts speak of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, TypeAlias

from app.importers.imported import tool_operation
from app.views.calls import Call, milliseconds
from app.views.text import clip, clock, duration, safe, wrap
from app.views.times import When
from app.views.waterfall import ASCII_GLYPHS, GLYPHS
from storage.engine import Snapshot

PartKind: TypeAlias = Literal["text", "reasoning", "tool", "result", "other"]

SQL_PARTS = """-- messages by idx_messages_session, parts by idx_parts_message, the time from the log while it is there
SELECT m.id, m.role, m.agent, e.payload ->> '$.timestamp', p.id, p.type, p.data
FROM messages m LEFT JOIN parts p ON p.message_id = m.id LEFT JOIN _honker_stream e ON e.offset = m.position
WHERE m.session_id = ? ORDER BY m.position, m.id, p.position"""

RESULT_LINES = 6
"""Lines of a tool's output that are shown; the rest is counted."""
MOST_CHARACTERS = 20_000
"""Of one part: a terminal is no place to read more; `spoke session export` has all of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message. `text` is what it says: the input of a tool, the output of a result."""

    id: str
    kind: PartKind
    type: str
    """The type as it was recorded."""
    text: str
    tool: str | None = None
    call_id: str | None = None
    """The call that it asked for, where that is known."""


@dataclass(frozen=True, slots=True)
class Message:
    """Somebody said something; `at_ms` is None where nobody knows when."""

    id: str
    role: str
    agent: str | None
    at_ms: float | None
    parts: tuple[Part, ...]


def read_messages(snapshot: Snapshot, session_id: str, calls: Iterable[Call] = ()) -> list[Message]:
    """The conversation of a session, in the order of the log.

    Args:
        snapshot: what is read.
        session_id: the whole id.
        calls: the session's calls in the order of the log. Logs do not say which call a part asked for: the first part
            of a tool is its first call, where there are as many calls of the tool as parts.
    """
    rows = snapshot.rows(SQL_PARTS, (session_id,))
    messages = [
        Message(
            message_id, role, agent, milliseconds(at), tuple(_part(*row[4:]) for row in group if row[4] is not None)
        )
        for (message_id, role, agent, at), group in groupby(rows, lambda row: row[:4])
    ]
    return _joined(messages, calls)


def _joined(messages: list[Message], calls: Iterable[Call]) -> list[Message]:
    made: dict[str, list[str]] = {}
    for call in calls:
        made.setdefault(call.operation_id, []).append(call.request_id)
    asked: dict[str, list[str]] = {}
    for message in messages:
        for part in message.parts:
            if part.tool is not None:
                asked.setdefault(tool_operation(part.tool), []).append(part.id)
    call_of = {
        part_id: request_id
        for operation, parts in asked.items()
        if len(parts) == len(made.get(operation, ()))
        for part_id, request_id in zip(parts, made[operation], strict=True)
    }
    return [
        Message(m.id, m.role, m.agent, m.at_ms, tuple(_with_call(part, call_of.get(part.id)) for part in m.parts))
        for m in messages
    ]


def _with_call(part: Part, call_id: str | None) -> Part:
    return part if call_id is None else Part(part.id, part.kind, part.type, part.text, part.tool, call_id)


def _part(part_id: str, kind: str, text: str) -> Part:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):  # a foreign program's row: shown as the text it is
        return Part(part_id, "other", kind, text)
    if not isinstance(data, dict):
        return Part(part_id, "other", kind, _text(data))
    match kind:
        case "text" | "content":
            return Part(part_id, "text", kind, _text(data.get("text", data.get("content"))))
        case "reasoning":
            return Part(part_id, "reasoning", kind, _text(data.get("text")))
        case "tool":
            return _tool(part_id, data)
        case "tool-result":
            return Part(part_id, "result", kind, _text(data.get("output", data)))
        case _:
            return Part(part_id, "other", kind, _text({key: data[key] for key in data if key != "type"}))


def _tool(part_id: str, data: dict[str, Any]) -> Part:
    """A tool that was asked for: opencode keeps input and outcome in `state`, SWE-agent several in `toolCalls`."""
    state = data.get("state")
    if isinstance(state, dict):
        outcome = state.get("error") or state.get("output")
        said = _text(state.get("input")) + ("" if outcome is None else f"\n{_text(outcome)}")
        return Part(part_id, "tool", "tool", said, str(data.get("tool")))
    if isinstance(data.get("toolCalls"), list):
        return Part(part_id, "tool", "tool", "\n".join(_function(call) for call in data["toolCalls"]))
    return Part(part_id, "tool", "tool", _text(data.get("input")), str(data.get("tool")))


def _function(call: Any) -> str:
    match call:
        case {"function": {"name": str(name), "arguments": arguments}}:
            return f"{name} {_text(arguments)}"
        case _:
            return _text(call)


def _text(value: Any) -> str:
    """A value for people: text as it is, the texts of a list of blocks, anything else as JSON on one line."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(b, dict) and isinstance(b.get("text"), str) for b in value):
        return "\n".join(block["text"] for block in value)
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a conversation, safe for a terminal."""

    text: str
    kind: PartKind | Literal["head", "gap"]
    message_id: str
    call_id: str | None = None
    failed: bool = False


def conversation(
    messages: Sequence[Message],
    calls: Mapping[str, Call],
    width: int,
    *,
    ascii_only: bool = False,
    when: When | None = None,
) -> list[Line]:
    """The conversation in lines of at most `width` cells. `calls` are the session's, by request id. `when` writes
    moments; without it they are times of day, UTC.
    """
    lines: list[Line] = []
    for message in messages:
        if lines:
            lines.append(Line("", "gap", message.id))
        lines.append(Line(_head(message, width, ascii_only=ascii_only, when=when), "head", message.id))
        for part in message.parts:
            call = calls.get(part.call_id or "")
            failed = call is not None and call.status == "failed"
            lines += (
                Line(text, part.kind, message.id, part.call_id, failed)
                for text in _part_lines(part, call, width, ascii_only=ascii_only)
            )
    return lines


def _head(message: Message, width: int, *, ascii_only: bool, when: When | None) -> str:
    rule, dot, ellipsis = ("-", "-", "~") if ascii_only else ("─", "·", "…")
    facts = [message.role or "?", *([message.agent] if message.agent else [])]
    at_ms = message.at_ms
    at = [] if at_ms is None else [clock(round(at_ms))[:8] if when is None else when(at_ms)]
    text = f" {dot} ".join([*(safe(fact, ascii_only=ascii_only) for fact in facts), *at])
    return clip(f"{rule}{rule} {text} ", width, ellipsis=ellipsis)


def _part_lines(part: Part, call: Call | None, width: int, *, ascii_only: bool) -> Iterator[str]:
    ellipsis = "~" if ascii_only else "…"
    text, cut = part.text[:MOST_CHARACTERS], len(part.text) - MOST_CHARACTERS
    if part.kind == "tool":
        yield clip(_tool_head(part, call, ascii_only=ascii_only), width, ellipsis=ellipsis)
    elif part.kind == "other":
        yield clip(f"[{safe(part.type, ascii_only=ascii_only)}]", width, ellipsis=ellipsis)
    margin = {"text": "  ", "reasoning": "  : " if ascii_only else "  ┊ "}.get(part.kind, "    ")
    shown = [line for raw in text.splitlines() for line in wrap(safe(raw, ascii_only=ascii_only), width - len(margin))]
    most = len(shown) if part.kind in ("text", "reasoning") else RESULT_LINES
    for line in shown[:most]:
        yield (margin + line).rstrip()
    if len(shown) > most or cut > 0:
        left = f"{len(shown) - most} lines" if cut <= 0 else f"{len(part.text):,} characters in all".replace(",", " ")
        yield clip(f"{margin}{ellipsis} {left}", width, ellipsis=ellipsis)


def _tool_head(part: Part, call: Call | None, *, ascii_only: bool) -> str:
    name = safe(part.tool or "tools", ascii_only=ascii_only)
    if call is None:
        return f"{'>' if ascii_only else '▸'} {name}"
    took = duration(call.duration_ms)
    glyph = (ASCII_GLYPHS if ascii_only else GLYPHS)[call.status]
    return f"{glyph} {name}  {took.replace('–', '-') if ascii_only else took}"
