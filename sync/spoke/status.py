"""The state of the link, written by the process that runs it and read by everybody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from storage.engine import Snapshot, Transaction
from storage.engine.connection import Row
from storage.tenants import find_fact
from sync.durable.topics import HUB, NODE, calls_to, results_to
from sync.logs.generations import generations

State: TypeAlias = Literal[
    "unpaired", "offline", "connecting", "authenticating", "catching-up", "live", "draining", "refused", "paused"
]
STATES: tuple[State, ...] = get_args(State)
LOGS = ("call-protocol", "session-events")
"""The logs that every node sends; a configuration may name more."""
TOPICS = (*LOGS, NODE, calls_to(HUB), results_to(HUB))
"""Everything that a node sends, where it lies in its file."""
UPLINK = "uplink@spoke"
"""The consumer whose saved offset is how far the hub has a log for good; retention keeps what lies behind it."""
PAUSED = "link_paused"
"""A fact of this node while somebody wants the link to rest, and the channel that tells of it."""

NUDGE = "link:now"
"""Channel: whoever waits to dial again tries at once."""
AGAIN = "link:again"
"""Channel: whoever has a session ends it and begins another one, which compares positions anew."""
SAMPLED = 100

CHANNELS = (PAUSED, NUDGE, AGAIN)
"""What the uplink hears of."""


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """A stream: our last offset, the last one that the hub has on disk, and how many events lie between.

    `generation` counts the lives of the log; `refused` events of it are in the hub's quarantine; `gaps` is how often
    events were gone here before the hub had them.
    """

    topic: str
    last_offset: int
    acked_offset: int
    unsent: int
    acked_at_ms: int | None
    generation: int = 1
    refused: int = 0
    gaps: int = 0
    unsent_bytes: int = 0
    """Of keys and payloads; estimated from the oldest and the newest `SAMPLED` where there are more."""
    unsent_since_ms: int | None = None
    """When the oldest event that the hub does not have came into the log; None when it has all."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """The link as its process last said; times are unix milliseconds."""

    state: State
    since_ms: int | None
    hub_url: str | None
    hub_id: str | None
    error_code: str | None
    error: str | None
    hint: str | None
    retry_at_ms: int | None
    breaks: int
    streams: tuple[StreamStatus, ...]
    skew_ms: int | None = None
    """This machine's clock less the hub's, when it was last compared."""
    paused_at_ms: int | None = None
    """Since when somebody wants the link to rest (`spoke sync pause`), whether a process runs it or not."""
    duplicates: int = 0
    """Events of the hub that came again when they were here; they are not stored twice."""

    @property
    def unsent(self) -> int:
        """Events that the hub does not have on disk yet."""
        return sum(stream.unsent for stream in self.streams)

    @property
    def unsent_bytes(self) -> int:
        """How much they hold, estimated (`StreamStatus.unsent_bytes`)."""
        return sum(stream.unsent_bytes for stream in self.streams)

    @property
    def unsent_since_ms(self) -> int | None:
        """When the oldest of them came into the log."""
        since = (stream.unsent_since_ms for stream in self.streams)
        return min((at for at in since if at is not None), default=None)


def read_status(snapshot: Snapshot) -> LinkStatus:
    """Read the state of the link; `unpaired` when this node never had a hub."""
    rows = snapshot.rows(
        "SELECT state, since, hub_url, hub_id, error_code, error, hint, retry_at, breaks, skew_ms FROM link_status"
    )
    row: Row = rows[0] if rows else ("unpaired", None, None, None, None, None, None, None, 0, None)
    state, since_ms, hub_url, hub_id, error_code, error, hint, retry_at_ms, breaks, skew_ms = row
    known = set(TOPICS) | {str(topic) for (topic,) in snapshot.rows("SELECT DISTINCT topic FROM link_generations")}
    ((duplicates,),) = snapshot.rows("SELECT coalesce(sum(duplicates), 0) FROM link_cursors")
    streams = [_stream(snapshot, topic, hub_id) for topic in (*LOGS, *sorted(known - set(LOGS)))]
    return LinkStatus(
        state=state,
        since_ms=since_ms,
        hub_url=hub_url,
        hub_id=hub_id,
        error_code=error_code,
        error=error,
        hint=hint,
        retry_at_ms=retry_at_ms,
        breaks=breaks,
        streams=tuple(stream for stream in streams if stream.topic in LOGS or stream.last_offset),
        skew_ms=skew_ms,
        paused_at_ms=None if (paused := find_fact(snapshot, PAUSED)) is None else int(paused),
        duplicates=duplicates,
    )


def pause(tx: Transaction, at_ms: int) -> bool:
    """Have the link rest until `resume`, whatever process runs it; False when it was paused before."""
    if find_fact(tx, PAUSED) is not None:
        return False
    tx.execute("INSERT INTO node_facts VALUES (?, ?)", (PAUSED, str(at_ms)))
    tx.notify("link_paused", {"paused": True})
    return True


def resume(tx: Transaction) -> bool:
    """End what `pause` began; False when the link was not paused."""
    tx.execute("DELETE FROM node_facts WHERE name = ?", (PAUSED,))
    if not tx.changes:
        return False
    tx.notify("link_paused", {"paused": False})
    return True


def nudge(tx: Transaction) -> None:
    """Have a link that waits for its next attempt try at once."""
    tx.notify("link:now", {})


def rewind(tx: Transaction, topic: str) -> bool:
    """Forget how far the hub has a log, and have it compared anew; False when nothing was known.

    Safe: what counts is what the hub says at the beginning of each session, and events that it has are not sent again.
    The hashes that were noted on the way stay: where old events were deleted, nothing else can tell what they were.
    """
    tx.execute("DELETE FROM link_positions WHERE topic = ?", (topic,))
    known = tx.changes > 0
    tx.notify("link:again", {"topic": topic})
    tx.touch("link", "status")
    return known


def acked_position(source: Snapshot | Transaction, topic: str, hub_id: str | None) -> tuple[int, int | None]:
    """The last offset of a log that the hub is known to have on disk, and when it said so (unix ms).

    Where nothing is known: what is in front of the first generation that counts, which is 0 unless this database was
    a copy (`sync.spoke.reidentify`).
    """
    rows = source.rows(
        # Of a generation that was sealed, the hub may have more than counts.
        "SELECT min(p.offset, coalesce(g.sealed_at, p.offset)), p.acked_at FROM link_positions p"
        " LEFT JOIN link_generations g ON g.topic = p.topic AND g.gen_id = p.gen_id WHERE p.hub_id = ? AND p.topic = ?",
        (hub_id, topic),
    )
    if rows:
        return rows[0][0], rows[0][1]
    active = [generation.base for generation in generations(source, topic) if generation.active]
    return min(active, default=0), None


def _stream(snapshot: Snapshot, topic: str, hub_id: str | None) -> StreamStatus:
    offset, at = acked_position(snapshot, topic, hub_id)
    last, unsent = snapshot.rows(
        "SELECT max(offset), count(*) FROM _honker_stream WHERE topic = ? AND offset > ?", (topic, offset)
    )[0]
    ((generation, gaps),) = snapshot.rows(
        "SELECT max(number), count(*) FILTER (WHERE reason = 'gap') FROM link_generations WHERE topic = ?", (topic,)
    )
    ((refused,),) = snapshot.rows("SELECT count(*) FROM link_refusals WHERE topic = ?", (topic,))
    held, since_ms = _weigh(snapshot, topic, offset, unsent)
    return StreamStatus(topic, last or offset, offset, unsent, at, generation or 1, refused, gaps, held, since_ms)


def _weigh(snapshot: Snapshot, topic: str, offset: int, unsent: int) -> tuple[int, int | None]:
    """How many bytes the events behind an offset hold, about, and when the first of them came (unix ms).

    Looks at `SAMPLED` at each end, and at no payload that lies on pages of its own: millions may wait.
    """
    if not unsent:
        return 0, None
    sample: list[Row] = []
    for order, number in (("ASC", SAMPLED), ("DESC", min(SAMPLED, max(0, unsent - SAMPLED)))):
        sample += snapshot.rows(
            "SELECT octet_length(payload) + coalesce(octet_length(key), 0), created_at FROM _honker_stream"
            f" WHERE topic = ? AND offset > ? ORDER BY offset {order} LIMIT ?",
            (topic, offset, number),
        )
    return round(sum(row[0] for row in sample) * unsent / len(sample)), int(sample[0][1]) * 1000


def note_refusal(tx: Transaction, topic: str, offset: int, code: str, detail: str, at_ms: int) -> None:
    """Note that an event of ours is in the hub's quarantine; it stays where it is here."""
    tx.execute(
        "INSERT OR REPLACE INTO link_refusals (topic, gen_id, offset, code, detail, noted_at)"
        " SELECT topic, gen_id, ?, ?, ?, ? FROM link_generations WHERE topic = ? AND base < ?"
        " ORDER BY number DESC LIMIT 1",
        (offset, code, detail, at_ms, topic, offset),
    )
    tx.touch("link", "status")


def write_status(
    tx: Transaction,
    *,
    state: State,
    at_ms: int,
    hub_url: str,
    hub_id: str | None,
    error_code: str | None = None,
    error: str | None = None,
    hint: str | None = None,
    retry_at_ms: int | None = None,
    breaks: int = 0,
    skew_ms: int | None = None,
) -> None:
    """Say how the link stands; `breaks` are added to those counted so far."""
    tx.execute(
        "INSERT INTO link_status (id, state, since, hub_url, hub_id, error_code, error, hint, retry_at, breaks,"
        " skew_ms) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " since = iif(state = excluded.state, since, excluded.since), state = excluded.state,"
        " hub_url = excluded.hub_url, hub_id = coalesce(excluded.hub_id, hub_id), error_code = excluded.error_code,"
        " error = excluded.error, hint = excluded.hint, retry_at = excluded.retry_at,"
        " breaks = breaks + excluded.breaks, skew_ms = coalesce(excluded.skew_ms, skew_ms)",
        (state, at_ms, hub_url, hub_id, error_code, error, hint, retry_at_ms, breaks, skew_ms),
    )
    tx.touch("link", "status")
