"""The link in figures: two processes, real sockets, every commit fsynced.

    python benchmarks/link.py [catch-up | live | idle] [NUMBER]

* catch-up: a backlog goes to the hub. The floor, measured in the same run: the same rows put into an empty SQLite file
  by raw APSW `executemany`, in transactions of as many events as a frame holds, synchronous=FULL.
* live: a node publishes 200 events a second, one by one; from the moment before `publish` to the hub's ACK on disk.
  The floor: two commits with fsync, one after the other.
* idle: so many sessions that say nothing; what they cost the hub. The floor: the hub without them.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from storage.engine import Database
from storage.tenants import open_system_database, open_tenant_database
from sync.hub.keys import create_key
from sync.link.frames import (
    MAX_BATCH_EVENTS,
    SUBPROTOCOL,
    Challenge,
    Hello,
    Ping,
    Ready,
    Welcome,
    decode,
    encode,
)
from sync.peer.conversation import HEARTBEAT_S
from sync.spoke.status import read_status
from sync.spoke.uplink import Dialling, Uplink

LIVE_EVENTS, LIVE_RATE = 2_000, 200


@contextmanager
def hub_process(folder: Path) -> Iterator[tuple[str, str, int]]:
    """A hub: its address, a key, its process id."""
    hub_data = folder / "data"
    (hub_data / "hub").mkdir(parents=True)
    system = open_system_database(hub_data / "hub" / "system.db")
    key = create_key(system, "bench")
    system.close()
    hub = subprocess.Popen(
        [sys.executable, "-m", "app", "--data-dir", str(hub_data), "hub", "run", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert hub.stderr is not None
    url = next(line.split()[-1] for line in hub.stderr if "hub listens" in line)
    drain = subprocess.Popen(["cat"], stdin=hub.stderr, stdout=subprocess.DEVNULL)
    try:
        yield url, key, hub.pid
    finally:
        hub.terminate()
        hub.wait()
        drain.wait()


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def current_rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rows(number: int) -> Iterator[tuple[str | None, str, int]]:
    for i in range(number):
        text = (
            f'{{"type":"call.responded","requestId":"7c9e6679-7425-40de-944b-{i:012d}","output":{{"data":{{"exitCode":0,'
            f'"stdout":"{i * 2654435761 % 2**64:016x}{i * 40503 % 2**32:08x} files checked, none changed","durationMs":{i % 977}}},'
            f'"meta":{{"source":"local","operationId":"shell.run","timestamp":"2026-11-24T22:00:00.000Z"}}}}}}'
        )
        yield f"7c9e6679-7425-40de-944b-{i:012d}", text, 1_764_000_000 + i // 100


def floor(folder: Path, number: int) -> float:
    connection = apsw.Connection(str(folder / "floor.db"))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.execute("CREATE TABLE log (offset INTEGER PRIMARY KEY AUTOINCREMENT, topic, key, payload, created_at)")
    connection.execute("CREATE INDEX log_topic ON log (topic, offset)")
    waiting = list(rows(number))
    began = time.perf_counter()
    for start in range(0, number, MAX_BATCH_EVENTS):
        with connection:
            connection.executemany(
                "INSERT INTO log (topic, key, payload, created_at) VALUES ('x', ?, ?, ?)",
                waiting[start : start + MAX_BATCH_EVENTS],
            )
    seconds = time.perf_counter() - began
    connection.close()
    return number / seconds


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


def fill(path: Path, number: int) -> None:
    """In a process of its own, so that the rows are not in the memory that is measured."""
    db = open_tenant_database(path)
    waiting = list(rows(number))
    for start in range(0, number, 50_000):
        with db.transaction() as tx:
            db.stream("call-protocol").append(waiting[start : start + 50_000], tx)
    db.close()


def catch_up(number: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = float(
            subprocess.run(
                [sys.executable, __file__, "floor", str(folder), str(number)],
                check=True,
                env={**os.environ, "PYTHONPATH": "."},
                capture_output=True,
                text=True,
            ).stdout
        )
        fill_elsewhere = [sys.executable, __file__, "fill", str(folder / "node.db"), str(number)]
        subprocess.run(fill_elsewhere, check=True, env={**os.environ, "PYTHONPATH": "."})
        db = open_tenant_database(folder / "node.db")
        size = sum(len(payload) for _, payload, _ in rows(min(number, 1_000))) // min(number, 1_000)
        sent = 0
        real_send = ClientConnection.send

        async def counted(self: ClientConnection, message: bytes) -> None:
            nonlocal sent
            sent += len(message)
            await real_send(self, message)

        ClientConnection.send = counted  # type: ignore[assignment, method-assign]
        with hub_process(folder) as (url, key, pid):
            began = time.perf_counter()
            asyncio.run(sync_all(db, url, key))
            seconds = time.perf_counter() - began
            hub_mb = rss_mb(pid)
        db.close()
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = number / seconds
    print(f"catch-up of {number:,} events of {size} bytes, durable at both ends")
    print(f"  raw APSW executemany, FULL (floor)  {bare:>10,.0f} events/s")
    print(
        f"  spoke -> hub                        {rate:>10,.0f} events/s, {rate / bare:.2f} of the floor; {seconds:.1f} s"
    )
    print(f"  on the wire {sent / number:.1f} bytes an event; peak RSS hub {hub_mb:.0f} MB, node {own_mb:.0f} MB")


async def _live(db: Database, url: str, key: str) -> list[float]:
    """Publish one by one, and measure each until ACK, in the node's own process."""
    from sync.link import frames
    from sync.link.frames import Ack
    from sync.peer import conversation

    acked: dict[int, float] = {}
    real = frames.decode

    def heard(message: bytes | str) -> object:
        frame = real(message)
        if isinstance(frame, Ack) and frame.stream == 4:
            acked[frame.offset] = time.perf_counter()
        return frame

    conversation.decode = heard  # type: ignore[assignment, attr-defined]
    stop = asyncio.Event()
    link = Uplink(db, dialling=Dialling((url,), api_key=key), name="bench", agent="bench", random=lambda: 0.0)
    task = asyncio.create_task(link.run(stop))
    while (await db.read(read_status)).state != "live":
        await asyncio.sleep(0.05)
    published: dict[int, float] = {}
    stream = db.stream("call-protocol")
    payload = {"type": "call.completed", "requestId": "x" * 36, "pad": "y" * 200}
    for number in range(LIVE_EVENTS):
        began = time.perf_counter()
        offset = await db.run(lambda tx: stream.publish(payload, tx=tx))
        published[offset] = began
        await asyncio.sleep(max(0.0, 1 / LIVE_RATE - (time.perf_counter() - began)) if number else 0)
    while (await db.read(read_status)).unsent:
        await asyncio.sleep(0.05)
    stop.set()
    await task
    found, ends = [], sorted(acked)
    for offset, began in published.items():
        end = next(at for at in ends if at >= offset)
        found.append(acked[end] - began)
    return found


def live(_: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db = open_tenant_database(folder / "node.db")
        commits = []
        for _ in range(200):
            began = time.perf_counter()
            for topic in ("floor", "floor"):
                db.stream(topic).publish({"pad": "y" * 250})
            commits.append(time.perf_counter() - began)
        with hub_process(folder) as (url, key, _pid):
            times = asyncio.run(_live(db, url, key))
        db.close()
    times.sort()
    p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
    base = statistics.median(commits)
    print(f"live: {LIVE_EVENTS:,} events at {LIVE_RATE}/s, publish -> on the hub's disk -> ACK")
    print(f"  two commits with fsync (floor)  p50 {base * 1e3:.2f} ms")
    print(
        f"  the link                        p50 {p50 * 1e3:.2f} ms ({p50 / base:.1f} of the floor), p99 {p99 * 1e3:.1f} ms"
    )


async def _ping(socket: ClientConnection) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        await socket.send(encode(Ping(0)))


async def _drain(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


async def _sit(url: str, key: str, first: int, number: int, ready: asyncio.Event) -> None:
    sockets: list[asyncio.Task[None]] = []
    for node in range(first, first + number):
        if node % 250 == 0:
            await asyncio.sleep(1)
        socket = await connect(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {key}"},
            compression=None,
            ping_interval=None,
            open_timeout=60,
            local_addr=(f"127.0.{2 + node // 2_500}.{1 + node % 250}", 0),  # the hub holds each address to a rate
        )
        assert isinstance(decode(await socket.recv()), Challenge)
        await socket.send(encode(Hello(2, f"node-{node}", f"n{node}", "bench", b"b" * 16, b"", 0, b"")))
        welcome = decode(await socket.recv())
        assert isinstance(welcome, Welcome), welcome
        await socket.send(encode(Ready(welcome.epoch)))
        sockets += [asyncio.create_task(_ping(socket)), asyncio.create_task(_drain(socket))]
    ready.set()
    await asyncio.sleep(3_600)


def sit(url: str, key: str, first: int, number: int) -> None:
    async def work() -> None:
        ready = asyncio.Event()
        task = asyncio.create_task(_sit(url, key, first, number, ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        print("ready", flush=True)
        await task

    asyncio.run(work())


def idle(number: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    with tempfile.TemporaryDirectory() as name, hub_process(Path(name)) as (url, key, pid):
        before = current_rss_mb(pid)
        began = time.perf_counter()
        peers = [
            subprocess.Popen(
                [sys.executable, __file__, "sit", url, key, str(first), str(min(2_500, number - first))],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": "."},
            )
            for first in range(0, number, 2_500)
        ]
        for peer in peers:
            assert peer.stdout is not None
            assert peer.stdout.readline() == "ready\n", "a session was refused"
        took = time.perf_counter() - began
        time.sleep(5)
        used, at = cpu_s(pid), time.perf_counter()
        time.sleep(20)
        share = (cpu_s(pid) - used) / (time.perf_counter() - at)
        after = current_rss_mb(pid)
        for peer in peers:
            peer.kill()
            peer.wait()
    print(f"idle: {number:,} sessions that ping, opened in {took:.0f} s")
    print(
        f"  hub without them (floor) {before:.0f} MB; with them {after:.0f} MB, {(after - before) * 1e3 / number:.1f} kB each"
    )
    print(f"  {share * 100:.1f} % of a core for 20 s")


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "all"
    if what == "sit":
        sit(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
        return
    if what == "fill":
        fill(Path(sys.argv[2]), int(sys.argv[3]))
        return
    if what == "floor":
        print(floor(Path(sys.argv[2]), int(sys.argv[3])))
        return
    number = int(sys.argv[2]) if len(sys.argv) > 2 else None
    if what in ("all", "catch-up"):
        catch_up(number or 100_000)
    if what in ("all", "live"):
        live(0)
    if what in ("all", "idle"):
        idle(number or 500)


if __name__ == "__main__":
    main()
