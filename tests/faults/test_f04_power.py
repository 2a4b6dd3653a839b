"""F-04, F-05, F-06, F-08: a power cut at every operation of the disk, at a spoke that sends, forks, heals, and a hub.

The files lie on a file system that remembers what was synced (`faulty_vfs`). For every operation of a run there is a
run that ends there, and three images of what the disk could hold then: nothing unsynced, all of it, a torn part of it.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import apsw
import pytest

from storage.engine import Database, wal_sync
from storage.engine.errors import DatabaseError
from storage.tenants import open_tenant_database
from sync.link import receiver as receiving
from sync.link import sending
from sync.link.chain import Cursor, LogEvent, extend
from sync.link.frames import Window, pack, unpack
from sync.link.lineage import Generation
from sync.logs.generations import generations
from sync.logs.incoming import IncomingLogs, received
from sync.logs.outgoing import OutgoingLogs
from tests.storage.engine.faulty_vfs import Disk, FaultyVFS

TOPIC = "call-protocol"
GEN = b"g" * 16
Work: TypeAlias = Callable[["Life"], None]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()

    def sync(_: int, path: str) -> None:
        try:
            disk.sync(path)
        except apsw.Error as error:
            raise OSError(errno.EIO, "power") from error

    monkeypatch.setattr(wal_sync, "sync_descriptor", sync)
    vfs = FaultyVFS("power", disk)
    yield disk
    vfs.unregister()


class Life:
    """A file's life up to a power cut, and what was promised in it."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.logs = OutgoingLogs(db, "hub", {TOPIC: TOPIC}, "uplink@spoke", lambda: 0)
        self.copies = IncomingLogs(db, "n", lambda name: f"{name}@n", clock_ms=lambda: 0)
        self.told: list[str] = []
        """Payloads whose `publish` returned."""
        self.sent: list[LogEvent] = []
        """Events that were handed out to be sent."""
        self.lineages: list[tuple[Generation, ...]] = []
        """What the sender was told of its generations."""
        self.acked = 0

    def publish(self, number: int, promised: bool = True) -> None:
        for _ in range(number):
            text = f'"{len(self.told)}-{"x" * 700}"'
            with self.db.transaction() as tx:
                self.db.stream(TOPIC).append([(None, text, 0)], tx)
            if promised:
                self.told.append(text)

    def lineage(self) -> tuple[Generation, ...]:
        answer = self.logs.answer(sending.LoadLineage(0))
        assert isinstance(answer, sending.Lineage)
        self.lineages.append(answer.generations)
        return answer.generations

    def send(self, generation: Generation, cursor: Cursor) -> Cursor:
        """Read up to the end; what comes back may be on its way to the hub."""
        while True:
            answer = self.logs.answer(sending.ReadLog(0, generation, cursor, Window(3, 1_000_000)))
            assert isinstance(answer, sending.LogRead)
            if answer.frame is None:
                return cursor
            self.sent += unpack(answer.frame)
            cursor = Cursor(answer.last, answer.frame.hash)


def sending_spoke(life: Life) -> None:
    (generation,) = life.lineage()
    cursor = Cursor(0, generation.gen_id)
    for _ in range(2):
        life.publish(4)
        cursor = life.send(generation, cursor)
        life.logs.answer(sending.SaveAck(0, generation, cursor, None))


def forking_spoke(life: Life) -> None:
    (generation,) = life.lineage()
    life.publish(6)
    answer = life.logs.answer(sending.Fork(0, generation, 3, 9, 3, 2, "restored"))
    assert isinstance(answer, sending.Lineage)
    life.lineages.append(answer.generations)
    life.publish(2)
    new = answer.generations[-1]
    life.send(new, Cursor(new.base, new.gen_id))


def healing_spoke(life: Life) -> None:
    (generation,) = life.lineage()
    life.publish(2)
    cursor = life.send(generation, Cursor(0, generation.gen_id))
    lost = [LogEvent(cursor.offset + n, None, f'"lost {n}"', 0) for n in range(1, 6)]
    for part in (lost[:3], lost[3:]):
        frame = pack(0, 1, cursor.offset, part, extend(cursor.hash, part))
        answer = life.logs.answer(sending.Insert(0, cursor, frame))
        assert isinstance(answer, sending.Inserted)
        assert answer.cursor is not None
        cursor = answer.cursor
        life.told += [event.payload for event in part]
    life.publish(2)


def fast_spoke(life: Life) -> None:
    """A program with synchronous=NORMAL: what it published may vanish, unless it was sent."""
    (generation,) = life.lineage()
    cursor = Cursor(0, generation.gen_id)
    for _ in range(3):
        life.publish(4, promised=False)
        cursor = life.send(generation, cursor)
        life.publish(2, promised=False)


def storing_hub(life: Life) -> None:
    generation, cursor = Generation(1, GEN), Cursor(0, GEN)
    for number in range(4):
        events = [LogEvent(cursor.offset + n, None, f'"{number}.{n}{"x" * 500}"', 0) for n in range(1, 5)]
        frame = pack(0, 1, cursor.offset, events, extend(cursor.hash, events))
        with life.db.transaction() as tx:
            stored = life.copies.store(tx, receiving.Store(0, TOPIC, (), generation, frame))
        life.acked = stored.offset
        cursor = Cursor(events[-1].offset, frame.hash)


def check(life: Life, image: Path) -> None:
    db = open_tenant_database(image)
    try:
        assert db.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        rows = db.query("SELECT offset, key, payload, created_at FROM _honker_stream WHERE topic = ?", (TOPIC,))
        log = {row["offset"]: LogEvent(*row.values()) for row in rows}
        texts = {event.payload for event in log.values()}
        assert [text for text in life.told if text not in texts] == [], "published, and gone"
        assert [event for event in life.sent if log.get(event.offset) != event] == [], "sent, and gone"
        with db.snapshot() as snapshot:
            there = {generation.gen_id: generation for generation in generations(snapshot, TOPIC)}
            copy = list(received(snapshot, "n", TOPIC, lambda name: f"{name}@n", GEN))
        for told in life.lineages[-1:]:
            for generation in told:
                assert generation.gen_id in there, "told, and gone"
                assert there[generation.gen_id].base == generation.base
        cursors = db.query("SELECT offset, hash FROM link_cursors")
        if life.acked:
            assert cursors[0]["offset"] >= life.acked, "acknowledged, and gone"
        for cursor in cursors:  # events and cursor are one
            assert [event.offset for event in copy] == list(range(1, cursor["offset"] + 1))
            assert extend(GEN, copy) == cursor["hash"]
    finally:
        db.close()


def run(disk: Disk, folder: Path, work: Work, cut_at: int | None) -> tuple[Life | None, int]:
    """One life; returns it, and how many operations of the disk it took after the file was made."""
    disk.files.clear()
    disk.fail_at = None
    folder.mkdir()
    path = f"file:{folder / 'live.db'}?vfs=power"
    open_tenant_database(path).close()
    fast = work is fast_spoke
    db = open_tenant_database(path, durability="normal" if fast else "full")
    life = Life(db)
    first = disk.operations
    disk.fail_at = None if cut_at is None else first + cut_at
    try:
        with suppress(DatabaseError):
            work(life)
        taken = disk.operations - first
        for number, fate in enumerate(("none", "all", "torn")):
            disk.crash_image(folder / fate, random.Random((cut_at or 0) * 3 + number), fate)
            check(life, folder / fate / "live.db")
    finally:
        disk.fail_at = None
        db.close()
    return life, taken


@pytest.mark.parametrize(
    "work", [sending_spoke, forking_spoke, healing_spoke, fast_spoke, storing_hub], ids=lambda work: work.__name__
)
def test_f04_f05_f06_a_power_cut_at_every_operation(disk: Disk, tmp_path: Path, work: Work) -> None:
    life, operations = run(disk, tmp_path / "whole", work, None)
    assert life is not None
    assert life.sent or life.acked or life.told
    assert operations > 10
    for cut_at in range(1, operations + 1):
        run(disk, tmp_path / f"cut{cut_at}", work, cut_at)
    print(f"{operations} operations, {3 * (operations + 1)} images")


def test_f05_without_the_barrier_something_that_was_sent_would_be_gone(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail."""
    monkeypatch.setattr(Database, "barrier", lambda self: None)
    with pytest.raises(AssertionError, match="gone"):
        run(disk, tmp_path / "whole", fast_spoke, None)


def test_f08_a_hub_whose_sync_fails_acknowledges_nothing_more(disk: Disk, tmp_path: Path) -> None:
    """Linux forgets what it could not write: what was acknowledged before and after is on the disk all the same."""
    disk.forgets = True
    _, operations = run(disk, tmp_path / "whole", storing_hub, None)
    for number in range(1, operations + 1):
        folder = tmp_path / f"eio{number}"
        disk.files.clear()
        folder.mkdir()
        db = open_tenant_database(f"file:{folder / 'live.db'}?vfs=power")
        life = Life(db)
        disk.fail_at = disk.operations + number
        with suppress(DatabaseError):
            storing_hub(life)
        disk.fail_at = None
        storing_hub(life)  # the node sends everything again
        disk.crash_image(folder / "cut", random.Random(number), "none")
        check(life, folder / "cut" / "live.db")
        db.close()
