"""A spoke's callee in a process of its own, to be killed: FILE OUTSIDE [stop-at-N].

Effects outside the file are lines of OUTSIDE, the id of the call each. With `stop-at-N` the Nth effect (in the file
or outside it) is followed by nothing: the process waits in the middle of the handler for its SIGKILL.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from app.services.durable_calls import answer, hub_alone
from storage.operations.spec import OperationContext
from storage.tenants import open_tenant_database
from tests.sync.durable.wire import World


def main(file: Path, outside: Path, stop_at: int | None) -> None:
    world, seen = World(), 0

    def effect(_: int, context: OperationContext) -> None:
        nonlocal seen
        seen += 1
        handle = os.open(outside, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, f"{context.request_id}\n".encode())
        os.close(handle)
        while seen == stop_at:
            signal.pause()

    world.on_outside = effect
    db = open_tenant_database(file)
    asyncio.run(answer(world.callee(db), db, hub_alone, asyncio.Event()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
