"""--read-only: files are opened without write access, nothing is made or migrated, and what writes is refused."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import apsw
import pytest

from app.cli.context import Context
from app.cli.contract import CONTRACTS
from app.cli.exit_codes import ExitCode
from app.cli.run_cli import run
from app.config import Settings
from app.services.left import end_what_is_left
from app.services.projector import catch_up
from storage.engine import Database, ReadOnlyError
from storage.replacing import PLAN
from storage.tenants import open_tenant_database
from tests.app.cli.test_cli import Spoke, check_refused, node, place_a_call, spoke  # noqa: F401

LOOKS = (
    ("status",),
    ("session", "list"),
    ("session", "show"),
    ("graph", "list"),
    ("queue", "list"),
    ("schedule", "list"),
    ("stream", "list"),
    ("lock", "list"),
    ("tail",),
    ("find", "true"),
    ("sql", "select count(*) from sessions"),
    ("sync", "status"),
    ("db", "check"),
    ("hub", "status"),
    ("hub", "spokes"),
    ("hub", "calls", "list"),
    ("hub", "tenant", "list"),
    ("hub", "key", "list"),
)


def contents(folder: Path) -> dict[str, str]:
    """Every file but what readers share."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_looking_changes_no_file_and_sees_what_others_commit(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("record", "--title", "first", "--", "true")
    place_a_call(node / "hub")
    spoke("hub", "status")
    spoke("status")
    before = contents(node)
    for arguments in LOOKS:
        code, _, err = spoke("--read-only", *arguments)
        assert code == 0, (arguments, err)
        assert contents(node) == before, arguments
    spoke("record", "--title", "second", "--", "true")
    names = ("sql", "select count(*) as n from _honker_stream", "--json", "--read-only")
    seen = json.loads(spoke(*names)[1])["n"]
    spoke("record", "--", "true")
    assert json.loads(spoke(*names)[1])["n"] > seen


def test_rows_are_as_they_were_projected(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("record", "--title", "first", "--", "true")
    for look in (("session", "list", "--json"), ("status",), ("graph", "list"), ("find", "true")):
        assert "lack the newest events" in spoke("--read-only", *look)[2], look
    assert json.loads(spoke("session", "list", "--json", "--read-only")[1]) == []
    spoke("session", "list")
    _, out, err = spoke("session", "list", "--json", "--read-only")
    assert (len(json.loads(out)), err) == (1, "")


def test_what_does_not_get_the_option_is_refused_too(spoke: Spoke, node: Path, tmp_path: Path) -> None:  # noqa: F811
    """The words behind `record` are another program's, and `install` is a group that does something by itself."""
    spoke("status")
    made = tmp_path / "made"
    assert spoke("--read-only", "record", "--", "touch", str(made))[0] == ExitCode.DENIED
    assert not made.exists()
    prefix = tmp_path / "prefix"
    for words in (("--read-only", "install"), ("install", "--read-only")):
        code, _, err = spoke(*words, "--user", "--prefix", str(prefix))
        assert code == ExitCode.DENIED, err
        assert not prefix.exists()
    assert spoke("--read-only", "install", "--user", "--prefix", str(prefix), "--unit")[0] == ExitCode.OK


@pytest.mark.parametrize(
    "name", [name for name, one in CONTRACTS.items() if one.impact != "read" and name not in ("tui", "record")]
)
def test_what_writes_is_refused_before_it_runs(spoke: Spoke, node: Path, name: str) -> None:  # noqa: F811
    """Where arguments are missing that may be said first; nothing of the command has run."""
    code, out, err = spoke("--read-only", *name.split())
    assert (code, out) == (ExitCode.DENIED if "--read-only was said" in err else ExitCode.USAGE, ""), err
    assert not node.exists()


def test_nothing_is_run_that_could_not_be_recorded(spoke: Spoke, tmp_path: Path, node: Path) -> None:  # noqa: F811
    assert spoke("--read-only", "record", "--", "touch", str(tmp_path / "made"))[0] == ExitCode.DENIED
    assert not node.exists()
    assert not (tmp_path / "made").exists()


def test_behind_the_command_too(spoke: Spoke, node: Path) -> None:  # noqa: F811
    check_refused(spoke("sync", "pause", "--read-only"), ExitCode.DENIED, "`spoke sync pause`", "--read-only")
    assert not node.exists()


def test_where_there_is_nothing_nothing_is_made(spoke: Spoke, node: Path) -> None:  # noqa: F811
    check_refused(spoke("--read-only", "status"), ExitCode.NO_INPUT, "no database")
    check_refused(spoke("--read-only", "hub", "status"), ExitCode.NO_INPUT, "no hub")
    assert not node.exists()


def test_an_older_file_is_not_migrated(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("status")
    raw = apsw.Connection(str(node / "tenant-local.db"))
    version = raw.pragma("user_version")
    raw.pragma("user_version", version - 1)
    raw.close()
    before = contents(node)
    check_refused(spoke("--read-only", "status"), ExitCode.DATA, f"version {version - 1}", "without --read-only")
    assert contents(node) == before


def test_a_handle_that_only_reads_writes_nothing_and_projects_nothing(
    spoke: Spoke,  # noqa: F811
    node: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoke("record", "--", "true")
    db = open_tenant_database(node / "tenant-local.db", read_only=True)
    try:
        assert catch_up(db) == 0
        with monkeypatch.context() as patched:
            patched.delattr("app.services.left.running")  # nothing is even looked for: ending it is writing
            assert end_what_is_left(db) == 0
        with pytest.raises(ReadOnlyError) as refused:
            db.transaction()
        assert "--read-only" in refused.value.hint
    finally:
        db.close()


def test_a_restore_that_was_interrupted_is_not_finished(spoke: Spoke, node: Path) -> None:  # noqa: F811
    spoke("status")
    (node / PLAN).write_text("{}")
    before = contents(node)
    check_refused(spoke("--read-only", "status"), ExitCode.TEMPORARY, "restore was interrupted")
    assert contents(node) == before


def test_the_terminal_ui_gets_a_handle_that_only_reads(
    spoke: Spoke,  # noqa: F811
    node: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoke("status")
    before = contents(node)
    seen: list[object] = []

    def run_tui(_: Context, db: Database, __: Settings, *, alone: bool, read_only: bool, **___: object) -> None:
        seen.append((db.read_only, read_only, alone))

    monkeypatch.setattr("app.cli.tui._run", run_tui)
    monkeypatch.setattr("app.cli.tui.logs.set_up", lambda wanted: seen.append(wanted.file == Path("/dev/null")))
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    for arguments in (("tui", "--read-only"), ("--read-only", "tui"), ("--read-only",)):
        assert run(arguments) == 0
    assert seen == [True, (True, True, False)] * 3
    assert contents(node) == before


class Terminal(io.StringIO):
    """Says that it is one."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True
