"""What commands that write have in common: they call an operation, and the call is in the log."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.cli.context import PARENT_ENV, SESSION_ENV, Context, new_id, now

if TYPE_CHECKING:
    from sync.calls.registry import Registry


def call_recorded(context: Context, register: Callable[[Registry], None], operation: str, value: dict[str, Any]) -> Any:
    """Call an operation as `spoke call` does and return its output.

    Raises:
        CallFailed: the call failed; that is recorded too, unless it could never have been: then nothing is.
    """
    from sync.calls.access import owner
    from sync.calls.events import Call
    from sync.calls.recorder import Recorder
    from sync.calls.registry import Registry

    registry = Registry()
    register(registry)
    registry.check(operation, value)
    with context.database() as db:
        call = Call(
            operation_id=operation,
            input=value,
            identity=owner(os.getuid()),
            parent_request_id=os.environ.get(PARENT_ENV),
            session_id=os.environ.get(SESSION_ENV),
        )
        (outcome,) = Recorder(db, now, new_id).execute(registry, [call])
    if outcome.error is not None:
        raise outcome.error
    return outcome.output


def execute(context: Context, operation: str, value: dict[str, Any]) -> Any:
    """`call_recorded` for the operation of a noun that has a module of its own: `queue.retry` is in `queues`."""
    module = importlib.import_module(f"app.operations.{operation.partition('.')[0]}s")
    return call_recorded(context, module.register, operation, value)
