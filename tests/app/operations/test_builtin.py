"""`stream.*`, `queue.*`, `schedule.*`, `session.*`, `graph.*`, `secret.*`, as a caller sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from app.operations import builtin_registry
from app.services.projector import catch_up
from storage.engine import Database
from storage.operations.spec import Identity
from sync.calls.errors import CallFailed, NotFoundError, ValidationError
from sync.calls.events import Call
from sync.calls.recorder import Recorder
from sync.calls.registry import Registry
from tests.app.operations.clock import ids, now


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return builtin_registry(Settings(), tmp_path / "keyring.json")


def call(registry: Registry, db: Database, operation: str, **value: Any) -> Any:
    (outcome,) = Recorder(db, now, ids()).execute(
        registry, [Call(operation_id=operation, input=value, identity=Identity("me", ("*",)))]
    )
    if outcome.error is not None:
        raise outcome.error
    return outcome.output


def test_streams(registry: Registry, tenant: Database) -> None:
    offset = call(registry, tenant, "stream.publish", topic="mine", payload={"n": 1}, key="k")["offset"]
    found = call(registry, tenant, "stream.read", topic="mine")
    assert [(event["payload"], event["key"]) for event in found["events"]] == [({"n": 1}, "k")]
    assert call(registry, tenant, "stream.read", topic="mine", after=found["next"])["events"] == []
    assert {"topic": "mine", "lastOffset": offset} in call(registry, tenant, "stream.list")["streams"]
    for topic in ("call-protocol", "session-events", "audit-events", "", "a b", "x" * 200):
        with pytest.raises(ValidationError):
            call(registry, tenant, "stream.publish", topic=topic, payload=1)


def test_queues(registry: Registry, tenant: Database) -> None:
    job = call(registry, tenant, "queue.enqueue", queue="q", payload={"n": 1}, maxAttempts=1)["id"]
    other = call(registry, tenant, "queue.enqueue", queue="q", payload=[2])["id"]
    assert call(registry, tenant, "queue.cancel", id=other) == {"done": True}
    assert call(registry, tenant, "queue.cancel", id=other) == {"done": False}
    claimed = tenant.queue("q").claim_one("w")
    assert claimed is not None
    assert claimed.retry(0, "no luck")
    assert call(registry, tenant, "queue.list")["queues"] == [
        {"queue": "q", "pending": 0, "processing": 0, "dead": 1, "paused": False}
    ]
    (dead,) = call(registry, tenant, "queue.jobs", queue="q", state="dead")["jobs"]
    assert (dead["id"], dead["payload"], dead["error"]) == (job, {"n": 1}, "no luck")
    retried = call(registry, tenant, "queue.retry", id=job)
    assert call(registry, tenant, "queue.unretry", jobs=[retried]) == {"dead": [job], "left": []}
    assert call(registry, tenant, "queue.unretry", jobs=[retried]) == {"dead": [], "left": [retried["id"]]}
    new = call(registry, tenant, "queue.retry", id=job)["id"]
    assert [row["id"] for row in call(registry, tenant, "queue.jobs", queue="q")["jobs"]] == [new]
    with pytest.raises(NotFoundError):
        call(registry, tenant, "queue.retry", id=job)


def test_a_queue_is_paused_and_resumed(registry: Registry, tenant: Database) -> None:
    ids = [call(registry, tenant, "queue.enqueue", queue="q", payload=n)["id"] for n in range(3)]
    assert call(registry, tenant, "queue.pause", queue="q") == {"done": True}
    assert call(registry, tenant, "queue.pause", queue="q") == {"done": False}
    assert call(registry, tenant, "queue.pause", queue="none yet") == {"done": True}
    assert [
        (row["queue"], row["pending"], row["paused"]) for row in call(registry, tenant, "queue.list")["queues"]
    ] == [
        ("none yet", 0, True),
        ("q", 3, True),
    ]
    assert tenant.queue("q").claim_one("w") is None
    assert call(registry, tenant, "queue.resume", queue="q") == {"done": True}
    assert call(registry, tenant, "queue.resume", queue="q") == {"done": False}
    assert tenant.queue("q").claim_one("w") is not None
    older = call(registry, tenant, "queue.jobs", queue="q", before=ids[2])["jobs"]
    assert [row["id"] for row in older] == [ids[1], ids[0]]
    verbs = {name: registry.get_spec(f"queue.{name}").access_control for name in ("pause", "resume", "retry")}
    assert verbs["pause"] == verbs["resume"] == verbs["retry"]


def test_dead_jobs_of_one_cause(registry: Registry, tenant: Database) -> None:
    for error in ("E1: no /a/1/b", "E2: no /a/2/b", "E1: late"):
        call(registry, tenant, "queue.enqueue", queue="q", payload=None)
        claimed = tenant.queue("q").claim_one("w")
        assert claimed is not None
        assert claimed.fail(error)
    causes = call(registry, tenant, "queue.dead", queue="q")["causes"]
    assert [(cause["error"], cause["jobs"]) for cause in causes] == [("E#: no #", 2), ("E#: late", 1)]
    assert call(registry, tenant, "queue.retry_all", queue="q", cause="E9: no /z/9/z") == {"jobs": 2}
    assert call(registry, tenant, "queue.retry_all", queue="q", cause="E#: no #") == {"jobs": 0}
    assert call(registry, tenant, "queue.purge", queue="q") == {"jobs": 1}
    assert call(registry, tenant, "queue.purge", queue="q", state="all") == {"jobs": 2}


def test_schedules(registry: Registry, tenant: Database) -> None:
    call(registry, tenant, "schedule.add", name="n", queue="q", expression="@every 5m", payload={"a": 1})
    (found,) = call(registry, tenant, "schedule.list")["schedules"]
    assert (found["expression"], found["payload"], found["enabled"]) == ("@every 5m", {"a": 1}, True)
    assert call(registry, tenant, "schedule.pause", name="n") == {"done": True}
    assert call(registry, tenant, "schedule.resume", name="n") == {"done": True}
    with tenant.transaction() as tx:
        tx.execute("UPDATE _honker_scheduler_tasks SET expires_s = 60")
    call(registry, tenant, "schedule.run_now", name="n")
    (job,) = tenant.query("SELECT queue, expires_at - created_at AS s FROM _honker_live")
    assert (job["queue"], job["s"] in (60, 61)) == ("q", True)  # like a fire of it; whole seconds, rounded up
    assert call(registry, tenant, "schedule.remove", name="n") == {"done": True}
    assert call(registry, tenant, "schedule.remove", name="n") == {"done": False}
    with pytest.raises(ValidationError):
        call(registry, tenant, "schedule.add", name="n", queue="q", expression="61 * * * *")


def test_sessions(registry: Registry, tenant: Database) -> None:
    session = call(registry, tenant, "session.start", title="a session")["sessionId"]
    call(
        registry,
        tenant,
        "session.message",
        sessionId=session,
        role="user",
        parts=[{"type": "text", "data": {"text": "hi"}}],
    )
    call(registry, tenant, "session.end", sessionId=session, status="failed")
    catch_up(tenant)
    assert tenant.query("SELECT title, status FROM sessions") == [{"title": "a session", "status": "failed"}]
    assert tenant.query("SELECT type, data FROM parts") == [{"type": "text", "data": '{"text":"hi"}'}]
    with pytest.raises(ValidationError):
        call(registry, tenant, "session.message", sessionId=session, role="nobody", parts=[])


def test_graphs(registry: Registry, tenant: Database) -> None:
    schema = {"type": "object", "required": ["size"]}
    call(
        registry,
        tenant,
        "graph.define_type",
        name="t",
        nodeTypes=[{"name": "n", "schema": schema}],
        edgeTypes=[{"name": "e"}],
    )
    graph = call(registry, tenant, "graphs.create", name="g", graphTypeId="t")["id"]
    for key in "abc":
        call(registry, tenant, "graph.put_node", graphId=graph, type="n", key=key, attributes={"size": ord(key)})
    with pytest.raises(ValidationError, match="size"):
        call(registry, tenant, "graph.put_node", graphId=graph, type="n", key="d")
    call(registry, tenant, "graph.put_edge", graphId=graph, type="e", source="a", target="b")
    call(registry, tenant, "graph.put_edge", graphId=graph, type="e", source="b", target="c")
    assert call(registry, tenant, "graph.neighbours", graphId=graph, key="b") == {"keys": ["c", "a"]}
    assert call(registry, tenant, "graph.descendants", graphId=graph, key="a") == {"keys": ["b", "c"]}
    assert call(registry, tenant, "graph.ancestors", graphId=graph, key="c") == {"keys": ["b", "a"]}
    assert call(registry, tenant, "graph.path", graphId=graph, source="a", target="c") == {"path": ["a", "b", "c"]}
    assert call(registry, tenant, "graph.order", graphId=graph) == {"keys": ["a", "b", "c"], "cycle": None}
    call(registry, tenant, "graph.put_edge", graphId=graph, type="e", source="c", target="a")
    assert call(registry, tenant, "graph.order", graphId=graph)["keys"] is None
    call(registry, tenant, "graph.index", path="$.size")
    found = call(registry, tenant, "graph.find", graphId=graph, path="$.size", value=98, operator=">=")
    assert [node["key"] for node in found["nodes"]] == ["b", "c"]
    made = call(registry, tenant, "graph.create", type="t", name="mine")["graphId"]
    assert tenant.query("SELECT name, status FROM graphs WHERE id = ?", (made,)) == [
        {"name": "mine", "status": "active"}
    ]
    call(registry, tenant, "graph.put_node", graphId=graph, type="n", key="z", attributes={"size": 1})
    edge = call(registry, tenant, "graph.put_edge", graphId=graph, type="e", source="z", target="a")["id"]
    call(registry, tenant, "graph.put_edge", graphId=graph, type="e", source="b", target="z")
    call(registry, tenant, "graph.delete_edge", id=edge)
    assert call(registry, tenant, "graph.delete_node", graphId=graph, key="z") == {"key": "z", "edges": 1}
    with pytest.raises(CallFailed, match="no node 'z'"):
        call(registry, tenant, "graph.delete_node", graphId=graph, key="z")
    with pytest.raises(CallFailed, match="no edge"):
        call(registry, tenant, "graph.delete_edge", id=edge)
    for name in ("json", "graphml", "dot", "mermaid"):
        text = call(registry, tenant, "graph.export", graphId=graph, format=name)["text"]
        copy = call(registry, tenant, "graph.import", text=text, format=name)["graphId"]
        assert call(registry, tenant, "graph.export", graphId=copy, format=name)["text"] == text
    graphs = len(call(registry, tenant, "graphs.list")["rows"])
    with pytest.raises(CallFailed):
        call(
            registry,
            tenant,
            "graph.import",
            text="digraph { a -> b }",
            format="dot",
            graphType="t",
            nodeType="n",
            edgeType="e",
        )
    assert len(call(registry, tenant, "graphs.list")["rows"]) == graphs  # all of it, or nothing


def test_an_access_check(registry: Registry, tenant: Database) -> None:
    graph = call(registry, tenant, "graphs.create", name="acl", graphTypeId="acl", status="active")["id"]
    ann = {"identityType": "account", "identityId": "ann", "scopes": ["fs:*"]}
    call(registry, tenant, "graph.put_node", graphId=graph, type="principal", key="ann", attributes=ann)
    assert call(registry, tenant, "acl.check", identityId="ann", scopes=["fs:read"])["allowed"] is True
    assert call(registry, tenant, "acl.check", identityId="ann", scopes=["db:read"])["allowed"] is False
    with pytest.raises(NotFoundError):
        call(registry, tenant, "acl.check", identityId="bob")


def test_secrets_are_in_no_log(registry: Registry, tenant: Database) -> None:
    call(registry, tenant, "secret.set", name="a", value="hunter2")
    assert call(registry, tenant, "secret.get", name="a") == {"value": "hunter2"}
    with pytest.raises(NotFoundError):
        call(registry, tenant, "secret.get", name="b")
    with pytest.raises(ValidationError):
        call(registry, tenant, "secret.set", name="\x1b", value="hunter2")
    catch_up(tenant)
    for table in ("_honker_stream", "nodes", "_honker_notifications"):
        assert "hunter2" not in json.dumps(tenant.query(f"SELECT * FROM {table}"))
    logged = tenant.query("SELECT payload FROM _honker_stream WHERE payload LIKE '%secret.set%'")
    assert '"redacted":true' in logged[0]["payload"]


def test_effects_and_outcome_commit_together(registry: Registry, tenant: Database) -> None:
    """A transactional call that fails leaves its outcome in the log, and nothing else."""
    call(registry, tenant, "graphs.create", id="g", name="g", graphTypeId="acl")
    before = tenant.query("SELECT count(*) AS n FROM _honker_notifications")
    with pytest.raises(ValidationError):
        call(registry, tenant, "graphs.create", id="g", name="again", graphTypeId="acl")
    assert tenant.query("SELECT count(*) AS n FROM _honker_notifications WHERE channel NOT LIKE 'honker:%'") == [
        {"n": 1}
    ]
    assert before[0]["n"] >= 1
    last = tenant.stream("call-protocol").read()[-1].payload
    assert (last["type"], last["code"]) == ("call.error", "VALIDATION_ERROR")
