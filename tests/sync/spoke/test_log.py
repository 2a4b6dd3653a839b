"""The spoke's log as the link reads it."""

from __future__ import annotations

from typing import Any

import pytest

from storage.engine import Database
from sync.link.chain import Cursor, LogEvent, extend
from sync.link.errors import DivergedError, RolledBackError
from sync.link.frames import MAX_BATCH_EVENTS, TARGET_BATCH_BYTES, unpack
from sync.spoke import log as log_module
from sync.spoke.log import SpokeLog, hash_at


def publish(db: Database, number: int, size: int = 10, topic: str = "call-protocol") -> None:
    with db.transaction() as tx:
        db.stream(topic).append([(None, '"' + "x" * size + '"', i) for i in range(number)], tx)


def whole_log(db: Database) -> list[LogEvent]:
    rows = db.query("SELECT offset, key, payload, created_at FROM _honker_stream WHERE topic = 'call-protocol'")
    return [LogEvent(*row.values()) for row in rows]


def test_frames_follow_one_another_to_the_end_of_the_log(tenant: Database) -> None:
    publish(tenant, 3)
    publish(tenant, 2, topic="other")
    publish(tenant, 5_000)
    log = SpokeLog(tenant)
    (offer,) = log.offers(("call-protocol",))
    cursor, seen = Cursor(0, offer.gen_id), list[LogEvent]()
    while found := log.read_frame("call-protocol", 0, cursor):
        frame, last = found
        assert frame.after == cursor.offset
        assert frame.count <= MAX_BATCH_EVENTS
        seen += unpack(frame)
        cursor = Cursor(last, frame.hash)
    assert seen == whole_log(tenant)
    assert cursor.hash == extend(offer.gen_id, seen)


def test_large_events_make_small_frames(tenant: Database) -> None:
    publish(tenant, 600, size=20_000)
    log = SpokeLog(tenant)
    (offer,) = log.offers(("call-protocol",))
    found = log.read_frame("call-protocol", 0, Cursor(0, offer.gen_id))
    assert found is not None
    assert found[0].count < 600
    assert found[0].raw_bytes < TARGET_BATCH_BYTES + log_module.CHUNK * 20_100


def test_what_is_sent_is_durable(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever a frame is returned, a barrier has passed that began after its events were committed."""
    publish(tenant, 10)
    covered = 0
    real = tenant.barrier

    def barrier() -> None:
        nonlocal covered
        committed = len(whole_log(tenant))
        real()
        covered = committed

    monkeypatch.setattr(tenant, "barrier", barrier)
    log = SpokeLog(tenant)
    (offer,) = log.offers(("call-protocol",))
    cursor, sent = Cursor(0, offer.gen_id), 0
    for _ in range(5):
        while found := log.read_frame("call-protocol", 0, cursor):
            cursor, sent = Cursor(found[1], found[0].hash), sent + found[0].count
            assert sent <= covered
        publish(tenant, 10)


def test_a_backlog_costs_one_barrier(tenant: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tenant, 3 * MAX_BATCH_EVENTS)
    barriers: list[Any] = []
    monkeypatch.setattr(tenant, "barrier", lambda: barriers.append(None))
    log = SpokeLog(tenant)
    (offer,) = log.offers(("call-protocol",))
    cursor = Cursor(0, offer.gen_id)
    while found := log.read_frame("call-protocol", 0, cursor):
        cursor = Cursor(found[1], found[0].hash)
    assert len(barriers) == 1


def test_positions_are_verified_by_hash(tenant: Database) -> None:
    publish(tenant, 100)
    log = SpokeLog(tenant)
    (offer,) = log.offers(("call-protocol",))
    events = whole_log(tenant)
    at = events[49].offset
    good = extend(offer.gen_id, events[:50])
    assert log.verify("call-protocol", offer.gen_id, Cursor(at, good)) is None
    assert log.verify("call-protocol", offer.gen_id, Cursor(0, offer.gen_id)) is None
    assert isinstance(log.verify("call-protocol", offer.gen_id, Cursor(0, b"x" * 16)), DivergedError)
    assert isinstance(log.verify("call-protocol", offer.gen_id, Cursor(at, b"x" * 16)), DivergedError)
    assert isinstance(log.verify("call-protocol", offer.gen_id, Cursor(events[-1].offset + 1, good)), RolledBackError)


def test_a_checkpoint_saves_reading_the_log_again(tenant: Database) -> None:
    publish(tenant, 100)
    log = SpokeLog(tenant)
    (offer,) = log.offers(("call-protocol",))
    events = whole_log(tenant)
    position = Cursor(events[59].offset, extend(offer.gen_id, events[:60]))
    with tenant.transaction() as tx:
        log.save_ack(tx, "hub", "call-protocol", offer.gen_id, position, 0)
    with tenant.transaction() as tx:  # what lies before the checkpoint is not looked at any more
        tx.execute("UPDATE _honker_stream SET payload = 'changed' WHERE offset < ?", (position.offset,))
    with tenant.snapshot() as snapshot:
        assert hash_at(snapshot, "call-protocol", offer.gen_id, events[-1].offset) == extend(offer.gen_id, events)


def test_the_generation_stays(tenant: Database) -> None:
    assert SpokeLog(tenant).offers(("a", "b")) == SpokeLog(tenant).offers(("a", "b"))
    first, second = SpokeLog(tenant).offers(("a", "b"))
    assert first.gen_id != second.gen_id
