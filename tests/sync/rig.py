"""A hub and spokes in this process: real files, real sockets on 127.0.0.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from storage.engine import Database
from storage.tenants import node_id, open_system_database, open_tenant_database
from sync.hub.compare import Comparison, compare
from sync.hub.keys import create_key
from sync.hub.server import Hub
from sync.spoke.status import LinkStatus, read_status
from sync.spoke.uplink import Dialling, Uplink

LIMIT_S = 60


def make_key(folder: Path, spoke: str = "edge", tenant: str = "local") -> str:
    folder.mkdir(exist_ok=True)
    system = open_system_database(folder / "system.db")
    try:
        return create_key(system, spoke, tenant)
    finally:
        system.close()


@asynccontextmanager
async def running_hub(folder: Path, port: int = 0, **options: Any) -> AsyncIterator[Hub]:
    stop, ready = asyncio.Event(), asyncio.Event()
    hub = Hub(folder, port=port, **options)
    async with asyncio.TaskGroup() as group:
        group.create_task(hub.run(stop, lambda _: ready.set()))
        async with asyncio.timeout(LIMIT_S):
            await ready.wait()
        try:
            yield hub
        finally:
            stop.set()


@asynccontextmanager
async def running_uplink(db: Database, port: int, key: str) -> AsyncIterator[Uplink]:
    async with linked(db, Dialling((f"ws://127.0.0.1:{port}",), api_key=key)) as uplink:
        yield uplink


@asynccontextmanager
async def linked(db: Database, dialling: Dialling, name: str = "edge") -> AsyncIterator[Uplink]:
    stop = asyncio.Event()
    uplink = Uplink(db, dialling=dialling, name=name, agent="test", random=lambda: 0.001)
    async with asyncio.TaskGroup() as group:
        group.create_task(uplink.run(stop))
        try:
            yield uplink
        finally:
            stop.set()


async def status_when(db: Database, good: Callable[[LinkStatus], bool]) -> LinkStatus:
    """Wait until the link's state is what a test waits for."""
    waiter = db.wake.add(None)
    try:
        async with asyncio.timeout(LIMIT_S):
            while True:
                waiter.clear()
                status = await db.read(read_status)
                if good(status):
                    return status
                await waiter.wait()
    finally:
        db.wake.remove(waiter)


async def waited(db: Database, good: Callable[[], bool]) -> None:
    """Wait until something is so, looking again whenever the file has changed."""
    waiter = db.wake.add(None)
    try:
        async with asyncio.timeout(LIMIT_S):
            while True:
                waiter.clear()
                if good():
                    return
                await waiter.wait()
    finally:
        db.wake.remove(waiter)


def in_sync(status: LinkStatus) -> bool:
    return status.state == "live" and status.unsent == 0


def compared(db: Database, hub_file: Path, topic: str = "call-protocol") -> Comparison:
    """Compare the logs; the hub's file is opened beside it, as another program would."""
    theirs = open_tenant_database(hub_file)
    try:
        with db.snapshot() as ours, theirs.snapshot() as hub:
            return compare(ours, hub, node_id(ours), topic)
    finally:
        theirs.close()
