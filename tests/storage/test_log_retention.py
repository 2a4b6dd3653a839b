"""Cutting the log: only beyond the limits, never before its readers, never in silence."""

from __future__ import annotations

import pytest

from app.services.projector import PROJECTIONS, catch_up
from storage.engine import Database, Limits
from storage.engine.stream import save_offset
from storage.maintenance import cut_log, plan_log
from storage.projections.rebuild import LogCutError, rebuild

CALL = '{"type":"call.requested","requestId":"%d","operationId":"a.b","input":{}}'


PROJECTOR = {"call-protocol": ("projector@spoke",)}
BOTH = {"call-protocol": ("projector@spoke", "uplink@spoke")}


def fill(db: Database, events: int) -> None:
    with db.transaction() as tx:
        db.stream("call-protocol").append([(str(n), CALL % n, 1) for n in range(events)], tx)


def offsets(db: Database, topic: str = "call-protocol") -> int:
    return int(db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic = ?", (topic,))[0]["n"])


def test_nothing_goes_without_limits(tenant: Database) -> None:
    fill(tenant, 5)
    assert cut_log(tenant, Limits(), (), PROJECTOR) == {}
    assert offsets(tenant) == 5


def test_nothing_goes_that_a_required_consumer_has_not_read(tenant: Database) -> None:
    fill(tenant, 5)
    assert cut_log(tenant, Limits(max_count=1), (), PROJECTOR) == {}
    catch_up(tenant)
    assert cut_log(tenant, Limits(max_count=1), (), BOTH) == {}
    assert cut_log(tenant, Limits(max_count=1), ("callee@durable",), PROJECTOR) == {"call-protocol": 4}
    assert offsets(tenant) == 1


def test_a_stream_of_ones_own_is_not_held_by_our_readers(tenant: Database) -> None:
    for n in range(5):
        tenant.stream("mine").publish({"n": n})
    assert cut_log(tenant, Limits(max_count=2), ("projector@spoke",), BOTH) == {"mine": 3}


def test_a_stream_that_is_sent_is_held_although_nothing_of_it_was_ever_sent(tenant: Database) -> None:
    """A node that has not reached its hub yet."""
    for n in range(5):
        tenant.stream("mine").publish({"n": n})
    required, awaited = (), {"mine": ("uplink@spoke",)}
    (plan,) = plan_log(tenant, Limits(max_count=2), required, awaited)
    assert (plan.events, plan.held_by, offsets(tenant, "mine")) == (0, "uplink@spoke", 5)
    assert cut_log(tenant, Limits(max_count=2), required, awaited) == {}
    with tenant.transaction() as tx:
        save_offset(tx, "uplink@spoke", "mine", plan.wanted - 1)
    (plan,) = plan_log(tenant, Limits(max_count=2), required, awaited)
    assert (plan.events, plan.held_by, offsets(tenant, "mine")) == (2, "uplink@spoke", 5)
    assert cut_log(tenant, Limits(max_count=2), required, awaited) == {"mine": 2}


def test_a_rebuild_says_that_the_log_was_cut(tenant: Database) -> None:
    fill(tenant, 5)
    catch_up(tenant)
    cut_log(tenant, Limits(max_count=1), (), PROJECTOR)
    with pytest.raises(LogCutError, match="call-protocol up to offset 4"):
        rebuild(tenant, PROJECTIONS)
    assert tenant.query("SELECT count(*) AS n FROM nodes")[0]["n"] == 5, "nothing was touched"
    assert rebuild(tenant, PROJECTIONS, force=True) == 1
