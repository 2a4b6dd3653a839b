"""The five answers of the first screen: am I connected, is anything stuck, what runs, how big, what came last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.views.room import UNKNOWN, Room, read_room
from app.views.sessions import SessionRow, list_sessions
from app.views.text import date, safe
from app.views.times import When, told
from storage.copies import BackupNote, RestoredNote, last_backup, restored_from
from storage.engine import Snapshot
from storage.engine.pauses import paused_queues
from sync.link.errors import IdentityConflictError
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
    backup: BackupNote | None = None
    """The last one made of this file."""
    restored: RestoredNote | None = None
    """What this file is a copy of, when it is one."""
    paused: Mapping[str, int] = field(default_factory=dict)
    """Queues that rest, and since when (unix seconds)."""
    room: Room = UNKNOWN
    """How full the file is."""


def read_overview(snapshot: Snapshot, max_bytes: int | None = None) -> Overview:
    """Read everything in one snapshot; `max_bytes` is how much the file may hold."""
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
        backup=last_backup(snapshot),
        restored=restored_from(snapshot),
        paused=paused_queues(snapshot),
        room=read_room(snapshot, max_bytes),
    )


def copy_line(copy: RestoredNote, now_ms: int, when: When | None = None) -> str:
    """What a file was restored from. `when` as in `link_details`."""
    made = f"{f'{date(copy.copy_ms)} UTC' if when is None else when(copy.copy_ms)} on {safe(copy.host)}"
    by = f" by {safe(copy.by)}" if copy.by else ""
    return f"restored   {told(copy.at_ms, now_ms, when)}{by} from a backup of {made}: {safe(copy.source)}"


def copy_lines(found: Overview, now_ms: int, when: When | None = None) -> list[str]:
    """What the file knows of its copies: that it is one, what follows from that, and the last backup."""
    lines = []
    if found.restored is not None:
        lines.append(copy_line(found.restored, now_ms, when))
        if found.link.error_code == IdentityConflictError.code:
            lines.append("           The hub knows a later life of this node. If the machine that the backup is of")
            lines.append("           still runs, make this one a node of its own: spoke reidentify. If it does not,")
            lines.append("           this one is let in when the other was silent for 10 minutes; nothing is lost.")
    if found.backup is not None:
        lines.append(f"backup     {told(found.backup.at_ms, now_ms, when)}: {safe(found.backup.file)}")
    return lines
