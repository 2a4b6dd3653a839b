"""Power cuts, full disks, failing syncs, SIGKILL: what was promised is there; the rest is there whole or not at all."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from storage import engine
from storage.engine import Database, DatabaseError, DiskError, FullError, jobs, wal_sync
from tests.storage.engine.faulty_vfs import Disk, FaultyVFS

SEEDS = 25


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    monkeypatch.setattr(wal_sync, "sync_descriptor", lambda _, path: disk.sync(path))
    vfs = FaultyVFS("faulty", disk)
    yield disk
    vfs.unregister()


def open_on(disk: Disk, path: Path, durability: engine.Durability = "full") -> Database:
    return engine.open(f"file:{path}?vfs=faulty", durability=durability)


def check(path: Path) -> Database:
    db = engine.open(path)
    assert db.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    return db


def work(db: Database, rng: random.Random, promised: list[str], number: int) -> None:
    """Transactions of a few events and a job each; notes what has returned."""
    for _ in range(number):
        name = f"{len(promised)}-{rng.random()}"
        with db.transaction() as tx:
            for part in range(3):
                db.stream("s").publish([name, part, "x" * rng.choice((10, 5_000))], tx=tx)
            db.queue("q").enqueue(name, tx=tx)
        promised.append(name)


def found(db: Database) -> list[str]:
    """The transactions that are in the file; each must be whole."""
    events = [event.payload for event in db.stream("s").read(limit=100_000)]
    names = [name for name, part, _ in events if part == 0]
    assert [(name, part) for name, part, _ in events] == [(name, part) for name in names for part in range(3)]
    assert [row["payload"] for row in db.query("SELECT payload FROM _honker_live ORDER BY id")] == [
        f'"{name}"' for name in names
    ]
    return names


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_power_cut_takes_nothing_that_was_promised(disk: Disk, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    db = open_on(disk, tmp_path / "live.db")
    promised: list[str] = []
    for cut in range(4):
        work(db, rng, promised, rng.randint(1, 8))
        disk.crash_image(tmp_path / f"cut{cut}", rng)
        survivor = check(tmp_path / f"cut{cut}" / "live.db")
        assert found(survivor) == promised
        survivor.close()
    db.close()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_with_normal_a_power_cut_takes_only_the_newest_and_a_barrier_none(
    disk: Disk, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    db = open_on(disk, tmp_path / "live.db", durability="normal")
    promised: list[str] = []
    work(db, rng, promised, 5)
    db.barrier()
    covered = len(promised)
    work(db, rng, promised, rng.randint(0, 5))
    disk.crash_image(tmp_path / "cut", rng)
    survivor = check(tmp_path / "cut" / "live.db")
    names = found(survivor)
    assert names == promised[: len(names)]
    assert len(names) >= covered
    survivor.close()
    db.close()


def test_normal_without_a_barrier_does_lose(disk: Disk, tmp_path: Path) -> None:
    """The test above would notice: some power cut takes something that was committed with NORMAL."""
    lost = 0
    db = open_on(disk, tmp_path / "live.db", durability="normal")
    promised: list[str] = []
    work(db, random.Random(0), promised, 3)
    db.barrier()
    work(db, random.Random(1), promised, 3)
    for seed in range(20):
        disk.crash_image(tmp_path / f"cut{seed}", random.Random(seed))
        survivor = check(tmp_path / f"cut{seed}" / "live.db")
        lost += len(found(survivor)) < len(promised)
        survivor.close()
    db.close()
    assert lost


def test_a_barrier_works_on_a_full_disk(disk: Disk, tmp_path: Path) -> None:
    db = open_on(disk, tmp_path / "live.db", durability="normal")
    promised: list[str] = []
    work(db, random.Random(1), promised, 5)
    disk.budget = 0
    db.barrier()
    disk.crash_image(tmp_path / "cut", random.Random(0))
    survivor = check(tmp_path / "cut" / "live.db")
    assert found(survivor) == promised
    survivor.close()
    disk.budget = None
    db.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_sync_that_failed_is_not_believed_the_second_time(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Linux forgets what it could not write: a second fsync says yes, and the events are not on the disk."""

    def sync(_: int, path: str) -> None:
        try:
            disk.sync(path)
        except apsw.Error as error:
            raise OSError(errno.EIO, "injected") from error

    monkeypatch.setattr(wal_sync, "sync_descriptor", sync)
    db = open_on(disk, tmp_path / "live.db", durability="normal")
    promised: list[str] = []
    work(db, random.Random(seed), promised, 5)
    disk.fail_at, disk.forgets = disk.operations + 1, True
    with pytest.raises(DiskError):
        db.barrier()
    disk.fail_at = None
    db.barrier()
    work(db, random.Random(seed), promised, 3)
    db.barrier()
    disk.crash_image(tmp_path / "cut", random.Random(seed))
    survivor = check(tmp_path / "cut" / "live.db")
    assert found(survivor) == promised
    survivor.close()
    db.close()


@pytest.mark.parametrize("number", range(1, 25))
def test_a_failing_write_or_sync_is_an_error_and_leaves_the_transaction_whole(
    disk: Disk, tmp_path: Path, number: int
) -> None:
    db = open_on(disk, tmp_path / "live.db")
    promised: list[str] = []
    rng = random.Random(number)
    work(db, rng, promised, 2)
    disk.fail_at = disk.operations + number
    try:
        work(db, rng, promised, 10)
    except DatabaseError:
        pass
    else:
        pytest.fail("the fault was never met")
    disk.fail_at = None
    db.close()
    survivor = check(tmp_path / "live.db")
    names = found(survivor)
    # The one that failed may be there, whole (its frames were written), or not; everything promised is there.
    assert names[: len(promised)] == promised
    assert len(names) <= len(promised) + 1
    survivor.close()


@pytest.mark.parametrize("budget", [0, 5_000, 40_000, 100_000])
def test_a_full_disk_is_an_error_and_the_engine_goes_on_afterwards(disk: Disk, tmp_path: Path, budget: int) -> None:
    db = open_on(disk, tmp_path / "live.db")
    promised: list[str] = []
    rng = random.Random(budget)
    work(db, rng, promised, 2)
    disk.budget = budget
    with pytest.raises(FullError) as caught:
        work(db, rng, promised, 100)
    assert "free some disk space" in caught.value.hint
    assert found(db) == promised
    disk.budget = None
    work(db, rng, promised, 3)
    assert found(db) == promised
    db.close()


def test_a_full_disk_fails_the_whole_group_and_nobody_is_told_yes(disk: Disk, tmp_path: Path) -> None:
    db = open_on(disk, tmp_path / "live.db")
    db.stream("s").publish("first")
    disk.budget = 30_000
    futures = [db.submit(lambda tx, n=n: db.stream("s").publish([n, "x" * 3_000], tx=tx)) for n in range(50)]  # type: ignore[misc]
    told = []
    for number, future in enumerate(futures):
        try:
            future.result(30)
        except FullError:
            continue
        told.append(number)
    disk.budget = None
    assert [event.payload[0] for event in db.stream("s").read()[1:]] == told
    assert len(told) < 50
    db.stream("s").publish("goes on")
    db.close()


LIMITED = """
import sys, resource
from storage import engine
db = engine.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
n = 0
try:
    while True:
        db.stream("s").publish("x" * 5_000)
        n += 1
except engine.FullError:
    print("full", n)
except engine.DatabaseError as error:
    print(type(error).__name__, n)
"""


def test_a_real_file_size_limit(tmp_path: Path) -> None:
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "l.db")], check=True, capture_output=True, text=True
    )
    kind, number = done.stdout.split()
    assert kind == "full"
    db = check(tmp_path / "l.db")
    assert len(db.stream("s").read(limit=10_000)) == int(number)
    db.close()


@pytest.mark.parametrize("number", range(1, 7))
def test_a_pause_is_committed_or_not_whatever_fails(disk: Disk, tmp_path: Path, number: int) -> None:
    db = open_on(disk, tmp_path / "live.db")
    queue = db.queue("q")
    queue.enqueue(1)
    queue.pause()
    disk.crash_image(tmp_path / "paused", random.Random(number))
    paused = check(tmp_path / "paused" / "live.db")
    assert paused.queue("q").claim_one("w") is None
    paused.close()
    disk.fail_at = disk.operations + number
    try:
        with db.transaction() as tx:
            queue.resume(tx)
            db.stream("s").publish("resumed", tx=tx)
    except DatabaseError:
        pass
    disk.fail_at = None
    disk.crash_image(tmp_path / "cut", random.Random(number))
    survivor = check(tmp_path / "cut" / "live.db")
    resumed = [event.payload for event in survivor.stream("s").read()] == ["resumed"]
    assert (survivor.queue("q").claim_one("w") is not None) is resumed
    survivor.close()
    db.close()


KILLED = """
import sys
from storage import engine
from storage.engine import jobs
db = engine.open(sys.argv[1])
q = db.queue("q")
n = int(sys.argv[2])
while True:
    n += 1
    with db.transaction() as tx:
        db.stream("s").publish(n, tx=tx)
        q.enqueue(n, tx=tx)
    with db.transaction() as tx:
        rows = jobs.claim(tx, "q", "w", 1, 1000, now=db.clock())
        for row in rows:
            db.stream("done").publish(row.payload, tx=tx)
            jobs.ack(tx, row.id, "w", now=db.clock())
    print(n, flush=True)
"""


def test_sigkill_again_and_again_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Effect and ack in one transaction: every job's effect exactly once, whatever moment the process dies at."""
    path = tmp_path / "k.db"
    rng = random.Random(7)
    told = 0
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path), str(told)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = rng.randint(1, 60)
        for _ in range(lines):
            told = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        told = int(rest[-1]) if rest and rest[-1].isdigit() else told
        process.stdout.close()
        process.wait()
        db = check(path)
        events: list[Any] = [event.payload for event in db.stream("s").read(limit=100_000)]
        done = [int(event.payload) for event in db.stream("done").read(limit=100_000)]
        waiting = [int(row["payload"]) for row in db.query("SELECT payload FROM _honker_live ORDER BY id")]
        assert events == list(range(1, len(events) + 1))
        assert len(events) >= told
        assert done + waiting == events
        told = len(events)
        with db.transaction() as tx:  # what waits is finished here, so that the next round begins even
            for row in jobs.claim(tx, "q", "w", 1_000, 1000, now=db.clock() + 2_000):
                db.stream("done").publish(row.payload, tx=tx)
                jobs.ack(tx, row.id, "w", now=db.clock())
        db.close()
