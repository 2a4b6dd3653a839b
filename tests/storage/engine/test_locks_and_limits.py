"""Locks with a time to live, and rate limits: cases, and a model for locks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storage import engine
from storage.engine import Database, LockHeld, locks
from tests.storage.engine.clock import Clock


@pytest.fixture
def db(path: Path, clock: Clock) -> Iterator[Database]:
    database = engine.open(path, clock=clock, durability="normal")
    yield database
    database.close()


def test_a_held_lock_is_refused_until_it_runs_out(db: Database, clock: Clock) -> None:
    with db.lock("leader", ttl=10) as first:
        assert first.acquired
        with pytest.raises(LockHeld), db.lock("leader"):
            pass
        clock.advance(11)
        with db.lock("leader") as second:
            assert second.acquired
            assert [first.renew(), first.acquired] == [False, False]
    with db.lock("leader"):
        pass


def test_the_inner_block_of_the_same_owner_does_not_release_15(db: Database) -> None:
    with db.lock("leader", owner="me"):
        with db.lock("leader", owner="me") as inner:
            assert inner.acquired
        with pytest.raises(LockHeld), db.lock("leader", owner="other"):
            pass
    with db.lock("leader", owner="other"):
        pass


def test_renewing_moves_the_end(db: Database, clock: Clock) -> None:
    with db.lock("leader", ttl=10) as lock:
        for _ in range(5):
            clock.advance(9)
            assert lock.renew()


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_lock_without_time_is_refused(db: Database, ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl"):
        db.lock("x", ttl=ttl)


def test_a_window_has_room_for_so_many(db: Database, clock: Clock) -> None:
    clock.now = 1_000_020.0
    assert [db.try_rate_limit("api", 3, 60) for _ in range(5)] == [True, True, True, False, False]
    assert db.try_rate_limit("other", 3, 60)
    clock.advance(60)
    assert db.try_rate_limit("api", 3, 60)
    clock.advance(10_000)
    assert db.sweep_rate_limits() == 3
    for bad in ((0, 60), (1, 0)):
        with pytest.raises(ValueError, match="positive"):
            db.try_rate_limit("api", *bad)


class Model(RuleBasedStateMachine):
    """Acquire, renew, release by several owners while time passes: at most one holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.db = engine.open(f"{self.folder.name}/l.db", clock=self.clock, durability="normal")
        self.holder: str | None = None
        self.until = 0

    def teardown(self) -> None:
        self.db.close()
        self.folder.cleanup()

    def expire(self) -> None:
        if self.until <= int(self.clock()):
            self.holder = None

    @rule(owner=st.sampled_from("abc"), ttl=st.integers(1, 20))
    def acquire(self, owner: str, ttl: int) -> None:
        self.expire()
        with self.db.transaction() as tx:
            got = locks.acquire(tx, "l", owner, ttl, now=self.clock())
        assert got is (self.holder in (None, owner))
        if self.holder is None:
            self.holder, self.until = owner, int(self.clock()) + ttl

    @rule(owner=st.sampled_from("abc"), ttl=st.integers(1, 20))
    def renew(self, owner: str, ttl: int) -> None:
        with self.db.transaction() as tx:
            kept = locks.renew(tx, "l", owner, ttl, now=self.clock())
        if kept:
            assert self.holder == owner or self.holder is None
            self.holder, self.until = owner, int(self.clock()) + ttl
        else:
            assert self.holder != owner

    @rule(owner=st.sampled_from("abc"))
    def release(self, owner: str) -> None:
        with self.db.transaction() as tx:
            released = locks.release(tx, "l", owner)
        if self.holder == owner:
            assert released
            self.holder = None

    @rule(seconds=st.integers(1, 10))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def at_most_one(self) -> None:
        assert len(self.db.query("SELECT * FROM _honker_locks")) <= 1


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
