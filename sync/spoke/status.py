"""The state of the link, written by the process that runs it and read by everybody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from storage.engine import Snapshot, Transaction
from storage.engine.connection import Row

State: TypeAlias = Literal["unpaired", "offline", "connecting", "catching-up", "live", "refused"]


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """A stream: our last offset, the last one that the hub has on disk, and how many events lie between."""

    topic: str
    last_offset: int
    acked_offset: int
    unsent: int
    acked_at_ms: int | None


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

    @property
    def unsent(self) -> int:
        """Events that the hub does not have on disk yet."""
        return sum(stream.unsent for stream in self.streams)


TOPICS = ("call-protocol", "session-events")
"""The streams that go to the hub."""


def read_status(snapshot: Snapshot, topics: tuple[str, ...] = TOPICS) -> LinkStatus:
    """Read the state of the link; `unpaired` when this node never had a hub."""
    rows = snapshot.rows(
        "SELECT state, since, hub_url, hub_id, error_code, error, hint, retry_at, breaks FROM link_status"
    )
    row: Row = rows[0] if rows else ("unpaired", None, None, None, None, None, None, None, 0)
    state, since_ms, hub_url, hub_id, error_code, error, hint, retry_at_ms, breaks = row
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
    )


def _stream(snapshot: Snapshot, topic: str, hub_id: str | None) -> StreamStatus:
    acked = snapshot.rows("SELECT offset, acked_at FROM link_positions WHERE hub_id = ? AND topic = ?", (hub_id, topic))
    offset, at = acked[0] if acked else (0, None)
    last, unsent = snapshot.rows(
        "SELECT max(offset), count(*) FROM _honker_stream WHERE topic = ? AND offset > ?", (topic, offset)
    )[0]
    return StreamStatus(topic, last or offset, offset, unsent, at)


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
) -> None:
    """Say how the link stands; `breaks` are added to those counted so far."""
    tx.execute(
        "INSERT INTO link_status (id, state, since, hub_url, hub_id, error_code, error, hint, retry_at, breaks)"
        " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " since = iif(state = excluded.state, since, excluded.since), state = excluded.state,"
        " hub_url = excluded.hub_url, hub_id = coalesce(excluded.hub_id, hub_id), error_code = excluded.error_code,"
        " error = excluded.error, hint = excluded.hint, retry_at = excluded.retry_at,"
        " breaks = breaks + excluded.breaks",
        (state, at_ms, hub_url, hub_id, error_code, error, hint, retry_at_ms, breaks),
    )
    tx.touch("link", "status")
