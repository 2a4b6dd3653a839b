"""`calls.*`: durable calls that this file asked other nodes for."""

from __future__ import annotations

import json
import time
from typing import Any

from pydantic import Field

from app.operations.declare import Group
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry
from sync.durable import caller
from sync.durable.caller import DurableCall


class CallsInput(Model):
    """Which calls."""

    peer: str | None = None
    """A node id, or `hub`."""
    pending: bool = False
    """Those alone that have not ended."""
    limit: int = Field(default=100, ge=1, le=1_000)


class CallIdInput(Model):
    """Which call."""

    call_id: str


class CallOutput(Model):
    """A durable call. Times are unix milliseconds, the deadline is one of the hub's clock."""

    call_id: str
    peer: str
    operation_id: str
    state: str
    execution: str | None
    deadline: int | None
    idempotency_key: str | None
    recovered: bool
    """It was asked for by a later state of this file than the one that a backup brought back."""
    created_at: int
    ended_at: int | None


class CallDetailOutput(CallOutput):
    """A durable call with what it was given and what came of it."""

    input: Any
    identity: Any
    result: Any
    late_result: Any
    """What came after the call was given up."""


class CallsOutput(Model):
    """Calls, the newest first."""

    calls: list[CallOutput]


class CancelledOutput(Model):
    """Whether the call was given up; False: it had ended."""

    cancelled: bool


def call_output(call: DurableCall) -> CallOutput:
    """A call as lists show it."""
    return CallOutput(**{name: getattr(call, name) for name in CallOutput.model_fields})


def call_detail(call: DurableCall) -> CallDetailOutput:
    """A call with everything that is known of it."""
    texts = {name: getattr(call, name) for name in ("input", "identity", "result", "late_result")}
    return CallDetailOutput(
        **{name: getattr(call, name) for name in CallOutput.model_fields},
        **{name: None if text is None else json.loads(text) for name, text in texts.items()},
    )


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    group = Group(registry, "calls")

    @group.query("list", "Durable calls to other nodes, the newest first.")
    def calls(given: CallsInput, context: OperationContext) -> CallsOutput:
        with context.database.snapshot() as snapshot:
            found = caller.list_calls(snapshot, peer=given.peer, pending=given.pending, limit=given.limit)
        return CallsOutput(calls=[call_output(call) for call in found])

    @group.query("get", "A durable call: its input, how it stands, and what came of it.")
    def get(given: CallIdInput, context: OperationContext) -> CallDetailOutput:
        with context.database.snapshot() as snapshot:
            return call_detail(caller.get(snapshot, given.call_id))

    @group.mutation("cancel", "Give a durable call up: it is not begun, or asked to stop.")
    def cancel(given: CallIdInput, context: OperationContext) -> CancelledOutput:
        now_ms = int(time.time() * 1000)
        return CancelledOutput(cancelled=caller.cancel(context.transaction, given.call_id, now_ms))
