"""Secrets and their rotation, with SIGKILL in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.crypto import DecryptionError
from storage.engine import Database
from storage.graphs.errors import NotFoundError
from storage.keyring import Keyring, MissingKeyError, open_keyring, save_keyring
from storage.secrets import (
    SecretExpiredError,
    delete_secret,
    get_secret,
    list_secrets,
    rotate_batch,
    set_secret,
    start_rotation,
    versions_in_use,
)
from storage.tenants import open_tenant_database

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_tenant_database(tmp_path / "tenant-local.db", durability="normal")
    yield db
    db.close()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return open_keyring(tmp_path / "keyring.json")


def test_set_get_list_delete(db: Database, keyring: Keyring, tmp_path: Path) -> None:
    with db.transaction() as tx:
        set_secret(tx, keyring, "github/api_key", "hunter2", description="for CI", expires_at="2026-12-01T00:00:00Z")
        set_secret(tx, keyring, "other", "x")
        set_secret(tx, keyring, "other", "y")
        assert get_secret(tx, keyring, "github/api_key", NOW) == "hunter2"
        assert get_secret(tx, keyring, "other", NOW) == "y"
        found = list_secrets(tx)
        assert [(info.name, info.description, info.key_version, info.last_used_at) for info in found] == [
            ("github/api_key", "for CI", 3, "2026-11-24T12:00:00Z"),
            ("other", None, 3, "2026-11-24T12:00:00Z"),
        ]
        with pytest.raises(SecretExpiredError):
            get_secret(tx, keyring, "github/api_key", datetime(2026, 12, 1, tzinfo=UTC))
        delete_secret(tx, "other")
        for use in (lambda: get_secret(tx, keyring, "other", NOW), lambda: delete_secret(tx, "other")):
            with pytest.raises(NotFoundError):
                use()
    db.close()
    assert b"hunter2" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_one_secret_cannot_stand_in_for_another(db: Database, keyring: Keyring) -> None:
    with db.transaction() as tx:
        set_secret(tx, keyring, "low", "harmless")
        set_secret(tx, keyring, "high", "precious")
        tx.execute(
            "UPDATE nodes SET attributes = json_set(attributes, '$.value', (SELECT json(attributes -> '$.value')"
            " FROM nodes WHERE key = 'high')) WHERE key = 'low'"
        )
        with pytest.raises(DecryptionError):
            get_secret(tx, keyring, "low", NOW)
        tx.execute("UPDATE nodes SET attributes = json_set(attributes, '$.value', 'no object') WHERE key = 'low'")
        with pytest.raises(DecryptionError):
            get_secret(tx, keyring, "low", NOW)


def test_rotation_brings_every_secret_to_the_new_key(db: Database, keyring: Keyring) -> None:
    with db.transaction() as tx:
        for number in range(7):
            set_secret(tx, keyring, f"s{number}", str(number))
    rotated = keyring.rotated()
    with db.transaction() as tx:
        assert start_rotation(tx, rotated.current) == 7
        assert start_rotation(tx, rotated.current) == 7  # asked twice, queued once
        assert tx.rows("SELECT count(*) FROM _honker_live WHERE queue = 'secret-rotation'") == [(1,)]
    assert rotate_batch(db, rotated, rotated.current, 3) == 4
    with db.transaction() as tx:
        assert versions_in_use(tx) == {3, 4}
        assert [get_secret(tx, rotated, f"s{n}", NOW) for n in range(7)] == [str(n) for n in range(7)]
        set_secret(tx, rotated, "s6", "changed meanwhile")
    assert rotate_batch(db, rotated, rotated.current, 30) == 0
    only_new = rotated.without(frozenset({3}))
    with db.transaction() as tx:
        assert start_rotation(tx, rotated.current) == 0
        assert versions_in_use(tx) == {4}
        assert get_secret(tx, only_new, "s0", NOW) == "0"
        assert get_secret(tx, only_new, "s6", NOW) == "changed meanwhile"
    with pytest.raises(MissingKeyError), db.transaction() as tx:
        get_secret(tx, keyring, "s0", NOW)


def test_a_secret_that_cannot_be_opened_does_not_hold_up_the_others(db: Database, keyring: Keyring) -> None:
    with db.transaction() as tx:
        for name in ("a", "b", "c"):
            set_secret(tx, keyring, name, name)
        tx.execute("UPDATE nodes SET attributes = json_set(attributes, '$.value.data', 'AAAA') WHERE key = 'a'")
    rotated = keyring.rotated()
    assert rotate_batch(db, rotated, rotated.current) == 1
    with pytest.raises(DecryptionError):
        rotate_batch(db, rotated, rotated.current)


ROTATE = """
import sys
from pathlib import Path
from storage.keyring import load_keyring
from storage.secrets import rotate_batch
from storage.tenants import open_tenant_database
folder = Path(sys.argv[1])
db = open_tenant_database(folder / "tenant-local.db")
keyring = load_keyring(folder / "keyring.json")
print("begun", flush=True)
while rotate_batch(db, keyring, keyring.current, 2):
    print("batch", flush=True)
"""


def test_rotation_survives_sigkill_wherever_it_hits(db: Database, keyring: Keyring, tmp_path: Path) -> None:
    with db.transaction() as tx:
        for number in range(12):
            set_secret(tx, keyring, f"s{number:02}", str(number))
    rotated = keyring.rotated()
    save_keyring(tmp_path / "keyring.json", rotated)
    for lines in (1, 2, 3):  # killed before the first batch, and in the middle of later ones
        worker = subprocess.Popen([sys.executable, "-c", ROTATE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        for _ in range(lines):
            worker.stdout.readline()
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(120)
        worker.stdout.close()
        with db.transaction() as tx:
            assert [get_secret(tx, rotated, f"s{n:02}", NOW) for n in range(12)] == [str(n) for n in range(12)]
    done = subprocess.run([sys.executable, "-c", ROTATE, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with db.snapshot() as snapshot:
        assert versions_in_use(snapshot) == {4}
