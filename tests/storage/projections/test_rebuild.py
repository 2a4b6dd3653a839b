"""A rebuild gives the very rows that the projector made, whatever the log holds; killing it changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.importers import swe_agent
from app.importers.imported import store
from app.services.projector import PROJECTIONS, catch_up
from storage.engine import Database
from storage.graphs.writing import create_graph, put_node
from storage.projections.rebuild import rebuild

TABLES = (
    "sessions",
    "messages",
    "parts",
    "graphs",
    "nodes",
    "edges",
    "call_orphans",
    "call_waiting_children",
    "projection_rejects",
)


def rows(db: Database) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with db.snapshot() as snapshot:
        for table in TABLES:
            found[table] = sorted(map(repr, snapshot.rows(f"SELECT * FROM {table}")))
        found["cursors"] = snapshot.rows("SELECT * FROM _honker_stream_consumers ORDER BY name, topic")
    return found


ids = st.sampled_from(["a", "b", "c"])
calls = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("call.requested"), "requestId": ids, "operationId": st.just("op"), "input": st.just({})},
        optional={
            "parentRequestId": ids,
            "metadata": st.fixed_dictionaries({"sessionId": st.sampled_from(["s", "t"])}),
        },
    ),
    st.fixed_dictionaries({"type": st.just("call.responded"), "requestId": ids, "output": st.just({"data": 1})}),
    st.fixed_dictionaries(
        {"type": st.just("call.error"), "requestId": ids, "code": st.just("X"), "message": st.just("m")}
    ),
    st.just({"type": "nonsense"}),
)
sessions = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("session.started"), "sessionId": ids, "title": ids, "source": st.just("x"), "slug": ids},
        optional={"parentId": ids},
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("session.message"),
            "sessionId": ids,
            "messageId": st.sampled_from(["m", "n"]),
            "role": st.just("user"),
            "parts": st.just([{"partId": "p", "type": "text", "data": {"text": "hi"}}]),
        }
    ),
    st.fixed_dictionaries({"type": st.just("session.ended"), "sessionId": ids, "status": st.just("failed")}),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(log=st.lists(st.tuples(st.booleans(), calls, sessions), max_size=15), data=st.data())
def test_the_same_rows_from_any_log(tenant: Database, log: list[Any], data: st.DataObject) -> None:
    with tenant.transaction() as tx:  # hypothesis keeps the fixture's file
        for table in ("_honker_stream", "_honker_stream_consumers", *TABLES):
            tx.execute(f"DELETE FROM {table}")
    for is_call, call, session in log:
        tenant.stream("call-protocol" if is_call else "session-events").publish(call if is_call else session)
        if data.draw(st.booleans()):
            catch_up(tenant)  # in batches of any size
    catch_up(tenant)
    before = rows(tenant)
    assert rebuild(tenant, PROJECTIONS) == len(log)
    assert rows(tenant) == before


def test_graphs_of_people_stay(tenant: Database) -> None:
    with tenant.transaction() as tx:
        graph = create_graph(tx, "task-dependencies", "mine")
        put_node(tx, graph, "task", "a", {"name": "n"})
    before = rows(tenant)
    rebuild(tenant, PROJECTIONS)
    assert rows(tenant)["nodes"] == before["nodes"]


REBUILD = """
import sys
from app.services.projector import PROJECTIONS
from storage.projections.rebuild import rebuild
from storage.tenants import open_tenant_database
db = open_tenant_database(sys.argv[1])
rebuild(db, PROJECTIONS, lambda done: print(done, flush=True))
"""


def test_sigkill_in_the_middle_leaves_the_old_rows(tenant: Database) -> None:
    stream = tenant.stream("call-protocol")
    with tenant.transaction() as tx:
        for number in range(5_000):
            stream.publish(
                {"type": "call.requested", "requestId": str(number), "operationId": "op", "input": {}}, tx=tx
            )
    catch_up(tenant)
    before = rows(tenant)
    process = subprocess.Popen([sys.executable, "-c", REBUILD, tenant.path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait(120)
    process.stdout.close()
    assert rows(tenant) == before


def test_real_sessions(tenant: Database, trajectories: list[Path]) -> None:
    for file in trajectories[:3]:
        store(tenant, swe_agent.read(file.read_bytes(), file.name), 1_800_000_000)
    catch_up(tenant)
    before = rows(tenant)
    assert before["sessions"]
    rebuild(tenant, PROJECTIONS)
    assert rows(tenant) == before
