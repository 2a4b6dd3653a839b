"""The services of durable calls: lanes, deadlines, what a node tells and answers, what a hub allows its spokes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.config import FileSettings, HubSettings, Settings
from app.paths import resolve
from app.services import durable_calls, node
from app.services.supervisor import Service
from storage.engine import Database
from storage.operations.spec import OperationContext
from storage.projections.projection import step
from storage.tenants import open_tenant_database
from sync.durable import caller
from sync.durable.catalogue import list_offered, offers
from sync.durable.states import State
from sync.durable.topics import calls_from, results_from, results_to
from sync.hub.keys import create_key
from sync.hub.server import Hub
from tests.app.services.test_tenant import until, with_hub
from tests.sync.durable.wire import World, carry, carry_calls, carry_results, effects, log_of

NODE = "node-1"


@asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for service in services:
            group.create_task(service(stop))  # type: ignore[arg-type]
        try:
            yield
        finally:
            stop.set()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Database]:
    db = open_tenant_database(tmp_path / "hub.db")
    yield db
    db.close()


def ask(hub: Database, operation: str, call_id: str, value: Any = None, **options: Any) -> None:
    with hub.transaction() as tx:
        given = {"call_id": call_id, "now_ms": 1_000_000, "present": True, **options}
        caller.request(tx, NODE, operation, {} if value is None else value, **given)


def states(hub: Database) -> dict[str, State]:
    return {row["call_id"]: State(row["state"]) for row in hub.query("SELECT call_id, state FROM link_calls")}


def ended(db: Database) -> int:
    return int(db.query("SELECT count(*) AS n FROM link_received_calls WHERE ended_at IS NOT NULL")[0]["n"])


def answering(world: World, spoke: Database) -> Service:
    callee = world.callee(spoke)

    async def serve(stop: asyncio.Event) -> None:
        await durable_calls.answer(callee, spoke, durable_calls.hub_alone, stop)

    return serve


async def test_a_slow_lane_does_not_hold_up_another_and_a_lane_keeps_its_order(hub: Database, tenant: Database) -> None:
    world, go = World(), threading.Event()

    def slow(n: int, _: OperationContext) -> None:
        if n == 0:
            assert go.wait(60)

    world.on_outside = slow
    async with running(answering(world, tenant)):
        ask(hub, "test.once", "slow-0000", {"n": 0})
        for n in range(1, 4):
            ask(hub, "test.once", f"slow-000{n}", {"n": n})
            ask(hub, "other.read", f"fast-000{n}", {"n": 10 + n})
        carry_calls(hub, tenant)
        await until(tenant, lambda: ended(tenant) == 3)
        assert [n for n in world.outside if n >= 10] == [11, 12, 13]
        assert [n for n in world.outside if n < 10] == [0]
        go.set()
        await until(tenant, lambda: ended(tenant) == 7)
    assert [n for n in world.outside if n < 10] == [0, 1, 2, 3]


async def test_a_call_that_runs_beyond_its_deadline_is_asked_to_stop(hub: Database, tenant: Database) -> None:
    world, began = World(), threading.Event()

    def slow(_: int, context: OperationContext) -> None:
        began.set()
        assert context.abort.wait(60)
        raise ValueError("stopped")

    world.on_outside = slow
    async with running(answering(world, tenant)):
        ask(hub, "test.once", "late-0001", deadline_ms=1_500_000)
        carry_calls(hub, tenant)
        assert await asyncio.to_thread(began.wait, 60)
        world.hub_ms = 1_500_000
        await tenant.run(lambda tx: tx.touch("link", "status"))
        await until(tenant, lambda: ended(tenant) == 1)
    assert [result["state"] for result in log_of(tenant, results_to("hub"))] == ["RUNNING", "EXPIRED"]


async def test_a_stop_finishes_what_runs_and_begins_nothing(hub: Database, tenant: Database) -> None:
    world, began, go = World(), threading.Event(), threading.Event()

    def slow(_: int, __: OperationContext) -> None:
        began.set()
        assert go.wait(60)

    world.on_outside = slow
    for n in range(2):
        ask(hub, "test.once", f"call-000{n}", {"n": n})
    carry_calls(hub, tenant)
    async with running(answering(world, tenant)):
        assert await asyncio.to_thread(began.wait, 60)
        asyncio.get_running_loop().call_later(0.01, go.set)
    assert world.outside == [0]
    assert [row["state"] for row in tenant.query("SELECT state FROM link_received_calls ORDER BY offset")] == [
        "DONE",
        "RECEIVED",
    ]


async def test_a_file_that_cannot_be_written_leaves_the_call_to_the_next_start(
    hub: Database, tenant: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage.engine import DatabaseError
    from sync.durable import received

    world = World()
    ask(hub, "test.once", "call-0000", {"n": 0})
    carry_calls(hub, tenant)

    def fail(*_: object, **__: object) -> None:
        raise DatabaseError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(received, "end", fail)
        with pytest.raises(ExceptionGroup):
            async with running(answering(world, tenant)):
                await asyncio.sleep(60)
    async with running(answering(world, tenant)):
        await until(tenant, lambda: ended(tenant) == 1)
    assert world.outside == [0]
    assert log_of(tenant, results_to("hub"))[-1]["state"] == "INDETERMINATE"


async def test_deadlines_pass_at_the_caller_too(hub: Database, tenant: Database) -> None:
    now = 1_000_000

    async def hear(stop: asyncio.Event) -> None:
        await durable_calls.hear(
            hub, lambda _, named: [NODE], lambda peer: [caller.results(peer, lambda: now)], lambda: now, stop
        )

    async with running(hear):
        ask(hub, "test.file", "call-0001", {"n": 1})
        ask(hub, "test.file", "call-0002", {"n": 2}, deadline_ms=1_060_000)
        world = World()
        callee = world.callee(tenant)
        carry_calls(hub, tenant)
        callee.take_in(["hub"])
        with tenant.snapshot() as snapshot:
            (call,) = callee.ready(snapshot)
        callee.claim(call)
        callee.run(call)
        carry_results(hub, tenant)
        await until(hub, lambda: states(hub)["call-0001"] is State.DONE)
        now = 1_060_000
        ask(hub, "test.file", "call-0003", {"n": 3})  # whatever happens next
        await until(hub, lambda: states(hub)["call-0002"] is State.EXPIRED)
    assert states(hub)["call-0003"] is State.QUEUED
    assert effects(tenant) == [1]


async def test_a_node_says_what_it_offers_and_does_what_its_owner_allows(
    hub: Database, tenant: Database, tmp_path: Path
) -> None:
    settings = Settings(
        hub=HubSettings(url="ws://127.0.0.1:1", api_key=SecretStr("alk_x")), fs=FileSettings(roots=(tmp_path,))
    )
    services = node.services(tenant, settings, resolve(tmp_path / "data", tmp_path / "spoke.toml"))
    assert {"callee", "caller"} <= set(services)
    ask(hub, "system.info", "call-0001")
    ask(hub, "fs.list", "call-0002", {"path": str(tmp_path)})
    ask(hub, "secret.list", "call-0003")
    carry_calls(hub, tenant)
    async with running(services["callee"]):
        await until(tenant, lambda: ended(tenant) == 3)
    async with running(services["callee"]):  # nothing has changed since
        await until(tenant, lambda: len(tenant.stream("node").read()) == 1)
    carry_results(hub, tenant)
    carry(tenant, hub, "node", f"node@{NODE}")
    with hub.transaction() as tx:
        tx.execute("INSERT INTO link_spokes VALUES (?, 'pc', 'test', 'a', 1, 1, 1, 1)", (NODE,))
        step(tx, caller.results(NODE, lambda: 1))
        step(tx, offers(NODE))
    assert states(hub) == {"call-0001": State.DONE, "call-0002": State.REJECTED, "call-0003": State.REJECTED}
    with hub.snapshot() as snapshot:
        offered = {each.name: each for each in list_offered(snapshot)}
    assert offered["pc/system.info"].active
    assert offered["pc/sessions.list"].executions == ("idempotent", "at_most_once")
    assert offered["pc/shell.run"].executions == ("at_most_once",)
    assert offered["pc/graphs.create"].executions == ("exactly_once_local",)
    assert not any(name.startswith("pc/secret.get") for name in offered)
    with hub.transaction() as tx:
        tx.execute("UPDATE link_spokes SET connected = 0")
    with hub.snapshot() as snapshot:
        assert not list_offered(snapshot)[0].active


def test_the_catalogue_follows_the_node(hub: Database) -> None:
    def say(*events: object) -> None:
        with hub.transaction() as tx:
            texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
            hub.stream(f"node@{NODE}").append([(None, text, 1) for text in texts], tx)
            step(tx, offers(NODE))

    def known() -> list[str]:
        return [row["operation_id"] for row in hub.query("SELECT operation_id FROM link_operations")]

    say({"type": "node.operations", "operations": [{"operationId": "a.b"}, {"operationId": "a.c"}]})
    assert known() == ["a.b", "a.c"]
    say({"type": "node.other"}, {"type": "node.operations", "operations": [{}]}, "junk", {"type": "node.operations"})
    assert known() == ["a.b", "a.c"]
    assert len(hub.query("SELECT 1 FROM projection_rejects")) == 3
    say({"type": "node.operations", "operations": [{"operationId": "a.c"}]})
    assert known() == ["a.c"]


async def test_a_spoke_calls_its_hub_with_what_its_keys_grant(tmp_path: Path) -> None:
    from storage.identity.accounts import find_account
    from storage.tenants import open_system_database

    system = open_system_database(tmp_path / "system.db")
    create_key(system, "edge", scopes=["sessions:read"])
    with system.transaction() as tx:
        account = find_account(tx, "edge@local.spoke").id
    system.close()

    def request(db: Database, peer: str, call_id: str, operation: str) -> None:
        event = {"type": "call.requested", "requestId": call_id, "operationId": operation, "input": {}}
        with db.transaction() as tx:
            db.stream(calls_from(peer)).append([(call_id, json.dumps(event), 1)], tx)
            tx.touch("received", "calls")  # as the link does

    def answers(db: Database, peer: str) -> dict[str, str]:
        return {event["requestId"]: event["state"] for event in log_of(db, results_to(peer))}

    async def work(server: Hub) -> None:
        db = await server.tenant("local")
        await until(db, lambda: bool(db.query("SELECT 1 FROM link_spokes")) or _arrive(db, account))
        for call_id, operation in (("call-0001", "sessions.list"), ("call-0002", "graphs.list")):
            request(db, NODE, call_id, operation)
        request(db, NODE, "call-0003", "shell.run")
        request(db, "stranger", "call-0004", "sessions.list")
        await until(db, lambda: len(answers(db, NODE)) == 3)
        await until(
            db, lambda: answers(db, NODE) == {"call-0001": "DONE", "call-0002": "REJECTED", "call-0003": "REJECTED"}
        )
        assert answers(db, "stranger") == {}
        assert log_of(db)[0]["identity"]["id"] == account
        with server.system.transaction() as tx:
            tx.execute("UPDATE api_keys SET enabled = 0")
        request(db, NODE, "call-0005", "sessions.list")
        await until(db, lambda: answers(db, NODE).get("call-0005") == "REJECTED")
        with db.transaction() as tx:
            caller.request(tx, NODE, "system.info", {}, call_id="call-0006", now_ms=1, present=True)
            done = {"type": "call.responded", "state": "DONE", "requestId": "call-0006", "operationId": "system.info"}
            text = json.dumps({**done, "timestamp": "", "output": {"data": {}}})
            db.stream(results_from(NODE)).append([(None, text, 1)], tx)
            tx.touch("received", "results")
        await until(db, lambda: states(db)["call-0006"] is State.DONE)

    await with_hub(tmp_path, work)


def _arrive(db: Database, account: str) -> bool:
    """What the link does when a spoke says hello."""
    with db.transaction() as tx:
        tx.execute("INSERT INTO link_spokes VALUES (?, 'edge', 'test', ?, 1, 1, 1, 1)", (NODE, account))
        tx.touch("link", "peers")
    return True


def test_hub_time_is_unknown_until_it_is_heard_and_goes_on_by_itself() -> None:
    from sync.durable.hub_time import HubTime, boot_ms

    elapsed = 50
    now: Callable[[], int] = lambda: elapsed  # noqa: E731
    time = HubTime(now)
    assert time() is None
    time.heard(1_000)
    elapsed = 80
    assert time() == 1_030
    time.heard(900)  # the hub's clock was set back
    assert time() == 900
    assert boot_ms() > 0
