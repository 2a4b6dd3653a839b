"""The hub of this data directory: its spokes, its tenants, who may join, what is missing or cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar, cast

from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from app.tui.detail import Detail
from app.tui.lines.line_list import PLAIN
from app.tui.table_view import TableView
from app.views.columns import Column
from app.views.hub import GapRow, HubContents, QuarantinedRow, SpokeRow, hub_lines, read_contents
from app.views.text import count, of, safe
from storage.engine import Snapshot
from storage.identity.devices import Device, standing
from storage.identity.join_tokens import JoinToken
from storage.tenant_files import TenantFile

T = TypeVar("T")
AWAY = Style(dim=True)
ATTENTION = Style(color="yellow")


class HubTable(TableView[T]):
    """A table of something that the hub holds; reads the hub's files, which a running hub shares."""

    def pick(self, found: HubContents) -> Sequence[T]:
        """What of it the table shows."""
        raise NotImplementedError

    def read(self, snapshot: Snapshot) -> Sequence[T]:
        """The hub's files, not this node's; on a reader thread all the same."""
        if self.spoke.hub_dir is None:
            return ()
        self.found = read_contents(self.spoke.hub_dir, read_only=self.spoke.read_only)
        return self.pick(self.found)


class HubView(HubTable[SpokeRow]):
    """The hub in short, and its spokes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("T", "show('tenants')", "tenants", id="hub.tenants"),
        Binding("D", "show('devices')", "devices", id="hub.devices"),
        Binding("K", "show('tokens')", "tokens", id="hub.tokens"),
        Binding("M", "show('gaps')", "gaps: what is missing", show=False, id="hub.gaps"),
        Binding("X", "show('quarantined')", "quarantine", show=False, id="hub.quarantined"),
    ]
    noun: ClassVar[str] = "spoke"
    empty: ClassVar[Sequence[str]] = (
        "",
        "  No spoke has been here yet: a node that sends what it records to this hub.",
        "",
        "  Let one join:   spoke hub token create > token.txt",
        "  Run the hub:    spoke hub run",
    )

    def __init__(self) -> None:
        super().__init__()
        self.columns = (
            Column("state", "STATE", lambda row: "connected" if row.connected else "away", 9),
            Column("name", "SPOKE", lambda row: row.name, 16, grow=True),
            Column("tenant", "TENANT", lambda row: row.tenant, 10, rank=1),
            Column("events", "EVENTS", lambda row: count(row.events), 10, lambda row: row.events, right=True),
            Column("seen", "SEEN", lambda row: self.spoke.when(row.seen_ms), 12, lambda row: row.seen_ms),
            Column("gaps", "GAPS", lambda row: count(_gaps(row)), 4, _gaps, right=True),
            Column("unread", "UNREAD", lambda row: count(_unread(row)), 6, _unread, right=True),
            Column("id", "ID", lambda row: row.node_id[:8], 8, lambda row: row.node_id, rank=2),
        )

    def compose_body(self) -> ComposeResult:
        """The hub in words, the spokes below."""
        yield Static("", id="facts", markup=False)
        yield self.make_table()

    def pick(self, found: HubContents) -> Sequence[SpokeRow]:
        """The spokes."""
        return found.spokes

    async def load(self) -> None:
        """Read the hub's files."""
        await super().load()
        if self.spoke.hub_dir is not None:
            self.say(
                "facts",
                "\n".join(self.spoke.plain(f" {line}") for line in hub_lines(self.found.status, self.spoke.now_ms())),
            )

    def key(self, row: SpokeRow) -> object:
        """Its node id."""
        return row.node_id

    def failed(self, row: SpokeRow) -> bool:
        """Spokes of which something is missing or cannot be read."""
        return bool(_gaps(row) or _unread(row))

    def style(self, row: SpokeRow) -> Style:
        """By that, and by whether it is here."""
        return ATTENTION if self.failed(row) else PLAIN if row.connected else AWAY

    def open(self, row: SpokeRow) -> None:
        """Its streams."""
        lines = [f"node     {row.node_id}", f"tenant   {row.tenant}", f"agent    {row.agent}"]
        lines += [f"session  {'none yet' if row.epoch is None else row.epoch} ({of(row.sessions, 'session')})", ""]
        for stream in row.streams:
            text = f"{stream.name:<24} {of(stream.events, 'event')}, generation {stream.generation}"
            text += f", {of(stream.gaps, 'gap')}" if stream.gaps else ""
            text += f", {count(stream.quarantined)} in quarantine" if stream.quarantined else ""
            lines.append(text + (f", {count(stream.duplicates)} came again" if stream.duplicates else ""))
        lines += [
            "",
            f"to call it: spoke hub call {row.name}/system.info",
            f"to end its key: spoke hub revoke {row.name}",
        ]
        self.app.push_screen(Detail(f"spoke {row.name}", "\n".join(safe(line) for line in lines)))

    def action_show(self, what: str) -> None:
        """Another table of the hub's."""
        tables = {
            "tenants": TenantsView,
            "devices": DevicesView,
            "tokens": TokensView,
            "gaps": GapsView,
            "quarantined": QuarantinedView,
        }
        self.app.push_screen(cast("type[TableView[object]]", tables[what])())


def _gaps(row: SpokeRow) -> int:
    return sum(stream.gaps for stream in row.streams)


def _unread(row: SpokeRow) -> int:
    return sum(stream.quarantined for stream in row.streams)


class TenantsView(HubTable[TenantFile]):
    """The tenants, each with a file of its own."""

    noun = "tenant"
    empty = ("", "  No tenants yet. Make one:   spoke hub tenant create acme")
    columns = (
        Column("name", "TENANT", lambda row: row.slug, 24),
        Column("state", "FILE", lambda row: row.state, 8),
        Column("schema", "SCHEMA", lambda row: "–" if row.schema_version is None else str(row.schema_version), 6),
        Column("error", "PROBLEM", lambda row: row.error or "", 10, grow=True),
    )

    def pick(self, found: HubContents) -> Sequence[TenantFile]:
        """The tenants."""
        return found.tenants

    def key(self, row: TenantFile) -> object:
        """Its name."""
        return row.slug

    def failed(self, row: TenantFile) -> bool:
        """Files that could not be brought up to date."""
        return row.error is not None


class DevicesView(HubTable[Device]):
    """The nodes that joined with a token, and whether their keys open sessions."""

    noun = "device"
    empty = (
        "",
        "  No node has joined with a token. Let one:   spoke hub token create > token.txt",
        "  Nodes that joined with a key are among the spokes.",
    )

    def __init__(self) -> None:
        super().__init__()
        self.columns = (
            Column("name", "NODE", lambda row: row.name, 20, grow=True),
            Column("tenant", "TENANT", lambda row: row.tenant, 12),
            Column("standing", "KEY", self._standing, 10),
            Column("until", "UNTIL", lambda row: self.spoke.when(row.key_not_after * 1000), 12, _until),
            Column("id", "ID", lambda row: row.id[:8], 8, lambda row: row.id, rank=1),
        )

    def _standing(self, row: Device) -> str:
        return standing(row, self.spoke.now_ms() // 1000)

    def pick(self, found: HubContents) -> Sequence[Device]:
        """The devices."""
        return found.devices

    def key(self, row: Device) -> object:
        """Its node id."""
        return row.id

    def failed(self, row: Device) -> bool:
        """Those whose keys open nothing."""
        return self._standing(row) != "active"


def _until(row: Device) -> int:
    return row.key_not_after


class TokensView(HubTable[JoinToken]):
    """Join tokens, without their secrets."""

    noun = "token"
    empty = ("", "  No tokens yet. Make one:   spoke hub token create > token.txt")

    def __init__(self) -> None:
        super().__init__()
        self.columns = (
            Column("id", "ID", lambda row: row.id, 24, grow=True),
            Column("tenant", "TENANT", lambda row: row.tenant, 12),
            Column("state", "STATE", self._state, 16),
            Column("until", "UNTIL", lambda row: self.spoke.when(row.expires_at * 1000), 12),
        )

    def _state(self, row: JoinToken) -> str:
        if row.revoked_at:
            return "revoked"
        if not row.valid(self.spoke.now_ms() // 1000):
            return "expired"
        return f"{of(row.uses_left, 'use')} left" if row.uses_left else "used up"

    def pick(self, found: HubContents) -> Sequence[JoinToken]:
        """The tokens."""
        return found.tokens

    def key(self, row: JoinToken) -> object:
        """Its id."""
        return row.id


class GapsView(HubTable[GapRow]):
    """Events that a spoke had, and that nobody has any more."""

    noun = "gap"
    empty = ("", "  No gaps: of every spoke everything is here that it ever told of.")

    def __init__(self) -> None:
        super().__init__()
        self.columns = (
            Column("spoke", "SPOKE", lambda row: row.name or row.node_id, 16, grow=True),
            Column("stream", "STREAM", lambda row: row.stream, 16),
            Column("behind", "BEHIND", lambda row: count(row.after), 9, lambda row: row.after, right=True),
            Column("upto", "UP TO", lambda row: count(row.upto), 9, lambda row: row.upto, right=True),
            Column("noted", "NOTED", lambda row: self.spoke.when(row.noted_at_ms), 12, lambda row: row.noted_at_ms),
        )

    def pick(self, found: HubContents) -> Sequence[GapRow]:
        """The gaps."""
        return found.gaps

    def key(self, row: GapRow) -> object:
        """Where it is."""
        return (row.tenant, row.node_id, row.stream, row.generation, row.after)


class QuarantinedView(HubTable[QuarantinedRow]):
    """Events of spokes that cannot be read, as they came."""

    noun = "event"
    empty = ("", "  Nothing is in quarantine: every event that came can be read.")

    def __init__(self) -> None:
        super().__init__()
        self.columns = (
            Column("spoke", "SPOKE", lambda row: row.name or row.node_id, 14),
            Column("stream", "STREAM", lambda row: row.stream, 16),
            Column("offset", "OFFSET", lambda row: count(row.offset), 8, lambda row: row.offset, right=True),
            Column("code", "WHY", lambda row: f"{row.code}: {row.detail}", 16, grow=True),
            Column("noted", "NOTED", lambda row: self.spoke.when(row.noted_at_ms), 12, lambda row: row.noted_at_ms),
        )

    def pick(self, found: HubContents) -> Sequence[QuarantinedRow]:
        """The events."""
        return found.quarantined

    def key(self, row: QuarantinedRow) -> object:
        """Where it is."""
        return (row.tenant, row.node_id, row.stream, row.generation, row.offset)

    def open(self, row: QuarantinedRow) -> None:
        """What came."""
        self.app.push_screen(Detail(f"{row.stream} {row.offset}: {row.code}", row.payload))
