"""Everything about one call, as lines of a pane: envelope, error, input, output, the calls it hangs together with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.views.calls import Call
from app.views.text import count, duration, safe, wrap
from app.views.waterfall import ASCII_GLYPHS, GLYPHS, CallTree
from storage.engine import Snapshot

MOST_CHARACTERS = 8_000
"""Of an input or an output; the whole text is a key away."""
MOST_LINKS = 50
LABEL = 9

SQL_DETAIL = """-- substr and length: a payload of megabytes never leaves SQLite as a whole
SELECT attributes -> '$.identity', attributes -> '$.error',
  substr(attributes -> '$.input', 1, :most), length(attributes -> '$.input'),
  substr(attributes -> '$.output', 1, :most), length(attributes -> '$.output')
FROM nodes WHERE graph_id = :graph AND key = :key"""

SQL_LINKS = """SELECT attributes ->> '$.edgeType', iif(source_node_key = :key, target_node_key, source_node_key),
  source_node_key = :key FROM edges
WHERE graph_id = :graph AND (source_node_key = :key OR target_node_key = :key)
  AND attributes ->> '$.edgeType' IS NOT 'triggered' ORDER BY id LIMIT :most"""


@dataclass(frozen=True, slots=True)
class Payload:
    """A JSON text, or its beginning."""

    text: str
    length: int


@dataclass(frozen=True, slots=True)
class CallDetail:
    """What the rows of a waterfall leave out. `links` are edges beside the tree: kind, the other call, outgoing."""

    call: Call
    identity: str | None
    error: str | None
    input: Payload | None
    output: Payload | None
    links: Sequence[tuple[str, str, bool]]


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the pane. `jump` is the request id of the call that it names."""

    text: str
    jump: str | None = None
    heading: bool = False


def read_detail(snapshot: Snapshot, graph_id: str, call: Call) -> CallDetail | None:
    """Read it; None when the call is gone. Costs the same for payloads of any size, but for SQLite's reading of them."""
    given = {"graph": graph_id, "key": call.request_id}
    rows = snapshot.rows(SQL_DETAIL, {**given, "most": MOST_CHARACTERS})
    if not rows:
        return None
    identity, error, asked, asked_length, answered, answered_length = rows[0]
    links = snapshot.rows(SQL_LINKS, {**given, "most": MOST_LINKS})
    return CallDetail(
        call,
        identity,
        error,
        None if asked is None else Payload(asked, asked_length),
        None if answered is None else Payload(answered, answered_length),
        [(str(kind or "link"), str(other), bool(out)) for kind, other, out in links],
    )


def facts(
    detail: CallDetail, tree: CallTree, width: int, when: Callable[[float | None], str], *, ascii_only: bool = False
) -> list[Fact]:
    """The lines, each at most `width` cells and safe for a terminal. `when` writes a moment."""
    return list(_facts(detail, tree, max(20, width), when, ascii_only=ascii_only))


def _facts(
    detail: CallDetail, tree: CallTree, width: int, when: Callable[[float | None], str], *, ascii_only: bool
) -> Iterator[Fact]:
    call = detail.call
    position = tree.positions.get(call.request_id)

    def field(label: str, value: str, jump: str | None = None) -> Iterator[Fact]:
        for number, line in enumerate(wrap(safe(value, ascii_only=ascii_only), width - LABEL)):
            yield Fact(f"{'' if number else label:{LABEL}}{line}".rstrip(), jump)

    yield from field("call", call.operation_id)
    yield from field("state", f"{(ASCII_GLYPHS if ascii_only else GLYPHS)[call.status]} {call.status}")
    yield from field("id", call.request_id)
    yield from field("began", when(call.started_ms).replace("–", "not known"))
    yield from field("took", duration(call.duration_ms).replace("–", "not known"))
    if position is not None and position in tree.attempts:
        yield from field("attempt", str(tree.attempts[position]))
    if detail.identity is not None:
        yield from field("identity", detail.identity)
    if position is not None:
        for above in tree.path(position)[:1]:
            caller = tree.calls[above]
            yield from field("caller", caller.operation_id, caller.request_id)
    if detail.error is not None:
        yield from _payload("error", Payload(detail.error, len(detail.error)), width, ascii_only=ascii_only)
    for name, payload in (("input", detail.input), ("output", detail.output)):
        if payload is not None:
            yield from _payload(name, payload, width, ascii_only=ascii_only)
    if detail.links:
        yield Fact("links", heading=True)
        for kind, other, out in detail.links:
            arrow = ("->" if out else "<-") if ascii_only else ("→" if out else "←")
            known = tree.positions.get(other)
            name = other if known is None else tree.calls[known].operation_id
            for line in wrap(safe(f"{arrow} {kind} {name}", ascii_only=ascii_only), width - 2):
                yield Fact(f"  {line}", other if known is not None else None)


def _payload(name: str, payload: Payload, width: int, *, ascii_only: bool) -> Iterator[Fact]:
    cut = payload.length > len(payload.text)
    size = f"  {count(payload.length)} characters" if payload.length > 200 else ""
    yield Fact(f"{name}{size}", heading=True)
    for raw in (payload.text if cut else _pretty(payload.text)).split("\n"):
        indent = " " * min(len(raw) - len(raw.lstrip(" ")), width // 2)
        for line in wrap(safe(raw.strip(" "), ascii_only=ascii_only), width - 2 - len(indent)):
            yield Fact(f"  {indent}{line}".rstrip())
    if cut:
        yield Fact(f"  {'~' if ascii_only else '…'} enter on the call: all of it")


def _pretty(text: str) -> str:
    """JSON with a line for each value, texts in it with the line breaks that they have."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2).replace("\\n", "\n")
    except (ValueError, RecursionError):
        return text
