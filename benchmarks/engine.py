"""The engine against raw APSW doing the same SQL, and against other embedded queues; interleaved, in one run.

Every workload runs ROUNDS times in turn with its floor, so that a busy moment of the machine hits both; the ratio is
the median of the ratios of the rounds. Floors do no more than the SQL and JSON of the workload: no expiry, no dead
letters, no types. Peers (huey, litequeue, persist-queue) are measured where they are installed:
`pip install huey litequeue persist-queue`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from storage import engine
from storage.engine import Database, schema

ROUNDS = 5
SMALL = 3_000
BIG = 50_000


def job(n: int) -> dict[str, Any]:
    return {"i": n, "to": "alice@example.com", "subject": "hello world"}


class Raw:
    """APSW with Honker's pragmas and tables, and nothing else."""

    def __init__(self, path: Path) -> None:
        self.connection = apsw.Connection(str(path))
        for name, value in (("journal_mode", "wal"), ("synchronous", "normal"), ("cache_size", -32_000)):
            self.connection.pragma(name, value)
        self.connection.execute(schema.STATEMENTS)

    def transaction(self, *statements: tuple[str, tuple[Any, ...]]) -> list[Any]:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        found: list[Any] = []
        for sql, params in statements:
            found = execute(sql, params).fetchall()
        execute("COMMIT")
        return found


ENQUEUE = (
    "INSERT INTO _honker_live (queue, payload, run_at, priority, max_attempts, expires_at, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"
)
PUBLISH = "INSERT INTO _honker_stream (topic, key, payload) VALUES (?, ?, ?) RETURNING offset"
SELECT = "SELECT id FROM _honker_live WHERE queue = ? AND state = 'pending' AND run_at <= ? ORDER BY run_at, id LIMIT 1"
TAKE = (
    "UPDATE _honker_live SET state = 'processing', worker_id = ?, claim_expires_at = ?, attempts = attempts + 1"
    " WHERE id = ? RETURNING id, payload"
)
ACK = "DELETE FROM _honker_live WHERE id = ? AND worker_id = ? AND claim_expires_at >= ?"


def per_second(number: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return number / (time.perf_counter() - began)


def raw_enqueue(raw: Raw, n: int) -> tuple[str, tuple[Any, ...]]:
    now = int(time.time())
    return ENQUEUE, ("q", json.dumps(job(n)), now, 0, 3, None, now)


# -- workloads: each gets a fresh folder and returns operations a second


def w1_floor(folder: Path) -> float:
    raw = Raw(folder / "raw.db")
    return per_second(SMALL, lambda: [raw.transaction(raw_enqueue(raw, n)) for n in range(SMALL)])


def w1_ours(folder: Path) -> float:
    queue = engine.open(folder / "e.db", durability="normal").queue("q")
    return per_second(SMALL, lambda: [queue.enqueue(job(n)) for n in range(SMALL)])


def w2_floor(folder: Path) -> float:
    raw = Raw(folder / "raw.db")
    return per_second(BIG, lambda: raw.transaction(*(raw_enqueue(raw, n) for n in range(BIG))))


def w2_ours(folder: Path) -> float:
    db = engine.open(folder / "e.db", durability="normal")
    queue = db.queue("q")

    def work() -> None:
        with db.transaction() as tx:
            for n in range(BIG):
                queue.enqueue(job(n), tx=tx)

    return per_second(BIG, work)


def w3_floor(folder: Path) -> float:
    raw = Raw(folder / "raw.db")
    raw.transaction(*(raw_enqueue(raw, n) for n in range(10_000)))

    def work() -> None:
        for _ in range(SMALL):
            now = int(time.time())
            execute = raw.connection.execute
            execute("BEGIN IMMEDIATE")
            job_id = execute(SELECT, ("q", now)).fetchall()[0][0]
            payload = execute(TAKE, ("w", now + 300, job_id)).fetchall()[0][1]
            execute("COMMIT")
            json.loads(str(payload))
            raw.transaction((ACK, (job_id, "w", now)))

    return per_second(SMALL, work)


def claim_and_ack(folder: Path, backlog: int, in_flight: int = 0, delayed: int = 0, number: int = SMALL) -> float:
    db = engine.open(folder / "e.db", durability="normal")
    queue = db.queue("q")
    with db.transaction() as tx:
        for n in range(in_flight):
            queue.enqueue(job(n), tx=tx)
    if in_flight:
        queue.claim_batch("busy", in_flight)
    with db.transaction() as tx:
        for n in range(delayed):
            queue.enqueue(job(n), tx=tx, delay=3_600)
        for n in range(max(backlog, number)):
            queue.enqueue(job(n), tx=tx)

    def work() -> None:
        for _ in range(number):
            claimed = queue.claim_one("w")
            assert claimed is not None
            assert claimed.payload
            claimed.ack()

    return per_second(number, work)


def w3_ours(folder: Path) -> float:
    return claim_and_ack(folder, 10_000)


def w4_floor(folder: Path) -> float:
    raw = Raw(folder / "raw.db")
    raw.transaction(*(raw_enqueue(raw, n) for n in range(10_000)))

    def work() -> None:
        for _ in range(100):
            now = int(time.time())
            rows = raw.transaction(
                (
                    "UPDATE _honker_live SET state = 'processing', worker_id = ?, claim_expires_at = ?,"
                    " attempts = attempts + 1 WHERE id IN (SELECT id FROM _honker_live WHERE queue = ? AND"
                    " state = 'pending' AND run_at <= ? ORDER BY run_at, id LIMIT 100) RETURNING id, payload",
                    ("w", now + 300, "q", now),
                )
            )
            for _, payload in rows:
                json.loads(payload)
            ids = json.dumps([row[0] for row in rows])
            raw.transaction(
                ("DELETE FROM _honker_live WHERE id IN (SELECT value FROM json_each(?)) AND worker_id = ?", (ids, "w"))
            )

    return per_second(10_000, work)


def w4_ours(folder: Path) -> float:
    db = engine.open(folder / "e.db", durability="normal")
    queue = db.queue("q")
    with db.transaction() as tx:
        for n in range(10_000):
            queue.enqueue(job(n), tx=tx)

    def work() -> None:
        for _ in range(100):
            claimed = queue.claim_batch("w", 100)
            assert all(one.payload for one in claimed)
            queue.ack_batch([one.id for one in claimed], "w")

    return per_second(10_000, work)


def w5_floor(folder: Path) -> float:
    raw = Raw(folder / "raw.db")
    return per_second(
        SMALL, lambda: [raw.transaction((PUBLISH, ("t", None, json.dumps(job(n))))) for n in range(SMALL)]
    )


def w5_ours(folder: Path) -> float:
    stream = engine.open(folder / "e.db", durability="normal").stream("t")
    return per_second(SMALL, lambda: [stream.publish(job(n)) for n in range(SMALL)])


def w5b_floor(folder: Path) -> float:
    raw = Raw(folder / "raw.db")
    return per_second(BIG, lambda: raw.transaction(*((PUBLISH, ("t", None, json.dumps(job(n)))) for n in range(BIG))))


def w5b_ours(folder: Path) -> float:
    db = engine.open(folder / "e.db", durability="normal")
    stream = db.stream("t")

    def work() -> None:
        with db.transaction() as tx:
            for n in range(BIG):
                stream.publish(job(n), tx=tx)

    return per_second(BIG, work)


def filled_stream(folder: Path) -> Database:
    db = engine.open(folder / "e.db", durability="normal")
    with db.transaction() as tx:
        db.stream("t").append([(None, json.dumps(job(n)), 0) for n in range(BIG)], tx)
    return db


def w6_floor(folder: Path) -> float:
    filled_stream(folder).close()
    connection = apsw.Connection(str(folder / "e.db"))

    def work() -> None:
        after = 0
        while rows := connection.execute(
            "SELECT offset, topic, key, payload, created_at FROM _honker_stream WHERE topic = ? AND offset > ?"
            " ORDER BY offset LIMIT 1000",
            ("t", after),
        ).fetchall():
            for row in rows:
                json.loads(str(row[3]))
            after = int(str(rows[-1][0]))

    return per_second(BIG, work)


def w6_ours(folder: Path) -> float:
    db = filled_stream(folder)

    async def consume() -> None:
        left = BIG
        async for event in db.stream("t").subscribe():
            assert event.payload
            left -= 1
            if not left:
                return

    return per_second(BIG, lambda: asyncio.run(consume()))


WORKLOADS: list[tuple[str, Callable[[Path], float], Callable[[Path], float], float]] = [
    ("W1 enqueue, one a transaction", w1_floor, w1_ours, 0.9),
    ("W2 enqueue, 50k in one transaction", w2_floor, w2_ours, 0.8),
    ("W3 claim+ack one by one, 10k backlog", w3_floor, w3_ours, 0.7),
    ("W4 claim+ack 100 at a time, 10k backlog", w4_floor, w4_ours, 0.8),
    ("W5 publish, one a transaction", w5_floor, w5_ours, 0.9),
    ("W5b publish, 50k in one transaction", w5b_floor, w5b_ours, 0.8),
    ("W6 read 50k events (async subscribe)", w6_floor, w6_ours, 0.8),
]


def measure(work: Callable[[Path], float]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return work(Path(folder))


def against_raw() -> None:
    print(f"{'workload, synchronous=NORMAL':<42} {'raw APSW/s':>12} {'engine/s':>12} {'ratio':>7} {'target':>7}")
    for name, floor, ours, target in WORKLOADS:
        pairs = [(measure(floor), measure(ours)) for _ in range(ROUNDS)]
        ratio = statistics.median(b / a for a, b in pairs)
        floors, found = (statistics.median(side) for side in zip(*pairs, strict=True))
        print(f"{name:<42} {floors:>12,.0f} {found:>12,.0f} {ratio:>7.2f} {target:>7}")


def claim_scaling() -> None:
    print("\nclaim+ack of one job, against a backlog of 100 (1.0), medians of pairs")
    number = 300
    for name, options in (
        ("100 000 pending", {"backlog": 100_000}),
        ("1 000 in flight", {"backlog": 100, "in_flight": 1_000}),
        ("10 000 delayed", {"backlog": 100, "delayed": 10_000}),
    ):
        ratios = []
        for _ in range(ROUNDS):
            base = measure(lambda folder: claim_and_ack(folder, 100, number=number))
            other = measure(lambda folder, options=options: claim_and_ack(folder, number=number, **options))  # type: ignore[misc]
            ratios.append(base / other)
        print(f"  {name:<20} {statistics.median(ratios):.2f} times the time (target <= 1.3)")


def group_commit() -> None:
    async def publishers(db: Database, concurrent: int, total: int) -> None:
        stream = db.stream("t")

        async def one(count: int) -> None:
            for n in range(count):
                await db.run(lambda tx, n=n: stream.publish(job(n), tx=tx))  # type: ignore[misc]

        await asyncio.gather(*(one(total // concurrent) for _ in range(concurrent)))

    def run(concurrent: int, total: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            db = engine.open(Path(folder) / "e.db", durability="full")
            rate = per_second(total, lambda: asyncio.run(publishers(db, concurrent, total)))
            db.close()
            return rate

    pairs = [(run(1, 1_000), run(32, 16_000)) for _ in range(ROUNDS)]
    one, many = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(
        f"\nsynchronous=FULL: 1 publisher {one:,.0f}/s, 32 publishers {many:,.0f}/s: {ratio:.1f} times (target >= 10)"
    )


LISTENER = """
import asyncio, sys, time
from storage import engine
db = engine.open(sys.argv[1], durability="normal")
async def main():
    listener = db.listen("c")
    print("ready", flush=True)
    left = int(sys.argv[2])
    async for n in listener:
        print(time.time() - n.payload, flush=True)
        left -= 1
        if not left:
            return
asyncio.run(main())
db.close()
"""


def latency() -> None:
    samples = 300

    async def same_process(db: Database, *, own_thread: bool) -> list[float]:
        listener = db.listen("c")
        found: list[float] = []

        async def consume() -> None:
            async for notification in listener:
                found.append(time.time() - notification.payload)
                if len(found) == samples:
                    return

        consumer = asyncio.create_task(consume())
        for _ in range(samples):
            await asyncio.sleep(0.003)
            if own_thread:
                called = time.time()
                await db.run(lambda tx: tx.notify("c", called))  # noqa: B023 - awaited before the next round
            else:
                with db.transaction() as tx:
                    tx.notify("c", time.time())
        await consumer
        return found

    with tempfile.TemporaryDirectory() as folder:
        db = engine.open(Path(folder) / "e.db", durability="normal")
        report("same thread", asyncio.run(same_process(db, own_thread=False)))
        report("over db.run()", asyncio.run(same_process(db, own_thread=True)))
        child = subprocess.Popen(
            [sys.executable, "-c", LISTENER, f"{folder}/e.db", str(samples)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.2)
        for _ in range(samples):
            time.sleep(0.003)
            with db.transaction() as tx:
                tx.notify("c", time.time())
        report("another process", [float(line) for line in child.stdout])
        child.wait()
        db.close()


def report(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2] * 1000, ordered[len(ordered) * 99 // 100] * 1000
    print(f"  notify call -> listener, {name:<16} p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def idle() -> None:
    async def listen(db: Database, seconds: float) -> None:
        waiter = db.wake.add([("notify", "c")])
        await waiter.wait(seconds)

    with tempfile.TemporaryDirectory() as folder:
        db = engine.open(Path(folder) / "e.db", durability="normal")
        seconds = 10.0
        asyncio.run(listen(db, 0.5))
        before, switches = time.process_time(), context_switches()
        asyncio.run(listen(db, seconds))
        cpu = (time.process_time() - before) / seconds * 100
        woken = (context_switches() - switches) / seconds
        print(f"  idle open listener: {cpu:.2f} % of a core, {woken:.1f} context switches/s (targets 0.15 %, 5)")
        db.close()


def context_switches() -> int:
    total = 0
    for task in Path("/proc/self/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


WORKER = """
import asyncio, sys, time
from storage import engine
db = engine.open(sys.argv[1], durability="normal")
async def main():
    until = time.time() + float(sys.argv[2])
    async def work():
        async for job in db.queue("q").claim("w" + sys.argv[3]):
            print(time.time() - job.payload, flush=True)
            await db.run(lambda tx: db.queue("q").ack(job.id, job.worker_id, tx=tx))
    task = asyncio.create_task(work())
    await asyncio.sleep(until - time.time())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
asyncio.run(main())
"""
PRODUCER = """
import sys, time
from storage import engine
db = engine.open(sys.argv[1], durability="normal")
queue, rate, until = db.queue("q"), float(sys.argv[3]), time.time() + float(sys.argv[2])
following = time.time()
while following < until:
    time.sleep(max(0, following - time.time()))
    queue.enqueue(time.time())
    following += 1 / rate
"""


def end_to_end() -> None:
    seconds = 8.0
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/e.db"
        engine.open(path, durability="normal").close()
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, path, str(seconds + 2), str(n)], stdout=subprocess.PIPE, text=True
            )
            for n in range(4)
        ]
        time.sleep(1)
        producers = [subprocess.Popen([sys.executable, "-c", PRODUCER, path, str(seconds), "200"]) for _ in range(2)]
        found: list[float] = []
        readers = [
            threading.Thread(target=lambda w=worker: found.extend(float(line) for line in w.stdout or ()))
            for worker in workers
        ]
        for reader in readers:
            reader.start()
        everybody: list[subprocess.Popen[Any]] = [*producers, *workers]
        for process in everybody:
            process.wait()
        for reader in readers:
            reader.join()
        ordered = sorted(found)
        p50, p99 = ordered[len(ordered) // 2] * 1000, ordered[len(ordered) * 99 // 100] * 1000
        print(
            f"  4 workers, 2 producers, 400 jobs/s: {len(found)} jobs, p50 {p50:.2f} ms, p99 {p99:.2f} ms,"
            f" max {ordered[-1] * 1000:.0f} ms (target p99 <= 5)"
        )


def peers() -> None:
    print("\npeers from PyPI, enqueue one a transaction | take one by one (their durability: see baselines)")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    found: list[tuple[str, float, float]] = []
    for name, work in (("huey", huey_peer), ("litequeue", litequeue_peer), ("persistqueue", persistqueue_peer)):
        if importlib.util.find_spec(name) is None:
            print(f"  {name}: not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            found.append((name, *work(Path(folder))))
    with tempfile.TemporaryDirectory() as folder:
        found.append(("engine NORMAL", measure(w1_ours), measure(lambda f: claim_and_ack(f, SMALL))))
    for name, put, take in found:
        print(f"  {name:<14} {put:>9,.0f}/s | {take:>9,.0f}/s")


def huey_peer(folder: Path) -> tuple[float, float]:
    from huey import SqliteHuey  # type: ignore[import-not-found]

    huey = SqliteHuey(filename=str(folder / "h.db"))
    put = per_second(SMALL, lambda: [huey.storage.enqueue(json.dumps(job(n)).encode()) for n in range(SMALL)])
    return put, per_second(SMALL, lambda: [json.loads(huey.storage.dequeue()) for _ in range(SMALL)])


def litequeue_peer(folder: Path) -> tuple[float, float]:
    from litequeue import LiteQueue  # type: ignore[import-not-found]

    queue = LiteQueue(str(folder / "l.db"))
    put = per_second(SMALL, lambda: [queue.put(json.dumps(job(n))) for n in range(SMALL)])

    def take() -> None:
        for _ in range(SMALL):
            message = queue.pop()
            json.loads(message.data)
            queue.done(message.message_id)

    return put, per_second(SMALL, take)


def persistqueue_peer(folder: Path) -> tuple[float, float]:
    import persistqueue  # type: ignore[import-not-found]

    queue = persistqueue.SQLiteAckQueue(str(folder / "p"), auto_commit=True)
    put = per_second(SMALL, lambda: [queue.put(job(n)) for n in range(SMALL)])

    def take() -> None:
        for _ in range(SMALL):
            queue.ack(queue.get())

    return put, per_second(SMALL, take)


def main() -> None:
    against_raw()
    claim_scaling()
    group_commit()
    print("\nlatency and idle cost")
    latency()
    idle()
    end_to_end()
    peers()


if __name__ == "__main__":
    main()
