"""The contract of event targets, for all of them: in process, ephemeral, durable, composite, WebSocket both ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from storage import engine
from storage.engine.errors import PayloadError, UsageError
from storage.events.composite import CompositeEventTarget
from storage.events.durable import DurableEventTarget
from storage.events.envelope import EventEnvelope
from storage.events.ephemeral import EphemeralEventTarget
from storage.events.in_process import InProcessEventTarget
from storage.events.pubsub import SlowConsumerError, create_pubsub
from storage.events.target import EventTarget, ReservedTypeError
from sync.events.websocket_client import WebSocketClientEventTarget
from sync.events.websocket_server import WebSocketServerEventTarget

KINDS = ["in process", "ephemeral", "durable", "composite", "two processes", "client to server", "server to client"]


@dataclass
class Rig:
    """Events go in at `sender` and are heard at `receiver`; `resources` says what listening costs."""

    sender: EventTarget
    receiver: EventTarget
    resources: Callable[[], int]
    subscribed: Callable[[str], bool] = lambda topic: True

    async def ready(self, *topics: str) -> None:
        """Wait until the sender's side knows who listens."""
        async with asyncio.timeout(30):
            while not all(self.subscribed(topic) for topic in topics):
                await asyncio.sleep(0.001)


@asynccontextmanager
async def sockets() -> AsyncIterator[tuple[WebSocketServerEventTarget, WebSocketClientEventTarget]]:
    server_target = WebSocketServerEventTarget()

    async def handle(connection: ServerConnection) -> None:
        await server_target.serve(connection)

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
            client = WebSocketClientEventTarget(socket)
            running = asyncio.ensure_future(client.run())
            try:
                async with asyncio.timeout(30):
                    while not server_target.connections:
                        await asyncio.sleep(0.001)
                yield server_target, client
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(params=KINDS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:

        def database() -> engine.Database:
            db = engine.open(tmp_path / "t.db", durability="normal")
            stack.callback(db.close)
            return db

        match request.param:
            case "in process":
                local = InProcessEventTarget()
                found = Rig(local, local, lambda: len(local._listeners.topics))
            case "ephemeral":
                ephemeral = EphemeralEventTarget(database(), prefixes=("many",))
                found = Rig(ephemeral, ephemeral, lambda: len(ephemeral.channels))
            case "durable":
                durable = DurableEventTarget(database(), "s", "c@spoke")
                found = Rig(durable, durable, lambda: int(durable.following))
            case "composite":
                composite = CompositeEventTarget(database(), "s", "c@spoke")
                found = Rig(composite, composite, lambda: int(composite.following))
            case "two processes":  # as two processes would: two handles on one file
                sender = CompositeEventTarget(database(), "s", "a@spoke")
                receiver = CompositeEventTarget(database(), "s", "b@spoke")
                stack.push_async_callback(sender.close)
                found = Rig(sender, receiver, lambda: int(receiver.following))
            case _:
                server, client = await stack.enter_async_context(sockets())
                (peer,) = server.connections
                if request.param == "client to server":
                    found = Rig(client, server, lambda: len(server._listeners.topics))
                else:
                    found = Rig(server, client, lambda: len(client.topics), lambda topic: topic in peer.topics)
        yield found
        await found.receiver.close()


def event(event_type: str, event_id: str = "", payload: Any = None) -> EventEnvelope:
    return EventEnvelope(event_type, event_id, msgspec.Raw(json.dumps(payload).encode()))


class Ear:
    """Hears, and waits for a number of events."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._arrived = asyncio.Event()

    def __call__(self, event: EventEnvelope) -> None:
        self.heard.append((event.topic, json.loads(bytes(event.payload))))
        self._arrived.set()

    async def until(self, number: int) -> list[tuple[str, Any]]:
        async with asyncio.timeout(30):
            while len(self.heard) < number:
                self._arrived.clear()
                await self._arrived.wait()
        return self.heard


async def test_a_listener_hears_its_topic_in_order_and_nothing_else(rig: Rig) -> None:
    ear, other = Ear(), Ear()
    rig.receiver.add_event_listener("a:1", ear)
    rig.receiver.add_event_listener("b:", other)
    await rig.ready("a:1", "b:")
    for number in range(50):
        assert await rig.sender.dispatch_event(event("a", "1", {"n": number, "text": "ü\u2028"})) is True
        await rig.sender.dispatch_event(event("a", "2", "not for us"))
        await rig.sender.dispatch_event(event("ab", "1", "not for us"))
    await rig.sender.dispatch_event(event("b", "", "end"))
    assert await other.until(1) == [("b:", "end")]
    assert await ear.until(50) == [("a:1", {"n": number, "text": "ü\u2028"}) for number in range(50)]


async def test_every_listener_hears_an_event_once(rig: Rig) -> None:
    first, second = Ear(), Ear()
    rig.receiver.add_event_listener("a:", first)
    rig.receiver.add_event_listener("a:", first)
    rig.receiver.add_event_listener("a:", second)
    rig.receiver.add_event_listener("a:", None)
    await rig.ready("a:")
    for payload in (1, 2):
        await rig.sender.dispatch_event(event("a", "", payload))
    assert await second.until(2) == [("a:", 1), ("a:", 2)]
    assert await first.until(2) == [("a:", 1), ("a:", 2)]


async def test_removing_the_last_listener_releases_the_topic(rig: Rig) -> None:
    first, second = Ear(), Ear()
    before = rig.resources()
    rig.receiver.add_event_listener("a:", first)
    rig.receiver.add_event_listener("a:", second)
    assert rig.resources() > before
    rig.receiver.remove_event_listener("a:", first)
    rig.receiver.remove_event_listener("a:", first)
    rig.receiver.remove_event_listener("nothing:", first)
    await rig.ready("a:")
    await rig.sender.dispatch_event(event("a", "", 1))
    assert await second.until(1) == [("a:", 1)]
    assert first.heard == []
    rig.receiver.remove_event_listener("a:", second)
    assert rig.resources() == before


async def test_a_prefix_hears_every_id_of_a_type(rig: Rig) -> None:
    ear, one = Ear(), Ear()
    rig.receiver.add_event_listener("many:*", ear)
    rig.receiver.add_event_listener("many:7", one)
    await rig.ready("many:*", "many:7")
    for number in range(10):
        await rig.sender.dispatch_event(event("many", str(number), number))
    assert await ear.until(10) == [(f"many:{number}", number) for number in range(10)]
    assert await one.until(1) == [("many:7", 7)]


async def test_a_listener_that_fails_harms_no_other(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    ear = Ear()

    def broken(_: EventEnvelope) -> None:
        raise LookupError("broken")

    rig.receiver.add_event_listener("a:", broken)
    rig.receiver.add_event_listener("a:", ear)
    await rig.ready("a:")
    for payload in (1, 2):
        await rig.sender.dispatch_event(event("a", "", payload))
    assert await ear.until(2) == [("a:", 1), ("a:", 2)]
    assert "LookupError: broken" in caplog.text


async def test_after_close_nothing_happens(rig: Rig) -> None:
    ear = Ear()
    rig.receiver.add_event_listener("a:", ear)
    await rig.receiver.close()
    await rig.receiver.close()
    rig.receiver.add_event_listener("b:", ear)
    assert await rig.receiver.dispatch_event(event("a", "", 1)) is True
    rig.receiver.remove_event_listener("a:", ear)
    await rig.sender.dispatch_event(event("a", "", 1))
    await asyncio.sleep(0)
    assert ear.heard == []


async def test_pubsub_over_every_target(rig: Rig) -> None:
    sender, receiver = create_pubsub(rig.sender), create_pubsub(rig.receiver)
    async with receiver.subscribe("a", "1") as events:
        await rig.ready("a:1")
        await sender.publish("a", "1", {"n": 1})
        async with asyncio.timeout(30):
            found = await anext(aiter(events))
        assert (found.type, found.id, json.loads(bytes(found.payload))) == ("a", "1", {"n": 1})
    with pytest.raises(ReservedTypeError):
        await sender.publish("__subscribe", "", {})
    with pytest.raises(PayloadError):
        await sender.publish("a", "", object())


async def test_a_slow_subscriber_is_cut_off_and_told(rig: Rig) -> None:
    sender, receiver = create_pubsub(rig.sender), create_pubsub(rig.receiver)
    events = receiver.subscribe("a", "", max_waiting=3)
    ear = Ear()
    rig.receiver.add_event_listener("a:", ear)  # after the subscriber: what this one heard, that one has been offered
    await rig.ready("a:")
    for number in range(6):
        await sender.publish("a", "", number)
    await ear.until(6)
    read = [json.loads(bytes((await anext(aiter(events))).payload)) for _ in range(3)]
    assert read == [0, 1, 2]
    with pytest.raises(SlowConsumerError):
        await anext(aiter(events))


# -- what single targets promise beyond the contract -----------------------------------------------------------------


async def test_composite_is_heard_at_once_and_durable_when_publish_returns(tmp_path: Path) -> None:
    db = engine.open(tmp_path / "t.db")
    target = CompositeEventTarget(db, "s", "c@spoke")
    ear = Ear()
    target.add_event_listener("a:", ear)
    dispatching = asyncio.ensure_future(target.dispatch_event(event("a", "", 1)))
    await asyncio.sleep(0)
    assert ear.heard == [("a:", 1)]  # one turn of the loop: nobody has waited for the disk
    await dispatching
    assert len(db.stream("s").read()) == 1
    await target.dispatch_event(event("b", "", 2))
    probe = Ear()
    target.add_event_listener("c:", probe)
    other = DurableEventTarget(db, "s", "other@spoke")
    await other.dispatch_event(event("c", "", 3))
    assert await probe.until(1) == [("c:", 3)]  # the consumer has passed our own events by now
    assert ear.heard == [("a:", 1)]
    await target.close()
    await other.close()
    db.close()


@pytest.mark.parametrize("nonsense", [None, 7, "text", [], {}, {"envelope": 7}, {"envelope": "{"}, {"envelope": "[]"}])
async def test_nonsense_on_a_channel_or_in_a_stream_is_passed_over(tmp_path: Path, nonsense: Any) -> None:
    db = engine.open(tmp_path / "t.db")
    with db.transaction() as tx:
        db.stream("s").publish(nonsense, tx=tx)
    for target in (EphemeralEventTarget(db), DurableEventTarget(db, "s", "c@spoke")):
        ear = Ear()
        target.add_event_listener("a:", ear)
        with db.transaction() as tx:
            tx.notify("a:", nonsense)
        await target.dispatch_event(event("a", "", 1))
        assert await ear.until(1) == [("a:", 1)]
        await target.close()
    db.close()


async def test_a_durable_consumer_goes_on_where_it_left_off(tmp_path: Path) -> None:
    db = engine.open(tmp_path / "t.db")
    first, ear = DurableEventTarget(db, "s", "c@spoke"), Ear()
    first.add_event_listener("a:", ear)
    await first.dispatch_event(event("a", "", 1))
    await ear.until(1)
    await first.close()
    writer = DurableEventTarget(db, "s", "writer@spoke")
    await writer.dispatch_event(event("a", "", 2))
    db.stream("s").publish({"no": "envelope"})  # a foreign program; it blocks nothing
    await writer.dispatch_event(event("a", "", 3))
    second, later = DurableEventTarget(db, "s", "c@spoke"), Ear()
    second.add_event_listener("a:", later)
    assert await later.until(2) == [("a:", 2), ("a:", 3)]
    await second.close()
    db.close()


async def test_nobody_can_listen_to_a_prefix_without_a_channel_for_it(tmp_path: Path) -> None:
    db = engine.open(tmp_path / "t.db")
    target = EphemeralEventTarget(db)
    with pytest.raises(UsageError, match="name 'a' in prefixes"):
        target.add_event_listener("a:*", Ear())
    await target.close()
    db.close()


class StuckSocket:
    """A peer that asks for a topic and then never reads."""

    def __init__(self) -> None:
        self.closed: list[int] = []
        self.sent = 0

    async def send(self, message: str) -> None:
        self.sent += 1
        await asyncio.Event().wait()

    async def __aiter__(self) -> AsyncIterator[str]:
        yield '{"type":"__subscribe","id":"","payload":{"topic":"a:"}}'
        yield "no envelope"
        yield '{"type":"__subscribe","id":"","payload":{}}'
        await asyncio.Event().wait()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed.append(code)


async def test_a_peer_that_does_not_read_is_bounded_in_memory_and_closed_with_1013() -> None:
    target, socket = WebSocketServerEventTarget(max_buffered=10_000), StuckSocket()
    serving = asyncio.ensure_future(target.serve(socket))
    async with asyncio.timeout(30):
        while not target.connections or not next(iter(target.connections)).topics:
            await asyncio.sleep(0)
        (connection,) = target.connections
        for _ in range(100):
            await target.dispatch_event(event("a", "", "x" * 1_000))
        assert connection._buffered <= 10_000
        assert connection.overrun
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert not target.connections


async def test_a_slow_peer_that_reads_at_last_is_told_to_come_again() -> None:
    class Slow(StuckSocket):
        async def send(self, message: str) -> None:
            self.sent += 1
            await asyncio.sleep(0)

    target, socket = WebSocketServerEventTarget(max_buffered=5_000), Slow()
    serving = asyncio.ensure_future(target.serve(socket))
    async with asyncio.timeout(30):
        while not target.connections or not next(iter(target.connections)).topics:
            await asyncio.sleep(0)
        for _ in range(10):
            await target.dispatch_event(event("a", "", "x" * 1_000))
        await serving
    assert socket.closed == [1013]


async def test_a_peer_hears_only_what_it_may_and_answers_go_to_one_alone() -> None:
    target = WebSocketServerEventTarget(allow=lambda connection, topic: topic != "a:")
    first, second = StuckSocket(), StuckSocket()
    tasks = [asyncio.ensure_future(target.serve(socket)) for socket in (first, second)]
    async with asyncio.timeout(30):
        while len(target.connections) < 2:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        await target.dispatch_event(event("a", "", 1))
        one = next(iter(target.connections))
        target.send_to(one, event("call.responded", "r1", {}))
        for _ in range(20):
            await asyncio.sleep(0)
    assert sorted([first.sent, second.sent]) == [0, 1]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
