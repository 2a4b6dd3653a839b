"""Operations made from tables: every table has them, pages agree with a model, and no list scans or sorts a table."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.operations.tables import NAMESPACES, system_registry
from app.operations.tables import register as register_tables
from storage import tables
from storage.engine import Database, Transaction
from storage.identity.accounts import create_account
from storage.operations.rules import RULES
from storage.operations.spec import Identity, OperationContext
from storage.operations.tables import all_operations
from storage.tenants import open_system_database, open_tenant_database
from sync.calls.errors import AccessDeniedError, CallFailed, NotFoundError, ValidationError
from sync.calls.registry import Registry

ROOT = Identity("root", ("*",))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_tenant_database(tmp_path / "tenant-local.db", durability="normal")
    yield db
    db.close()


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Database]:
    db = open_system_database(tmp_path / "system.db")
    yield db
    db.close()


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry()
    register_tables(registry)
    return registry


def run(
    registry: Registry, db: Database, operation: str, value: object, tx: Transaction | None = None, who: Identity = ROOT
) -> Any:
    """Execute an operation as a recorder does: mutations in a transaction."""
    if registry.is_transactional(operation) and tx is None:
        with db.transaction() as opened:
            return run(registry, db, operation, value, opened, who)
    context = OperationContext("r", who, db=db, tx=tx)
    return registry.execute(operation, value, context).model_dump(mode="json", by_alias=True)


def test_every_table_has_its_operations(registry: Registry) -> None:
    assert set(NAMESPACES) == set(tables.TENANT.tables)
    ids = {spec.operation_id for spec in registry.list()}
    for name in tables.TENANT.tables:
        assert {f"{name}.find", f"{name}.list"} <= ids
        assert ({f"{name}.create", f"{name}.update", f"{name}.delete"} <= ids) == (name in RULES)
    assert "api_keys.create" not in {op.spec.operation_id for op in all_operations(tables.SYSTEM)}
    for spec in registry.list():
        assert spec.input_schema["type"] == "object"
        assert spec.access_control.required_scopes


def test_the_life_of_rows(registry: Registry, db: Database) -> None:
    graph = run(registry, db, "graphs.create", {"name": "g", "graphTypeId": "task-dependencies"})
    assert (graph["status"], graph["ownerId"], graph["metadata"]) == ("draft", None, {})
    node = {"graphId": graph["id"], "metadata": {"_storage.nodeType": "task"}, "attributes": {"name": "n"}}
    made = run(registry, db, "nodes.create", {**node, "key": "a"})
    run(registry, db, "nodes.create", {**node, "key": "b"})
    edge = {
        "graphId": graph["id"],
        "sourceNodeKey": "a",
        "targetNodeKey": "b",
        "attributes": {"edgeType": "depends_on"},
    }
    joined = run(registry, db, "edges.create", edge)
    assert joined["undirected"] is False
    changed = run(registry, db, "nodes.update", {"id": made["id"], "attributes": {"name": "m", "status": "pending"}})
    assert changed["attributes"] == {"name": "m", "status": "pending"}
    assert run(registry, db, "nodes.find", {"id": made["id"]}) == changed
    assert run(registry, db, "graphs.update", {"id": graph["id"], "ownerId": "me"})["ownerId"] == "me"
    assert run(registry, db, "graphs.update", {"id": graph["id"], "ownerId": None})["ownerId"] is None
    assert run(registry, db, "nodes.delete", {"id": made["id"]}) == {"deleted": True}
    assert run(registry, db, "edges.list", {})["rows"] == []
    for operation in ("nodes.find", "nodes.delete"):
        with pytest.raises(NotFoundError):
            run(registry, db, operation, {"id": made["id"]})
    told = [row["channel"] for row in db.query("SELECT channel FROM _honker_notifications ORDER BY id")]
    assert told == ["graph:created", "nodes:created", "nodes:created", *["graph:updated"] * 5]


@pytest.mark.parametrize(
    ("operation", "value", "says"),
    [
        ("graphs.create", {"name": "g", "graphTypeId": "nothing"}, "no graph type"),
        ("graphs.create", {"name": "g", "graphTypeId": "call-graph"}, "made from the log"),
        ("graphs.create", {"name": "g", "graphTypeId": "acl", "status": "odd"}, "status"),
        ("graphs.create", {"name": "g", "graphTypeId": "acl", "createdAt": 1}, "createdAt"),
        ("graphs.create", {"name": "g"}, "no graph type"),
        ("graphs.create", {"id": "g1", "name": "again", "graphTypeId": "acl"}, "UNIQUE"),
        ("nodes.create", {"graphId": "g1", "key": "k", "attributes": {"name": "x"}}, "says its type"),
        ("nodes.create", {"graphId": "g1", "key": "k", "metadata": {"_storage.nodeType": "task"}}, "required property"),
        ("nodes.create", {"graphId": "g1", "key": "", "metadata": {"_storage.nodeType": "task"}}, "printable"),
        ("edges.create", {"graphId": "g1", "sourceNodeKey": "a", "targetNodeKey": "b"}, "says its type"),
        (
            "edges.create",
            {"graphId": "g1", "sourceNodeKey": "a", "targetNodeKey": "b", "attributes": {"edgeType": "depends_on"}},
            "no node 'a'",
        ),
        ("graph_types.update", {"id": "acl", "description": "mine"}, "belong to the program"),
        ("graph_types.delete", {"id": "acl"}, "belong to the program"),
        ("graph_types.create", {"name": "x", "config": {}, "scope": "system"}, "belong to the program"),
        ("graph_types.create", {"name": "x", "config": {"multi": "very"}, "scope": "user"}, "multi"),
        ("node_types.create", {"graphTypeId": "acl", "name": "x", "schema": {}}, "belong to the program"),
        ("graphs.list", {"where": {"name; DROP TABLE graphs": 1}}, "DROP TABLE"),
        ("graphs.list", {"orderBy": "name"}, "orderBy"),
        ("graphs.list", {"limit": 100_000}, "limit"),
        ("graphs.list", {"after": "nonsense"}, "no cursor of this list"),
        ("graphs.list", {"where": {"name": {"path": "$.a", "eq": 1}}}, "holds no JSON"),
        ("nodes.list", {"where": {"attributes": {"eq": 1}}}, "say which part"),
        ("nodes.list", {"where": {"attributes": {"path": "$.a') OR 1=1 --", "eq": 1}}}, "is no path"),
        ("edges.list", {"orderBy": "sourceNodeKey"}, "filter by graphId too"),
    ],
)
def test_what_does_not_fit_is_refused(
    registry: Registry, db: Database, operation: str, value: dict[str, Any], says: str
) -> None:
    run(registry, db, "graphs.create", {"id": "g1", "name": "g", "graphTypeId": "task-dependencies"})
    with pytest.raises(ValidationError, match=re.escape(says)):
        run(registry, db, operation, value)
    assert len(run(registry, db, "graphs.list", {})["rows"]) == 1


def test_keys_of_bytes_are_base64_and_have_pages(registry: Registry, db: Database) -> None:
    keys = [bytes([number]) * 16 for number in (0, 200, 255)]
    with db.transaction() as tx:
        for key in keys:
            tx.execute("INSERT INTO import_events VALUES (?)", (key,))
    found: list[str] = []
    after = None
    while True:
        page = run(registry, db, "import_events.list", {"limit": 1, "after": after})
        found += [row["id"] for row in page["rows"]]
        after = page["next"]
        if after is None:
            break
    assert found == [base64.b64encode(key).decode() for key in keys]
    assert run(registry, db, "import_events.find", {"id": found[1]}) == {"id": found[1]}
    broken = base64.urlsafe_b64encode(b'[["id"],false,[{"hax":"00"}]]').decode()
    with pytest.raises(ValidationError, match="no cursor of this list"):
        run(registry, db, "import_events.list", {"after": broken})


def test_access_is_asked_for(registry: Registry, db: Database) -> None:
    reader = Identity("r", ("graphs:read",))
    assert run(registry, db, "graphs.list", {}, who=reader)["rows"] == []
    for operation in ("graphs.create", "nodes.list"):
        with pytest.raises(AccessDeniedError):
            run(
                registry,
                db,
                operation,
                {"name": "g", "graphTypeId": "acl"} if "create" in operation else {},
                who=reader,
            )


rows = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from([None, "x", "y", "xy"]), st.sampled_from(["active", "draft"])),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(rows=rows, data=st.data())
def test_pages_agree_with_a_model(
    registry: Registry, db: Database, rows: list[tuple[str, str | None, str]], data: st.DataObject
) -> None:
    with db.transaction() as tx:
        tx.execute("DELETE FROM graphs")
        for name, owner, status in rows:
            tx.execute(
                "INSERT INTO graphs (id, graph_type_id, name, owner_id, status) VALUES (?, 'acl', ?, ?, ?)",
                (str(uuid.uuid4()), name, owner, status),
            )
    everything = db.query("SELECT id, name, owner_id, status FROM graphs")
    where = data.draw(
        st.sampled_from(
            [
                ({}, lambda r: True),
                ({"name": "a"}, lambda r: r["name"] == "a"),
                ({"ownerId": None}, lambda r: r["owner_id"] is None),
                ({"ownerId": {"isNull": False}}, lambda r: r["owner_id"] is not None),
                ({"ownerId": {"ne": "x"}}, lambda r: r["owner_id"] != "x"),
                ({"ownerId": {"prefix": "x"}}, lambda r: (r["owner_id"] or "").startswith("x")),
                (
                    {"ownerId": {"in": ["x", "y"]}, "status": "active"},
                    lambda r: r["owner_id"] in ("x", "y") and r["status"] == "active",
                ),
                ({"name": {"gt": "a"}}, lambda r: r["name"] > "a"),
                ({"name": {"ge": "a", "le": "a"}}, lambda r: r["name"] == "a"),
            ]
        )
    )
    descending, limit = data.draw(st.booleans()), data.draw(st.integers(1, 4))
    expected = sorted((r["id"] for r in everything if where[1](r)), reverse=descending)
    found, after = [], None
    while True:
        page = run(
            registry, db, "graphs.list", {"where": where[0], "descending": descending, "limit": limit, "after": after}
        )
        found += [row["id"] for row in page["rows"]]
        assert len(page["rows"]) <= limit
        after = page["next"]
        if after is None:
            break
    assert found == expected


def test_a_cursor_belongs_to_its_order(registry: Registry, db: Database) -> None:
    for number in range(3):
        run(registry, db, "graphs.create", {"id": str(number), "name": "g", "graphTypeId": "acl"})
    cursor = run(registry, db, "graphs.list", {"limit": 1})["next"]
    with pytest.raises(ValidationError, match="no cursor of this list"):
        run(registry, db, "graphs.list", {"limit": 1, "descending": True, "after": cursor})


def test_a_changed_schema_is_a_new_version_and_a_job(registry: Registry, db: Database) -> None:
    run(registry, db, "graph_types.create", {"id": "t", "name": "t", "config": {"type": "directed"}, "scope": "user"})
    kind = run(registry, db, "node_types.create", {"graphTypeId": "t", "name": "n", "schema": {"type": "object"}})
    run(registry, db, "node_types.update", {"id": kind["id"], "schema": {"type": "object", "required": ["x"]}})
    assert run(registry, db, "graph_types.find", {"id": "t"})["version"] == 2
    assert db.query("SELECT payload FROM _honker_live WHERE queue = 'schema-migration'") == [
        {"payload": '{"graphType":"t","version":2}'}
    ]


def test_what_is_done_to_identities_is_audited(system: Database) -> None:
    registry = system_registry()
    with system.transaction() as tx:
        boss = create_account(tx, "boss@example.org", access_level="admin")
    who = Identity(boss.id, ("*",))
    ann = run(registry, system, "accounts.create", {"email": "ann@example.org"}, who=who)
    org = run(registry, system, "organizations.create", {"name": "Acme", "slug": "acme", "ownerId": boss.id}, who=who)
    run(
        registry,
        system,
        "organization_members.create",
        {"orgId": org["id"], "accountId": ann["id"], "membershipLevel": "member"},
        who=who,
    )
    run(registry, system, "accounts.update", {"id": ann["id"], "status": "deactivated"}, who=who)
    actions = [row["action"] for row in system.query("SELECT action FROM audit_logs ORDER BY rowid")]
    assert actions == [
        "account.created",
        "account.created",
        "org.created",
        "org.member_added",
        "org.member.created",
        "account.updated",
    ]
    assert len(system.stream("audit-events").read()) == len(actions)
    assert system.query("SELECT queue FROM _honker_live") == [{"queue": "account-maintenance"}]
    told = [row["channel"] for row in system.query("SELECT channel FROM _honker_notifications ORDER BY id")]
    assert [name for name in told if not name.startswith("honker:")] == [
        "account:created",
        "account:created",
        "org:created",
        "org:member_added",
        "org:member_added",
        "account:updated",
    ]
    for operation, value in (
        ("accounts.create", {"email": "bob@example.org"}),
        ("accounts.update", {"id": boss.id, "status": "suspended"}),
    ):
        with pytest.raises(CallFailed, match="identity of one"):
            run(registry, system, operation, value, who=ROOT)
    with pytest.raises(CallFailed, match="owns acme"):
        run(registry, system, "accounts.update", {"id": boss.id, "status": "deactivated"}, who=who)
    with pytest.raises(CallFailed, match="one owner"):
        run(registry, system, "organization_members.delete", {"id": _owner(system)}, who=who)
    assert "keyHash" not in str(registry.get_spec("api_keys.list").output_schema)


def _owner(system: Database) -> str:
    return str(system.query("SELECT id FROM organization_members WHERE membership_level = 'owner'")[0]["id"])


PLANS = [
    ("nodes", {"where": {"graphId": "g"}}, "USING INDEX sqlite_autoindex_nodes_2 (graph_id=?)"),
    ("nodes", {"where": {"graphId": "g"}, "orderBy": "key", "descending": True}, "(graph_id=?)"),
    ("nodes", {}, "SCAN nodes USING INDEX sqlite_autoindex_nodes_1"),
    ("nodes", {"where": {"key": "k"}}, "idx_nodes_key (key=?)"),
    ("edges", {"where": {"graphId": "g", "sourceNodeKey": "a"}}, "idx_edges_source (graph_id=? AND source_node_key=?)"),
    ("edges", {"where": {"graphId": "g", "targetNodeKey": "a"}}, "idx_edges_target (graph_id=? AND target_node_key=?)"),
    ("sessions", {"orderBy": "position", "descending": True}, "USING INDEX idx_sessions_position"),
    ("messages", {"where": {"sessionId": "s"}}, "idx_messages_session (session_id=?)"),
    ("parts", {"where": {"messageId": "m"}}, "idx_parts_message (message_id=?)"),
]


@pytest.mark.parametrize(("name", "value", "says"), PLANS)
def test_lists_walk_an_index(registry: Registry, db: Database, name: str, value: dict[str, Any], says: str) -> None:
    from storage.operations.tables import plan

    details = plan(db, tables.TENANT.tables[name], value)
    assert any(says in line for line in details), details
    assert not any(line == f"SCAN {name}" for line in details), details
    # Where the filters fix the whole of an index, what it found is sorted by id: those rows, never the table.
    everything_fixed = set(value.get("where", ())) in (
        {"key"},
        {"graphId", "sourceNodeKey"},
        {"graphId", "targetNodeKey"},
    )
    assert any("USE TEMP B-TREE FOR ORDER BY" in line for line in details) == everything_fixed, details
