"""Calling an operation from a screen: its outputs as they come, wherever it is executed; closing stops the call."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.services.operating import Operating
from storage.engine import Database
from sync.calls.errors import AbortedError, CallFailed, from_code

if TYPE_CHECKING:
    from app.config import Settings
    from app.paths import Paths
    from app.views.operations import OperationRow

MAX_ANSWER_BYTES = 64 * 1_048_576
"""Of one output that comes over the socket."""


class Calling:
    """What can be called from here, and calling it as the person who started this process.

    Imports what it needs when it is used: a person who only looks does not wait for it.

    Args:
        db: the node's file.
        settings: as they are configured.
        paths: where its files are.
        operating: what executes operations in this process.
        attached: asks whether another process runs the services: then that one executes what is not the hub's.
    """

    def __init__(
        self, db: Database, settings: Settings, paths: Paths, operating: Operating, attached: Callable[[], bool]
    ) -> None:
        self._db = db
        self._settings = settings
        self._paths = paths
        self._operating = operating
        self._attached = attached
        self._listed: dict[bool, list[OperationRow]] = {}

    def listed(self, *, hub: bool) -> list[OperationRow]:
        """Everything that can be called, with `hub` what the hub executes too. Slow the first time: on a thread."""
        from app.views.operations import read_operations

        if hub not in self._listed:
            self._listed[hub] = read_operations(self._operating.registry, self._settings, self._paths, hub=hub)
        return self._listed[hub]

    def document(self, row: OperationRow) -> dict[str, Any]:
        """The operation's spec with its schemas. On a thread."""
        from storage.operations.document import describe

        return describe(self._registry(row).get_spec(row.operation_id))

    def check(self, row: OperationRow, value: Any) -> None:
        """Whether the input fits. On a thread. Raises CallFailed: why not."""
        self._registry(row).check(row.operation_id, value)

    def _registry(self, row: OperationRow) -> Any:
        from app.operations import hub_registry

        return hub_registry() if row.where == "hub" else self._operating.registry

    def outputs(self, row: OperationRow, value: Any) -> AsyncGenerator[Any, None]:
        """Call it: one output, or of a subscription as many as come. Closing the generator stops the call.

        A call to the hub waits for it however long it is away; closing then only ends the waiting.

        Raises:
            CallFailed: as the call failed.
            EngineError: the log cannot be written.
        """
        if row.where == "hub":
            return self._at_the_hub(row, value)
        if self._attached() and self._paths.socket.exists():
            return over_socket(self._paths.socket, row.operation_id, value, stream=row.type == "subscription")
        return self._here(row, value)

    async def _here(self, row: OperationRow, value: Any) -> AsyncGenerator[Any, None]:
        from app.services.durable_calls import now
        from sync.calls.access import owner
        from sync.calls.events import Call
        from sync.calls.recorder import Recorder

        recorder = Recorder(self._db, now, lambda: str(uuid.uuid4()))
        call = Call(
            operation_id=row.operation_id, input=value, identity=owner(os.getuid()), request_id=recorder.new_id()
        )
        registry = await asyncio.to_thread(lambda: self._operating.registry)
        if row.type == "subscription":
            async with aclosing(recorder.subscribe(registry, call)) as outputs:
                async for output in outputs:
                    yield output
            return
        working = asyncio.ensure_future(asyncio.to_thread(recorder.execute, registry, [call]))
        try:
            (outcome,) = await asyncio.shield(working)
        except asyncio.CancelledError:
            call.abort.set()
            recorder.abort(call.request_id or "")
            working.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # the log has its outcome
            raise
        if outcome.error is not None:
            raise outcome.error
        yield outcome.output

    async def _at_the_hub(self, row: OperationRow, value: Any) -> AsyncGenerator[Any, None]:
        from app.services.durable_calls import until_ended, wall_ms
        from sync.calls.access import owner
        from sync.durable import caller
        from sync.durable.topics import HUB

        placed = await self._db.run(
            lambda tx: caller.request(
                tx,
                HUB,
                row.operation_id,
                value,
                call_id=str(uuid.uuid4()),
                now_ms=wall_ms(),
                present=False,
                identity=owner(os.getuid()),
            )
        )
        call = await until_ended(self._db, placed.call_id)
        failure = caller.failure_of(call)
        if failure is not None:
            raise failure
        yield (json.loads(call.result or "{}").get("output") or {}).get("data")


async def over_socket(path: Path, operation_id: str, value: Any, *, stream: bool) -> AsyncGenerator[Any, None]:
    """Call an operation over the local API (docs/local-api.md). Closing it hangs up, which stops the call.

    Raises:
        CallFailed: as the call failed, or nobody answers.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_ANSWER_BYTES)
    except OSError as error:
        raise CallFailed(f"the process that runs the services does not answer: {error}", hint="spoke status") from error
    try:
        request = {"type": "call.requested", "id": "1", "payload": {"operationId": operation_id, "input": value}}
        writer.write((json.dumps(request) + "\n").encode())
        await writer.drain()
        while True:
            text = await reader.readline()
            if not text:
                raise CallFailed("the process that runs the services has ended", hint="`spoke tail` has its outcome")
            answer = json.loads(text)
            payload = answer["payload"]
            match answer["type"]:
                case "call.responded":
                    yield payload["output"]["data"]
                    if not stream:
                        return
                case "call.completed":
                    return
                case "call.aborted":
                    raise AbortedError("the call was aborted")
                case _:
                    raise from_code(
                        payload["code"], payload["message"], payload.get("details"), payload.get("hint", "")
                    )
    except (OSError, ValueError) as error:
        raise CallFailed(f"the process that runs the services cannot be understood: {error}") from error
    finally:
        writer.close()
