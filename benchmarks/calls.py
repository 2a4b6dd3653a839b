"""Calls: through registry, recording and projection; over the local socket; and lines of the drop folder.

The floor is the engine publishing the same number of events of the same size, in the same run.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from app.config import Settings
from app.operations import builtin_registry
from app.services.ingest import sweep
from app.services.local_api import LocalApi
from app.services.local_connection import Serving
from app.services.projector import catch_up
from storage.engine import Database
from storage.operations.spec import Identity
from storage.tenants import open_tenant_database
from sync.calls.events import Call
from sync.calls.recorder import Recorder

CALLS = 20_000
CHUNK = 500
SESSION = 100_000
LINES = 200_000


def recorder_of(db: Database) -> Recorder:
    return Recorder(db, lambda: datetime.now(UTC), lambda: str(uuid.uuid4()))


def publish(db: Database, number: int, size: int) -> float:
    text = json.dumps({"type": "x", "pad": "x" * max(0, size - 24)})
    stream = db.stream("floor")
    began = time.perf_counter()
    for start in range(0, number, CHUNK):
        with db.transaction() as tx:
            stream.append([("k", text, 0)] * min(CHUNK, number - start), tx)
    return number / (time.perf_counter() - began)


def through_the_registry(folder: Path) -> None:
    db = open_tenant_database(folder / "calls.db")
    registry, recorder = builtin_registry(Settings(), folder / "keyring.json"), recorder_of(db)
    me = Identity("bench", ("*",))
    calls = [Call(operation_id="system.info", input={}, identity=me, session_id="s") for _ in range(CHUNK)]
    recorder.execute(registry, calls)
    began = time.perf_counter()
    for _ in range(CALLS // CHUNK):
        recorder.execute(registry, calls)
    recorded = time.perf_counter() - began
    began = time.perf_counter()
    catch_up(db)
    projected = time.perf_counter() - began
    size = int(db.query("SELECT avg(length(payload)) AS n FROM _honker_stream")[0]["n"])
    floor = publish(db, 2 * CALLS, size)
    rate = CALLS / recorded
    both = CALLS / (recorded + projected)
    print(
        f"registry and recording: {rate:,.0f} calls/s = {2 * rate:,.0f} events/s, {2 * rate / floor:.2f} of publishing alone"
    )
    print(
        f"and projection:         {both:,.0f} calls/s, {2 * both / floor:.2f} of publishing alone ({floor:,.0f} events/s)"
    )
    db.close()


def a_large_session(folder: Path) -> None:
    db = open_tenant_database(folder / "session.db", durability="normal")
    stream = db.stream("call-protocol")
    for start in range(0, SESSION, 10_000):
        with db.transaction() as tx:
            events = []
            for n in range(start, start + 10_000):
                head = {"requestId": f"r{n}", "timestamp": "2026-11-24T12:00:00.000Z"}
                asked = {"type": "call.requested", **head, "operationId": "bench.op", "input": {"n": n}}
                asked |= {"parentRequestId": f"r{n // 10}", "metadata": {"sessionId": "s"}}
                events += [(f"r{n}", json.dumps(asked), 0)]
                events += [(f"r{n}", json.dumps({"type": "call.responded", **head, "output": {"data": n}}), 0)]
            stream.append(events, tx)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    catch_up(db)
    took = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"a session of {SESSION:,} calls projected: {took:.1f} s, {2 * SESSION / took:,.0f} events/s, {grown:.0f} MB more"
    )
    db.close()


async def over_the_socket(folder: Path) -> None:
    db = open_tenant_database(folder / "socket.db")
    registry = builtin_registry(Settings(), folder / "keyring.json")
    stop, path = asyncio.Event(), folder / "s"
    serving = asyncio.create_task(LocalApi(Serving(db, registry, recorder_of(db)), path).run(stop))
    while not path.exists():
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_unix_connection(path)
    line = (
        json.dumps({"type": "call.requested", "id": "1", "payload": {"operationId": "system.info", "input": {}}}) + "\n"
    )
    took = []
    for _ in range(2_000):
        began = time.perf_counter()
        writer.write(line.encode())
        await reader.readline()
        took.append(time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(10_000):
        writer.write(line.encode())
    for _ in range(10_000):
        await reader.readline()
    rate = 10_000 / (time.perf_counter() - began)
    took.sort()
    print(
        f"one call over the socket, recorded with two fsyncs: p50 {statistics.median(took) * 1e3:.2f} ms,"
        f" p99 {took[int(len(took) * 0.99)] * 1e3:.2f} ms; 16 at once: {rate:,.0f} calls/s"
    )
    writer.close()
    stop.set()
    await serving
    db.close()


def from_the_drop_folder(folder: Path) -> None:
    db, inbox = open_tenant_database(folder / "ingest.db"), folder / "inbox"
    inbox.mkdir()
    line = json.dumps({"topic": "mine", "payload": {"pad": "x" * 230}, "key": "k"}) + "\n"
    (inbox / "a.ndjson").write_text(line * LINES)
    began = time.perf_counter()
    taken = sweep(db, inbox)
    rate = taken / (time.perf_counter() - began)
    floor = publish(db, LINES, 240)
    print(
        f"drop folder: {rate:,.0f} lines/s, {rate / floor:.2f} of publishing {CHUNK} a transaction ({floor:,.0f} events/s)"
    )
    db.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        through_the_registry(folder)
        a_large_session(folder)
        asyncio.run(over_the_socket(folder))
        from_the_drop_folder(folder)


if __name__ == "__main__":
    main()
