"""The call protocol end to end: a PendingRequestMap at one end, a handler at the other, every event target between."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from storage.engine import Database
from storage.events.composite import CompositeEventTarget
from storage.events.durable import DurableEventTarget
from storage.events.envelope import EventEnvelope
from storage.events.ephemeral import EphemeralEventTarget
from storage.events.in_process import InProcessEventTarget
from storage.events.target import EventTarget
from storage.operations.spec import (
    AccessControl,
    ErrorDefinition,
    Identity,
    Model,
    OperationContext,
    OperationSpec,
)
from sync.calls import handler as handler_module
from sync.calls.errors import (
    AbortedError,
    AccessDeniedError,
    BusyError,
    CallFailed,
    CallTimeoutError,
    ExecutionError,
    OperationNotFoundError,
    ValidationError,
)
from sync.calls.handler import CallHandler, serving
from sync.calls.pending import PendingRequestMap
from sync.calls.recorder import Recorder
from sync.calls.registry import Registry
from sync.events.websocket_client import WebSocketClientEventTarget
from sync.events.websocket_server import WebSocketServerEventTarget
from tests.app.operations.clock import ids, now

LIMIT_S = 30
ME = Identity("me", ("test:run",), {"shelf:red": ("execute",)})


class Nothing(Model):
    pass


class Number(Model):
    n: int = 0
    shelf: str | None = None


def spec(name: str, kind: Any = "query", **more: Any) -> OperationSpec[Any, Any]:
    return OperationSpec(
        namespace="test",
        name=name,
        type=kind,
        description=f"Test {name}.",
        input_model=Number,
        output_model=Number,
        **more,
    )


class Node:
    """Operations of a node, and what they saw."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.registry = Registry()
        self.recorder = Recorder(db, now, ids())
        self.seen: list[OperationContext] = []
        self.closed = asyncio.Event()
        self.registry.register(spec("echo"), self._echo)
        self.registry.register(spec("slow"), self._slow)
        self.registry.register(spec("count", "subscription"), self._count)
        self.registry.register(spec("silent", "subscription"), self._silent)
        self.registry.register(spec("breaks", "subscription"), self._breaks)
        self.registry.register(spec("raises", errors=(ErrorDefinition("EMPTY", "nothing there"),)), self._raises)
        self.registry.register(spec("secret", access_control=AccessControl(("admin:all",))), self._echo)
        shelf = AccessControl(("test:run",), resource_type="shelf", resource_field="shelf")
        self.registry.register(spec("shelf", access_control=shelf), self._echo)
        self.registry.register(spec("wrong"), lambda value, context: "no model")

    def _echo(self, value: Number, context: OperationContext) -> Number:
        self.seen.append(context)
        return value

    def _slow(self, _: Number, context: OperationContext) -> Number:
        if context.abort.wait(60):
            raise AbortedError("stopped")
        return Number()

    def _raises(self, value: Number, _: OperationContext) -> Number:
        raise RuntimeError("EMPTY: no more of it" if value.n == 0 else "something else")

    async def _count(self, value: Number, _: OperationContext) -> AsyncIterator[Number]:
        for n in range(value.n):
            yield Number(n=n)

    async def _silent(self, value: Number, _: OperationContext) -> AsyncIterator[Number]:
        try:
            yield value
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def _breaks(self, value: Number, _: OperationContext) -> AsyncIterator[Number]:
        yield value
        raise RuntimeError("broken")

    def log(self) -> list[dict[str, Any]]:
        rows = self.db.query("SELECT payload FROM _honker_stream WHERE topic = 'call-protocol' ORDER BY offset")
        return [json.loads(row["payload"]) for row in rows]

    async def logged(self, *types: str) -> None:
        """Wait until the log holds exactly these."""
        async with asyncio.timeout(LIMIT_S):
            while [event["type"] for event in self.log()] != list(types):
                await asyncio.sleep(0.001)


@asynccontextmanager
async def over(kind: str, node: Node) -> AsyncIterator[tuple[EventTarget, EventTarget]]:
    """Two ends of a target of that kind."""
    async with AsyncExitStack() as stack:
        if kind == "websocket":
            server = WebSocketServerEventTarget()

            async def accept(connection: ServerConnection) -> None:
                await server.serve(connection)

            listening = await stack.enter_async_context(serve(accept, "127.0.0.1", 0))
            port = next(iter(listening.sockets)).getsockname()[1]
            socket = await stack.enter_async_context(connect(f"ws://127.0.0.1:{port}"))
            client = WebSocketClientEventTarget(socket)
            reading = asyncio.ensure_future(client.run())
            stack.callback(reading.cancel)
            yield client, server
            return
        targets: dict[str, Callable[[], EventTarget]] = {
            "in-process": InProcessEventTarget,
            "ephemeral": lambda: EphemeralEventTarget(
                node.db, ("call.requested", "call.responded", "call.error", "call.aborted", "call.completed")
            ),
            "durable": lambda: DurableEventTarget(node.db, "rpc", "test@spoke"),
            "composite": lambda: CompositeEventTarget(node.db, "rpc", "test@spoke"),
        }
        target = targets[kind]()
        stack.push_async_callback(target.close)
        yield target, target


KINDS = ("in-process", "ephemeral", "durable", "composite", "websocket")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def calling(node: Node, kind: str = "in-process") -> AsyncIterator[PendingRequestMap]:
    async with (
        asyncio.timeout(LIMIT_S),
        over(kind, node) as (near, far),
        serving(far, node.registry, node.recorder, ME),
    ):
        calls = PendingRequestMap(near, ids())
        yield calls
        await calls.close()
    async with asyncio.timeout(LIMIT_S):  # what was asked to stop does so on its own thread
        while node.db.query("SELECT id FROM running"):
            await asyncio.sleep(0.001)


async def test_a_call_is_answered_over_every_target(tenant: Database, kind: str) -> None:
    node = Node(tenant)
    async with calling(node, kind) as calls:
        assert await calls.call("test.echo", {"n": 7}) == {"n": 7, "shelf": None}
        many = await asyncio.gather(*(calls.call("test.echo", {"n": n}) for n in range(50)))
        assert [answer["n"] for answer in many] == list(range(50))
        assert calls.pending == 0
        with pytest.raises(OperationNotFoundError, match="ecko"):
            await calls.call("test.ecko")
        with pytest.raises(ValidationError, match="n: "):
            await calls.call("test.echo", {"n": "seven"})
        with pytest.raises(AccessDeniedError, match="admin:all"):
            await calls.call("test.secret")


async def test_a_subscription_ends_by_itself_over_every_target(tenant: Database, kind: str) -> None:
    node = Node(tenant)
    async with calling(node, kind) as calls:
        assert [item["n"] async for item in calls.subscribe("test.count", {"n": 5})] == [0, 1, 2, 3, 4]
        assert [item async for item in calls.subscribe("test.count", {"n": 0})] == []
    ends = [event["type"] for event in node.log()]
    assert ends == ["call.requested", "call.completed"] * 2


async def test_leaving_a_subscription_closes_its_generator_over_every_target(tenant: Database, kind: str) -> None:
    node = Node(tenant)
    async with calling(node, kind) as calls:
        subscription = calls.subscribe("test.silent", {"n": 1})
        assert (await anext(subscription))["n"] == 1
        await subscription.aclose()
        await node.closed.wait()
        assert calls.pending == 0
    await node.logged("call.requested", "call.aborted")


async def test_a_subscription_that_says_nothing_is_over(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node) as calls:
        with pytest.raises(CallTimeoutError) as caught:
            async for _ in calls.subscribe("test.silent", {"n": 1}, idle_timeout=20):
                continue
        assert caught.value.details == {"idleTimeout": 20}
        await node.closed.wait()


async def test_the_serving_end_keeps_the_idle_limit_by_itself(tenant: Database) -> None:
    node = Node(tenant)
    sent: list[tuple[str, dict[str, Any]]] = []
    done = asyncio.Event()

    async def send(kind: str, name: str, payload: dict[str, Any]) -> None:
        sent.append((kind, payload))
        if kind != "call.responded":
            done.set()

    handler = CallHandler(node.registry, node.recorder, ME, send)
    async with asyncio.timeout(LIMIT_S):
        await handler.requested("x", b'{"operationId":"test.silent","input":{"n":1},"idleTimeout":20}')
        await done.wait()
        await node.closed.wait()
    assert sent[-1][1]["code"] == "TIMEOUT"
    assert sent[-1][1]["details"] == {"idleTimeout": 20}
    await handler.close()


async def test_a_subscription_that_breaks_ends_with_its_error(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node) as calls:
        with pytest.raises(ExecutionError, match="broken"):
            async for _ in calls.subscribe("test.breaks", {"n": 1}):
                continue
    assert [event["type"] for event in node.log()] == ["call.requested", "call.error"]


async def test_calls_and_subscriptions_are_not_confused(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node) as calls:
        with pytest.raises(AbortedError, match="completed without response"):
            await calls.call("test.count", {"n": 0})
        assert (await calls.call("test.count", {"n": 3}))["n"] == 0, "the first response is the answer"


async def test_a_deadline_aborts_the_handler(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node) as calls:
        with pytest.raises(CallTimeoutError):
            await calls.call("test.slow", deadline=int(time.time() * 1000) + 200)
        await node.logged("call.requested", "call.aborted")


async def test_the_serving_end_keeps_the_deadline_by_itself(tenant: Database) -> None:
    node = Node(tenant)
    answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(kind: str, name: str, payload: dict[str, Any]) -> None:
        answers.put_nowait(payload)

    handler = CallHandler(node.registry, node.recorder, ME, send, clock_ms=lambda: 1_000)
    async with asyncio.timeout(LIMIT_S):
        await handler.requested("x", b'{"operationId":"test.slow","input":{},"deadline":1001}')
        answer = await answers.get()
    assert (answer["code"], answer["details"]) == ("TIMEOUT", {"deadline": 1001})
    await node.logged("call.requested", "call.aborted")
    await handler.close()


async def test_cancelling_a_caller_aborts_the_handler(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node) as calls:
        waiting = asyncio.ensure_future(calls.call("test.slow"))
        while not node.recorder.running():
            await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await node.logged("call.requested", "call.aborted")


async def test_closing_the_map_ends_what_waits(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node) as calls:
        waiting = asyncio.ensure_future(calls.call("test.slow"))
        while not node.recorder.running():
            await asyncio.sleep(0.001)
        await calls.close()
        with pytest.raises(AbortedError, match="closed"):
            await waiting


async def test_declared_errors_keep_their_code_and_others_do_not(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node) as calls:
        with pytest.raises(CallFailed, match="no more of it") as caught:
            await calls.call("test.raises", {"n": 0})
        assert caught.value.code == "EMPTY"
        with pytest.raises(ExecutionError, match="RuntimeError: something else"):
            await calls.call("test.raises", {"n": 1})
        with pytest.raises(ExecutionError, match="output schema"):
            await calls.call("test.wrong")


async def test_the_id_of_a_resource_is_compared(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node) as calls:
        assert (await calls.call("test.shelf", {"shelf": "red"}))["shelf"] == "red"
        for shelf in ("blue", "*", "red:blue", "", None):
            with pytest.raises(AccessDeniedError, match="execute on shelf:"):
                await calls.call("test.shelf", {"shelf": shelf})


async def test_a_forged_identity_is_not_read(tenant: Database) -> None:
    node = Node(tenant)
    target = InProcessEventTarget()
    answers: list[EventEnvelope] = []
    done = asyncio.Event()

    def hear(event: EventEnvelope) -> None:
        answers.append(event)
        done.set()

    for kind in ("call.responded:r", "call.error:r"):
        target.add_event_listener(kind, hear)
    payload = {
        "operationId": "test.secret",
        "input": {},
        "identity": {"id": "root", "scopes": ["*"]},
        "trusted": True,
        "metadata": {"trusted": True},
    }
    async with asyncio.timeout(LIMIT_S), serving(target, node.registry, node.recorder, ME):
        await target.dispatch_event(EventEnvelope("call.requested", "r", msgspec.Raw(msgspec.json.encode(payload))))
        await done.wait()
    assert msgspec.json.decode(answers[0].payload)["code"] == "ACCESS_DENIED"
    requested = [event for event in node.log() if event["type"] == "call.requested"]
    assert [event["identity"]["id"] for event in requested] == ["me"]


async def test_nobody_else_hears_an_answer(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node, "websocket") as calls:
        other = PendingRequestMap(calls._target, ids())
        heard: list[EventEnvelope] = []
        entry = other._enter(many=True)[1]
        await calls.call("test.echo")
        assert not entry.waiting
        assert not heard
        await other.close()


async def test_a_request_id_is_taken_once(tenant: Database) -> None:
    from app.services.projector import catch_up

    node = Node(tenant)
    sent: list[dict[str, Any]] = []
    arrived = asyncio.Event()

    async def send(kind: str, name: str, payload: dict[str, Any]) -> None:
        sent.append({"type": kind, **payload})
        arrived.set()

    handler = CallHandler(node.registry, node.recorder, ME, send)
    request = b'{"operationId":"test.echo","requestId":"11111111-aaaa","input":{}}'
    async with asyncio.timeout(LIMIT_S):
        await handler.requested("a", request)
        await arrived.wait()
        await asyncio.to_thread(catch_up, tenant)
        await handler.requested("a", request)
    assert sent[0]["requestId"] == "11111111-aaaa"
    assert "taken" in sent[1]["message"]
    for bad in (b'"short"', b'"' + b"x" * 65 + b'"', b'"nul\\u0000nul nul"', '"ümläut-ümläut"'.encode()):
        await handler.requested("a", b'{"operationId":"test.echo","requestId":' + bad + b',"input":{}}')
        assert sent[-1]["code"] == "VALIDATION_ERROR"
    await handler.close()


async def test_too_many_calls_over_a_target_are_refused(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_module, "MAX_WAITING", 2)
    node = Node(tenant)
    async with calling(node) as calls:
        waiting = [asyncio.ensure_future(calls.call("test.slow")) for _ in range(40)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert all(isinstance(one.exception(), BusyError) for one in done)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_orphans_and_nonsense_are_passed_over(tenant: Database) -> None:
    node = Node(tenant)
    async with calling(node) as calls:
        target, reply = calls._target, calls._reply
        for payload in (b"null", b"[]", b'{"requestId":"nobody"}', b'{"requestId":7}', b'"' + b"x" * 100 + b'"'):
            for kind in ("call.responded", "call.error", "call.completed", "call.aborted", "call.requested"):
                await target.dispatch_event(EventEnvelope(kind, reply, msgspec.Raw(payload)))
        assert (await calls.call("test.echo", {"n": 1}))["n"] == 1


@given(
    payload=st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
@settings(max_examples=200)
def test_any_payload_is_answered_and_harms_nobody(payload: bytes) -> None:
    async def run() -> None:
        sent: list[str] = []

        async def send(kind: str, name: str, answer: dict[str, Any]) -> None:
            sent.append(kind)

        handler = CallHandler(Registry(), _Unused(), ME, send)  # type: ignore[arg-type]
        await handler.requested("x", payload)
        assert sent == ["call.error"]
        await handler.aborted("x", payload)
        await handler.close()

    asyncio.run(run())


class _Unused:
    """A recorder that nothing may reach but the making of ids."""

    def new_id(self) -> str:
        return "id"
