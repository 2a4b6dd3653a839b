"""The port of this machine: health, metrics, and the local API over a WebSocket with a key."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.config import Settings
from app.operations import builtin_registry
from app.services import loopback
from app.services.api_keys import ApiKeyError, create_key, identity_of, read_keys, revoke_key
from app.services.local_connection import MAX_LINE_BYTES, Serving
from app.services.loopback import Loopback
from app.services.supervisor import ServiceState, states
from storage.engine import Database
from storage.scopes import covers
from sync.calls.recorder import Recorder
from sync.events import listener
from tests.app.operations.clock import ids, now

LIMIT_S = 30


class Port:
    def __init__(self, number: int, keys: Path, db: Database) -> None:
        self.number, self.keys, self.db = number, keys, db

    def get(self, path: str, host: str | None = None) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.number}{path}")
        if host is not None:
            request.add_header("Host", host)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def connect(self, key: str) -> Any:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return connect(f"ws://127.0.0.1:{self.number}/call", additional_headers=headers)

    def key(self, *scopes: str) -> str:
        return create_key(self.keys, "test", scopes, 1)[1]


@pytest.fixture
async def port(tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    found: asyncio.Queue[int] = asyncio.Queue()
    original = listener.listening

    def noted(*args: Any, **kwargs: Any) -> Any:
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def inner() -> AsyncIterator[int]:
            async with original(*args, **kwargs) as number:
                found.put_nowait(number)
                yield number

        return inner()

    monkeypatch.setattr(loopback, "listening", noted)
    registry = builtin_registry(Settings(), tmp_path / "keyring.json")
    stop = asyncio.Event()
    served = Loopback(Serving(tenant, registry, Recorder(tenant, now, ids())), 0, tmp_path / "api-keys.json")
    running = asyncio.create_task(served.run(stop))
    async with asyncio.timeout(LIMIT_S):
        yield Port(await found.get(), tmp_path / "api-keys.json", tenant)
    stop.set()
    await asyncio.wait_for(running, LIMIT_S)


async def ask(socket: Any, operation: str, value: Any = None) -> dict[str, Any]:
    payload = {"operationId": operation, "input": value or {}}
    await socket.send(json.dumps({"type": "call.requested", "id": "1", "payload": payload}))
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


async def test_health_and_metrics(port: Port) -> None:
    port.db.stream("mine").publish({"n": 1})
    port.db.queue("slow").enqueue({})
    assert await asyncio.to_thread(port.get, "/healthz") == (200, "ok\n")
    assert await asyncio.to_thread(port.get, "/readyz") == (200, "ready\n")
    code, text = await asyncio.to_thread(port.get, "/metrics")
    assert code == 200
    assert 'spoke_stream_last_offset{topic="mine"} 1.0' in text
    assert 'spoke_queue_jobs{queue="slow",state="pending"} 1.0' in text
    assert "process_resident_memory_bytes" in text
    assert (await asyncio.to_thread(port.get, "/etc/passwd"))[0] == 404


async def test_a_service_that_crashed_is_not_ready(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(states, "uplink", ServiceState("uplink", "waiting", 0.0, 2, "OSError: broken"))
    assert await asyncio.to_thread(port.get, "/readyz") == (503, "uplink: OSError: broken\n")
    assert 'spoke_service_up{service="uplink"} 0.0' in (await asyncio.to_thread(port.get, "/metrics"))[1]


async def test_a_name_of_somebody_elses_is_refused(port: Port) -> None:
    code, _ = await asyncio.to_thread(port.get, "/metrics", "evil.example:80")
    assert code == 421


async def test_calls_with_a_key(port: Port) -> None:
    async with port.connect(port.key("system:read", "stream:*")) as socket:
        assert (await ask(socket, "system.info"))["type"] == "call.responded"
        refused = await ask(socket, "session.start", {"title": "x"})
        assert (refused["type"], refused["payload"]["code"]) == ("call.error", "ACCESS_DENIED")
        await socket.send(json.dumps({"type": "__subscribe", "payload": {"topic": "mine", "after": 0}}))
        assert json.loads(await socket.recv())["type"] == "__subscribed"
        payload = {"operationId": "stream.publish", "input": {"topic": "mine", "payload": {"n": 1}}}
        await socket.send(json.dumps({"type": "call.requested", "id": "p", "payload": payload}))
        await socket.send("no json")
        kinds = sorted([json.loads(await socket.recv())["type"] for _ in range(3)])  # in which order, nobody says
        assert kinds == ["call.error", "call.responded", "stream.event"]
        await socket.send(b"\xff\xfe")


async def test_a_subscription_over_the_port(port: Port) -> None:
    async with port.connect(port.key("*")) as socket:
        payload = {"operationId": "stream.follow", "input": {"topic": "mine", "after": 0}}
        await socket.send(json.dumps({"type": "call.requested", "id": "s", "payload": payload}))
        port.db.stream("mine").publish({"n": 1})
        event = json.loads(await socket.recv())
        assert event["payload"]["output"]["data"]["payload"] == {"n": 1}
        await socket.send(json.dumps({"type": "call.aborted", "id": "s"}))
        assert json.loads(await socket.recv())["type"] == "call.aborted"


async def test_streams_need_their_scope(port: Port) -> None:
    async with port.connect(port.key("system:read")) as socket:
        await socket.send(json.dumps({"type": "__subscribe", "payload": {"topic": "call-protocol", "after": 0}}))
        assert json.loads(await socket.recv())["payload"]["code"] == "ACCESS_DENIED"


@pytest.mark.parametrize("key", ["", "alk_wrong", "alk_" + "x" * 5000])
async def test_without_a_key_there_is_no_connection(port: Port, key: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with port.connect(key):
            pass
    assert caught.value.response.status_code == 401


async def test_a_message_that_is_too_large_ends_the_connection_alone(port: Port) -> None:
    key = port.key("*")
    async with port.connect(key) as socket, port.connect(key) as other:
        await socket.send("x" * (MAX_LINE_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (await ask(other, "system.info"))["type"] == "call.responded"


def test_keys_are_hashes_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made, secret = create_key(path, "dashboard", ["stream:read"], 7)
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    who = identity_of(path, secret)
    assert who is not None
    assert (who.id, covers(who.scopes, "stream:read"), covers(who.scopes, "fs:read")) == ("key:dashboard", True, False)
    assert identity_of(path, secret + "x") is None
    assert [key.id for key in read_keys(path)] == [made.id]
    revoke_key(path, made.id[:8])
    assert identity_of(path, secret) is None
    for scopes in ([], ["a b"], ["fs:"]):
        with pytest.raises(ApiKeyError):
            create_key(path, "x", scopes, 7)
    path.write_text("{torn")
    with pytest.raises(ApiKeyError, match="move it away"):
        read_keys(path)
