"""Live calls: executed if the other end is there now; nothing waits, nothing is done twice, nothing is promised.

The frames are the link's (`Call`, `Result`). A command on the hub's machine, another process, asks the hub that runs
over the channel `live:calls` of the tenant's file and hears the end on `live:results`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from app.services.waiting import until_stopped
from storage.engine import Database, Transaction
from storage.engine.errors import EngineError
from storage.operations.spec import Identity
from sync.calls.errors import AbortedError, AccessDeniedError, CallFailed, CallTimeoutError, ExecutionError
from sync.calls.events import Call
from sync.calls.recorder import Recorder
from sync.calls.registry import Registry
from sync.hub.server import Hub
from sync.link import frames
from sync.link.errors import LinkError

log = logging.getLogger("spoke.live")

CHANNELS = ("live:calls", "live:results")
MAX_LIVE_S = 60.0
MAX_WAITING = 64


class LiveRequest(msgspec.Struct, frozen=True, rename="camel"):
    """What a command asks the hub that runs, on the channel `live:calls`."""

    call_id: str
    node_id: str
    operation_id: str
    input: Any
    seconds: float


async def execute(
    db: Database, registry: Registry, who: Identity | None, frame: frames.Call, hub_ms: int | None
) -> str:
    """Execute a live call here, recorded in `call-protocol` like any other; returns the call event that ends it.

    Args:
        who: as the link knows the other end; None may call nothing.
        hub_ms: the hub's clock now, by which the deadline is judged; None: it is not known, the longest time holds.
    """
    recorder = Recorder(db, lambda: datetime.now(UTC), lambda: str(uuid.uuid4()))
    try:
        if who is None:
            raise AccessDeniedError("this peer may call nothing here")
        seconds = MAX_LIVE_S
        if frame.deadline_ms is not None and hub_ms is not None:
            seconds = min(seconds, max(0.0, (frame.deadline_ms - hub_ms) / 1000))
        call = Call(
            operation_id=frame.operation_id,
            input=msgspec.json.decode(frame.input),
            identity=who,
            deadline=frame.deadline_ms,
        )
        registry.check(call.operation_id, call.input)
        working = asyncio.ensure_future(asyncio.to_thread(recorder.execute, registry, [call]))
        done, _ = await asyncio.wait({working}, timeout=seconds)
        if not done:
            call.abort.set()
            working.add_done_callback(lambda ended: ended.exception())  # its outcome is in the log
            raise CallTimeoutError(f"no end within {seconds:g} s; the call was asked to stop")
        (outcome,) = working.result()
        if outcome.error is not None:
            raise outcome.error
        output = {"data": outcome.output, "meta": {"source": "local", "operationId": frame.operation_id}}
        return _event("call.responded", frame.call_id, output=output)
    except CallFailed as error:
        return _failed(frame.call_id, error)
    except (EngineError, ValueError, RecursionError) as error:
        return _failed(frame.call_id, ExecutionError(str(error)))


def answers(
    db: Database,
    registry: Callable[[], Registry],
    who: Callable[[], Identity | None],
    hub_time: Callable[[], int | None],
) -> Callable[[frames.Call], Coroutine[Any, Any, str]]:
    """What a node does with the live calls of its hub; the registry is made when the first one comes."""
    made: list[Registry] = []

    async def called(frame: frames.Call) -> str:
        if not made:
            made.append(await asyncio.to_thread(registry))
        return await execute(db, made[0], who(), frame, hub_time())

    return called


async def relay(hub: Hub, db: Database, stop: asyncio.Event) -> None:
    """Carry the live calls that commands ask for to the spokes of a tenant, until `stop`."""
    waiting: set[asyncio.Task[None]] = set()

    async def one(asked: LiveRequest) -> None:
        try:
            async with asyncio.timeout(min(asked.seconds, MAX_LIVE_S)):
                deadline_ms = int(db.clock() * 1000) + round(asked.seconds * 1000)
                event = await hub.call(asked.node_id, asked.operation_id, asked.input, deadline_ms=deadline_ms)
        except TimeoutError:
            event = _failed(asked.call_id, CallTimeoutError("the spoke did not answer in time"))
        except LinkError as error:
            event = _failed(asked.call_id, AbortedError(str(error)))
        await db.run(partial(_tell, asked.call_id, event))

    async def listen() -> None:
        async for told in db.listen("live:calls"):
            try:
                asked = msgspec.convert(told.payload, LiveRequest)
            except msgspec.ValidationError as error:
                log.warning("live:calls: not a live call: %s", error)
                continue
            if len(waiting) >= MAX_WAITING:
                busy = _failed(asked.call_id, ExecutionError(f"{MAX_WAITING} live calls are under way"))
                await db.run(partial(_tell, asked.call_id, busy))
                continue
            task = asyncio.create_task(one(asked))
            waiting.add(task)
            task.add_done_callback(waiting.discard)

    try:
        await until_stopped(stop, listen())
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def ask(db: Database, node_id: str, operation_id: str, value: Any, seconds: float) -> dict[str, Any]:
    """From another process: call a spoke through the hub that runs on this file; returns the call event that ends it.

    Raises:
        CallTimeoutError: no answer came in time; whether the operation ran is not known.
    """
    call_id = str(uuid.uuid4())
    asked = LiveRequest(call_id, node_id, operation_id, value, seconds)
    listener = db.listen("live:results")  # before the question: there is no replay
    await db.run(lambda tx: tx.notify("live:calls", msgspec.to_builtins(asked)))
    try:
        async with asyncio.timeout(seconds + 1):
            async for told in listener:
                if told.payload["callId"] == call_id:
                    event: dict[str, Any] = told.payload["event"]
                    return event
    except TimeoutError:
        pass
    raise CallTimeoutError("no answer came in time; whether it ran is not known", hint="is the hub running?")


def _tell(call_id: str, event: str, tx: Transaction) -> None:
    tx.notify("live:results", {"callId": call_id, "event": msgspec.json.decode(event)})


def _failed(call_id: str, error: CallFailed) -> str:
    return _event("call.error", call_id, code=error.code, message=error.message, details=error.details)


def _event(kind: str, call_id: str, **fields: Any) -> str:
    told = {name: value for name, value in fields.items() if value is not None}
    return msgspec.json.encode({"type": kind, "requestId": call_id, **told}).decode()
