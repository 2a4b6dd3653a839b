"""What is read of a log to be sent: in order, in bounded frames, and on disk."""

from __future__ import annotations

import pytest

from storage.engine import Database
from storage.engine.stream import saved_offset
from sync.link import sending
from sync.link.chain import Cursor, LogEvent, extend
from sync.link.frames import MAX_BATCH_EVENTS, TARGET_BATCH_BYTES, Reached, Window, unpack
from sync.link.lineage import Generation
from sync.logs.chains import events_between
from sync.logs.outgoing import OutgoingLogs

TOPIC, CONSUMER = "call-protocol", "uplink@spoke"


def publish(db: Database, number: int, size: int = 10, topic: str = TOPIC) -> None:
    with db.transaction() as tx:
        db.stream(topic).append([(None, '"' + "x" * size + '"', i) for i in range(number)], tx)


def logs_of(db: Database) -> tuple[OutgoingLogs, Generation]:
    logs = OutgoingLogs(db, "hub-1", {TOPIC: TOPIC}, CONSUMER, lambda: 0)
    lineage = logs.answer(sending.LoadLineage(0))
    assert isinstance(lineage, sending.Lineage)
    return logs, lineage.generations[-1]


def read(logs: OutgoingLogs, generation: Generation, cursor: Cursor) -> sending.LogRead:
    answer = logs.answer(sending.ReadLog(0, generation, cursor, Window()))
    assert isinstance(answer, sending.LogRead)
    return answer


def whole_log(db: Database) -> list[LogEvent]:
    with db.snapshot() as snapshot:
        return list(events_between(snapshot, TOPIC, 0, 1 << 62))


def test_frames_follow_one_another_to_the_end_of_the_log(tenant: Database) -> None:
    publish(tenant, 3)
    publish(tenant, 2, topic="other")
    publish(tenant, 5_000)
    logs, generation = logs_of(tenant)
    cursor, seen = Cursor(0, generation.gen_id), list[LogEvent]()
    while (found := read(logs, generation, cursor)).frame is not None:
        assert found.frame.after == cursor.offset
        assert found.frame.count <= MAX_BATCH_EVENTS
        seen += unpack(found.frame)
        cursor = Cursor(found.last, found.frame.hash)
    assert seen == whole_log(tenant)
    assert cursor.hash == extend(generation.gen_id, seen)


def test_large_events_make_small_frames(tenant: Database) -> None:
    publish(tenant, 600, size=20_000)
    logs, generation = logs_of(tenant)
    frame = read(logs, generation, Cursor(0, generation.gen_id)).frame
    assert frame is not None
    assert frame.count < 600
    assert frame.raw_bytes < TARGET_BATCH_BYTES + 100 * frame.count


def test_what_is_sent_is_durable(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever a frame is returned, a barrier has passed that began after its events were committed."""
    publish(tenant, 10)
    covered = 0
    real = tenant.barrier

    def barrier() -> None:
        nonlocal covered
        newest = whole_log(tenant)[-1].offset
        real()
        covered = newest

    monkeypatch.setattr(tenant, "barrier", barrier)
    logs, generation = logs_of(tenant)
    cursor = Cursor(0, generation.gen_id)
    for _ in range(5):
        while (found := read(logs, generation, cursor)).frame is not None:
            assert covered >= found.last
            cursor = Cursor(found.last, found.frame.hash)
        publish(tenant, 7)


def test_stable_counts_only_with_our_hash(tenant: Database) -> None:
    publish(tenant, 10)
    logs, generation = logs_of(tenant)
    found = read(logs, generation, Cursor(0, generation.gen_id))
    assert found.frame is not None
    position = Cursor(found.last, found.frame.hash)
    middle = whole_log(tenant)[4].offset
    right = extend(generation.gen_id, whole_log(tenant)[:5])

    def saved(stable: Reached) -> int:
        logs.answer(sending.SaveAck(0, generation, position, stable))
        with tenant.snapshot() as snapshot:
            return saved_offset(snapshot, CONSUMER, TOPIC)

    assert saved(Reached(middle, b"x" * 16)) == 0
    assert saved(Reached(found.last, b"x" * 16)) == 0
    assert saved(Reached(middle, right)) == middle
    assert saved(Reached(found.last, position.hash)) == found.last
