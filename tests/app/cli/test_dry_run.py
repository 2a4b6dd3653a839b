"""--dry-run: nothing at all is changed, the text names what would be, and it ends as the command itself would."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import apsw
import click
import pytest

from app.cli.contract import CONTRACTS
from app.cli.exit_codes import ExitCode
from storage.engine.locks import acquire
from storage.process_lock import ProcessLock
from storage.tenants import open_tenant_database
from tests.app.cli.joinable import enrolled
from tests.app.cli.test_cli import (  # noqa: F401
    COMMANDS,
    Spoke,
    check_refused,
    node,
    place_a_call,
    spoke,
)
from tests.app.cli.test_install import PUBLIC, prefix, signed  # noqa: F401
from tests.app.importers.logs import CLAUDE, opencode
from tests.app.install.fakes import release

WITH_IT = [name for name, command in COMMANDS.items() if any("--dry-run" in one.opts for one in command.params)]
PLACES = ("install", "upgrade", "rollback", "uninstall")
"""They work on an installation: a test of their own."""


def contents(folder: Path) -> dict[str, object]:
    """Every file by name: the rows of all tables of a database, the bytes of everything else."""
    return {
        str(path.relative_to(folder)): rows(path)
        if path.suffix == ".db"
        else hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def rows(path: Path) -> dict[str, list[str]]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        names = [str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"'))) for name in names}
    finally:
        connection.close()


# -- what each command needs -----------------------------------------------------------------------------------------

Prepare = Callable[[Spoke, Path], tuple[str, ...]]
"""Makes what a command needs (below a folder), and returns its arguments."""


def ran(*before: str, then: str = "") -> Prepare:
    """Commands to run first, and the arguments, all as they are typed (words without blanks)."""

    def prepare(spoke: Spoke, _: Path) -> tuple[str, ...]:  # noqa: F811
        for line in before:
            code, _out, err = spoke(*line.split())
            assert code == 0, err
        return tuple(then.split())

    return prepare


JOB = 'call queue.enqueue {"queue":"mail","payload":{}}'
GRAPH = (
    "graph create task-dependencies release",
    'graph put-node release task build {"name":"Build"}',
    'graph put-node release task ship {"name":"Ship"}',
)


def dead(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    ran(JOB)(spoke, folder)
    db = open_tenant_database(folder / "data" / "tenant-local.db")
    (job,) = db.queue("mail").claim_batch("w", 1)
    assert job.fail("broke")
    db.close()
    return ("mail",)


def dead_ones(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    return ("--all", *dead(spoke, folder))


def locked(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    spoke("status")
    db = open_tenant_database(folder / "data" / "tenant-local.db")
    with db.transaction() as tx:
        assert acquire(tx, "backup", "somebody", 600, now=db.clock())
    db.close()
    return ("backup",)


def edge(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    ran(*GRAPH)(spoke, folder)
    return (spoke("graph", "put-edge", "release", "depends_on", "build", "ship")[1].strip(),)


def transcript(_: Spoke, folder: Path) -> tuple[str, ...]:
    (folder / "x.jsonl").write_bytes(CLAUDE)
    return (str(folder / "x.jsonl"),)


def trajectory(_: Spoke, folder: Path) -> tuple[str, ...]:
    file = folder / "x.traj"
    step = {"action": "ls", "observation": "x", "response": "", "thought": "look", "execution_time": 0.1, "state": {}}
    file.write_text(json.dumps({"trajectory": [step], "info": {"exit_status": "submitted"}, "history": []}))
    return (str(file),)


def of_opencode(_: Spoke, folder: Path) -> tuple[str, ...]:
    opencode(folder / "opencode.db")
    return (str(folder / "opencode.db"),)


def backed_up(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    ran("record -- true", f"backup {folder}/b.zip", "record -- true")(spoke, folder)
    return (f"{folder}/b.zip", "--replace")


def copies(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    spoke("status")
    content = bytearray((folder / "data" / "tenant-local.db").read_bytes())
    for version in (1, 2, 3):
        content[60:64] = version.to_bytes(4, "big")
        (folder / "data" / f"tenant-local.db.v{version}.backup").write_bytes(content)
    return ("--prune", "--keep", "1")


def limited(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    (folder / "spoke.toml").write_text("[retention]\nmax_events = 1\n")
    return ran("record -- true", "status")(spoke, folder)


def joined(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    (folder / "key.txt").write_text("alk_x")
    return ran(f"join wss://hub.example --key-file {folder}/key.txt", "record -- true")(spoke, folder)


def acknowledged(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    joined(spoke, folder)
    db = open_tenant_database(folder / "data" / "tenant-local.db")
    with db.transaction() as tx:
        tx.execute("INSERT INTO link_positions VALUES ('h', 'call-protocol', x'00', 1, x'00', 1)")
    db.close()
    return ("call-protocol",)


def device(_: Spoke, folder: Path) -> tuple[str, ...]:
    enrolled(folder / "data")
    return ("workshop-pc",)


def asked(_: Spoke, folder: Path) -> tuple[str, ...]:
    place_a_call(folder / "data" / "hub")
    return ("7c01d2e4",)


def join_token(spoke: Spoke, _: Path) -> tuple[str, ...]:  # noqa: F811
    return (json.loads(spoke("hub", "token", "create", "--system-ca", "--json")[1])["id"],)


def delegation(spoke: Spoke, folder: Path) -> tuple[str, ...]:  # noqa: F811
    ran("hub key create press --tenant acme", "hub key create buyer --tenant beta")(spoke, folder)
    ends = ("acme/press@acme.spoke", "beta/buyer@beta.spoke")
    return (spoke("hub", "delegation", "create", *ends, "--scope", "graphs:read")[1].strip(),)


CASES: dict[str, tuple[Prepare, str]] = {
    "call": (ran(then="queue.enqueue " + JOB.partition(" ")[2].partition(" ")[2]), "queue.enqueue would be executed"),
    "operations call": (ran("status", then="system.info"), "system.info would be executed"),
    "import swe-agent": (trajectory, "would be imported"),
    "import claude-code": (transcript, "would be imported"),
    "import opencode": (of_opencode, "would be imported"),
    "queue retry": (dead_ones, "1 jobs would be queued anew"),
    "queue cancel": (ran(JOB, then="1"), "job 1 would be removed"),
    "queue purge": (dead, "1 jobs would be deleted"),
    "schedule add": (ran(then="nightly reports @daily"), "schedule nightly would be on"),
    "schedule remove": (ran("schedule add nightly reports @daily", then="nightly"), "schedule nightly would be gone"),
    "schedule pause": (ran("schedule add nightly reports @daily", then="nightly"), "schedule nightly would be paused"),
    "schedule resume": (
        ran("schedule add nightly reports @daily", "schedule pause nightly", then="nightly"),
        "schedule nightly would be on",
    ),
    "schedule run-now": (ran("schedule add nightly reports @daily", then="nightly"), "would be queued"),
    "lock release": (locked, "backup would be free"),
    "graph put-node": (ran(*GRAPH, then='release task test {"name":"Test"}'), "node test would be written"),
    "graph delete-node": (ran(*GRAPH, then="release build"), "node build and 0 edges would go"),
    "graph delete-edge": (edge, "would go"),
    "secret set": (ran(then="github/token"), "secret github/token would be kept"),
    "secret delete": (ran('call secret.set {"name":"a","value":"v"}', then="a"), "secret a would go"),
    "key revoke": (ran("key create dashboard --scope system:read", then="dashboard"), "would open nothing any more"),
    "restore": (backed_up, "would be restored: 1 database"),
    "db vacuum": (ran("record -- true"), "would be won"),
    "db retention": (limited, "nothing was deleted"),
    "db copies": (copies, "would be removed"),
    "leave": (joined, "would leave wss://hub.example; 4 events are not at the hub"),
    "sync rewind": (acknowledged, "would be compared anew"),
    "reidentify": (ran("record -- true"), "would be another one"),
    "hub revoke": (device, "would be revoked"),
    "hub token revoke": (join_token, "would be revoked"),
    "hub key revoke": (ran("hub key create press", then="press"), "would be revoked"),
    "hub delegation revoke": (delegation, "would give nothing any more"),
    "hub call": (ran(then='accounts.create {"email":"ann@example.org"}'), "accounts.create would be executed"),
    "hub calls cancel": (asked, "call 7c01d2e4-0000-4000-8000-000000000000 would be cancelled"),
}


# -- what holds of all -----------------------------------------------------------------------------------------------


def test_what_destroys_can_be_tried_or_says_why_not() -> None:
    for name, contract in CONTRACTS.items():
        assert not (contract.no_dry_run and name in WITH_IT), f"{name}: --dry-run, and a reason to have none"
        assert contract.impact != "destructive" or name in WITH_IT or contract.no_dry_run, f"{name}: no --dry-run"
    assert {name for name in WITH_IT if CONTRACTS.get(name, CONTRACTS["upgrade"]).impact == "read"} == set()


def test_shared_words_mean_one_thing() -> None:
    for word in ("--dry-run", "--yes", "--timeout"):
        options = [one for c in COMMANDS.values() for one in c.params if isinstance(one, click.Option)]
        assert len({one.help for one in options if word in one.opts}) == 1, word


def test_every_command_that_has_it_is_tried() -> None:
    """A new one: add what it needs to CASES."""
    assert set(WITH_IT) == {*CASES, *PLACES}


@pytest.mark.parametrize("name", CASES)
def test_nothing_changes_and_what_would_is_named(
    name: str,
    spoke: Spoke,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare, text = CASES[name]
    words = (*name.split(), *prepare(spoke, tmp_path))
    before = contents(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2"))
    code, out, err = spoke(*words, "--dry-run")
    assert code == 0, err
    assert text in out + err
    assert contents(tmp_path) == before
    if CONTRACTS[name].form is not None:
        code, out, err = spoke(*words, "--dry-run", "--json")
        assert code == 0, err
        document = json.loads(out)
        found = document if isinstance(document, list) else [document]
        assert found
        for one in found:
            assert one["dryRun"] is True
            assert set(CONTRACTS[name].fields) <= set(one)
        assert contents(tmp_path) == before
    yes = ["--yes"] if any("--yes" in one.opts for one in COMMANDS[name].params) else []
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2"))
    code, out, err = spoke(*words, *yes)
    assert code == 0, "what was told to go, goes"
    assert "would" not in out + err
    assert name == "db vacuum" or contents(tmp_path) != before


NOTHING_THERE = (
    ("queue", "cancel", "7"),
    ("queue", "retry", "7"),
    ("schedule", "remove", "nightly"),
    ("graph", "delete-node", "release", "build"),
    ("graph", "delete-edge", "e"),
    ("graph", "put-node", "release", "task", "build", "{"),
    ("secret", "delete", "a"),
    ("key", "revoke", "dashboard"),
    ("leave", "--yes"),
    ("hub", "revoke", "workshop-pc"),
    ("hub", "token", "revoke", "t"),
    ("hub", "key", "revoke", "k"),
    ("hub", "delegation", "revoke", "d"),
    ("hub", "calls", "cancel", "7c01d2e4"),
    ("hub", "call", "accounts.create", "{}"),
    ("hub", "call", "nobody/system.info"),
    ("call", "fs.read", "{}"),
    ("call", "no.such"),
    ("db", "copies"),
    ("db", "vacuum"),
    ("import", "claude-code", "/no/such/file"),
    ("uninstall", "--prefix", "/no/such/prefix"),
    ("rollback", "--prefix", "/no/such/prefix"),
)


@pytest.mark.parametrize("words", NOTHING_THERE, ids=" ".join)
def test_what_would_fail_fails_in_the_same_way_and_makes_nothing(
    spoke: Spoke,  # noqa: F811
    node: Path,  # noqa: F811
    words: tuple[str, ...],
) -> None:
    tried = spoke(*words, "--dry-run")
    assert not node.exists(), "not even the folder"
    assert tried[0] != 0
    assert tried == spoke(*words)


def test_what_is_in_use_is_refused_in_the_same_way(spoke: Spoke, tmp_path: Path) -> None:  # noqa: F811
    archive = backed_up(spoke, tmp_path)
    joined(spoke, tmp_path)
    with ProcessLock(tmp_path / "data" / "daemon.lock"):
        before = contents(tmp_path)
        for words in (("restore", *archive), ("leave", "--yes"), ("reidentify", "--yes"), ("db", "vacuum")):
            tried = spoke(*words, "--dry-run")
            assert (tried[0], "in use by process" in tried[2]) == (ExitCode.TEMPORARY, True)
            assert contents(tmp_path) == before
            assert tried == spoke(*words)


def test_nobody_is_told_of_a_commit(spoke: Spoke, tmp_path: Path) -> None:  # noqa: F811
    spoke("record", "--", "true")
    waits = apsw.Connection(str(tmp_path / "data" / "tenant-local.db"))
    before = waits.pragma("data_version")  # what those who wait look at
    assert spoke("queue", "purge", "mail", "--dry-run")[0] == 0
    assert waits.pragma("data_version") == before
    assert spoke("queue", "purge", "mail", "--yes")[0] == 0
    assert waits.pragma("data_version") != before
    waits.close()


def test_a_batch_is_looked_at(spoke: Spoke, tmp_path: Path, node: Path) -> None:  # noqa: F811
    batch = tmp_path / "calls.ndjson"
    batch.write_text('{"operation": "system.info"}\n{"operation": "fs.list", "input": {"path": 1}}\n')
    code, out, _ = spoke("call", "--batch", str(batch), "--dry-run")
    assert (code, json.loads(out)) == (0, {"calls": 2, "failed": 1, "seconds": None, "dryRun": True})
    batch.write_text("no\n")
    check_refused(spoke("call", "--batch", str(batch), "--dry-run"), ExitCode.DATA, "line 1")
    assert not node.exists()


def test_a_call_to_the_hub_and_to_a_spoke(spoke: Spoke, tmp_path: Path) -> None:  # noqa: F811
    asked(spoke, tmp_path)
    ran("status", "hub status")(spoke, tmp_path)
    before = contents(tmp_path)
    assert "sessions.list of hub would be asked for" in spoke("call", "hub/sessions.list", "--wait", "--dry-run")[1]
    assert "would run when" in spoke("hub", "call", "workshop-pc/system.info", "--dry-run")[1]
    check_refused(
        spoke("hub", "call", "workshop-pc/system.info", "--live", "--dry-run"), ExitCode.UNAVAILABLE, "is not here"
    )
    assert contents(tmp_path) == before


def test_what_an_older_release_wrote_is_not_migrated_for_it(spoke: Spoke, tmp_path: Path) -> None:  # noqa: F811
    spoke("status")
    raw = apsw.Connection(str(tmp_path / "data" / "tenant-local.db"))
    raw.pragma("user_version", raw.pragma("user_version") - 1)
    raw.close()
    before = contents(tmp_path)
    check_refused(spoke("queue", "purge", "mail", "--dry-run"), ExitCode.DATA, "without --read-only or --dry-run")
    assert contents(tmp_path) == before


# -- an installation -------------------------------------------------------------------------------------------------


def test_an_installation(spoke: Spoke, prefix: Path, tmp_path: Path) -> None:  # noqa: F811
    file = signed(release(tmp_path / "files", "1.1.0"), "1.1.0")
    place = ("--prefix", str(prefix))
    up, trust = ("upgrade", str(file), *place), ("--key", PUBLIC)
    for words, text in (
        ((*up, *trust), "would be upgraded: 1.1.0-"),
        (("upgrade", "--resume", *place), "there would be nothing to do"),
        (("uninstall", *place), f"would go: {prefix}/lib/spoke"),
    ):
        before = contents(tmp_path)
        code, _, err = spoke(*words, "--dry-run")
        assert (code, text in err) == (0, True), err
        assert contents(tmp_path) == before
    check_refused(spoke(*up, "--dry-run"), ExitCode.FAILURE, "no trusted key")
    check_refused(spoke("rollback", *place, "--dry-run"), ExitCode.FAILURE, "no release to go back to")
    told = json.loads(spoke(*up, *trust, "--dry-run", "--json")[1])
    done = json.loads(spoke(*up, *trust, "--json")[1])
    assert (told["current"], told["other"], told["dryRun"]) == (done["current"], done["other"], True)
    before = contents(tmp_path)
    code, _, err = spoke("rollback", *place, "--dry-run")
    assert (code, "would be rolled back: 1.0.0-" in err) == (0, True), err
    assert contents(tmp_path) == before
    assert spoke("rollback", *place)[0] == 0


def test_a_release_that_fails_its_own_test_is_told(spoke: Spoke, prefix: Path, tmp_path: Path) -> None:  # noqa: F811
    file = signed(release(tmp_path / "files", "1.1.0", selftest=1), "1.1.0")
    words = ("upgrade", str(file), "--prefix", str(prefix), "--key", PUBLIC)
    before = contents(tmp_path)
    tried = spoke(*words, "--dry-run")
    assert (tried[0], contents(tmp_path) == before) == (ExitCode.FAILURE, True)
    assert tried[2].splitlines()[-1] == spoke(*words)[2].splitlines()[-1]


def test_a_first_installation(
    spoke: Spoke,  # noqa: F811
    node: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = release(tmp_path / "files", "1.0.0")
    monkeypatch.setattr("app.executable.own_file", lambda: file)
    before = contents(tmp_path)
    code, out, err = spoke("install", "--user", "--no-service", "--dry-run")
    assert (code, f"would: unpack this release into {tmp_path}/.local/lib/spoke/releases" in out) == (0, True), err
    assert contents(tmp_path) == before
    (tmp_path / ".local" / "bin").mkdir(parents=True)
    (tmp_path / ".local" / "bin" / "spoke").write_text("another one")
    assert "another program" in spoke("install", "--user", "--no-service", "--dry-run")[2]
    assert not (tmp_path / ".local" / "lib").exists()
