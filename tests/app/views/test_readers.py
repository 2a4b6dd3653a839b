"""What the screens of operations, secrets and the link show: read from real files, told in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.config import OperationSettings, Settings
from app.operations import node_registry
from app.paths import Paths
from app.views.generations import GenerationRow
from app.views.hub import read_contents
from app.views.operations import found_in, operation_lines, read_operations, schema_lines
from app.views.secrets import read_secrets, secret_line
from app.views.sync import SyncState, advice, read_sync
from storage.engine import Database
from storage.keyring import open_keyring
from storage.operations.document import describe
from storage.secrets import get_secret, set_secret
from storage.tenants import open_system_database
from sync.spoke.status import LinkStatus, write_status

DAY_MS = 86_400_000


def test_operations_say_where_they_run_and_what_they_take_away(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "spoke.toml")
    own = OperationSettings(
        argv=("true",), description="Mine \x1b[31m.", input={"properties": {"n": {"type": "integer"}}}
    )
    settings = Settings(operations={"team.total": own})
    registry = node_registry(settings, paths)
    rows = read_operations(registry, settings, paths, hub=True)
    by_name = {row.name: row for row in rows}
    assert by_name["team.total"].where == "yours"
    assert by_name["system.info"].where == "here"
    assert by_name["hub/graphs.list"].where == "hub"
    assert "hub/secret.get" not in by_name
    assert "hub/stream.follow" not in by_name, "subscriptions cannot be asked of the hub"
    assert {name for name, row in by_name.items() if row.destructive} >= {"nodes.delete", "secret.delete", "shell.run"}
    assert not by_name["nodes.create"].destructive
    assert found_in(by_name["graph.path"], "Shortest")
    lines = operation_lines(by_name["team.total"], describe(registry.get_spec("team.total")), 80)
    assert lines[0] == "Mine ␛[31m."
    assert "needs    team:total" in lines
    assert "  n  whole number" in lines
    assert max(map(len, lines)) <= 80


def test_a_schema_is_told_field_by_field() -> None:
    schema = {
        "required": ["topic"],
        "properties": {
            "topic": {"type": "string", "description": "Which\nstream."},
            "after": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "default": None},
            "limit": {"type": "integer", "default": 100, "minimum": 1, "maximum": 1000},
            "where": {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}},
        },
    }
    assert schema_lines(schema, 80) == [
        "  topic*  text · Which stream.",
        "  after   whole number, at least 0",
        "  limit   whole number, 1 to 1000 · 100 if not given",
        "  where   object",
        "    kind  one of a, b",
    ]
    assert schema_lines({"properties": {}}, 80) == ["  nothing"]
    assert schema_lines({}, 80) == ["  any JSON"]


def test_secrets_are_listed_without_values(tenant: Database, tmp_path: Path) -> None:
    ring = open_keyring(tmp_path / "keyring.json")
    with tenant.transaction() as tx:
        set_secret(tx, ring, "a/token", "hunter2", description="for CI", expires_at="2026-01-31T00:00:00+00:00")
        set_secret(tx, ring, "b", "hunter3")
        get_secret(tx, ring, "b", datetime(2026, 1, 1, tzinfo=UTC))
        tx.execute("UPDATE nodes SET updated_at = ?", (1_767_225_600,))  # 2026-01-01
    with tenant.snapshot() as snapshot:
        first, second = read_secrets(snapshot)
    assert "hunter" not in repr((first, second))
    now_ms = second.updated_ms + DAY_MS
    assert secret_line(first, now_ms, 120) == (
        f"a/token                  key {ring.current}   set 1 d     never used  ends 2026-01-31 for CI"
    )
    assert "used 1 d" in secret_line(second, now_ms, 80)
    assert "EXPIRED" in secret_line(first, now_ms + 40 * DAY_MS, 80)


LINK = LinkStatus("live", 0, "wss://hub.example", "h", None, None, None, None, 0, ())


def lived(reason: str) -> GenerationRow:
    return GenerationRow("call-protocol", 2, "abcd1234", None, 5, None, 0, reason, 0, active=True)


@pytest.mark.parametrize(
    ("state", "running", "whats"),
    [
        (SyncState(LINK, (), ()), True, []),
        (SyncState(LINK, (), ()), False, [("stopped", "spoke run")]),
        (SyncState(replace(LINK, state="unpaired"), (), ()), False, [("no hub", "spoke join wss://HOST")]),
        (SyncState(replace(LINK, paused_at_ms=1), (), ()), False, [("paused", "spoke sync resume")]),
        (
            SyncState(replace(LINK, error_code="REVOKED", error="gone", hint="ask"), (lived("gap"),), ()),
            True,
            [("REVOKED", "ask"), ("gap: call-protocol", "spoke sync generations")],
        ),
        (
            SyncState(replace(LINK, error_code="IDENTITY_CONFLICT", error="two"), (lived("first"),), ()),
            True,
            [("a copy of this node is alive", "spoke reidentify")],
        ),
    ],
)
def test_what_is_wrong_comes_with_what_to_do(state: SyncState, running: bool, whats: list[tuple[str, str]]) -> None:
    assert [(one.what, one.do) for one in advice(state, running=running)] == whats


def test_a_refused_event_is_told_even_when_it_is_deleted_or_no_text(tenant: Database) -> None:
    with tenant.transaction() as tx:
        write_status(tx, state="live", at_ms=1, hub_url="wss://hub.example", hub_id="h")
        for offset in (1, 2):
            tx.execute(
                "INSERT INTO link_refusals (topic, gen_id, offset, code, detail, noted_at) VALUES (?, ?, ?, ?, ?, ?)",
                ("call-protocol", b"g" * 16, offset, "NOT_JSON", "why", 1),
            )
    tenant.stream("call-protocol").publish({"n": 1}, key="k")
    with tenant.transaction() as tx:
        tx.execute("UPDATE _honker_stream SET payload = ?", (b"\xff",))
    with tenant.snapshot() as snapshot:
        state = read_sync(snapshot)
    assert [(one.offset, one.key, one.payload) for one in state.refusals] == [(1, "k", "�"), (2, None, None)]
    assert [(one.what, one.do) for one in advice(state, running=True)] == [
        ("2 events in quarantine", "spoke sync rejected")
    ]


def test_a_hub_that_nobody_came_to_is_empty(tmp_path: Path) -> None:
    open_system_database(tmp_path / "system.db").close()
    found = read_contents(tmp_path)
    assert (found.spokes, found.tenants, found.devices, found.tokens, found.status.pid) == ((), (), (), (), None)
