"""Retention: what goes, what stays, who holds it, and that files stay bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import engine
from storage.engine import Database, Limits, UsageError
from tests.storage.engine.clock import Clock


@pytest.fixture
def db(path: Path, clock: Clock) -> Iterator[Database]:
    database = engine.open(path, clock=clock, durability="normal")
    yield database
    database.close()


def fill(db: Database, clock: Clock, number: int) -> list[int]:
    """Events of 10 bytes, one a second."""
    with db.transaction() as tx:
        db.stream("s").append([(None, '"xxxxxxxx"', int(clock()) + n) for n in range(number)], tx)
        db.stream("other").append([(None, "1", 0)], tx)
    clock.advance(number)
    return [event.offset for event in db.stream("s").read(limit=10_000)]


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (Limits(), 10),
        (Limits(max_count=4), 4),
        (Limits(max_age_s=3), 3),
        (Limits(max_bytes=25), 2),
        (Limits(max_count=6, max_age_s=8, max_bytes=75), 6),
        (Limits(max_count=0), 0),
        (Limits(max_age_s=0), 0),
    ],
)
def test_the_strictest_limit_counts(db: Database, clock: Clock, limits: Limits, kept: int) -> None:
    fill(db, clock, 10)
    plan = db.retain_stream("s", limits, dry_run=True)
    assert len(db.stream("s").read()) == 10
    cut = db.retain_stream("s", limits)
    assert (cut.events, cut.until, cut.held_by) == (10 - kept, plan.until, None)
    assert len(db.stream("s").read()) == kept
    assert len(db.stream("other").read()) == 1


def test_a_required_consumer_holds_what_it_has_not_finished(db: Database, clock: Clock) -> None:
    offsets = fill(db, clock, 10)
    db.stream("s").save_offset("hub", offsets[3])
    db.stream("s").save_offset("fast", offsets[9])
    cut = db.retain_stream("s", Limits(max_count=0), required=["fast", "hub"])
    assert (cut.wanted, cut.until, cut.held_by, cut.events) == (offsets[9], offsets[3], "hub", 4)
    assert [event.offset for event in db.stream("s").read()] == offsets[4:]
    assert db.retain_stream("s", Limits(max_count=0), required=["never seen"]).events == 0


def test_offsets_are_not_used_again(db: Database, clock: Clock) -> None:
    offsets = fill(db, clock, 5)
    db.retain_stream("s", Limits(max_count=0))
    assert db.stream("s").publish(1) > offsets[-1]


def test_dead_jobs_and_results(db: Database, clock: Clock) -> None:
    queue = db.queue("q")
    for n in range(6):
        job_id = queue.enqueue("xxxxxxxx")
        job = queue.claim_one("w")
        assert job is not None
        assert job.fail("no")
        queue.save_result(job_id, "xxxxxxxx")
        clock.advance(10)
        assert n >= 0
    assert db.retain_dead("other", Limits(max_count=0)) == 0
    assert db.retain_dead("q", Limits(max_age_s=45)) == 2
    assert db.retain_dead("q", Limits(max_count=3)) == 1
    assert db.retain_dead("q", Limits(max_bytes=25)) == 1
    assert db.retain_results(Limits(max_count=1)) == 5
    assert [row["job_id"] for row in db.query("SELECT job_id FROM _honker_results")] == [6]


def test_notifications(db: Database, clock: Clock) -> None:
    for n in range(10):
        with db.transaction() as tx:
            tx.notify("c", n)
    assert db.prune_notifications() == 0
    assert db.prune_notifications(max_keep=4) == 6
    assert db.prune_notifications(max_keep=4) == 0
    for bad in ({"max_keep": -1}, {"older_than_s": -1}):
        with pytest.raises(UsageError):
            db.prune_notifications(**bad)
    with pytest.raises(UsageError):
        Limits(max_count=-1)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 30),
    limits=st.builds(
        Limits,
        max_age_s=st.none() | st.integers(0, 40),
        max_count=st.none() | st.integers(0, 40),
        max_bytes=st.none() | st.integers(0, 400),
    ),
    reached=st.none() | st.integers(0, 30),
)
def test_against_a_model(
    tmp_path_factory: pytest.TempPathFactory, number: int, limits: Limits, reached: int | None
) -> None:
    clock = Clock()
    db = engine.open(tmp_path_factory.mktemp("r") / "r.db", clock=clock, durability="normal")
    try:
        start = int(clock())
        offsets = fill(db, clock, number)
        if reached is not None and reached < len(offsets):
            db.stream("s").save_offset("me", offsets[reached])
        held = db.stream("s").get_offset("me")
        db.retain_stream("s", limits, required=["me"] if reached is not None else [])
        expected = []
        for index, offset in enumerate(offsets):
            newer = len(offsets) - index  # this one included
            stays = (
                (limits.max_age_s is None or start + index >= int(clock() - limits.max_age_s))
                and (limits.max_count is None or newer <= limits.max_count)
                and (limits.max_bytes is None or newer * 10 <= limits.max_bytes)
            )
            if stays or (reached is not None and offset > held):
                expected.append(offset)
        assert [event.offset for event in db.stream("s").read()] == expected
    finally:
        db.close()


def test_files_stay_bounded_under_load(db: Database, path: Path) -> None:
    """Publishing and cutting for long: neither the file nor its WAL grows with what has passed through."""
    sizes = []
    for _ in range(12):
        for _ in range(20):
            with db.transaction() as tx:
                for n in range(100):
                    db.stream("s").publish(["x" * 500, n], tx=tx)
        db.retain_stream("s", Limits(max_count=500))
        sizes.append(path.stat().st_size + Path(f"{path}-wal").stat().st_size)
    assert max(sizes) <= 3 * sizes[1]
    assert Path(f"{path}-wal").stat().st_size < 16_000_000
