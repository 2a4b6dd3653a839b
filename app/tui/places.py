"""Where one can go: the tabs, and the things that are named by an id. The only list of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.engine import Snapshot
from sync.spoke.status import read_status

if TYPE_CHECKING:
    from app.services.outputs import Calling
    from app.tui.view import View
    from app.views.operations import OperationRow


@dataclass(frozen=True, slots=True)
class Place:
    """A tab: `:name` and its key lead there. `target` is `module:Class`, imported when it is first shown."""

    name: str
    key: str | None
    title: str
    target: str
    hub: bool = False
    """Only with the data directory of a hub."""

    def make(self) -> View:
        """The screen."""
        view = _import(self.target)()
        view.place = view.crumb = self.name
        return view


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing with an id: `:session 01JX` opens it.

    `names` gives what tab completes, from a snapshot and from what can be called here, if anything can; on a thread.
    """

    name: str
    target: str
    names: Callable[[Snapshot, Calling | None], list[str]]

    def make(self, argument: str) -> View:
        """The screen about it."""
        return _import(self.target)(argument)


@dataclass(frozen=True, slots=True)
class Location:
    """Where one is: a place, or a thing."""

    name: str
    argument: str | None = None


def _import(target: str) -> Callable[..., View]:
    module, _, name = target.partition(":")
    found: Callable[..., View] = getattr(importlib.import_module(module), name)
    return found


def _column(sql: str) -> Callable[[Snapshot, Calling | None], list[str]]:
    return lambda snapshot, _: [str(row[0]) for row in snapshot.rows(sql)]


def operations(snapshot: Snapshot, calling: Calling | None) -> list[OperationRow]:
    """What can be called from here; the hub's, too, where there is one."""
    return [] if calling is None else calling.listed(hub=read_status(snapshot).state != "unpaired")


PLACES: tuple[Place, ...] = (
    Place("overview", "1", "Overview", "app.tui.overview:OverviewView"),
    Place("sessions", "2", "Sessions", "app.tui.sessions:SessionsView"),
    Place("graphs", "3", "Graphs", "app.tui.graphs:GraphsView"),
    Place("streams", "4", "Streams", "app.tui.streams:StreamsView"),
    Place("queues", "5", "Queues", "app.tui.queues:QueuesView"),
    Place("sync", "6", "Sync", "app.tui.sync:SyncView"),
    Place("operations", "7", "Ops", "app.tui.operations:OperationsView"),
    Place("secrets", "8", "Secrets", "app.tui.secrets:SecretsView"),
    Place("schedules", "9", "Cron", "app.tui.schedules:SchedulesView"),
    Place("logs", "0", "Logs", "app.tui.logs:LogsView"),
    Place("hub", "H", "Hub", "app.tui.hub:HubView", hub=True),
)
"""In the order of the tab bar."""
SHORT = 4
"""Letters of a tab where not all fit."""

NOUNS: tuple[Noun, ...] = (
    Noun("session", "app.tui.session:SessionView", _column("SELECT id FROM sessions ORDER BY position DESC LIMIT 500")),
    Noun("graph", "app.tui.graph:GraphView", _column("SELECT id FROM graphs ORDER BY rowid DESC LIMIT 500")),
    Noun("operation", "app.tui.operations:OperationView", lambda *here: [row.name for row in operations(*here)]),
    Noun("secret", "app.tui.secrets:SecretView", _column("SELECT key FROM nodes WHERE graph_id = 'secrets' LIMIT 500")),
    Noun("stream", "app.tui.streams:StreamView", _column("SELECT DISTINCT topic FROM _honker_stream ORDER BY topic")),
    Noun(
        "queue",
        "app.tui.queues:QueueView",
        _column(
            "SELECT queue FROM _honker_live UNION SELECT queue FROM _honker_dead"
            " UNION SELECT queue FROM engine_paused_queues ORDER BY queue"
        ),
    ),
)


def place(name: str) -> Place | None:
    """The place of that name."""
    return next((one for one in PLACES if one.name == name), None)


def noun(name: str) -> Noun | None:
    """The noun of that name."""
    return next((one for one in NOUNS if one.name == name), None)


def tab_bar(lit: str | None, width: int, *, hub: bool) -> str:
    """The tabs, the one that is shown in brackets; where not all fit, the others have their first letters alone."""
    return "".join(text for _, text in _tabs(lit, width, hub=hub))


def tab_at(x: int, lit: str | None, width: int, *, hub: bool) -> str | None:
    """The place whose tab is in a cell of the tab bar; None: no tab is there."""
    for one, text in _tabs(lit, width, hub=hub):
        if 0 <= x < len(text):
            return one.name
        x -= len(text)
    return None


def _tabs(lit: str | None, width: int, *, hub: bool) -> list[tuple[Place, str]]:
    shown = [one for one in PLACES if hub or not one.hub]
    full = [(one, f"[{_tab(one)}]" if one.name == lit else f" {_tab(one)} ") for one in shown]
    if sum(len(text) for _, text in full) <= width:
        return full
    return [(one, f"[{_tab(one)}]" if one.name == lit else f" {_tab(one)[: 2 + SHORT]}") for one in shown]


def _tab(one: Place) -> str:
    return f"{one.key} {one.title}" if one.key else one.title
