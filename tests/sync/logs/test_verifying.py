"""Recomputing a log: the same, changed anywhere, cut by retention, and what was never acknowledged."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.engine import Database, Transaction
from storage.tenants import open_tenant_database
from sync.link.chain import Cursor, extend
from sync.link.lineage import Generation
from sync.logs.chains import events_between, remember
from sync.logs.verifying import verify

GENERATION = Generation(1, b"g" * 16)


def filled(db: Database, number: int) -> None:
    with db.transaction() as tx:
        db.stream("t").append([(None, f'{{"n":{i}}}', i) for i in range(number)], tx)
        tx.execute(
            "INSERT INTO link_generations (topic, number, gen_id, reason, created_at) VALUES ('t', 1, ?, 'first', 1)",
            (GENERATION.gen_id,),
        )


def cursor_at(tx: Transaction, offset: int) -> Cursor:
    return Cursor(offset, extend(GENERATION.gen_id, events_between(tx, "t", 0, offset)))


def acknowledged(db: Database, offset: int, *notes: int) -> None:
    with db.transaction() as tx:
        tx.execute(
            "INSERT INTO link_positions VALUES ('h', 't', ?, ?, ?, 1)", (GENERATION.gen_id, *cursor_at(tx, offset))
        )
        for note in notes:
            remember(tx, "t", GENERATION, cursor_at(tx, note))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_changed_row_is_found_wherever_it_is(data: st.DataObject) -> None:
    number = data.draw(st.integers(2, 40))
    acked = data.draw(st.integers(1, number))
    note = data.draw(st.integers(1, acked))
    victim = data.draw(st.integers(1, number))
    change = data.draw(st.sampled_from(["payload = '{}'", "key = 'k'", "created_at = created_at + 1"]))
    with tempfile.TemporaryDirectory() as folder:
        db = open_tenant_database(Path(folder) / "x.db")
        try:
            filled(db, number)
            acknowledged(db, acked, note)
            with db.snapshot() as snapshot:
                found = verify(snapshot, "t", "h")
            assert (found.good, found.hub, found.events, found.hub_offset) == (True, "same", number, acked)
            with db.transaction() as tx:
                tx.execute(f"UPDATE _honker_stream SET {change} WHERE offset = ?", (victim,))
            with db.snapshot() as snapshot:
                found = verify(snapshot, "t", "h")
            assert found.good == (victim > acked)
            assert found.hub == ("same" if victim > acked else "differs")
            if victim <= note:
                assert found.differs_at == note
        finally:
            db.close()


@pytest.mark.parametrize(("begins", "notes", "hub"), [(5, (4,), "unknown"), (5, (5,), "same"), (5, (6,), "same")])
def test_what_retention_deleted_is_not_called_different(
    tenant: Database, begins: int, notes: tuple[int, ...], hub: str
) -> None:
    filled(tenant, 10)
    acknowledged(tenant, 8, *notes)
    with tenant.transaction() as tx:
        tx.execute("DELETE FROM _honker_stream WHERE offset <= ?", (begins,))
        tx.execute("INSERT INTO node_facts VALUES ('log_begins:t', ?)", (str(begins),))
    with tenant.snapshot() as snapshot:
        found = verify(snapshot, "t", "h")
    assert (found.good, found.hub) == (True, hub)


def test_an_event_that_is_gone_without_retention_differs(tenant: Database) -> None:
    filled(tenant, 10)
    acknowledged(tenant, 8)
    with tenant.transaction() as tx:
        tx.execute("DELETE FROM _honker_stream WHERE offset >= 8")
    with tenant.snapshot() as snapshot:
        assert verify(snapshot, "t", "h").hub == "differs"
        never = verify(snapshot, "t", "another hub")
    assert (never.good, never.hub, never.hub_offset) == (True, "unknown", None)
