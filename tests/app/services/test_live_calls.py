"""Live calls through a hub that runs: asked by another process, executed by a node, refused and late ones."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from app.services import live_calls
from storage.engine import Database
from storage.operations.spec import Identity, Model, OperationContext, OperationSpec
from storage.tenants import node_id
from sync.calls.errors import CallTimeoutError
from sync.calls.registry import Registry
from sync.spoke.uplink import Dialling, Uplink
from tests.sync.rig import LIMIT_S, make_key, running_hub, status_when


class Value(Model):
    n: int


def registry(release: threading.Event) -> Registry:
    made = Registry()

    def echo(value: Value, context: OperationContext) -> Value:
        return value

    def slow(value: Value, context: OperationContext) -> Value:
        release.wait(LIMIT_S)
        return value

    for name, handler in (("echo", echo), ("slow", slow)):
        made.register(_spec(name), handler)
    return made


def _spec(name: str) -> OperationSpec[Value, Value]:
    return OperationSpec(
        namespace="test", name=name, type="mutation", description=name, input_model=Value, output_model=Value
    )


async def test_a_command_calls_a_node_through_the_hub_that_runs(tenant: Database, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    key = make_key(folder)
    stop, release = asyncio.Event(), threading.Event()
    with tenant.snapshot() as snapshot:
        node = node_id(snapshot)
    who = Identity("hub", ("*",), {"*": ("*",)})
    async with running_hub(folder) as hub, asyncio.TaskGroup() as group:
        db = await hub.tenant("local")
        relay = asyncio.create_task(live_calls.relay(hub, db, stop))
        uplink = Uplink(
            tenant,
            dialling=Dialling((f"ws://127.0.0.1:{hub.port}",), api_key=key),
            name="edge",
            agent="test",
            random=lambda: 0.001,
            on_call=live_calls.answers(tenant, lambda: registry(release), lambda: who, lambda: None),
        )
        group.create_task(uplink.run(stop))
        await status_when(tenant, lambda status: status.state == "live")

        async def ask(operation: str, value: Any, seconds: float = LIMIT_S, of: str = node) -> dict[str, Any]:
            return await live_calls.ask(db, of, operation, value, seconds)

        done = await ask("test.echo", {"n": 7})
        assert (done["type"], done["output"]["data"]) == ("call.responded", {"n": 7})
        assert (await ask("test.echo", {"n": "no number"}))["code"] == "VALIDATION_ERROR"
        assert (await ask("test.nothing", {}))["type"] == "call.error"
        assert (await ask("test.echo", {"n": 1}, of="stranger"))["type"] == "call.error"
        late = await ask("test.slow", {"n": 1}, 0.05)
        assert late["code"] == CallTimeoutError("").code
        with db.transaction() as tx:
            tx.notify("live:calls", {"not": "a call"})
        assert (await ask("test.echo", {"n": 8}))["output"]["data"] == {"n": 8}
        release.set()
        stop.set()
        await relay
    recorded = [event.payload for event in tenant.stream("call-protocol").read()]
    assert [event["operationId"] for event in recorded if event["type"] == "call.requested"].count("test.echo") >= 2


async def test_nobody_answers(tenant: Database) -> None:
    with pytest.raises(CallTimeoutError, match="not known"):
        await live_calls.ask(tenant, "n", "test.echo", {}, 0.01)
