"""The call graph is a function of the log: idempotent, patient with late events, never blocked by a bad one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.services.projector import catch_up
from storage.engine import Database
from storage.tenants import open_tenant_database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_tenant_database(tmp_path / "tenant-local.db")
    yield database
    database.close()


def publish(db: Database, *events: dict[str, Any]) -> None:
    with db.transaction() as tx:
        for event in events:
            db.stream("call-protocol").publish(event, key=event.get("requestId"), tx=tx)


def requested(request_id: str, parent: str | None = None, session: str | None = "s1") -> dict[str, Any]:
    event: dict[str, Any] = {
        "type": "call.requested",
        "requestId": request_id,
        "operationId": "fs.list",
        "input": {"path": "/"},
        "timestamp": "2026-11-24T08:00:00.000Z",
    }
    if parent is not None:
        event["parentRequestId"] = parent
    if session is not None:
        event["metadata"] = {"sessionId": session}
    return event


def responded(request_id: str) -> dict[str, Any]:
    return {
        "type": "call.responded",
        "requestId": request_id,
        "output": {"data": 1, "meta": {"source": "local"}},
        "timestamp": "2026-11-24T08:00:01.000Z",
        "metadata": {"durationMs": 12.5},
    }


def nodes(db: Database) -> dict[str, dict[str, Any]]:
    return {
        row["key"]: json.loads(row["attributes"]) | {"graph": row["graph_id"]}
        for row in db.query("SELECT key, graph_id, attributes FROM nodes")
    }


def edges(db: Database) -> set[tuple[str, str]]:
    return {
        (row["source_node_key"], row["target_node_key"])
        for row in db.query("SELECT source_node_key, target_node_key FROM edges")
    }


def dump(db: Database) -> dict[str, list[dict[str, Any]]]:
    tables = ("graphs", "nodes", "edges", "call_orphans", "call_waiting_children", "sessions", "messages", "parts")
    return {table: db.query(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}


def test_a_call_and_its_child_make_nodes_and_an_edge(db: Database) -> None:
    publish(db, requested("a"), requested("b", parent="a"), responded("b"))
    catch_up(db)
    found = nodes(db)
    assert found["a"]["status"] == "pending"
    assert found["b"] == {
        "requestId": "b",
        "operationId": "fs.list",
        "status": "completed",
        "parentRequestId": "a",
        "input": {"path": "/"},
        "output": {"data": 1, "meta": {"source": "local"}},
        "startedAt": "2026-11-24T08:00:00.000Z",
        "completedAt": "2026-11-24T08:00:01.000Z",
        "durationMs": 12.5,
        "graph": "s1",
    }
    assert edges(db) == {("a", "b")}


def test_calls_without_a_session_are_in_the_graph_calls(db: Database) -> None:
    publish(db, requested("a", session=None))
    catch_up(db)
    assert nodes(db)["a"]["graph"] == "calls"


def test_an_outcome_before_its_request_waits_for_it(db: Database) -> None:
    publish(db, responded("a"))
    catch_up(db)
    assert nodes(db) == {}
    publish(db, requested("a"))
    catch_up(db)
    assert nodes(db)["a"]["status"] == "completed"
    assert db.query("SELECT * FROM call_orphans") == []


def test_a_child_before_its_parent_gets_its_edge_later(db: Database) -> None:
    publish(db, requested("child", parent="parent"))
    catch_up(db)
    assert edges(db) == set()
    publish(db, requested("parent"))
    catch_up(db)
    assert edges(db) == {("parent", "child")}
    assert db.query("SELECT * FROM call_waiting_children") == []


def test_the_first_outcome_stands(db: Database) -> None:
    publish(db, requested("a"), {"type": "call.aborted", "requestId": "a"}, responded("a"))
    catch_up(db)
    assert nodes(db)["a"]["status"] == "aborted"


def test_an_error_keeps_code_message_and_details(db: Database) -> None:
    publish(
        db,
        requested("a"),
        {"type": "call.error", "requestId": "a", "code": "TIMEOUT", "message": "late", "details": {"deadline": 1}},
    )
    catch_up(db)
    assert nodes(db)["a"]["error"] == {"code": "TIMEOUT", "message": "late", "details": {"deadline": 1}}


@pytest.mark.parametrize(
    "payload",
    [
        "not json",
        '"text"',
        "{}",
        '{"type":"call.unknown","requestId":"x"}',
        '{"type":"call.requested","requestId":7,"operationId":"a.b"}',
        '{"type":"call.requested"}',
        "[" * 10_000,
    ],
)
def test_a_bad_event_is_noted_and_passed_over(db: Database, payload: str) -> None:
    with db.transaction() as tx:
        db.stream("call-protocol").append([(None, payload, 0)], tx)
    publish(db, requested("a"))
    catch_up(db)
    assert set(nodes(db)) == {"a"}
    rejects = db.query("SELECT topic, offset, reason FROM projection_rejects")
    assert len(rejects) == 1
    assert rejects[0]["reason"]


def test_a_parent_that_is_itself_makes_no_edge(db: Database) -> None:
    publish(db, requested("a", parent="a"))
    catch_up(db)
    assert edges(db) == set()


EVENTS = [
    requested("a"),
    requested("b", parent="a"),
    requested("c", parent="b"),
    responded("a"),
    responded("b"),
    {"type": "call.error", "requestId": "c", "code": "X", "message": "m"},
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(EVENTS), repeats=st.lists(st.integers(0, 5), max_size=4), cuts=st.sets(st.integers(0, 9)))
def test_any_order_with_repeats_in_any_batches_gives_the_same_graph(
    tmp_path_factory: pytest.TempPathFactory,
    order: Sequence[dict[str, Any]],
    repeats: list[int],
    cuts: set[int],
) -> None:
    database = open_tenant_database(tmp_path_factory.mktemp("p") / "t.db")
    try:
        for index, event in enumerate([*order, *(EVENTS[i] for i in repeats)]):
            publish(database, event)
            if index in cuts:
                catch_up(database)
        catch_up(database)
        found = nodes(database)
        assert {key: node["status"] for key, node in found.items()} == {
            "a": "completed",
            "b": "completed",
            "c": "failed",
        }
        assert edges(database) == {("a", "b"), ("b", "c")}
        assert database.query("SELECT * FROM call_orphans") == []
        assert database.query("SELECT * FROM call_waiting_children") == []
    finally:
        database.close()


def test_projecting_again_from_the_start_gives_the_same_rows(db: Database) -> None:
    publish(db, *EVENTS)
    catch_up(db)
    before = dump(db)
    with db.transaction() as tx:
        tx.execute("DELETE FROM _honker_stream_consumers")
    catch_up(db)
    assert dump(db) == before


def test_rows_and_cursor_move_together(db: Database) -> None:
    """A failure in the middle of a batch leaves both where they were."""
    from storage.projections.call_graph import CALL_GRAPH
    from storage.projections.projection import step

    publish(db, *EVENTS)
    with pytest.raises(RuntimeError, match="crash"), db.transaction() as tx:
        step(tx, CALL_GRAPH)
        raise RuntimeError("crash")
    assert nodes(db) == {}
    assert db.stream("call-protocol").get_offset("projector@spoke") == 0
