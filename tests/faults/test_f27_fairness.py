"""F-27, F-28, F-29, F-33: a poisonous event, a large backlog, a hot tenant, a key that is revoked meanwhile."""

from __future__ import annotations

import time

from storage.identity.api_keys import revoke_key
from storage.tenants import open_system_database
from tests.faults.ledger import STREAM, publish
from tests.faults.machines import Machines, Spoke, rounds, until

BACKLOG = 150_000


def backlog(spoke: Spoke, number: int) -> None:
    """Many events at once, without a ledger; the spoke's file is not open elsewhere."""
    with spoke.opened() as db, db.transaction() as tx:
        db.stream(STREAM).append([("b", f'{{"tag":"b","n":{n},"pad":"{"x" * 100}"}}', n) for n in range(number)], tx)


def test_f27_a_poisonous_event_in_the_middle(machines: Machines) -> None:
    machines.start_hub()
    spoke = machines.spoke()
    half = 50_000
    backlog(spoke, half)
    with spoke.opened() as db, db.transaction() as tx:
        tx.execute("INSERT INTO _honker_stream (topic, payload) VALUES (?, 'no JSON')", (STREAM,))
    backlog(spoke, half)
    process = spoke.start()
    status = spoke.wait_synced(process)
    until(lambda: sum(stream.refused for stream in spoke.status().streams) == 1, process)
    assert status.error_code is None
    assert machines.stored() == 2 * half
    with machines.hub_file() as db:
        assert [row["code"] for row in db.query("SELECT code FROM link_quarantine")] == ["NOT_JSON"]


def test_f28_a_backlog_does_not_hold_up_live_events_of_others(machines: Machines) -> None:
    """Both lie in one tenant's log, whose offsets say what was stored first."""
    machines.start_hub()
    heavy, live = machines.spoke("heavy"), machines.spoke("live")
    backlog(heavy, rounds(BACKLOG))
    process = live.start()
    live.wait_for(lambda status: status.state == "live", process)
    heavy_process = heavy.start()
    until(lambda: machines.stored() > 0, heavy_process)
    with live.opened() as db:
        publish(db, "l", 1)
    live.wait_synced(process)
    heavy.wait_synced(heavy_process)
    with machines.hub_file() as db:
        rows = db.query(
            "SELECT key, min(offset) AS first, max(offset) AS last FROM _honker_stream WHERE topic LIKE ? GROUP BY key",
            (f"{STREAM}@%",),
        )
    found = {row["key"]: row for row in rows}
    assert found["l"]["first"] < found["b"]["last"], "it was stored behind the whole backlog"
    assert machines.stored() == rounds(BACKLOG) + 1


def test_f29_a_hot_tenant_does_not_starve_another(machines: Machines) -> None:
    machines.start_hub()
    hot, other = machines.spoke("hot", "hot"), machines.spoke("other", "other")
    backlog(hot, 2 * rounds(BACKLOG))
    backlog(other, 5_000)
    process = hot.start()
    until(lambda: machines.stored("hot") > 0, process)
    others = other.start()
    other.wait_synced(others)
    arrived = machines.stored("hot")
    hot.wait_synced(process)
    print(f"{arrived} of {2 * rounds(BACKLOG)} had arrived")
    assert machines.stored("other") == 5_000
    assert machines.stored("hot") == 2 * rounds(BACKLOG)


def test_f33_a_key_that_is_revoked_during_catch_up(machines: Machines) -> None:
    """What was acknowledged is there; the rest waits, and arrives with a new key."""
    machines.start_hub()
    spoke = machines.spoke()
    backlog(spoke, rounds(BACKLOG))
    process = spoke.start()
    until(lambda: machines.stored() > 0, process)
    system = open_system_database(machines.hub_folder / "system.db")
    with system.transaction() as tx:
        ((key, owner),) = tx.rows("SELECT id, owner_id FROM api_keys")
        revoke_key(tx, key, actor_id=owner, now=int(time.time()))
    system.close()
    status = spoke.wait_for(lambda status: status.state == "refused", process)
    assert status.error_code in ("REVOKED", "UNAUTHORIZED")
    stored = machines.stored()
    acked = next(stream for stream in spoke.status().streams if stream.topic == STREAM)
    assert rounds(BACKLOG) - acked.unsent <= stored
    spoke.nudge()
    with spoke.opened() as db:
        publish(db, "late", 1)
    assert machines.stored() == stored, "nothing of it is stored any more"
