"""A backup is put back whole or not at all, never onto what is in use, and what was there is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app.paths import Paths
from app.restore import ConfigPlaceError, KeysError, ThereAlreadyError, finish_restore, restore
from storage.archive import ArchiveError, Manifest, Member, write_archive
from storage.check import check
from storage.copies import restored_from
from storage.engine.errors import BusyError, FullError
from storage.migrations import NewerFileError, system, tenant
from storage.process_lock import LockHeldError, ProcessLock
from storage.replacing import PLAN, Plan, decide, stage, waits
from storage.tenants import open_system_database, open_tenant_database
from tests.app.backups import SECRET, SMALL, backed_up, make_node, marks, publish
from tests.faults.test_f09_full import fill, small_disk

ROOT = Path(__file__).parents[2]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "data", tmp_path / "spoke.toml")
    make_node(made, "one")
    return made


@pytest.fixture
def backup(paths: Paths, tmp_path: Path) -> Path:
    file = tmp_path / "backup.zip"
    paths.config_file.write_text("name = 'edge'\n")
    backed_up(paths, file, passphrase="horse", now_ms=77_000)
    paths.config_file.unlink()
    return file


def test_onto_an_empty_machine(backup: Path, tmp_path: Path) -> None:
    there = Paths(tmp_path / "other", tmp_path / "etc" / "spoke.toml")
    done = restore(there, backup, passphrase="horse", replace=False, now_ms=99_000)
    assert (done.aside, sorted(done.keys), done.config_kept) == (None, SECRET, False)
    assert marks(there)["tenant-local.db"] == ["one"]
    assert there.config_file.read_text() == "name = 'edge'\n"
    for name in SMALL:
        file = there.data_dir / name
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().startswith(SMALL[name])
    for path in there.databases:
        assert path.stat().st_mode & 0o777 == 0o600
        assert check(path, (system if path == there.system_db else tenant).MIGRATIONS) == []
    db = open_tenant_database(there.tenant_db)
    with db.snapshot() as snapshot:
        note = restored_from(snapshot)
    db.close()
    assert note is not None
    assert (note.at_ms, note.copy_ms, note.source) == (99_000, 77_000, str(backup))
    hub = open_system_database(there.system_db)
    assert len(hub.query("SELECT value FROM hub_facts WHERE name = 'restored'")) == 1
    hub.close()


def test_a_configuration_that_may_not_be_written_is_found_before_anything_is_decided(
    paths: Paths, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Paths(tmp_path / "there", tmp_path / "etc" / "spoke.toml")
    with monkeypatch.context() as patched:
        patched.setattr("app.restore.os.access", lambda folder, mode: folder != tmp_path)
        with pytest.raises(ConfigPlaceError, match="may not be written"):
            restore(there, backup, passphrase=None, replace=False, now_ms=1)
    assert not waits(there.data_dir)
    assert not there.databases
    restore(there, backup, passphrase=None, replace=False, now_ms=1)
    assert there.config_file.exists()


def test_over_what_is_there(paths: Paths, backup: Path) -> None:
    before = marks(paths)
    publish(paths.tenant_db, "two")
    publish(paths.hub_dir / "tenant-new.db", "two")
    paths.config_file.write_text("name = 'mine'\n")
    with pytest.raises(ThereAlreadyError, match="a database already"):
        restore(paths, backup, passphrase=None, replace=False, now_ms=1)
    assert marks(paths)["tenant-local.db"] == ["one", "two"]
    done = restore(paths, backup, passphrase=None, replace=True, now_ms=1)
    assert (done.keys, done.config_kept) == ((), True)
    assert paths.config_file.read_text() == "name = 'mine'\n"
    assert marks(paths) == before, "a tenant that is not in the backup is not beside it"
    assert done.aside is not None
    old = Paths(done.aside, paths.config_file)
    assert marks(old)["tenant-local.db"] == ["one", "two"]
    assert marks(old)["hub/tenant-new.db"] == ["two"]
    assert (paths.data_dir / "device.pem").read_text() == "a private key one", "keys stay as they are"
    again = restore(paths, backup, passphrase=None, replace=True, now_ms=1)
    assert again.aside != done.aside


def test_a_backup_of_a_node_leaves_a_hub_alone(paths: Paths, tmp_path: Path) -> None:
    alone = Paths(tmp_path / "alone", tmp_path / "alone.toml")
    alone.data_dir.mkdir()
    publish(alone.tenant_db, "alone")
    backed_up(alone, tmp_path / "node.zip")
    with ProcessLock(paths.hub_dir / "hub.lock"):
        restore(paths, tmp_path / "node.zip", passphrase=None, replace=True, now_ms=1)
    assert marks(paths)["tenant-local.db"] == ["alone"]
    assert marks(paths)["hub/tenant-acme.db"] == ["one"]


def test_it_refuses_while_somebody_works_here(paths: Paths, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = marks(paths)
    for lock in (paths.daemon_lock, paths.hub_dir / "hub.lock"):
        with ProcessLock(lock), pytest.raises(LockHeldError):
            restore(paths, backup, passphrase=None, replace=True, now_ms=1)
    monkeypatch.setattr("storage.engine.connection.BUSY_TIMEOUT_MS", 50)
    db = open_tenant_database(paths.tenant_db)
    with pytest.raises(BusyError, match="another program has it open"):
        restore(paths, backup, passphrase=None, replace=True, now_ms=1)
    db.stream("marks").publish({"mark": "two"})
    db.close()
    assert marks(paths) == {**before, "tenant-local.db": ["one", "two"]}


def test_keys_need_their_passphrase(paths: Paths, backup: Path, tmp_path: Path) -> None:
    before = marks(paths)
    with pytest.raises(KeysError, match="not the passphrase"):
        restore(paths, backup, passphrase="hors", replace=True, now_ms=1)
    backed_up(paths, tmp_path / "bare.zip")
    with pytest.raises(KeysError, match="no keys"):
        restore(paths, tmp_path / "bare.zip", passphrase="horse", replace=True, now_ms=1)
    assert marks(paths) == before


def forged(path: Path, name: str, kind: str, version: int = 1) -> Path:
    member = Member(name, kind, schema_version=version)  # type: ignore[arg-type]
    own = Member("tenant-local.db", "database", schema_version=1)
    write_archive(
        path,
        Manifest(1, "spoke/9", 0, "h", (member, own) if name != own.name else (member,)),
        {name: b"x", own.name: b"x"} if name != own.name else {name: b"x"},
        lambda done, total: None,
    )
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tenant-other.db", "database"),
        ("hub/x/tenant-a.db", "database"),
        ("hub/tenant-a.txt", "database"),
        (PLAN, "file"),
        ("daemon.lock", "file"),
        ("hub/tls/../x", "file"),
    ],
)
def test_what_is_not_ours_is_not_put_here(tmp_path: Path, name: str, kind: str) -> None:
    there = Paths(tmp_path / "data", tmp_path / "spoke.toml")
    with pytest.raises(ArchiveError):
        restore(there, forged(tmp_path / "b.zip", name, kind), passphrase=None, replace=True, now_ms=1)
    assert there.databases == ()
    assert not (there.data_dir / PLAN).exists()


def test_a_backup_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    there = Paths(tmp_path / "data", tmp_path / "spoke.toml")
    with pytest.raises(NewerFileError, match=r"schema version 99, this program knows \d+; it was written by spoke/9"):
        restore(
            there,
            forged(tmp_path / "b.zip", "tenant-local.db", "database", 99),
            passphrase=None,
            replace=False,
            now_ms=1,
        )
    assert not there.data_dir.exists()


def test_a_damaged_backup_changes_nothing(paths: Paths, backup: Path) -> None:
    before = marks(paths)
    content = bytearray(backup.read_bytes())
    with zipfile.ZipFile(backup) as packed:
        at = packed.getinfo("tenant-local.db").header_offset
    content[at + 200] ^= 1
    backup.write_bytes(content)
    with pytest.raises(ArchiveError, match="damaged"):
        restore(paths, backup, passphrase=None, replace=True, now_ms=1)
    assert marks(paths) == before


def test_over_a_file_that_is_damaged(paths: Paths, backup: Path) -> None:
    paths.tenant_db.write_bytes(b"no database any more" * 1000)
    done = restore(paths, backup, passphrase=None, replace=True, now_ms=1)
    assert marks(paths)["tenant-local.db"] == ["one"]
    assert done.aside is not None
    assert (done.aside / "tenant-local.db").read_bytes().startswith(b"no database any more")


def test_an_old_log_is_not_taken_for_the_new_files(paths: Paths, backup: Path) -> None:
    """The database that is replaced is damaged and has a log beside it: it goes aside with it."""
    paths.tenant_db.write_bytes(b"no database any more" * 1000)
    wal = Path(f"{paths.tenant_db}-wal")
    wal.write_bytes(b"a log")
    restore(paths, backup, passphrase=None, replace=True, now_ms=1)
    assert not wal.exists()
    assert marks(paths)["tenant-local.db"] == ["one"]


def test_what_was_decided_is_finished_by_the_next_command(paths: Paths, tmp_path: Path) -> None:
    (stage(paths.data_dir) / "inbox").write_text("new")
    decide(paths.data_dir, Plan("aside", ("inbox",)))
    done = subprocess.run(
        [sys.executable, "-m", "app", "--data-dir", str(paths.data_dir), "status"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "a restore that was interrupted is finished" in done.stderr
    assert (paths.data_dir / "inbox").read_text() == "new"
    assert not finish_restore(paths)


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 12) as disk:
        paths = Paths(disk / "data", tmp_path / "spoke.toml")
        make_node(paths, "one")
        backed_up(paths, tmp_path / "b.zip")
        publish(paths.tenant_db, "two")
        before = marks(paths)
        ballast = fill(disk)
        with pytest.raises(FullError):
            restore(paths, tmp_path / "b.zip", passphrase=None, replace=True, now_ms=1)
        ballast.unlink()
        assert marks(paths) == before
        assert not [path.name for path in paths.data_dir.iterdir() if path.name.startswith(("staged", "replac"))]
        restore(paths, tmp_path / "b.zip", passphrase=None, replace=True, now_ms=1)
        assert marks(paths)["tenant-local.db"] == ["one"]


def test_killed_at_every_step_it_leaves_old_or_new(tmp_path: Path) -> None:
    """Before each change of a name and each file that is written: databases and keys are all old, or all new."""
    paths = Paths(tmp_path / "template", tmp_path / "spoke.toml")
    make_node(paths, "one")
    backed_up(paths, tmp_path / "backup.zip", passphrase="horse")
    new = marks(paths)
    make_node(paths, "two")
    old = marks(paths)
    done = subprocess.run(
        [sys.executable, "-m", "tests.app.killed_restore", str(tmp_path), str(tmp_path / "backup.zip")],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[-1]["done"]
    states = ["new" if step["marks"] == new else "old" if step["marks"] == old else "mixed" for step in found]
    first = states.index("new")
    assert states == ["old"] * first + ["new"] * (len(states) - first)
    assert [{text.rpartition(" ")[2] for text in step["keys"]} for step in found] == [
        {"two" if state == "old" else "one"} for state in states
    ]
    assert [step["decided"] for step in found[:first]] == [False] * first
    assert sum(step["decided"] for step in found) >= 20, "killed while files were moved"


def test_everything_staged_is_on_the_disk_before_it_counts(
    paths: Paths, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[str, int] = {}
    number, fsync = 0, os.fsync

    def noted(descriptor: int) -> None:
        nonlocal number
        number += 1
        synced[os.readlink(f"/proc/self/fd/{descriptor}")] = number
        fsync(descriptor)

    def decided(folder: Path, plan: Plan) -> None:
        decide(folder, plan)
        for name in plan.place:
            staged = folder / "staged" / name
            hidden = staged.with_name(f".{staged.name}.{os.getpid()}")  # as small files are called while written
            assert str(staged) in synced or str(hidden) in synced, name
            assert synced[str(staged.parent)] > 0
            assert not Path(f"{staged}-wal").exists(), "what was written to the copy is in the copy"

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr("app.restore.decide", decided)
    restore(paths, backup, passphrase="horse", replace=True, now_ms=1)
    assert marks(paths)["tenant-local.db"] == ["one"]
