"""The limit of a file: what is new is refused, what makes room never is, and with room it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import cast

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import engine
from storage.engine import Database, FullError, LimitError, Limits, used_bytes
from storage.engine.room import BIG_BYTES, Limit
from storage.engine.stream import append_event

NOTHING = Limits(max_count=0)


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    database = engine.open(path, durability="normal")
    yield database
    database.close()


def used(db: Database) -> int:
    with db.snapshot() as snapshot:
        return used_bytes(snapshot)


def fill(db: Database, more: int = 200_000) -> int:
    """Set the limit a little above what is there, and publish until it is reached; returns how many."""
    db.max_bytes = used(db) + more
    for number in range(10_000):
        try:
            db.stream("s").publish({"n": number, "pad": "x" * 1_000})
        except LimitError:
            return number
    raise AssertionError("never refused")


def test_what_is_new_is_refused_with_what_to_do_and_leaves_nothing(db: Database) -> None:
    number = fill(db)
    before = db.query("SELECT count(*) AS n FROM _honker_stream")
    assert number > 100
    assert db.max_bytes is not None
    assert db.max_bytes <= used(db) < db.max_bytes + 100_000
    with pytest.raises(LimitError, match=r"storage\.max_bytes") as caught:
        db.stream("other").publish(1)
    assert isinstance(caught.value, FullError)
    assert "spoke db retention" in caught.value.hint
    with pytest.raises(LimitError):
        db.queue("q").enqueue(1)
    with pytest.raises(LimitError), db.transaction() as tx:
        db.stream("s").append([(None, "1", 0)], tx)
    assert db.query("SELECT count(*) AS n FROM _honker_stream") == before
    assert not db.query("SELECT 1 FROM _honker_live")


def test_what_makes_room_and_what_has_begun_go_on(db: Database) -> None:
    for number in range(3):
        db.queue("q").enqueue(number)
    fill(db)
    with db.transaction() as tx:
        append_event(tx, "s", None, '"the end"', despite_limit=True)
        db.stream("s").append([(None, '"another"', 0)], tx, despite_limit=True)
        tx.execute("SELECT honker_enqueue('maintenance', '{}', NULL, NULL, 0, 3, NULL)")
        tx.notify("channel", {})
        with pytest.raises(LimitError):  # leave for one is none for the others
            append_event(tx, "s", None, "1")
    db.stream("s").save_offset("reader", 1)
    first, second, third = db.queue("q").claim_batch("w", 3)
    assert first.ack()
    assert second.retry(0, "again")
    assert third.fail("no")
    assert db.queue("maintenance").claim_one("w") is not None
    assert [event.payload for event in db.stream("s").read(limit=10_000)[-2:]] == ["the end", "another"]


def test_pages_that_are_freed_are_room(db: Database) -> None:
    fill(db)
    size = db.query("PRAGMA page_count")
    db.retain_stream("s", NOTHING)
    assert db.query("PRAGMA page_count") == size, "the file does not shrink"
    again = 0
    with pytest.raises(LimitError):
        while True:
            db.stream("s").publish({"pad": "x" * 1_000})
            again += 1
    assert again > 100
    db.max_bytes = None
    db.stream("s").publish(1)


async def test_of_a_group_only_the_new_one_is_refused(db: Database) -> None:
    fill(db)
    refused = db.submit(lambda tx: append_event(tx, "s", None, "1"))
    taken = db.submit(lambda tx: tx.execute("INSERT INTO _honker_stream_consumers VALUES ('c', 's', 1)"))
    assert isinstance(refused.exception(10), LimitError)
    assert taken.exception(10) is None
    assert db.stream("s").get_offset("c") == 1


OPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 60_000)),
        st.tuples(st.just("batch"), st.integers(1, 40)),
        st.tuples(st.just("end"), st.integers(1, 60_000)),
        st.tuples(st.just("cut"), st.integers(0, 20)),
    ),
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(OPS)
def test_it_is_refused_exactly_when_the_file_is_full(ops: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        db = engine.open(Path(folder) / "e.db", durability="normal")
        limit = db.max_bytes = used(db) + 150_000
        stored = 0
        for what, number in ops:
            before = used(db)
            try:
                if what == "publish":
                    db.stream("s").publish("x" * number)
                    stored += 1
                elif what == "batch":
                    with db.transaction() as tx:
                        db.stream("s").append([(None, f'"{"x" * 1_000}"', 0)] * number, tx)
                    stored += number
                elif what == "end":
                    with db.transaction() as tx:
                        append_event(tx, "s", None, f'"{"x" * number}"', despite_limit=True)
                    stored += 1
                else:
                    db.retain_stream("s", Limits(max_count=number))
                    stored = min(stored, number)
            except LimitError:
                assert what in ("publish", "batch")
                assert before >= limit
                assert used(db) == before
            else:
                assert what in ("end", "cut") or before < limit
            assert len(db.stream("s").read(limit=100_000)) == stored
        db.close()


def test_every_member_of_a_transaction_looks_for_itself(db: Database) -> None:
    db.max_bytes = used(db) + 100_000
    with db.transaction() as tx:
        with tx.transaction():
            append_event(tx, "s", None, f'"{"x" * 300_000}"')
        with pytest.raises(LimitError), tx.transaction():
            append_event(tx, "s", None, "1")
    assert len(db.stream("s").read()) == 1


class File:
    """A connection to a file of so many pages of a kilobyte, that counts looks."""

    def __init__(self) -> None:
        self.pages, self.looks = 0, 0

    def execute(self, sql: str) -> SimpleNamespace:
        self.looks += 1
        return SimpleNamespace(get=self.pages if sql == "PRAGMA page_count" else 0)


@given(st.lists(st.integers(0, BIG_BYTES // 1_024), max_size=200), st.integers(1, 200_000))
def test_it_is_gone_beyond_by_one_transaction_however_seldom_it_is_looked_at(written: list[int], kib: int) -> None:
    file, limit = File(), Limit(kib * 1_024, 1_024)
    for pages in written:
        if limit.reached_by(cast(apsw.Connection, file)) is None:
            file.pages += pages
        else:
            assert file.pages >= kib
    assert file.pages * 1_024 < kib * 1_024 + BIG_BYTES


def test_a_file_that_is_far_from_its_limit_is_looked_at_now_and_then() -> None:
    file, limit = File(), Limit(10**12, 4_096)
    for _ in range(64):
        assert limit.reached_by(cast(apsw.Connection, file)) is None
    assert file.looks == 4
