"""The background of a tenant file and of a hub: what is queued is done, what is told is heard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.services import ear, tenant
from app.services.hub import run_hub
from app.services.supervisor import supervise
from storage import engine
from storage.engine import Database
from storage.graphs.acl import authority_of
from storage.graphs.module import GraphConfig, GraphType, NodeType
from storage.graphs.types import define_graph_type
from storage.graphs.writing import create_graph, put_edge, put_node
from storage.identity.accounts import create_account, find_account, set_status
from storage.identity.api_keys import create_api_key, rotate_key
from storage.identity.organizations import add_member, create_organization, remove_member
from storage.keyring import open_keyring, save_keyring
from storage.migrations import tenant as tenant_migrations
from storage.secrets import set_secret, versions_in_use
from storage.tenant_files import list_tenant_files
from storage.tenants import open_system_database, open_tenant_database
from sync.hub.keys import create_key
from sync.hub.server import Hub


async def until(db: Database, holds: Callable[[], bool]) -> None:
    """Wait until something is so; look after every commit."""
    async with asyncio.timeout(60):
        waiter = db.wake.add(None)
        try:
            while True:
                waiter.clear()
                if await asyncio.to_thread(holds):
                    return
                await waiter.wait(1.0)
        finally:
            db.wake.remove(waiter)


@asynccontextmanager
async def running(db: Database, key_file: Path) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(supervise(tenant.services(db, key_file), stop, lambda: 0.0))
    try:
        await asyncio.sleep(0)
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


def done(db: Database) -> bool:
    return db.query("SELECT count(*) AS n FROM _honker_live") == [{"n": 0}]


async def test_an_evaluation_follows_every_change_of_an_acl(tenant_db: Database, tmp_path: Path) -> None:
    db = tenant_db
    with db.transaction() as tx:
        graph = create_graph(tx, "acl", "acl")
        put_node(tx, graph, "principal", "ann", {"identityType": "account", "identityId": "1", "scopes": ["fs:*"]})
        put_node(tx, graph, "principal", "bot", {"identityType": "service", "identityId": "2"})
    async with running(db, tmp_path / "keyring.json"):
        await until(db, lambda: done(db))
        with db.transaction() as tx:
            put_edge(tx, graph, "delegates", "ann", "bot", {"narrowedScopes": ["fs:read"]})
        await until(db, lambda: done(db) and ear.heard["acl:delegation_changed"] > 0)
    rows = db.query("SELECT principal_key, scopes FROM acl_effective ORDER BY principal_key")
    assert [(row["principal_key"], json.loads(row["scopes"])) for row in rows] == [
        ("ann", ["fs:*"]),
        ("bot", ["fs:read"]),
    ]
    with db.snapshot() as snapshot:
        assert authority_of(snapshot, "2").scopes == {"fs:read"}
    assert db.query("SELECT count(*) AS n FROM _honker_dead") == [{"n": 0}]


async def test_a_rotation_whose_job_was_lost_is_found_at_the_start(tenant_db: Database, tmp_path: Path) -> None:
    """The key file was written, and the process died before the job was queued."""
    db, key_file = tenant_db, tmp_path / "keyring.json"
    keyring = open_keyring(key_file)
    with db.transaction() as tx:
        for number in range(5):
            set_secret(tx, keyring, str(number), "x")
    save_keyring(key_file, keyring.rotated())
    async with running(db, key_file):
        await until(db, lambda: done(db) and db.query("SELECT 1 FROM nodes") != [] and versions(db) == {4})
    assert versions(db) == {4}


def versions(db: Database) -> frozenset[int]:
    with db.snapshot() as snapshot:
        return versions_in_use(snapshot)


async def test_a_changed_graph_type_is_looked_at(tenant_db: Database, tmp_path: Path) -> None:
    db = tenant_db
    with db.transaction() as tx:
        define_graph_type(tx, GraphType("t", GraphConfig(), (NodeType("n", "", {}),), scope="user"))
        graph = create_graph(tx, "t", "g")
        put_node(tx, graph, "n", "fits", {"size": 1})
        put_node(tx, graph, "n", "does not", {})
        define_graph_type(tx, GraphType("t", GraphConfig(), (NodeType("n", "", {"required": ["size"]}),), scope="user"))
    async with running(db, tmp_path / "keyring.json"):
        await until(db, lambda: done(db))
    report = json.loads(db.query("SELECT metadata FROM graph_types WHERE name = 't'")[0]["metadata"])[
        "_storage.migration"
    ]
    assert (report["version"], report["nodes"], report["unfit"]) == (2, 2, 1)
    assert "'does not'" in report["examples"][0]
    assert db.query("SELECT key FROM nodes ORDER BY key") == [{"key": "does not"}, {"key": "fits"}]


async def test_house_keeping_deletes_what_is_over(tenant_db: Database, tmp_path: Path) -> None:
    db = tenant_db
    with db.transaction() as tx:
        for name, status, age in (("old", "archived", 91), ("young", "archived", 89), ("used", "active", 1_000)):
            create_graph(tx, "acl", name, graph_id=name, status=status)
            tx.execute("UPDATE graphs SET updated_at = unixepoch() - ? * 86400 WHERE id = ?", (age, name))
    db.queue("maintenance").enqueue({"task": "cleanup-expired-graphs", "olderThanDays": 90})
    db.queue("maintenance").enqueue({"task": "nonsense"}, max_attempts=1)
    async with running(db, tmp_path / "keyring.json"):
        await until(db, lambda: done(db))
        assert [row["name"] for row in db.scheduler().list()] == ["log-retention", "retention-cleanup"]
    assert db.query("SELECT id FROM graphs ORDER BY id") == [{"id": "used"}, {"id": "young"}]
    assert "nonsense" in db.query("SELECT last_error FROM _honker_dead")[0]["last_error"]


@pytest.fixture
def tenant_db(tmp_path: Path) -> Iterator[Database]:
    db = open_tenant_database(tmp_path / "tenant-local.db", durability="normal")
    yield db
    db.close()


async def with_hub(folder: Path, work: Callable[[Hub], Awaitable[None]]) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    hub = Hub(folder, port=0)
    task = asyncio.create_task(run_hub(hub, folder, stop, lambda _: ready.set()))
    waiting = asyncio.create_task(ready.wait())
    async with asyncio.timeout(60):
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            await work(hub)
        finally:
            stop.set()
            await task


async def test_the_hubs_queues(tmp_path: Path) -> None:
    system = open_system_database(tmp_path / "system.db")
    with system.transaction() as tx:
        boss = create_account(tx, "boss@example.org", access_level="admin")
        bob = create_account(tx, "bob@example.org")
        create_organization(tx, "acme", boss.id)
        create_api_key(tx, bob.id, actor_id=boss.id)
        set_status(tx, bob.id, "deactivated", actor_id=boss.id)
        old = create_api_key(tx, boss.id, actor_id=boss.id)
        rotate_key(tx, old.id, actor_id=boss.id, now=int(system.clock()), grace_s=0)
    system.close()

    async def work(hub: Hub) -> None:
        await until(hub.system, lambda: done(hub.system))
        keys = hub.system.query("SELECT owner_id, enabled FROM api_keys ORDER BY rowid")
        assert [(key["owner_id"] == bob.id, key["enabled"]) for key in keys] == [(True, 0), (False, 0), (False, 1)]
        with hub.system.transaction() as tx:
            create_account(tx, "eve@example.org")
        await until(hub.system, lambda: ear.heard["account:created"] > 0 and ear.heard["audit-events"] >= 6)

    await with_hub(tmp_path, work)


async def test_memberships_are_followed_in_the_tenants_file(tmp_path: Path) -> None:
    system = open_system_database(tmp_path / "system.db")
    create_key(system, "edge", "acme")
    with system.transaction() as tx:
        ann = create_account(tx, "ann@example.org")
    system.close()

    def members(db: Database) -> set[str]:
        sql = "SELECT source_node_key AS member FROM edges WHERE attributes ->> '$.edgeType' = 'belongs_to'"
        return {str(row["member"]).partition(":")[2] for row in db.query(sql)}

    async def work(hub: Hub) -> None:
        db = await hub.tenant("acme")
        await until(db, lambda: len(members(db)) == 2)  # the operator and the spoke
        with hub.system.transaction() as tx:
            boss = find_account(tx, "hub@localhost").id
            add_member(tx, "acme", ann.id, actor_id=boss)
        await until(db, lambda: ann.id in members(db))
        with hub.system.transaction() as tx:
            remove_member(tx, "acme", ann.id, actor_id=boss)
        await until(db, lambda: ann.id not in members(db))
        assert len(members(db)) == 2

    await with_hub(tmp_path, work)


async def test_tenants_that_are_behind_are_migrated_with_a_backup_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = open_system_database(tmp_path / "system.db")
    names = ["old", "new", "future", "broken"]
    for name in names:
        create_key(system, "edge", name)
        if name != "broken":
            open_tenant_database(tmp_path / f"tenant-{name}.db").close()
    system.close()
    (tmp_path / "tenant-broken.db").write_bytes(b"this is no database, by any means" * 100)
    set_version(tmp_path / "tenant-future.db", 99)
    newer = (*tenant_migrations.MIGRATIONS, "CREATE TABLE added (x INTEGER);")
    monkeypatch.setattr(tenant_migrations, "MIGRATIONS", newer)
    monkeypatch.setattr("storage.tenant_files.LATEST", len(newer))
    monkeypatch.setattr("storage.tenant_files.plan_migrations.__defaults__", (len(newer),))
    open_tenant_database(tmp_path / "tenant-new.db").close()
    (tmp_path / f"tenant-new.db.v{len(newer) - 1}.backup").unlink()

    async def work(hub: Hub) -> None:
        await until(hub.system, lambda: done(hub.system))
        with hub.system.snapshot() as snapshot:
            found = {file.slug: file for file in list_tenant_files(snapshot)}
        assert {slug: (file.schema_version, file.state) for slug, file in found.items()} == {
            "broken": (None, "failed"),
            "future": (99, "failed"),
            "new": (len(newer), "current"),
            "old": (len(newer), "current"),
        }
        assert "upgrade this program" in str(found["future"].error)

    await with_hub(tmp_path, work)
    name = f"tenant-old.db.v{len(newer) - 1}.backup"
    assert backups(tmp_path) == [name]
    backup = engine.open(tmp_path / name, read_only=True)
    assert backup.query("PRAGMA user_version") == [{"user_version": len(newer) - 1}]
    backup.close()


def backups(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.backup"))


def set_version(path: Path, version: int) -> None:
    db = engine.open(path)
    with db.transaction() as tx:
        tx.execute(f"PRAGMA user_version = {version}")
    db.close()
