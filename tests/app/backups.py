"""A data directory that is a node and a hub at once, and what of it a test compares."""

from __future__ import annotations

import json
from pathlib import Path

from app.backup import Made, make_backup
from app.paths import Paths
from storage import engine
from storage.identity.organizations import create_organization
from storage.tenants import open_system_database, open_tenant_database
from sync.hub.keys import operator

SMALL = {
    "hub.json": json.dumps({"hub": {"url": "wss://hub.example", "ca": "PEM"}}),
    "keyring.json": '{"current": 3, "keys": {"3": "k"}}',
    "device.pem": "a private key",
    "hub/tls/ca.pem": "a CA's key",
    "hub/keyring-acme.json": '{"current": 3, "keys": {"3": "acme"}}',
}
SECRET = sorted(set(SMALL) - {"hub.json"})


def make_node(paths: Paths, mark: str) -> None:
    """Databases and small files, all of them with the mark in them."""
    paths.data_dir.mkdir(parents=True, exist_ok=True)
    for name, text in SMALL.items():
        file = paths.data_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if name == "hub.json" else f"{text} {mark}")
        file.chmod(0o600)
    publish(paths.tenant_db, mark)
    publish(paths.hub_dir / "tenant-acme.db", mark)
    system = open_system_database(paths.system_db)
    with system.transaction() as tx:
        create_organization(tx, mark, operator(tx).id)
    system.close()


def publish(file: Path, mark: str) -> None:
    db = open_tenant_database(file)
    db.stream("marks").publish({"mark": mark})
    db.close()


def marks(paths: Paths) -> dict[str, list[str]]:
    """What is in the databases, by their place."""
    found: dict[str, list[str]] = {}
    for path in paths.databases:
        db = engine.open(path, read_only=True, max_readers=1)
        sql = "SELECT payload ->> '$.mark' AS mark FROM _honker_stream WHERE topic = 'marks' ORDER BY offset"
        if path == paths.system_db:
            sql = "SELECT slug AS mark FROM organizations ORDER BY slug"
        found[str(path.relative_to(paths.data_dir))] = [row["mark"] for row in db.query(sql)]
        assert db.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        db.close()
    return found


def backed_up(paths: Paths, target: Path, passphrase: str | None = None, now_ms: int = 1_000) -> Made:
    return make_backup(paths, target, program="spoke/test", now_ms=now_ms, passphrase=passphrase)
