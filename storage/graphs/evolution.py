"""A graph type has changed: which of its nodes and edges do not fit it any more? (queue `schema-migration`)

Nothing is changed for them and nothing is lost: what does not fit is counted and named in the metadata of the graph
type, `_storage.migration`. The next write of such a node has to mend it.
"""

from __future__ import annotations

import json
from typing import Any

from storage.engine import Database
from storage.engine.payload import dumps
from storage.graphs.attributes import check_attributes
from storage.graphs.errors import GraphError
from storage.graphs.writing import NODE_TYPE

BATCH = 500
MAX_NAMED = 20
REPORT = "_storage.migration"


def check_graph_type(db: Database, name: str, version: int) -> dict[str, Any]:
    """Look at everything of a graph type; returns the report that is stored with the type.

    Reads in batches, so that nobody waits. A version that is not the present one any more has a job of its own.
    """
    with db.snapshot() as snapshot:
        rows = snapshot.rows("SELECT id, version FROM graph_types WHERE name = ?", (name,))
        if not rows or rows[0][1] != version:
            return {}
        type_id = str(rows[0][0])
        nodes: dict[str, str] = dict(
            snapshot.rows("SELECT name, schema FROM node_types WHERE graph_type_id = ?", (type_id,))
        )
        edges: dict[str, str] = dict(
            snapshot.rows("SELECT name, schema FROM edge_types WHERE graph_type_id = ?", (type_id,))
        )
    report: dict[str, Any] = {"version": version, "nodes": 0, "edges": 0, "unfit": 0, "examples": []}
    for table, schemas in (("nodes", nodes), ("edges", edges)):
        after = 0
        while True:
            with db.snapshot() as snapshot:
                batch = snapshot.rows(
                    f"SELECT x.rowid, x.graph_id, x.key, x.attributes, x.metadata FROM {table} x"
                    " JOIN graphs g ON g.id = x.graph_id WHERE g.graph_type_id = ? AND x.rowid > ?"
                    " ORDER BY x.rowid LIMIT ?",
                    (type_id, after, BATCH),
                )
            for rowid, graph_id, key, attributes, metadata in batch:
                after = rowid
                report[table] += 1
                given = json.loads(attributes)
                kind = json.loads(metadata).get(NODE_TYPE) if table == "nodes" else given.get("edgeType")
                _judge(report, f"{table[:-1]} {key!r} of graph {graph_id}", kind, schemas, given)
            if len(batch) < BATCH:
                break
    with db.transaction() as tx:
        tx.execute(
            f"""UPDATE graph_types SET metadata = json_set(metadata, '$."{REPORT}"', json(?))"""
            " WHERE id = ? AND version = ?",
            (dumps(report), type_id, version),
        )
    return report


def _judge(report: dict[str, Any], what: str, kind: object, schemas: dict[str, str], given: dict[str, Any]) -> None:
    try:
        if not isinstance(kind, str) or kind not in schemas:
            raise GraphError(f"{what}: no type {kind!r} any more")
        check_attributes(what, schemas[kind], given)
    except GraphError as error:
        report["unfit"] += 1
        if len(report["examples"]) < MAX_NAMED:
            report["examples"].append(str(error)[:300])
