"""What works in the background of a hub: the queues of `system.db`, and those of every tenant file that is open."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from app.operations import hub_registry
from app.services import durable_calls, live_calls, tenant
from app.services.durable_calls import now, wall_ms
from app.services.ear import listen
from app.services.loopback import Pages, serve_pages
from app.services.scheduler import lead
from app.services.supervisor import Service, supervise
from app.services.waiting import until_stopped
from app.services.worker import Handler, work
from storage.background import ask
from storage.delegation.intents import QUEUE as DELEGATION
from storage.delegation.settling import Settler
from storage.engine import Database
from storage.identity.accounts import finish_deactivation
from storage.identity.api_keys import expire_keys, find_key
from storage.identity.audit import audit
from storage.maintenance import Schedule
from storage.operations.spec import Identity
from storage.projections.projection import Projection
from storage.tenant_files import note_migration, plan_migrations
from sync.calls.recorder import Recorder
from sync.durable import caller
from sync.durable.callee import Callee
from sync.durable.catalogue import offers
from sync.hub.authority import account_of, authority
from sync.hub.keys import operator
from sync.hub.server import Hub
from sync.hub.session import Peer
from sync.link.frames import Call

CHANNELS = (
    "account:created",
    "account:updated",
    "org:created",
    "org:member_added",
    "auth:key_verified",
    "device:revoked",
)
STREAMS = ("audit-events",)
SCHEDULES = (
    Schedule("key-expiry", "@hourly", "key-management", {"task": "expire"}),
    Schedule("delegation-reconcile", "15 * * * *", DELEGATION, {"task": "reconcile"}),
)

log = logging.getLogger("spoke.hub")


def handlers(system: Database, hub: Hub, folder: Path, loop: asyncio.AbstractEventLoop) -> dict[str, Handler]:
    """By queue of `system.db`: what its jobs do."""

    def keys(payload: Mapping[str, Any]) -> None:
        now = int(system.clock())
        with system.transaction() as tx:
            match payload.get("task"):
                case "expire":
                    expire_keys(tx, now)
                case "retire":
                    key = find_key(tx, str(payload["keyId"]))
                    if key.enabled:
                        tx.execute("UPDATE api_keys SET enabled = 0, updated_at = unixepoch() WHERE id = ?", (key.id,))
                        actor = str(payload["actorId"])
                        audit(tx, "api_key.retired", actor, credential_id=key.id, credential_type="api_key")
                case task:
                    raise tenant.UnknownTaskError(f"queue key-management knows no task {task!r}")

    def account(payload: Mapping[str, Any]) -> None:
        if payload.get("task") != "deactivate":
            raise tenant.UnknownTaskError(f"queue account-maintenance knows no task {payload.get('task')!r}")
        with system.transaction() as tx:
            finish_deactivation(tx, str(payload["accountId"]), str(payload["actorId"]), int(system.clock()))

    def migrate(payload: Mapping[str, Any]) -> int:
        """Open the tenant's file, which migrates it after a backup; the hub's own handle is used where it is open."""
        slug = str(payload["slug"])
        try:
            version = asyncio.run_coroutine_threadsafe(hub.visit(slug), loop).result()
        except Exception as error:
            with system.transaction() as tx:
                note_migration(tx, slug, None, str(error), int(system.clock()))
            raise
        with system.transaction() as tx:
            note_migration(tx, slug, version, None, int(system.clock()))
        return version

    @contextmanager
    def opened(slug: str) -> Iterator[Database]:
        yield asyncio.run_coroutine_threadsafe(hub.tenant(slug), loop).result()

    def delegate(payload: Mapping[str, Any]) -> None:
        with system.transaction() as tx:
            actor = operator(tx).id
        settler = Settler(system, folder, opened, actor)
        match payload.get("task"):
            case "settle":
                settler.settle(str(payload["id"]))
            case "ends":
                settler.end_gone()
            case "reconcile":
                for slug, error in settler.reconcile_or_raise().unreadable.items():
                    log.warning("delegations of tenant %s are not known: %s", slug, error)
            case task:
                raise tenant.UnknownTaskError(f"queue {DELEGATION} knows no task {task!r}")

    return {
        "key-management": keys,
        "account-maintenance": account,
        "schema-migration": migrate,
        DELEGATION: delegate,
    }


async def follow_organizations(hub: Hub, stop: asyncio.Event) -> None:
    """Keep the `belongs_to` edges of open tenant files in step with the members, as the audit trail tells of them.

    Delegations across tenants whose principals are gone are ended.
    """

    async def follow() -> None:
        async for event in hub.system.stream("audit-events").subscribe(consumer="membership@hub"):
            action = event.payload.get("action", "")
            if action.startswith(("org.", "account.")):
                for slug, db in list(hub.tenants.items()):
                    await follow_members_of(hub, slug, db)
                await hub.system.run(lambda tx: ask(tx, DELEGATION, {"task": "ends"}, once=True))

    await until_stopped(stop, follow())


async def follow_members_of(hub: Hub, slug: str, db: Database) -> None:
    """Make a tenant's `belongs_to` edges what the system file says."""
    from storage.graphs.membership import follow_members, read_members

    rows = await hub.system.read(lambda system: system.rows("SELECT id FROM organizations WHERE slug = ?", (slug,)))
    if rows:
        org_id = str(rows[0][0])
        members = await hub.system.read(lambda system: read_members(system, org_id))
        changed = await db.run(lambda tx: follow_members(tx, org_id, members))
        if changed:
            log.info("tenant %s: %d memberships followed", slug, changed)


async def answer_spokes(hub: Hub, db: Database, stop: asyncio.Event) -> None:
    """Execute what the spokes of a tenant ask for, each with what the keys of its account grant at that moment."""

    def who_is(node_id: str) -> Identity | None:
        with db.snapshot() as snapshot:
            account = account_of(snapshot, node_id)
        if account is None:
            return None
        with hub.system.snapshot() as system:
            return authority(system, account, int(hub.system.clock()))

    recorder = Recorder(db, now, lambda: str(uuid.uuid4()))
    callee = Callee(db, hub_registry(), recorder, who_is, wall_ms, now)
    await durable_calls.answer(callee, db, durable_calls.spokes, stop)


def consumers(node_id: str) -> list[Projection]:
    """What a hub reads of what a spoke tells beside its log: results of calls, and what it offers."""
    return [caller.results(node_id, wall_ms), offers(node_id)]


async def run_hub(
    hub: Hub, folder: Path, stop: asyncio.Event, ready: Callable[[Hub], None], *, health_port: int | None = None
) -> None:
    """Serve, and run the services of `system.db` and of every tenant file from when it is opened.

    On stop no new connection is taken, jobs that run are finished (`app.services.draining`), then the files are
    closed. With `health_port`, `/healthz`, `/readyz` and `/metrics` are on that port of this machine.
    """
    background: list[asyncio.Task[None]] = []

    def start(services: Mapping[str, Service]) -> None:
        background.append(asyncio.create_task(supervise(services, hub.closing, random.random)))

    def tenant_opened(slug: str, db: Database) -> None:
        named = tenant.services(db, folder / f"keyring-{slug}.json")

        async def members(_: asyncio.Event) -> None:
            await follow_members_of(hub, slug, db)

        calls: dict[str, Service] = {
            "callee": partial(answer_spokes, hub, db),
            "caller": partial(durable_calls.hear, db, durable_calls.spokes, consumers, wall_ms),
            "live": partial(live_calls.relay, hub, db),
        }
        start({f"{slug}.{name}": service for name, service in {**named, **calls, "members": members}.items()})

    def serving(server: Hub) -> None:
        system = server.system
        waiting = plan_migrations(system, folder)
        if waiting:
            log.info("%d tenant files wait for their migration", waiting)
        with system.transaction() as tx:  # any file may be another one than when the hub stopped
            ask(tx, DELEGATION, {"task": "reconcile"}, once=True)
        start(
            {
                "system.queues": partial(work, system, handlers(system, server, folder, asyncio.get_running_loop())),
                "system.scheduler": partial(lead, system, SCHEDULES),
                "system.members": partial(follow_organizations, server),
                "system.ear": partial(listen, system, CHANNELS, STREAMS),
            }
        )
        if health_port is not None:
            from app.services.prometheus import hub_exposition

            pages = Pages(system, lambda: hub_exposition(server, folder), stop)
            start({"pages": partial(serve_pages, pages, health_port)})
        ready(server)

    async def drain() -> None:
        while running := [task for task in background if not task.done()]:
            await asyncio.gather(*running)  # a job that ends now may have opened one more file

    async def called(peer: Peer, frame: Call) -> str:
        db = await hub.tenant(peer.tenant)
        with hub.system.snapshot() as system:
            who = authority(system, peer.account_id, int(hub.system.clock()))
        return await live_calls.execute(db, hub_registry(), who, frame, wall_ms())

    hub.on_tenant, hub.drain, hub.on_call = tenant_opened, drain, called
    await hub.run(stop, serving)
