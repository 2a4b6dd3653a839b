"""What a person does to a node leaves a trace: an event, a recorded call, or a row of the hub's trail."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.audit import audit, audit_before, audited, this_operator
from app.cli.contract import CONTRACTS
from app.paths import Paths
from storage.engine import Event
from storage.events.operator_events import ACTED, STREAM
from storage.tenants import open_system_database, open_tenant_database
from tests.app.cli.test_cli import Spoke, node, spoke  # noqa: F401

ACTS: dict[str, tuple[str, ...]] = {
    "sync pause": (),
    "sync resume": (),
    "sync rewind": ("call-protocol",),
    "reidentify": ("--yes",),
    "join": ("wss://hub.example", "--key-file", "KEY"),
    "leave": ("--yes",),
    "backup": ("BACKUP",),
    "db rebuild": (),
    "db salvage": ("COPY", "OUT"),
    "db vacuum": (),
    "db retention": (),
    "db copies": ("--prune",),
    "init": (),
    "key create": ("board", "--scope", "*"),
    "key revoke": ("board",),
}
"""In this order, on one node; the event comes with the deed."""
INSTALLED = {"install", "upgrade", "rollback", "uninstall"}
"""Need an installation: tests/app/install and tests/e2e; here, that they say it."""
NOTED = {"restore"}
"""Its own note in the file that it puts there: an event would take an offset that the hub gives back."""
RECORDED = {
    *(name for name in CONTRACTS if name.split()[0] in ("queue", "schedule", "lock", "secret", "graph")),
    *("call", "operations call", "record", "session start", "session end", "hub call", "hub calls cancel"),
    *(name for name in CONTRACTS if name.startswith("import ")),
}
"""Calls and events of the log themselves."""
TRAIL = {name for name in CONTRACTS if name.split()[0] == "hub"} - {"hub run", "hub init"}
"""`audit_logs` of the hub (tests/storage/operations/test_tables.py)."""
NOTHING_STAYS = {"run", "tui", "hub run", "hub init", "demo", "bundle", "sync now"}
"""They run until they end, make what is new, or ask a process to hurry."""


def acts(file: Path) -> list[dict[str, Any]]:
    db = open_tenant_database(file)
    try:
        events: list[Event] = db.stream(STREAM).read()
        return [event.payload for event in events]
    finally:
        db.close()


def test_every_command_that_changes_something_leaves_a_trace() -> None:
    """A new one: leave an act, or say here why not."""
    changing = {name for name, contract in CONTRACTS.items() if contract.impact != "read"}
    assert changing == changing & (set(ACTS) | INSTALLED | NOTED | RECORDED | TRAIL | NOTHING_STAYS)


def test_who_did_what(spoke: Spoke, node: Path, tmp_path: Path) -> None:  # noqa: F811
    spoke("record", "--", "true")
    key = tmp_path / "key.txt"
    key.write_text("alk_PLANTED\n")
    shutil.copyfile(node / "tenant-local.db", tmp_path / "copy.db")
    places = {"KEY": key, "BACKUP": tmp_path / "b.zip", "COPY": tmp_path / "copy.db", "OUT": tmp_path / "out.db"}
    user = pwd.getpwuid(os.getuid()).pw_name
    for number, (name, arguments) in enumerate(ACTS.items(), 1):
        code, _, err = spoke("--no-input", *name.split(), *(str(places.get(word, word)) for word in arguments))
        assert code == 0, (name, err)
        found = acts(node / "tenant-local.db")
        assert len(found) == number, name
        last = found[-1]
        assert (last["type"], last["action"], last["user"]) == (ACTED, name.replace(" ", "."), user)
        assert last["actorId"] == f"local:{os.getuid()}"
        assert "tty" in last
        assert "PLANTED" not in json.dumps(last)
    said = {act["action"]: act["arguments"] for act in acts(node / "tenant-local.db")}
    assert said["sync.rewind"] == {"stream": "call-protocol"}
    assert said["join"] == {"url": "wss://hub.example"}
    assert said["backup"] == {"file": str(tmp_path / "b.zip"), "keys": False}
    shown = spoke("tail", STREAM, "--from", "0")[1]
    assert f"{user}" in shown
    assert "sync.rewind stream=call-protocol" in shown


def test_a_restore_is_noted_in_what_it_puts_there(spoke: Spoke, node: Path, tmp_path: Path) -> None:  # noqa: F811
    spoke("status")
    spoke("backup", str(tmp_path / "b.zip"))
    assert spoke("restore", str(tmp_path / "b.zip"), "--replace")[0] == 0
    by = json.loads(spoke("status", "--json")[1])["restored"]["by"]
    assert by == str(this_operator())
    assert f"by {by}" in spoke("status")[1]
    assert [act["action"] for act in acts(node / "tenant-local.db")] == ["backup"]


def test_the_act_is_there_with_its_deed_or_neither_is(tmp_path: Path) -> None:
    db = open_tenant_database(tmp_path / "t.db")
    try:
        with pytest.raises(RuntimeError, match="broken"), db.transaction() as tx:
            audit(tx, "sync.pause")
            raise RuntimeError("broken")
        assert db.stream(STREAM).read() == []
        with db.transaction() as tx:
            assert audited("sync.resume", lambda inside: inside.rows("SELECT 7")[0][0], stream=None)(tx) == 7
        (event,) = db.stream(STREAM).read()
        assert event.payload["arguments"] == {}
    finally:
        db.close()


def nothing_said(_: str) -> None:
    raise AssertionError("nothing is to be said")


def test_where_a_hub_is_alone_its_file_keeps_it_and_where_nothing_is_nobody(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "spoke.toml")
    audit_before(paths, "backup", nothing_said)
    assert list(tmp_path.iterdir()) == []
    paths.hub_dir.mkdir()
    system = open_system_database(paths.system_db)
    audit_before(paths, "backup", nothing_said, file="/b.zip")
    (event,) = system.stream(STREAM).read()
    assert event.payload["arguments"] == {"file": "/b.zip"}
    system.close()


def test_care_for_a_damaged_file_is_not_refused_but_said(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "spoke.toml")
    paths.tenant_db.write_bytes(b"not a database at all" * 500)
    told: list[str] = []
    audit_before(paths, "db.vacuum", told.append)
    assert [line.startswith("attention: db.vacuum is not in the audit trail: ") for line in told] == [True]
