"""Writes the stored databases of a release: `python tests/storage/migrations/store.py`, once, when one is published.

Each holds something in every table that a user would miss. They are never written again.
"""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

from app.services.projector import catch_up
from storage.backup import backup
from storage.graphs.module import EdgeType, GraphConfig, GraphType, NodeType
from storage.graphs.types import define_graph_type
from storage.graphs.writing import create_graph, put_edge, put_node
from storage.keyring import Keyring
from storage.migrations import system, tenant
from storage.secrets import set_secret
from storage.tenants import open_system_database, open_tenant_database
from sync.hub.keys import create_key

FOLDER = Path(__file__).parent / "released"
KEYRING = Keyring({3: "of the stored databases"}, 3)


def store_tenant(path: Path) -> None:
    db = open_tenant_database(path)
    db.stream("session-events").publish(
        {"type": "session.started", "sessionId": "s1", "title": "stored", "source": "test", "slug": "stored"}
    )
    db.stream("call-protocol").publish(
        {
            "type": "call.requested",
            "requestId": "r1",
            "operationId": "test.op",
            "input": {},
            "metadata": {"sessionId": "s1"},
        }
    )
    db.stream("call-protocol").publish({"type": "call.responded", "requestId": "r1", "output": {"data": {"ok": True}}})
    catch_up(db)
    with db.transaction() as tx:
        thing = NodeType("thing", "", {"type": "object"})
        define_graph_type(tx, GraphType("mine", GraphConfig(), (thing,), (EdgeType("joins", "", {}),), scope="user"))
        create_graph(tx, "mine", "mine", graph_id="g1")
        put_node(tx, "g1", "thing", "a", {"size": 1})
        put_node(tx, "g1", "thing", "b", {})
        put_edge(tx, "g1", "joins", "a", "b", key="k")
        set_secret(tx, KEYRING, "stored", "hunter2")
    db.queue("maintenance").enqueue({"task": "cleanup-expired-graphs"})
    backup(db.path, path.with_suffix(".stored"))
    db.close()


def store_system(path: Path) -> None:
    db = open_system_database(path)
    create_key(db, "edge", "acme")
    backup(db.path, path.with_suffix(".stored"))
    db.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, write, number in (
            ("tenant", store_tenant, len(tenant.MIGRATIONS)),
            ("system", store_system, len(system.MIGRATIONS)),
        ):
            target = FOLDER / f"{name}-{number:04}.sqlite.gz"
            if target.exists():
                raise SystemExit(f"{target} is stored already")
            write(Path(folder) / name)
            target.write_bytes(gzip.compress((Path(folder) / f"{name}.stored").read_bytes(), 9, mtime=0))
