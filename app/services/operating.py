"""Executing operations for a person at the terminal UI: recorded like every call."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from app.paths import Paths
from storage.engine import Database

if TYPE_CHECKING:
    from app.config import Settings
    from sync.calls.registry import Registry


class Operating:
    """Executes operations in this process, as the person who started it.

    Imports what it needs at the first call: a person who only looks does not wait for it. Any thread may call.
    """

    def __init__(self, db: Database, settings: Settings, paths: Paths) -> None:
        self._db = db
        self._settings = settings
        self._paths = paths

    @cached_property
    def registry(self) -> Registry:
        """What can be called."""
        from app.operations import node_registry

        return node_registry(self._settings, self._paths)

    def execute(self, operation_id: str, value: Any) -> Any:
        """Execute an operation and return its output.

        The call is in the log before the work begins, its outcome when it ends.

        Raises:
            CallFailed: the input does not fit (nothing is recorded then), or the operation failed.
        """
        import uuid

        from app.services.durable_calls import now
        from sync.calls.access import owner
        from sync.calls.events import Call
        from sync.calls.recorder import Recorder

        self.registry.check(operation_id, value)
        call = Call(operation_id=operation_id, input=value, identity=owner(os.getuid()))
        (outcome,) = Recorder(self._db, now, lambda: str(uuid.uuid4())).execute(self.registry, [call])
        if outcome.error is not None:
            raise outcome.error
        return outcome.output
