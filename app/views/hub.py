"""What a hub holds: its spokes, their streams, what is missing for good, what could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.views.overview import copy_line
from app.views.text import count, of, safe
from app.views.times import When
from storage.copies import RestoredNote, restored_from
from storage.engine import Snapshot
from storage.identity.devices import Device, list_devices
from storage.identity.join_tokens import JoinToken, list_join_tokens
from storage.process_lock import holder
from storage.tenant_files import TenantFile, list_tenant_files
from storage.tenants import open_system_database, open_tenant_database


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream of a spoke; `generation` is the newest one of `generations`, `gaps` are holes that nobody can fill.

    `duplicates` are events that came again when they were here; they are not stored twice.
    """

    name: str
    events: int
    generation: int
    generations: int
    gaps: int
    quarantined: int
    updated_ms: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class SpokeRow:
    """A spoke, and how many events of its streams are here; `seen_ms` in unix milliseconds.

    `epoch` is the number of its newest session, by which copies of it are found; None before the first.
    """

    tenant: str
    node_id: str
    name: str
    connected: bool
    seen_ms: int
    events: int
    agent: str
    epoch: int | None
    sessions: int
    streams: tuple[StreamRow, ...]


@dataclass(frozen=True, slots=True)
class GapRow:
    """Events that a spoke's log had and that are gone for good: those behind `after`, up to `upto`, in its numbers."""

    tenant: str
    node_id: str
    name: str
    stream: str
    generation: str
    after: int
    upto: int
    noted_at_ms: int


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """An event that cannot be read; `created_at` in unix seconds, as the spoke had it."""

    tenant: str
    node_id: str
    name: str
    stream: str
    generation: str
    offset: int
    code: str
    detail: str
    noted_at_ms: int
    key: str | None
    payload: str
    created_at: int


@dataclass(frozen=True, slots=True)
class HubContents:
    """Everything that the hub's screen shows; devices are the nodes that joined with a token."""

    status: HubStatus
    tenants: tuple[TenantFile, ...]
    spokes: tuple[SpokeRow, ...]
    gaps: tuple[GapRow, ...]
    quarantined: tuple[QuarantinedRow, ...]
    devices: tuple[Device, ...]
    tokens: tuple[JoinToken, ...]


@dataclass(frozen=True, slots=True)
class HubStatus:
    """A hub in short; `address` is where it listens, or listened when it ran last."""

    pid: int | None
    address: str | None
    hub_id: str | None
    tenants: int
    spokes: int
    connected: int
    events: int
    gaps: int
    quarantined: int
    duplicates: int
    restored: RestoredNote | None = None
    """What its files are a copy of, when they are one."""


def read_hub(directory: Path, *, read_only: bool = False) -> HubStatus:
    """How the hub of a data directory stands; safe beside a running hub. `read_only`: files are opened without write
    access, here and below.
    """
    spokes = list_spokes(directory, read_only=read_only)
    with _system(directory, read_only=read_only) as system:
        facts: dict[str, str] = dict(system.rows("SELECT name, value FROM hub_facts"))
        ((tenants,),) = system.rows("SELECT count(*) FROM organizations")
        restored = restored_from(system, "hub_facts")
    streams = [stream for spoke in spokes for stream in spoke.streams]
    return HubStatus(
        pid=holder(directory / "hub.lock"),
        address=facts.get("address"),
        hub_id=facts.get("hub_id"),
        tenants=tenants,
        spokes=len(spokes),
        connected=sum(spoke.connected for spoke in spokes),
        events=sum(spoke.events for spoke in spokes),
        gaps=sum(stream.gaps for stream in streams),
        quarantined=sum(stream.quarantined for stream in streams),
        duplicates=sum(stream.duplicates for stream in streams),
        restored=restored,
    )


def hub_lines(found: HubStatus, now_ms: int, when: When | None = None) -> list[str]:
    """A hub in words, a line each; what wants attention says where to look. `when` as in `link_details`."""
    where = f" on {safe(found.address)}" if found.address else ""
    lines = [
        f"hub        process {found.pid}{where}" if found.pid is not None else "hub        not running: spoke hub run",
        f"holds      {of(found.tenants, 'tenant')}, {of(found.spokes, 'spoke')} ({count(found.connected)} connected),"
        f" {of(found.events, 'event')}",
    ]
    if found.restored is not None:
        lines.append(copy_line(found.restored, now_ms, when))
    if found.duplicates:
        lines.append(f"again      {of(found.duplicates, 'event')} came more than once; each is here once")
    if found.gaps:
        lines.append(f"attention  {of(found.gaps, 'gap')} that nobody can fill: spoke hub gaps")
    if found.quarantined:
        lines.append(f"attention  {of(found.quarantined, 'event')} that cannot be read: spoke hub rejected")
    return lines


def read_contents(directory: Path, *, read_only: bool = False) -> HubContents:
    """Everything in a hub's data directory; safe beside a running hub. Opens every tenant's file: not for the loop."""
    with _system(directory, read_only=read_only) as system:
        tenants, devices, tokens = list_tenant_files(system), list_devices(system), list_join_tokens(system)
    return HubContents(
        status=read_hub(directory, read_only=read_only),
        tenants=tuple(tenants),
        spokes=tuple(list_spokes(directory, read_only=read_only)),
        gaps=tuple(list_gaps(directory, read_only=read_only)),
        quarantined=tuple(list_quarantined(directory, read_only=read_only)),
        devices=tuple(devices),
        tokens=tuple(tokens),
    )


def list_spokes(directory: Path, *, read_only: bool = False) -> list[SpokeRow]:
    """Every spoke of every tenant in a hub's data directory, by tenant and name; safe beside a running hub."""
    found: list[SpokeRow] = []
    running = holder(directory / "hub.lock") is not None  # a killed hub left its spokes marked as connected
    with _system(directory, read_only=read_only) as system:
        epochs: dict[str, int] = dict(system.rows("SELECT node_id, epoch FROM ratchets"))
    for tenant, snapshot in _tenants(directory, read_only=read_only):
        for node_id, name, connected, seen_ms, agent, sessions in snapshot.rows(
            "SELECT node_id, name, connected > 0, seen_at, agent, sessions FROM link_spokes ORDER BY name, node_id"
        ):
            streams = _streams(snapshot, node_id)
            events = sum(stream.events for stream in streams)
            here, epoch = running and bool(connected), epochs.get(node_id)
            found.append(SpokeRow(tenant, node_id, name, here, seen_ms, events, agent, epoch, sessions, streams))
    return found


def list_gaps(directory: Path, *, read_only: bool = False) -> list[GapRow]:
    """Every hole in the spokes' logs that nobody can fill any more, oldest first in each tenant."""
    return [
        GapRow(tenant, *row)
        for tenant, snapshot in _tenants(directory, read_only=read_only)
        for row in snapshot.rows(
            "SELECT g.node_id, coalesce(s.name, ''), g.topic, substr(lower(hex(g.gen_id)), 1, 8), g.after, g.upto,"
            " g.noted_at FROM link_gaps g LEFT JOIN link_spokes s ON s.node_id = g.node_id"
            " ORDER BY g.noted_at, g.node_id, g.topic, g.after"
        )
    ]


def list_quarantined(directory: Path, *, read_only: bool = False) -> list[QuarantinedRow]:
    """Every event that was put aside since it cannot be read, oldest first in each tenant."""
    return [
        QuarantinedRow(tenant, *row)
        for tenant, snapshot in _tenants(directory, read_only=read_only)
        for row in snapshot.rows(
            "SELECT q.node_id, coalesce(s.name, ''), q.topic, substr(lower(hex(q.gen_id)), 1, 8), q.offset, q.code,"
            " q.detail, q.noted_at, q.key, q.payload, q.created_at FROM link_quarantine q"
            " LEFT JOIN link_spokes s ON s.node_id = q.node_id ORDER BY q.noted_at, q.node_id, q.topic, q.offset"
        )
    ]


def _streams(snapshot: Snapshot, node_id: str) -> tuple[StreamRow, ...]:
    return tuple(
        StreamRow(*row)
        for row in snapshot.rows(
            "SELECT c.topic, sum(c.events), max(c.generation), count(*),"
            " (SELECT count(*) FROM link_gaps g WHERE g.node_id = c.node_id AND g.topic = c.topic),"
            " (SELECT count(*) FROM link_quarantine q WHERE q.node_id = c.node_id AND q.topic = c.topic),"
            " max(c.updated_at), sum(c.duplicates) FROM link_cursors c WHERE c.node_id = ? GROUP BY c.topic"
            " ORDER BY c.topic",
            (node_id,),
        )
    )


@contextmanager
def _system(directory: Path, *, read_only: bool) -> Iterator[Snapshot]:
    db = open_system_database(directory / "system.db", read_only=read_only)
    try:
        with db.snapshot() as snapshot:
            yield snapshot
    finally:
        db.close()


def _tenants(directory: Path, *, read_only: bool) -> Iterator[tuple[str, Snapshot]]:
    for file in sorted(directory.glob("tenant-*.db")):
        db = open_tenant_database(file, read_only=read_only)
        try:
            with db.snapshot() as snapshot:
                yield file.stem.removeprefix("tenant-"), snapshot
        finally:
            db.close()
