"""A hub's three files without a hub: `system.db`, the tenants acme and beta, and a settler that can die anywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.delegation.authority import authority_of_delegation
from storage.delegation.intents import Intent, create_delegation, find_delegation, revoke_delegation
from storage.delegation.settling import Report, Settler
from storage.delegation.traces import Trace, look_for_all
from storage.engine import Database
from storage.graphs.acl import Authority
from storage.graphs.membership import follow_members, read_members
from storage.graphs.writing import put_node
from storage.identity.accounts import Status, create_account, set_status
from storage.identity.organizations import add_member, create_organization, find_organization
from storage.tenant_files import file_of
from storage.tenants import open_system_database, open_tenant_database

PEOPLE = {"acme": ("ann@acme", "abe@acme"), "beta": ("bob@beta", "bea@beta")}


class Crash(BaseException):
    """The process is dead here."""


class World:
    """The files, closed and opened again at each crash and restore."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.countdown: int | None = None
        """Steps until the process dies; before and after each commit into a tenant's file is one."""
        self.reopen()
        with self.system.transaction() as tx:
            self.boss = create_account(tx, "boss@hub", access_level="admin").id
            self.ids = {}
            for slug, people in PEOPLE.items():
                create_organization(tx, slug, self.boss)
                for email in people:
                    self.ids[email] = create_account(tx, email, actor_id=self.boss).id
                    add_member(tx, slug, email, actor_id=self.boss)
            self.orgs = {slug: find_organization(tx, slug).id for slug in PEOPLE}
        for slug in PEOPLE:
            with self.system.snapshot() as snapshot:
                members = read_members(snapshot, self.orgs[slug])
            with self.files[slug].transaction() as file:
                follow_members(file, self.orgs[slug], members)
        for email in PEOPLE["acme"]:
            self.hold(email, ["fs:*", "db:read"])

    def reopen(self) -> None:
        self.system = open_system_database(self.folder / "system.db")
        self.files = {slug: open_tenant_database(file_of(self.folder, slug), durability="normal") for slug in PEOPLE}

    def close(self) -> None:
        for db in (self.system, *self.files.values()):
            db.close()

    def path(self, name: str) -> Path:
        return self.folder / "system.db" if name == "system" else file_of(self.folder, name)

    def save(self, name: str, to: Path) -> None:
        """A copy of one file, as a backup has it."""
        self.close()
        shutil.copy(self.path(name), to)
        self.reopen()

    def restore(self, name: str, saved: Path) -> None:
        self.close()
        for file in self.folder.glob(self.path(name).name + "*"):
            file.unlink()
        shutil.copy(saved, self.path(name))
        self.reopen()

    def hold(self, email: str, scopes: list[str]) -> None:
        """What somebody of acme may do of their own."""
        node = {"identityType": "account", "identityId": self.ids[email], "scopes": scopes}
        with self.files["acme"].transaction() as tx:
            put_node(tx, "acl", "principal", f"account:{self.ids[email]}", node)

    def status(self, email: str, status: Status) -> None:
        with self.system.transaction() as tx:
            set_status(tx, email, status, actor_id=self.boss)

    # -- delegations -------------------------------------------------------------------------------------------------

    @contextmanager
    def opened(self, slug: str) -> Iterator[Database]:
        self._tick()
        yield self.files[slug]
        self._tick()

    def _tick(self) -> None:
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                self.countdown = None
                raise Crash

    @property
    def settler(self) -> Settler:
        return Settler(self.system, self.folder, self.opened, self.boss)

    def create(self, giver: str = "ann@acme", taker: str = "bob@beta", *scopes: str, **resources: list[str]) -> str:
        with self.system.transaction() as tx:
            named = {name.replace("_", ":"): actions for name, actions in resources.items()}
            limits = scopes or ("fs:read",)
            made = create_delegation(tx, ("acme", giver), ("beta", taker), limits, named, actor_id=self.boss)
        return made.id

    def revoke(self, which: str) -> bool:
        with self.system.transaction() as tx:
            return revoke_delegation(tx, which, actor_id=self.boss)

    def reconcile(self) -> Report:
        return self.settler.reconcile()

    def intent(self, which: str) -> Intent:
        with self.system.snapshot() as snapshot:
            return find_delegation(snapshot, which)

    def held(self, slug: str) -> dict[str, Trace]:
        with self.files[slug].snapshot() as snapshot:
            return look_for_all(snapshot)

    def live(self, slug: str) -> set[str]:
        return {delegation for delegation, trace in self.held(slug).items() if trace.live}

    def gives(self, which: str) -> Authority:
        return authority_of_delegation(self.system, self.opened, which)

    def trail(self) -> list[tuple[str, dict[str, Any]]]:
        """Verbs and details of the audit trail that speak of delegations."""
        rows = self.system.query(
            "SELECT action, details FROM audit_logs WHERE action GLOB 'delegation.*' ORDER BY rowid"
        )
        return [(row["action"].removeprefix("delegation."), json.loads(row["details"])) for row in rows]

    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.trail()]
