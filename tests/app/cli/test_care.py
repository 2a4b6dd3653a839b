"""`spoke backup`, `restore` and `db` as a person uses them: what they say, and how they exit."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.context import progress_line
from app.cli.exit_codes import ExitCode
from app.cli.run_cli import run
from app.views.overview import copy_lines, read_overview
from storage.copies import RestoredNote, note_restored
from storage.engine import Database
from storage.process_lock import ProcessLock
from storage.tenants import open_tenant_database

Spoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "spoke.toml"))
    monkeypatch.delenv("SPOKE_PASSPHRASE_FILE", raising=False)
    return tmp_path / "data"


@pytest.fixture
def spoke(node: Path, capfd: pytest.CaptureFixture[str]) -> Spoke:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_a_secret_is_there_again_with_the_keys_and_not_without(
    spoke: Spoke, node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spoke("call", "secret.set", '{"name": "a", "value": "hunter2"}')[0] == 0
    file, word = tmp_path / "b.zip", tmp_path / "word"
    code, _, err = spoke("backup", str(file), "--with-keys")
    assert (code, "SPOKE_PASSPHRASE_FILE" in err) == (ExitCode.USAGE, True)
    word.write_text("correct horse\n")
    monkeypatch.setenv("SPOKE_PASSPHRASE_FILE", str(word))
    code, out, err = spoke("backup", str(file), "--with-keys")
    assert (code, out) == (0, "")
    assert "verified by reading it back" in err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "bare"))
    assert "keys were not restored" in spoke("restore", str(file))[2]
    assert spoke("secret", "get", "a")[0] != 0
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "whole"))
    assert spoke("restore", str(file), "--with-keys")[0] == 0
    assert spoke("secret", "get", "a")[1].strip() == "hunter2"
    word.write_text("\n")
    assert spoke("restore", str(file), "--with-keys", "--replace")[0] == ExitCode.USAGE


def test_json_says_what_was_done(spoke: Spoke, node: Path, tmp_path: Path) -> None:
    spoke("record", "--", "true")
    file = tmp_path / "b.zip"
    made = json.loads(spoke("backup", str(file), "--json")[1])
    assert made["bytes"] == file.stat().st_size
    assert [member["name"] for member in made["manifest"]["members"]] == ["tenant-local.db"]
    assert (made["grown"], made["leftOut"], made["unmarked"]) == ({}, [], {})
    spoke("record", "--", "true")
    assert json.loads(spoke("backup", str(file), "--json")[1])["grown"]["tenant-local.db"]["events"] == 5, (
        "four of two recorded commands, and that this backup was asked for"
    )
    done = json.loads(spoke("restore", str(file), "--replace", "--json")[1])
    assert done["databases"] == ["tenant-local.db"]
    assert Path(done["aside"]).is_dir()
    status = json.loads(spoke("status", "--json")[1])
    assert status["restored"]["source"] == str(file)
    assert status["lastBackup"]["offset"] == 5, "the copy knows of the backup before it"


def test_what_is_refused(spoke: Spoke, node: Path, tmp_path: Path) -> None:
    assert spoke("backup", str(tmp_path / "b.zip"))[0] == ExitCode.NO_INPUT
    assert spoke("db", "check")[0] == ExitCode.NO_INPUT
    spoke("record", "--", "true")
    assert spoke("backup", str(tmp_path))[0] == ExitCode.CANNOT_CREATE
    (tmp_path / "bad.zip").write_text("no backup")
    for file, code in ((tmp_path / "bad.zip", ExitCode.DATA), (tmp_path / "absent.zip", ExitCode.NO_INPUT)):
        exited, out, err = spoke("restore", str(file), "--replace")
        assert (exited, out) == (int(code), ""), err
    assert spoke("backup", str(tmp_path / "b.zip"))[0] == 0
    exited, _, err = spoke("restore", str(tmp_path / "b.zip"))
    assert (exited, "--replace" in err) == (ExitCode.FAILURE, True)
    with ProcessLock(node / "daemon.lock"):
        for command in (("restore", str(tmp_path / "b.zip"), "--replace"), ("db", "vacuum")):
            exited, _, err = spoke(*command)
            assert (exited, f"process {os.getpid()}" in err) == (ExitCode.TEMPORARY, True)
        assert spoke("db", "salvage", str(node / "tenant-local.db"), "x.db")[0] == ExitCode.TEMPORARY
        assert spoke("backup", str(tmp_path / "b.zip"))[0] == 0
        assert spoke("db", "check")[0] == 0


def test_check_exits_with_what_it_found(spoke: Spoke, node: Path) -> None:
    spoke("record", "--", "true")
    assert spoke("db", "check") == (0, "", "1 database checked, 0 problems\n")
    db = open_tenant_database(node / "tenant-local.db")
    with db.transaction() as tx:
        tx.execute("DROP INDEX _honker_stream_topic")
        tx.execute("DROP TABLE import_events")
    db.close()
    code, out, _ = spoke("db", "check", "--json")
    found = json.loads(out)
    assert (code, found["problems"]) == (ExitCode.FAILURE, len(found["findings"]))
    assert {"file", "level", "about", "text", "fix"} == set(found["findings"][0])
    code, out, _ = spoke("db", "check")
    assert out.count("problem ") == found["problems"]


def test_retention_says_who_holds_what(spoke: Spoke, node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoke("record", "--", "true")
    spoke("status")
    assert "sets no limits" in spoke("db", "retention", "--dry-run")[2]
    monkeypatch.setenv("SPOKE_RETENTION__MAX_EVENTS", "1")
    monkeypatch.setenv("SPOKE_HUB__URL", "wss://hub.example")
    (calls, _) = json.loads(spoke("db", "retention", "--dry-run", "--json")[1])["streams"]
    assert calls["wanted"] > 0
    assert (calls["topic"], calls["events"], calls["heldBy"]) == ("call-protocol", 0, "uplink@spoke")
    monkeypatch.delenv("SPOKE_HUB__URL")
    assert "nothing was deleted" in spoke("db", "retention", "--dry-run")[2]
    assert "call-protocol            1 event" in spoke("db", "retention")[1], "nobody that never reads it holds it"
    assert json.loads(spoke("status", "--json")[1])["events"] == 3, "one of each stream; that it was cut is one too"


def test_a_newer_file_names_the_copy_to_go_back_to(spoke: Spoke, node: Path) -> None:
    spoke("record", "--", "true")
    db = open_tenant_database(node / "tenant-local.db")
    with db.transaction() as tx:
        tx.execute("PRAGMA user_version = 99")
    db.close()
    for version in (1, 2, 98):
        (node / f"tenant-local.db.v{version}.backup").touch()
    code, _, err = spoke("status")
    assert code == ExitCode.DATA
    assert f"its copy from before that is {node / 'tenant-local.db.v2.backup'} — upgrade this program" in err


def test_old_copies_from_before_migrations_go_but_never_the_way_back(spoke: Spoke, node: Path) -> None:
    spoke("record", "--", "true")
    db = node / "tenant-local.db"
    content = bytearray(db.read_bytes())

    def copy(version: int, schema: int) -> Path:
        content[60:64] = schema.to_bytes(4, "big")
        file = node / f"tenant-local.db.v{version}.backup"
        file.write_bytes(content)
        return file

    first, second, third = copy(1, 1), copy(2, 2), copy(3, 3)
    other = copy(9, 4)  # it is not what its name says
    damaged = node / "tenant-local.db.v10.backup"
    damaged.write_bytes(b"x" * 1000)
    code, out, err = spoke("db", "copies")
    assert (code, out.count("kept"), out.count("goes with --prune")) == (0, 4, 1), err
    assert "copies" in spoke("doctor", "--json")[1]
    assert first.exists()
    listed = json.loads(spoke("db", "copies", "--prune", "--json")[1])["copies"]
    assert [one["schemaVersion"] for one in listed if not one["kept"]] == [1]
    assert [path.exists() for path in (first, second, third, other, damaged)] == [False, True, True, True, True]
    assert spoke("db", "copies", "--prune", "--keep", "0")[0] == ExitCode.USAGE
    assert spoke("db", "copies", "--prune", "--keep", "1")[0] == 0
    assert [path.exists() for path in (second, third, other, damaged)] == [False, True, True, True]


def test_a_copy_that_the_hub_takes_for_a_second_one_says_so(tenant: Database) -> None:
    with tenant.transaction() as tx:
        note_restored(tx, RestoredNote(1_000, 500, "ho\x1bst", "/b.zip"))
        tx.execute(
            "INSERT INTO link_status (id, state, since, hub_url, error_code)"
            " VALUES (1, 'refused', 0, 'wss://h', 'IDENTITY_CONFLICT')"
        )
    with tenant.snapshot() as snapshot:
        lines = copy_lines(read_overview(snapshot), 61_000)
    assert lines[0] == "restored   1 min ago from a backup of 01-01 00:00 UTC on ho␛st: /b.zip"
    assert "spoke reidentify" in "".join(lines)


def test_how_long_it_takes() -> None:
    assert progress_line("MB", 0, 100, 5) == "MB 0/100 0 %"
    assert progress_line("MB", 50, 100, 0.5) == "MB 50/100 50 %"
    assert progress_line("MB", 50, 100, 10) == "MB 50/100 50 %, 10.0 s left"
    assert progress_line("MB", 100, 100, 10) == "MB 100/100 100 %"
    assert progress_line("events", 9, None, 10) == "events 9"
