"""Events per second from a spoke to a hub: two processes, real sockets, every commit fsynced.

The floor, measured in the same run: the same rows put into an engine database in transactions of as many events as a
frame holds, with synchronous=FULL. Nothing that stores events can be faster than that.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from storage import engine
from storage.engine import Database
from storage.tenants import open_system_database, open_tenant_database
from sync.hub.keys import create_key
from sync.link.frames import MAX_BATCH_EVENTS
from sync.spoke.status import read_status
from sync.spoke.uplink import Dialling, Uplink

EVENTS = 100_000
ROUNDS = 3


def rows() -> list[tuple[str | None, str, int]]:
    pad = os.urandom(110).hex()
    return [(f"request-{i}", f'{{"type":"call.responded","requestId":"{i}","pad":"{pad}"}}', i) for i in range(EVENTS)]


def floor(folder: Path, events: list[tuple[str | None, str, int]]) -> float:
    db = engine.open(folder / "floor.db")
    began = time.perf_counter()
    for start in range(0, EVENTS, MAX_BATCH_EVENTS):
        with db.transaction() as tx:
            db.stream("x").append(events[start : start + MAX_BATCH_EVENTS], tx)
    seconds = time.perf_counter() - began
    db.close()
    return EVENTS / seconds


async def sync_all(db: Database, url: str, key: str) -> None:
    stop = asyncio.Event()
    link = Uplink(db, dialling=Dialling((url,), api_key=key), name="bench", agent="bench", random=lambda: 0.0)
    task = asyncio.create_task(link.run(stop))
    waiter = db.wake.add(None)
    while True:
        waiter.clear()
        status = await db.read(read_status)
        if status.state == "live" and not status.unsent:
            break
        await waiter.wait()
    stop.set()
    await task


def link(folder: Path, events: list[tuple[str | None, str, int]]) -> float:
    hub_data = folder / "data"
    (hub_data / "hub").mkdir(parents=True)
    system = open_system_database(hub_data / "hub" / "system.db")
    key = create_key(system, "bench")
    system.close()
    hub = subprocess.Popen(
        [sys.executable, "-m", "app", "--data-dir", str(hub_data), "hub", "run", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert hub.stderr is not None
    url = next(line.split()[-1] for line in hub.stderr if "hub listens" in line)
    db = open_tenant_database(folder / "node.db")
    with db.transaction() as tx:
        db.stream("call-protocol").append(events, tx)
    began = time.perf_counter()
    asyncio.run(sync_all(db, url, key))
    seconds = time.perf_counter() - began
    db.close()
    hub.terminate()
    hub.wait()
    return EVENTS / seconds


def main() -> None:
    events = rows()
    floors: list[float] = []
    links: list[float] = []
    for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine hits both
        for measure, found in ((floor, floors), (link, links)):
            with tempfile.TemporaryDirectory() as folder:
                found.append(measure(Path(folder), events))
    size = sum(len(payload) for _, payload, _ in events) // EVENTS
    print(f"{EVENTS:,} events of {size} bytes, {ROUNDS} rounds, medians")
    print(f"engine append, FULL (floor)  {statistics.median(floors):>10,.0f} events/s")
    ratio = statistics.median(a / b for a, b in zip(links, floors, strict=True))
    print(f"spoke -> hub, durable        {statistics.median(links):>10,.0f} events/s   {ratio:.2f} of the floor")


if __name__ == "__main__":
    main()
