"""A tenant file with a million nodes: opening it, lists and lookups through the generated operations and the adapter.

The floor is APSW running the same SQL on a connection with the same settings, and making the same dictionaries.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from storage import tables
from storage.engine import Database
from storage.engine.connection import connect
from storage.graphs.queries import create_attribute_index, find_nodes, neighbours
from storage.operations.spec import Identity, OperationContext
from storage.operations.tables import plan, table_operations
from storage.sqlalchemy import create_engine
from storage.tenants import open_tenant_database

NODES = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
GRAPHS = 10


def fill(db: Database) -> None:
    with db.transaction() as tx:
        for graph in range(GRAPHS):
            tx.execute(
                "INSERT INTO graphs (id, graph_type_id, name) VALUES (?, 'task-dependencies', 'g')", (f"g{graph}",)
            )
        tx.executemany(
            "INSERT INTO nodes (id, graph_id, key, attributes, metadata) VALUES (?, ?, ?, ?, ?)",
            (
                (
                    f"{n * 2654435761 % 2**32:08x}-{n}",
                    f"g{n % GRAPHS}",
                    f"k{n:07}",
                    json.dumps({"name": f"task {n}", "priority": n % 1000}),
                    '{"_storage.nodeType":"task"}',
                )
                for n in range(NODES)
            ),
        )
        tx.executemany(
            "INSERT INTO edges (id, graph_id, source_node_key, target_node_key, attributes) VALUES (?, ?, ?, ?, ?)",
            (
                (f"e{n}", f"g{n % GRAPHS}", f"k{n:07}", f"k{(n + GRAPHS) % NODES:07}", '{"edgeType":"depends_on"}')
                for n in range(0, NODES, 2)
            ),
        )


def median(work: Callable[[int], Any], times: int) -> float:
    work(0)
    found = []
    for number in range(times):
        began = time.perf_counter()
        work(number)
        found.append(time.perf_counter() - began)
    return statistics.median(found) * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tenant-local.db"
        db = open_tenant_database(path, durability="normal")
        began = time.perf_counter()
        fill(db)
        print(f"{NODES:,} nodes and {NODES // 2:,} edges in {time.perf_counter() - began:.1f} s")
        db.close()
        print(f"file: {path.stat().st_size / 1e6:,.0f} MB")
        opened = median(lambda _: open_tenant_database(path).close(), 20)
        empty = Path(folder) / "empty.db"
        bare = median(lambda _: open_tenant_database(empty).close(), 20)
        print(f"open and close the file: {opened / 1e3:.2f} ms; an empty tenant file: {bare / 1e3:.2f} ms")
        db = open_tenant_database(path, durability="normal")
        compare(db, str(path))
        explain(db)
        attributes(db)
        db.close()


def compare(db: Database, path: str) -> None:
    raw = connect(path, durability="normal", query_only=True)
    engine = create_engine(db)
    nodes = tables.TENANT.tables["nodes"]
    by_name = {operation.spec.name: operation.handler for operation in table_operations(nodes)}
    specs = {operation.spec.name: operation.spec for operation in table_operations(nodes)}
    context = OperationContext("bench", Identity("bench", ("*",)), db=db)
    columns = "id, metadata, created_at, updated_at, graph_id, key, attributes"
    names = columns.split(", ")

    def key(number: int) -> tuple[str, str]:
        n = number * 7919 % NODES
        return f"g{n % GRAPHS}", f"k{n:07}"

    def decoded(row: tuple[Any, ...]) -> dict[str, Any]:
        found = dict(zip(names, row, strict=True))
        found["metadata"], found["attributes"] = json.loads(found["metadata"]), json.loads(found["attributes"])
        return found

    get_sql = f"SELECT {columns} FROM nodes WHERE graph_id = ? AND key = ?"
    list_sql = f"SELECT {columns} FROM nodes WHERE graph_id = ? AND key > ? ORDER BY key LIMIT 100"
    get_query = sa.select(nodes).where(nodes.c.graph_id == sa.bindparam("g"), nodes.c.key == sa.bindparam("k"))
    list_query = (
        sa.select(nodes)
        .where(nodes.c.graph_id == sa.bindparam("g"), nodes.c.key > sa.bindparam("k"))
        .order_by(nodes.c.key)
        .limit(100)
    )
    connection = engine.connect()

    def adapter(query: sa.Select[Any]) -> Callable[[int], Any]:
        def work(number: int) -> Any:
            graph, name = key(number)
            return [dict(row) for row in connection.execute(query, {"g": graph, "k": name}).mappings()]

        return work

    def operation(number: int) -> Any:
        graph, name = key(number)
        given = specs["list"].input_model.model_validate(
            {"where": {"graphId": graph, "key": {"gt": name}}, "limit": 100}
        )
        return by_name["list"](given, context).model_dump(mode="json", by_alias=True)

    print(f"{'':42}{'median':>10}{'raw APSW':>10}{'times':>7}")
    raw_get = median(lambda n: [decoded(r) for r in raw.execute(get_sql, key(n)).fetchall()], 3_000)
    raw_list = median(lambda n: [decoded(r) for r in raw.execute(list_sql, key(n)).fetchall()], 1_000)
    found = [
        ("get one node, SQLAlchemy Core", median(adapter(get_query), 3_000), raw_get),
        ("list 100 nodes, SQLAlchemy Core", median(adapter(list_query), 1_000), raw_list),
        ("list 100 nodes, operation nodes.list", median(operation, 500), raw_list),
    ]
    for label, took, floor in found:
        print(f"{label:42}{took:8.0f}us{floor:8.0f}us{took / floor:7.2f}")
    connection.close()
    raw.close()


def explain(db: Database) -> None:
    cases = [
        ("nodes", {"where": {"graphId": "g1"}}),
        ("nodes", {"where": {"graphId": "g1", "key": {"prefix": "k00"}}}),
        ("nodes", {"where": {"id": "x"}}),
        ("nodes", {}),
        ("edges", {"where": {"graphId": "g1", "sourceNodeKey": "k0000001"}}),
        ("edges", {"where": {"graphId": "g1", "targetNodeKey": "k0000001"}}),
        ("graphs", {"where": {"ownerId": "me"}}),
    ]
    print("EXPLAIN QUERY PLAN")
    for name, given in cases:
        print(f"  {name}.list {json.dumps(given)}\n      {'; '.join(plan(db, tables.TENANT.tables[name], given))}")


def attributes(db: Database) -> None:
    def look(number: int) -> Any:
        with db.snapshot() as snapshot:
            return find_nodes(snapshot, f"g{number % GRAPHS}", "$.priority", number % 1000, limit=10)

    def walk(number: int) -> Any:
        with db.snapshot() as snapshot:
            n = number * 7919 % NODES
            return neighbours(snapshot, f"g{n % GRAPHS}", f"k{n:07}")

    slow = median(look, 20)
    with db.transaction() as tx:
        began = time.perf_counter()
        create_attribute_index(tx, "$.priority")
        made = time.perf_counter() - began
    quick = median(look, 500)
    print(f"10 nodes by an attribute: {slow:,.0f} us without an index, {quick:,.0f} us with one (made in {made:.1f} s)")
    print(f"neighbours of a node: {median(walk, 2_000):,.0f} us")


if __name__ == "__main__":
    main()
