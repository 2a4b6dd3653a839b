"""The five answers of the first screen: am I connected, is anything stuck, what runs, how big, what came last."""

from __future__ import annotations

from dataclasses import dataclass

from app.views.sessions import SessionRow, list_sessions
from storage.engine import Snapshot
from sync.spoke.status import LinkStatus, read_status

RECENT = 20


@dataclass(frozen=True, slots=True)
class Overview:
    """What the node holds and how it stands."""

    node_id: str
    link: LinkStatus
    sessions: int
    active_sessions: int
    calls: int
    events: int
    rejects: int
    """Events that are in no row because they are not of their stream's kind."""
    size_bytes: int
    recent: tuple[SessionRow, ...]


def read_overview(snapshot: Snapshot) -> Overview:
    """Read everything in one snapshot."""
    (row,) = snapshot.rows(
        "SELECT (SELECT value FROM node_facts WHERE name = 'node_id'),"
        " (SELECT count(*) FROM sessions), (SELECT count(*) FROM sessions WHERE status = 'active'),"
        " (SELECT count(*) FROM nodes), (SELECT count(*) FROM _honker_stream),"
        " (SELECT count(*) FROM projection_rejects)"
    )
    ((pages,),) = snapshot.rows("PRAGMA page_count")
    ((page_size,),) = snapshot.rows("PRAGMA page_size")
    return Overview(
        node_id=row[0],
        link=read_status(snapshot),
        sessions=row[1],
        active_sessions=row[2],
        calls=row[3],
        events=row[4],
        rejects=row[5],
        size_bytes=pages * page_size,
        recent=tuple(list_sessions(snapshot, RECENT)),
    )
