"""The local API over a real socket: what docs/local-api.md promises, and everything that a client can do wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import Settings
from app.operations import builtin_registry
from app.services.local_api import LocalApi, SocketPathError
from app.services.local_connection import MAX_LINE_BYTES, Serving
from app.services.projector import catch_up
from storage.engine import Database
from storage.operations.spec import AccessControl, Model, OperationContext, OperationSpec
from sync.calls.errors import AbortedError
from sync.calls.recorder import Recorder
from tests.app.operations.clock import ids, now

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "local-api.md").read_text()


class Nothing(Model):
    pass


SLOW = OperationSpec(
    namespace="test",
    name="slow",
    type="query",
    description="Waits until the test lets it go on.",
    input_model=Nothing,
    output_model=Nothing,
    access_control=AccessControl(),
)


class Api:
    """A served socket."""

    def __init__(self, db: Database, path: Path, folder: Path) -> None:
        import threading

        self.db, self.path = db, path
        self.go_on = threading.Event()
        registry = builtin_registry(Settings(), folder / "keyring.json")

        def slow(_: Nothing, context: OperationContext) -> Nothing:
            while not self.go_on.is_set():
                if context.abort.wait(0.001):
                    raise AbortedError("stopped")
            return Nothing()

        registry.register(SLOW, slow)
        self.recorder = Recorder(db, now, ids())
        self.served = LocalApi(Serving(db, registry, self.recorder), path)

    async def connect(self) -> Client:
        return Client(*await asyncio.open_unix_connection(self.path, limit=4 * MAX_LINE_BYTES))


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, kind: str, name: str, payload: Any) -> None:
        self.writer.write((json.dumps({"type": kind, "id": name, "payload": payload}) + "\n").encode())

    def call(self, name: str, operation: str, value: Any = None, **more: Any) -> None:
        self.send("call.requested", name, {"operationId": operation, "input": value or {}, **more})

    async def get(self) -> Any:
        async with asyncio.timeout(30):
            return json.loads(await self.reader.readuntil(b"\n"))

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
async def api(tenant: Database, tmp_path: Path) -> AsyncIterator[Api]:
    api, stop = Api(tenant, tmp_path / "s", tmp_path), asyncio.Event()
    serving = asyncio.create_task(api.served.run(stop))
    async with asyncio.timeout(30):
        while not (tmp_path / "s").exists():
            await asyncio.sleep(0.001)
    yield api
    api.go_on.set()
    stop.set()
    await serving
    assert not (tmp_path / "s").exists()


async def test_calls_are_answered_and_recorded(api: Api) -> None:
    client = await api.connect()
    client.call("a", "system.info")
    client.call("b", "session.start", {"title": "over the socket"}, identity={"id": "somebody else"})
    answers = {answer["id"]: answer for answer in [await client.get(), await client.get()]}
    assert answers["a"]["payload"]["output"]["data"]["os"] == os.uname().sysname
    session = answers["b"]["payload"]["output"]["data"]["sessionId"]
    client.call("c", "fs.list", {"path": "/nowhere"}, sessionId=session)
    answer = await client.get()
    assert (answer["type"], answer["id"]) == ("call.error", "c")
    assert answer["payload"]["code"]
    await client.close()
    await asyncio.to_thread(catch_up, api.db)
    assert api.db.query("SELECT title FROM sessions") == [{"title": "over the socket"}]
    requested = [e.payload for e in api.db.stream("call-protocol").read() if e.payload["type"] == "call.requested"]
    assert len(requested) == 3
    assert {event["identity"]["id"] for event in requested} == {f"local:{os.geteuid()}"}  # not what they said
    assert api.path.stat().st_mode & 0o777 == 0o600


async def test_calls_overtake_one_another_and_a_deadline_ends_the_waiting(api: Api) -> None:
    client = await api.connect()
    client.call("slow", "test.slow")
    client.call("late", "test.slow", deadline=1)
    client.call("quick", "system.info")
    found = {(await client.get())["id"] for _ in range(2)}
    assert found == {"late", "quick"}
    api.go_on.set()
    assert (await client.get())["id"] == "slow"
    await client.close()


def ends(db: Database) -> list[str]:
    events = [event.payload["type"] for event in db.stream("call-protocol").read()]
    return [kind for kind in events if kind != "call.requested"]


async def until_ended(db: Database, number: int) -> list[str]:
    async with asyncio.timeout(30):
        while len(ends(db)) < number:
            await asyncio.sleep(0.001)
    return ends(db)


async def test_an_abort_stops_the_handler_and_is_recorded(api: Api) -> None:
    client = await api.connect()
    client.call("a", "test.slow")
    client.call("b", "test.slow")
    client.send("call.aborted", "a", {})
    client.send("call.aborted", "nothing of that name", {})
    answer = await client.get()
    assert (answer["id"], answer["type"], answer["payload"]["code"]) == ("a", "call.error", "ABORTED")
    api.go_on.set()
    assert (await client.get())["type"] == "call.responded"
    assert sorted(await until_ended(api.db, 2)) == ["call.aborted", "call.responded"]
    await client.close()
    await asyncio.to_thread(catch_up, api.db)
    statuses = api.db.query("SELECT attributes ->> '$.status' AS s FROM nodes ORDER BY 1")
    assert statuses == [{"s": "aborted"}, {"s": "completed"}]


async def test_a_deadline_stops_the_handler(api: Api) -> None:
    client = await api.connect()
    client.call("a", "test.slow", deadline=1)
    assert (await client.get())["payload"]["code"] == "TIMEOUT"
    assert await until_ended(api.db, 1) == ["call.aborted"]
    await client.close()


async def test_a_peer_that_vanishes_aborts_its_calls(api: Api) -> None:
    client = await api.connect()
    client.call("a", "test.slow")
    async with asyncio.timeout(30):
        while not api.recorder.running():
            await asyncio.sleep(0.001)
    client.writer.transport.abort()
    await client.close()
    assert await until_ended(api.db, 1) == ["call.aborted"]


async def test_a_stream_is_followed_from_an_offset_and_live(api: Api) -> None:
    first = api.db.stream("mine").publish({"n": 1}, "k")
    client = await api.connect()
    client.send("__subscribe", "s", {"topic": "mine", "after": 0})
    client.send("__subscribe", "s", {"topic": "mine", "after": 0})  # again: nothing
    assert (await client.get())["type"] == "__subscribed"
    event = await client.get()
    assert (event["type"], event["id"], event["payload"]["payload"]) == ("stream.event", "mine", {"n": 1})
    assert (event["payload"]["offset"], event["payload"]["key"]) == (first, "k")
    client.call("p", "stream.publish", {"topic": "mine", "payload": {"n": 2}})
    both = [await client.get(), await client.get()]
    assert {answer["type"] for answer in both} == {"stream.event", "call.responded"}
    client.send("__unsubscribe", "", {"topic": "mine"})
    client.send("__subscribe", "now", {"topic": "mine"})
    published = next(answer for answer in both if answer["type"] == "stream.event")["payload"]["offset"]
    assert (await client.get())["payload"]["after"] == published
    await client.close()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"nonsense\n", "MALFORMED"),
        (b"[]\n", "MALFORMED"),
        (b'{"id": "x"}\n', "MALFORMED"),
        (b'{"type": 7}\n', "MALFORMED"),
        (b'{"type": "\xff"}\n', "MALFORMED"),
        (b"[" * 100_000 + b"\n", "MALFORMED"),
        (b'{"type":"call.requested","payload":{}}\n', "MALFORMED"),
        (
            b'{"type":"call.requested","payload":{"operationId":"system.info","input":' + b"[" * 5_000 + b"}}\n",
            "MALFORMED",
        ),
        (b'{"type":"call.responded","payload":{}}\n', "UNKNOWN_TYPE"),
        (b'{"type":"__nothing","payload":{}}\n', "UNKNOWN_TYPE"),
        (b'{"type":"__subscribe","payload":{}}\n', "MALFORMED"),
        (b'{"type":"__subscribe","payload":{"topic":"mine","after":-1}}\n', "MALFORMED"),
        (b'{"type":"__subscribe","payload":{"topic":"mine","after":99999999999999999999}}\n', "MALFORMED"),
        (b'{"type":"call.requested","payload":{"operationId":"no.such"}}\n', "OPERATION_NOT_FOUND"),
        (b'{"type":"call.requested","payload":{"operationId":"fs.list","input":{"path":7}}}\n', "VALIDATION_ERROR"),
    ],
)
async def test_a_bad_line_gets_an_error_and_harms_nothing(api: Api, line: bytes, code: str) -> None:
    client = await api.connect()
    client.writer.write(line)
    answer = await client.get()
    assert (answer["type"], answer["payload"]["code"]) == ("call.error", code)
    client.call("after", "system.info")
    assert (await client.get())["type"] == "call.responded"
    await client.close()


async def test_a_line_that_is_too_long_ends_the_connection_and_no_other(api: Api) -> None:
    other, client = await api.connect(), await api.connect()
    client.writer.write(b"x" * (MAX_LINE_BYTES + 10))
    assert (await client.get())["payload"]["code"] == "TOO_LARGE"
    assert await client.reader.read() == b""
    await client.close()
    other.call("a", "system.info")
    assert (await other.get())["type"] == "call.responded"
    await other.close()


async def test_half_a_line_is_not_read(api: Api) -> None:
    client = await api.connect()
    client.writer.write(b'{"type":"call.requested","payload":{"operationId":"system.info"}}')
    client.writer.write_eof()
    assert "has no end" in (await client.get())["payload"]["message"]
    assert await client.reader.read() == b""
    await client.close()
    assert api.db.stream("call-protocol").read() == []


async def test_a_client_that_closes_its_side_still_gets_its_answer(api: Api) -> None:
    client = await api.connect()
    client.call("a", "system.info")
    client.writer.write_eof()
    assert (await client.get())["type"] == "call.responded"
    assert await client.reader.read() == b""
    await client.close()


async def test_a_path_that_is_too_long_is_said_so(tenant: Database, tmp_path: Path) -> None:
    with pytest.raises(SocketPathError):
        await Api(tenant, tmp_path / ("x" * 120), tmp_path).served.run(asyncio.Event())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_fuzz_no_bytes_do_harm(data: bytes, tenant: Database, tmp_path: Path) -> None:
    async def work() -> None:
        api, stop = Api(tenant, tmp_path / "f", tmp_path), asyncio.Event()
        serving = asyncio.create_task(api.served.run(stop))
        while not (tmp_path / "f").exists():
            await asyncio.sleep(0.001)
        client = await api.connect()
        client.writer.write(data + b"\n")
        client.call("after", "system.info")
        async with asyncio.timeout(30):
            while (await client.get())["id"] != "after":
                continue
        await client.close()
        stop.set()
        await serving

    asyncio.run(work())


@pytest.mark.parametrize(
    ("language", "command"),
    [("python", [sys.executable, "-c"]), ("javascript", ["node", "-e"]), ("bash", ["bash", "-euo", "pipefail", "-c"])],
)
async def test_the_clients_of_the_page_work(api: Api, language: str, command: list[str]) -> None:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 1
    assert blocks[0].count("\n") <= 22
    environment = {**os.environ, "SPOKE_SOCKET": str(api.path)}
    process = await asyncio.create_subprocess_exec(
        *command, blocks[0], env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    (event,) = api.db.stream(language).read()
    assert event.payload == {"n": 1}
    assert str(event.offset) in out.decode()
