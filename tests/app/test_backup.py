"""A backup of a data directory: what is in it, what is not, what knows of it; and what it leaves when it fails."""

from __future__ import annotations

import json
import os
import resource
import zipfile
from pathlib import Path

import pytest

from app.paths import Paths
from storage import engine
from storage.archive import verify_archive
from storage.copies import last_backup
from storage.engine.errors import CannotOpenError, FullError
from storage.process_lock import LockHeldError, ProcessLock
from storage.tenants import open_tenant_database
from tests.app.backups import SECRET, backed_up, make_node, publish
from tests.faults.test_f09_full import fill, small_disk


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "data", tmp_path / "spoke.toml")
    make_node(made, "one")
    return made


def test_everything_is_in_it_but_secrets(paths: Paths, tmp_path: Path) -> None:
    paths.config_file.write_text("name = 'edge'\n")
    made = backed_up(paths, tmp_path / "b.zip")
    assert made.bytes == (tmp_path / "b.zip").stat().st_size
    assert [member.name for member in made.manifest.members] == [
        "tenant-local.db",
        "hub/tenant-acme.db",
        "hub/system.db",
        "spoke.toml",
        "hub.json",
    ]
    assert sorted(made.left_out) == SECRET
    packed = zipfile.ZipFile(tmp_path / "b.zip")
    assert not [name for name in packed.namelist() if b"private key" in packed.read(name)]
    assert not list(tmp_path.glob(".*")), "nothing is left beside it"
    own = made.manifest.members[0]
    assert (own.schema_version, own.last_offset) == (6, 1)
    assert own.node_id


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spoke.toml", "[hub]\napi_key = 'alk_secret'\n"),
        ("hub.json", '{"hub": {"url": "wss://x", "api_key": "alk_secret"}}'),
        ("hub.json", "alk_secret, and not JSON"),
    ],
)
def test_an_api_key_is_a_secret_wherever_it_stands(paths: Paths, tmp_path: Path, name: str, text: str) -> None:
    (paths.config_file if name == "spoke.toml" else paths.hub_file).write_text(text)
    assert name in backed_up(paths, tmp_path / "b.zip").left_out
    made = backed_up(paths, tmp_path / "k.zip", passphrase="correct horse")
    assert made.left_out == ()
    packed = zipfile.ZipFile(tmp_path / "k.zip")
    assert set(json.loads(packed.read("keys.json"))) == {"keyVersion", "salt", "iv", "data"}
    for member in packed.namelist():
        for secret in (b"alk_secret", b"private key", b"a CA's key"):
            assert secret not in packed.read(member)


def test_each_database_knows_of_it_and_the_next_one_says_what_is_new(paths: Paths, tmp_path: Path) -> None:
    assert backed_up(paths, tmp_path / "b.zip").grown == {}
    publish(paths.tenant_db, "two")
    made = backed_up(paths, tmp_path / "c.zip", now_ms=2_000)
    grown = made.grown["tenant-local.db"]
    assert (grown.since_ms, grown.events, grown.bytes) == (1_000, 1, len('{"mark":"two"}'))
    assert made.grown["hub/tenant-acme.db"].events == 0
    for path in paths.databases[:-1]:
        db = open_tenant_database(path)
        with db.snapshot() as snapshot:
            note = last_backup(snapshot)
        db.close()
        assert note is not None
        assert (note.at_ms, note.file) == (2_000, str(tmp_path / "c.zip"))


def test_what_the_hub_holds_of_its_spokes_is_marked_stable(paths: Paths, tmp_path: Path) -> None:
    """Only what is in the copy: the cursor may have moved since."""
    file = paths.hub_dir / "tenant-acme.db"
    db = open_tenant_database(file)
    with db.transaction() as tx:
        tx.execute(
            "INSERT INTO link_cursors (node_id, topic, gen_id, generation, offset, hash, events, updated_at)"
            " VALUES ('n', 't', x'01', 1, 7, x'07', 7, 0)"
        )
    backed_up(paths, tmp_path / "b.zip")
    assert db.query("SELECT stable_offset, hex(stable_hash) AS hash FROM link_cursors") == [
        {"stable_offset": 7, "hash": "07"}
    ]
    db.close()


def test_a_database_that_cannot_be_told_is_named(paths: Paths, tmp_path: Path) -> None:
    db = engine.open(paths.hub_dir / "tenant-old.db")
    with db.transaction() as tx:
        tx.execute("CREATE TABLE node_facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        tx.execute("PRAGMA user_version = 1")
    db.close()
    made = backed_up(paths, tmp_path / "b.zip")
    assert list(made.unmarked) == ["hub/tenant-old.db"]
    db = engine.open(paths.hub_dir / "tenant-old.db", read_only=True)
    assert db.query("PRAGMA user_version") == [{"user_version": 1}], "a backup migrates nothing"
    db.close()


def test_where_it_cannot_be_nothing_is_left(paths: Paths, tmp_path: Path) -> None:
    for target in (tmp_path / "nowhere" / "b.zip", tmp_path):
        with pytest.raises(CannotOpenError, match="folder that exists"):
            backed_up(paths, target)
    with ProcessLock(paths.backup_lock), pytest.raises(LockHeldError):
        backed_up(paths, tmp_path / "b.zip")
    (tmp_path / ".b.zip.x.partial").mkdir()
    backed_up(paths, tmp_path / "b.zip")
    assert not (tmp_path / ".b.zip.x.partial").exists(), "what a crash left is removed"


@pytest.mark.parametrize("size", [100_000, 500_000])
def test_a_limit_on_files_leaves_the_old_backup(paths: Paths, tmp_path: Path, size: int) -> None:
    """Of the copy of the first database, or of one that comes when others are done."""
    target = tmp_path / "b.zip"
    backed_up(paths, target)
    before = target.read_bytes()
    db = open_tenant_database(paths.hub_dir / "tenant-acme.db")
    with db.transaction() as tx:
        tx.execute("CREATE TABLE ballast (x BLOB)")
        tx.executemany("INSERT INTO ballast VALUES (?)", [(os.urandom(100_000),)] * 10)
    db.close()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        with pytest.raises(FullError):
            backed_up(paths, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert target.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_old_backup(paths: Paths, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        target = disk / "b.zip"
        backed_up(paths, target)
        before = target.read_bytes()
        fill(disk)
        with pytest.raises(FullError) as failed:
            backed_up(paths, target)
        assert "free some disk space" in failed.value.hint
        assert sorted(path.name for path in disk.iterdir()) == ["b.zip", "ballast"]
        (disk / "ballast").unlink()
        assert target.read_bytes() == before
        verify_archive(target)


def test_it_is_on_the_disk_before_it_has_its_name(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the rename must not leave a name without what it names; nor a mark without a backup."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        steps.append(f"name {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr("app.backup.mark_stable", lambda tx, snapshot: steps.append("mark"))
    backed_up(paths, tmp_path / "b.zip")
    named = steps.index("name b.zip")
    assert "sync backup" in steps[:named]
    assert "mark" not in steps[: steps.index(f"sync {tmp_path.name}", named)]
    assert steps.count("mark") == 2
