"""What is known of the link beyond its state: refused events, generations, and what to do about all of it, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.views.generations import GenerationRow, read_generations
from app.views.room import UNKNOWN, Room, read_room, room_note
from app.views.text import count, of, safe
from storage.engine import Snapshot
from sync.logs.verifying import Verified, verify
from sync.spoke.status import LinkStatus, read_status


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """An event of ours that lies in the hub's quarantine; key and payload are None when it is deleted here."""

    topic: str
    offset: int
    code: str
    detail: str
    noted_at_ms: int
    key: str | None
    payload: str | None


@dataclass(frozen=True, slots=True)
class SyncState:
    """Everything that this node knows of its link."""

    link: LinkStatus
    generations: tuple[GenerationRow, ...]
    refusals: tuple[RefusalRow, ...]
    room: Room = UNKNOWN


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that a person should know: what it is, what it means, and what to do (a command, or nothing)."""

    what: str
    means: str
    do: str = ""


def read_sync(snapshot: Snapshot, max_bytes: int | None = None) -> SyncState:
    """Read everything in one snapshot; `max_bytes` is how much the file may hold."""
    return SyncState(
        read_status(snapshot),
        tuple(read_generations(snapshot)),
        tuple(read_refusals(snapshot)),
        read_room(snapshot, max_bytes),
    )


def read_refusals(snapshot: Snapshot) -> list[RefusalRow]:
    """Events of ours that the hub could not read, by topic and offset."""
    rows = snapshot.rows(
        "SELECT r.topic, r.offset, r.code, r.detail, r.noted_at, s.key, s.payload FROM link_refusals r"
        " LEFT JOIN _honker_stream s ON s.offset = r.offset AND s.topic = r.topic ORDER BY r.topic, r.offset"
    )
    return [
        RefusalRow(topic, offset, code, detail, at_ms, key, None if payload is None else _text(payload))
        for topic, offset, code, detail, at_ms, key, payload in rows
    ]


def read_verified(snapshot: Snapshot) -> list[Verified]:
    """Recompute the hashes of every log from its events, and compare; reads all of them."""
    hub_id = read_status(snapshot).hub_id
    topics = [str(topic) for (topic,) in snapshot.rows("SELECT DISTINCT topic FROM link_generations")]
    return [verify(snapshot, topic, hub_id) for topic in topics]


def verified_line(one: Verified) -> str:
    """What came of comparing a log."""
    words = {
        "same": f"same as what the hub acknowledged, up to {count(one.hub_offset or 0)}",
        "differs": f"DIFFERS from what the hub acknowledged at {count(one.hub_offset or 0)}",
        "unknown": "the hub's word is not known, or too old to be compared",
    }[one.hub]
    line = f"{safe(one.topic):<16} {of(one.events, 'event')}, hashes compared: {count(one.notes)}; {words}"
    return line + (f"; first difference at {count(one.differs_at)}" if one.differs_at is not None else "")


def advice(state: SyncState, *, running: bool) -> list[Advice]:
    """What a person should know and do, the most pressing first; empty when all is well."""
    return list(_advice(state, running))


def _advice(state: SyncState, running: bool) -> Iterator[Advice]:
    link = state.link
    if note := room_note(state.room):
        yield Advice(*note)
    if link.state == "unpaired":
        waiting = f"; {of(link.unsent, 'event')} wait for one" if link.unsent else ""
        yield Advice("no hub", f"everything works without one{waiting}", "spoke join wss://HOST")
        return
    if link.error_code == "IDENTITY_CONFLICT":
        yield Advice(
            "a copy of this node is alive",
            "its database was copied to another machine, or restored beside it: the hub takes one of the two, the one"
            " that came first. Nothing that waits here is lost. Is this the copy? Then make it a node of its own, and"
            " let it join. Is the other one the copy? Stop it: after 10 minutes this one is let in again",
            "spoke reidentify",
        )
    elif link.error is not None:
        yield Advice(f"{link.error_code}", safe(link.error), link.hint or "")
    if link.paused_at_ms is not None:
        yield Advice("paused", "somebody wants the link to rest; events wait here", "spoke sync resume")
    elif not running:
        yield Advice("stopped", "no process runs the link; what is shown is its last word", "spoke run")
    yield from _lives(state.generations)
    if state.refusals:
        yield Advice(
            f"{of(len(state.refusals), 'event')} in quarantine",
            "the hub could not read them; it keeps them apart as they came, and what came after them was sent",
            "spoke sync rejected",
        )


_REASONS = {
    "diverged": "two copies of this log went different ways; the hub keeps both, this one went on by itself",
    "stale": "an old copy of this log had something to say; it goes on beside what the hub has",
    "gap": "events were deleted here before the hub had them, and nobody has them any more",
    "reidentified": "this was a copy of another node; its log begins behind what that one had sent",
}


def _lives(generations: Sequence[GenerationRow]) -> Iterator[Advice]:
    for reason, means in _REASONS.items():
        topics = sorted({row.topic for row in generations if row.reason == reason})
        if topics:
            where = f"{safe(topics[0])}{f' and {count(len(topics) - 1)} more' if len(topics) > 1 else ''}"
            yield Advice(f"{reason}: {where}", means, "spoke sync generations")


def _text(value: object) -> str:
    """Foreign programs can put bytes into a row."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
