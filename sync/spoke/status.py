"""The state of the link, written by the process that runs it and read by everybody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from storage.engine import Snapshot, Transaction
from storage.engine.connection import Row
from sync.spoke.streams import LOGS

State: TypeAlias = Literal[
    "unpaired", "offline", "connecting", "authenticating", "catching-up", "live", "draining", "refused", "paused"
]
PAUSED = "link_paused"
"""A fact of this node while somebody wants the link to rest, and the channel that tells of it."""


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """A stream: our last offset, the last one that the hub has on disk, and how many events lie between.

    `generation` counts the lives of the log; `refused` events of it are in the hub's quarantine.
    """

    topic: str
    last_offset: int
    acked_offset: int
    unsent: int
    acked_at_ms: int | None
    generation: int = 1
    refused: int = 0


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

    @property
    def unsent(self) -> int:
        """Events that the hub does not have on disk yet."""
        return sum(stream.unsent for stream in self.streams)


def read_status(snapshot: Snapshot) -> LinkStatus:
    """Read the state of the link; `unpaired` when this node never had a hub."""
    rows = snapshot.rows(
        "SELECT state, since, hub_url, hub_id, error_code, error, hint, retry_at, breaks, skew_ms FROM link_status"
    )
    row: Row = rows[0] if rows else ("unpaired", None, None, None, None, None, None, None, 0, None)
    state, since_ms, hub_url, hub_id, error_code, error, hint, retry_at_ms, breaks, skew_ms = row
    sent = snapshot.rows(
        "SELECT DISTINCT topic FROM link_generations g"
        " WHERE EXISTS (SELECT 1 FROM _honker_stream s WHERE s.topic = g.topic)"
    )
    topics = (*LOGS, *sorted({str(topic) for (topic,) in sent} - set(LOGS)))
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
        streams=tuple(_stream(snapshot, topic, hub_id) for topic in topics),
        skew_ms=skew_ms,
    )


def _stream(snapshot: Snapshot, topic: str, hub_id: str | None) -> StreamStatus:
    acked = snapshot.rows(
        # Of a generation that was sealed, the hub may have more than counts.
        "SELECT min(p.offset, coalesce(g.sealed_at, p.offset)), p.acked_at FROM link_positions p"
        " LEFT JOIN link_generations g ON g.topic = p.topic AND g.gen_id = p.gen_id WHERE p.hub_id = ? AND p.topic = ?",
        (hub_id, topic),
    )
    offset, at = acked[0] if acked else (0, None)
    last, unsent = snapshot.rows(
        "SELECT max(offset), count(*) FROM _honker_stream WHERE topic = ? AND offset > ?", (topic, offset)
    )[0]
    ((generation,),) = snapshot.rows("SELECT max(number) FROM link_generations WHERE topic = ?", (topic,))
    ((refused,),) = snapshot.rows("SELECT count(*) FROM link_refusals WHERE topic = ?", (topic,))
    return StreamStatus(topic, last or offset, offset, unsent, at, generation or 1, refused)


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
