"""Looks at files: every bad state."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checking import check_database
from app.doctor import files
from app.doctor.finding import Finding, finding_lines, summary
from app.paths import Paths
from app.views.room import Room
from storage.tenants import open_tenant_database

MOUNTS = """\
/dev/vda1 / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw,nosuid,nodev,noexec 0 0
server:/x /srv/with\\040space nfs4 rw 0 0
//server/y /srv cifs rw 0 0
host:/ /mnt/ssh fuse.sshfs rw 0 0
overlay /over overlay rw 0 0
/dev/vdb /srv/with\\040space/local xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "level", "word"),
    [
        ("/var/lib/spoke", "ok", "ext4 (/)"),
        ("/srv/with space", "problem", "nfs4"),
        ("/srv/with space/data", "problem", "nfs4"),
        ("/srv/with space/local/data", "ok", "xfs"),
        ("/srv/with", "problem", "cifs"),
        ("/srvx", "ok", "ext4"),
        ("/mnt/ssh/a", "warning", "fuse.sshfs"),
        ("/over/a", "warning", "overlay"),
        ("/tmp/a", "warning", "tmpfs"),
    ],
)
def test_the_file_system(path: str, level: str, word: str) -> None:
    found = files.filesystem(Path(path), files.mounts(MOUNTS))
    assert (found.level, word in found.what) == (level, True)
    assert bool(found.fix) == (level != "ok")


def test_a_machine_without_proc() -> None:
    assert files.filesystem(Path("/x"), files.mounts("")).level == "ok"


@given(st.text())
def test_any_text_can_be_read_as_mounts(text: str) -> None:
    files.mounts(text)


@pytest.mark.parametrize(("used", "level"), [(79, "ok"), (80, "warning"), (100, "problem"), (120, "problem")])
def test_the_limit_of_a_file(used: int, level: str) -> None:
    found = files.limit("tenant-local.db", Room(used, 100))
    assert (found.level, "policy block" in found.what) == (level, True)
    assert bool(found.fix) == bool(found.why) == (level != "ok")


@pytest.mark.parametrize(("free", "level"), [(63, "problem"), (65, "warning"), (999, "warning"), (1_001, "ok")])
def test_the_disk(free: int, level: str) -> None:
    assert files.disk(Path("/x"), free * files.MB, 10_000 * files.MB).level == level


def test_the_reserve(tmp_path: Path) -> None:
    path = tmp_path / "reserve"
    assert [files.reserve(path, joined=joined).level for joined in (False, True)] == ["ok", "warning"]
    path.touch()
    assert files.reserve(path, joined=True).level == "ok"


def test_permissions(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    key = folder / "hub.json"
    key.touch(mode=0o600)

    def look(uid: int) -> Finding:
        return files.permissions(folder, files.private_files(folder), uid)

    me = os.geteuid()
    assert look(me).level == "ok"
    for path, good, bad in ((key, 0o600, 0o640), (folder, 0o700, 0o701)):
        path.chmod(bad)
        found = look(me)
        assert (found.level, f"chmod {good:o} {path}" in found.fix) == ("problem", True)
        path.chmod(good)
    foreign = look(me + 1)
    assert (foreign.level, "chown" in foreign.fix) == ("problem", True)
    assert look(0).level == "ok", "root may"
    assert files.permissions(tmp_path / "none", [], me).level == "ok"


def test_what_is_private_is_found(tmp_path: Path) -> None:
    (tmp_path / "hub" / "tls").mkdir(parents=True)
    names = ["tenant-local.db", "tenant-local.db-wal", "hub.json", "keyring.json", "device.pem", "device.pem.next"]
    names += ["spoke.sock", "hub/system.db", "hub/keyring-a.json", "hub/tls/ca.pem"]
    for name in [*names, "tui.log", "hub/tls/ca.crt"]:
        (tmp_path / name).touch()
    assert {str(path.relative_to(tmp_path)) for path in files.private_files(tmp_path)} == set(names)


@pytest.mark.parametrize("full", [False, True])
def test_databases(tmp_path: Path, full: bool) -> None:
    paths = Paths(tmp_path, tmp_path / "spoke.toml")
    path = paths.tenant_db

    def looked() -> list[Finding]:
        return files.database(path, check_database(paths, path, quick=not full))

    db = open_tenant_database(path)
    with db.transaction() as tx:
        for number in range(500):
            tx.execute("INSERT INTO node_facts VALUES (?, ?)", (f"fact {number}", "x" * 500))
    assert [one.level for one in looked()] == ["ok"], "beside a program that uses it"
    db.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(size - 4096 * 4))
    assert {(one.level, bool(one.fix)) for one in looked()} == {("problem", True)}
    path.write_bytes(b"not a database" * 100)
    assert [one.level for one in looked()] == ["problem"]


def test_findings_as_text() -> None:
    found = [
        Finding("disk", "ok", "room"),
        Finding("hub", "problem", "evil \x1b[31m name", "no session", "mend ä"),
        Finding("key", "warning", "odd"),
    ]
    lines = [line for one in found for line in finding_lines(one)]
    assert lines == [
        "✓ disk         room",
        "✗ hub          evil ␛[31m name",
        "               no session",
        "               fix: mend ä",
        "! key          odd",
    ]
    assert all(line.isascii() for one in found for line in finding_lines(one, ascii_only=True))
    assert summary(found) == "3 looked at: 1 problem, 1 warning"
    assert summary(found[:1]) == "1 looked at: no problems, no warnings"
