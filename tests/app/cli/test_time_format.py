"""--time-format, wherever a command prints when something was."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from app.cli.options import TIMES
from app.views.times import FORMATS
from storage.copies import RestoredNote, note_restored
from storage.engine import Transaction
from storage.tenants import open_system_database, open_tenant_database
from tests.app.cli.test_cli import COMMANDS, Spoke, node, spoke  # noqa: F401

AT_S = 1_800_000_000
SHOWN = {
    "raw": re.compile(r"\b1[78]\d{11}\b"),
    "utc": re.compile(r"\b\d\d-\d\d \d\d:\d\d:\d\d\b"),
    "local": re.compile(r"\b\d\d-\d\d \d\d:\d\d:\d\d\b"),
    "relative": re.compile(r"\d (s|min|h|d) ago|\bin \d+ (s|min|h|d)\b|\bnow\b"),
}
COMMAND_LINES = (
    "status",
    "graph list",
    "hub gaps",
    "hub rejected",
    "hub spokes",
    "hub status",
    "lock list",
    "logs --file LOG",
    "queue dead mail",
    "queue jobs mail",
    "queue list",
    "queue show 1",
    "schedule list",
    "secret list",
    "session list",
    "session show 5e55 --messages",
    "session watch 5e55",
    "stream list",
    "stream show mine",
    "stream gaps",
    "sync generations",
    "sync rejected",
    "sync status",
    "tail mine",
)


@pytest.fixture
def busy(spoke: Spoke, node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A node with something of everything that has a time."""
    log = tmp_path / "some.log"
    log.write_text("2027-01-15T08:00:00.000Z INFO spoke.x: said\n")
    spoke("record", "--", "true")
    db = open_tenant_database(node / "tenant-local.db")
    with db.transaction() as tx:
        note_restored(tx, RestoredNote(AT_S * 1000, AT_S * 1000, "there", "/b.zip"))
        db.stream("mine").append([("k", '{"type": "a"}', AT_S)], tx)
        session = {"sessionId": "5e55", "timestamp": "2027-01-15T08:00:00.000Z"}
        started = {"type": "session.started", **session, "title": "t", "source": "s", "slug": "t"}
        said = {"type": "session.message", **session, "messageId": "m", "role": "user", "parts": []}
        call = {"requestId": "r", "timestamp": session["timestamp"]}
        about = {"operationId": "x.y", "input": {}, "identity": None, "metadata": {"sessionId": "5e55"}}
        for event in (started, said, {"type": "session.ended", **session, "status": "completed"}):
            db.stream("session-events").publish(event, tx=tx)
        db.stream("call-protocol").publish({"type": "call.requested", **call, **about}, tx=tx)
        db.stream("call-protocol").publish({"type": "call.responded", **call, "output": {"data": 1}}, tx=tx)
        tx.execute("INSERT INTO _honker_locks VALUES ('l', 'o', unixepoch() + 600)")
        tx.execute(
            "INSERT INTO link_generations (topic, number, gen_id, base, reason, created_at)"
            " VALUES ('call-protocol', 1, randomblob(16), 0, 'first', ?)",
            (AT_S * 1000,),
        )
        tx.execute(
            "INSERT INTO link_refusals VALUES ('call-protocol', randomblob(16), 1, 'BAD', 'no', ?)", (AT_S * 1000,)
        )
        tx.execute("INSERT INTO _honker_dead (id, queue, payload, last_error) VALUES (900, 'mail', '{}', 'broken')")
        _fill_gaps(tx)
    db.close()
    (node / "hub").mkdir()
    system = open_system_database(node / "hub" / "system.db")
    with system.transaction() as tx:
        note_restored(tx, RestoredNote(AT_S * 1000, AT_S * 1000, "there", "/b.zip"), "hub_facts")
    system.close()
    held = open_tenant_database(node / "hub" / "tenant-acme.db")
    with held.transaction() as tx:
        _fill_gaps(tx)
        tx.execute(
            "INSERT INTO link_spokes (node_id, name, agent, account_id, connected, sessions, connected_at, seen_at)"
            " VALUES ('n', 'pc', 'x', 'a', 0, 1, ?1, ?1)",
            (AT_S * 1000,),
        )
        tx.execute(
            "INSERT INTO link_quarantine VALUES ('n', 'mine', randomblob(16), 1, NULL, '{}', 1, 'BAD', 'no', ?)",
            (AT_S * 1000,),
        )
    held.close()
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2"))
    spoke("secret", "set", "a", "--expires", "2027-01-31")
    spoke("call", "queue.enqueue", '{"queue": "mail", "payload": {}}')
    spoke("schedule", "add", "nightly", "mail", "@daily")
    spoke("sync", "pause")
    spoke("status")
    return log


def _fill_gaps(tx: Transaction) -> None:
    tx.execute("INSERT INTO link_gaps VALUES ('n', 'mine', randomblob(16), 1, 5, ?)", (AT_S * 1000,))


def test_the_formats_are_those_of_the_terminal_ui() -> None:
    assert TIMES == FORMATS
    assert all(
        "--time-format" in {n for p in one.params for n in p.opts} for name, one in COMMANDS.items() if name != "record"
    )


def test_every_command_that_prints_times(spoke: Spoke, busy: Path) -> None:  # noqa: F811
    silent: list[str] = []
    plain = re.compile(r"\d\d-\d\d \d\d:\d\d\b")
    for line in COMMAND_LINES:
        arguments = [str(busy) if word == "LOG" else word for word in line.split()]
        for form, pattern in SHOWN.items():
            code, out, err = spoke("--time-format", form, *arguments)
            if not pattern.search(out) or (form in ("raw", "relative") and plain.search(out)):
                silent.append(f"{line} {form}: {code} {err}{out}")
    assert not silent, "\n".join(silent)


def test_json_stays_as_it_is(spoke: Spoke, busy: Path) -> None:  # noqa: F811
    for line in COMMAND_LINES:
        arguments = [str(busy) if word == "LOG" else word for word in line.split()]
        if line in ("status", "secret list"):  # the one counts the calls that the other makes
            continue
        shown = {spoke(*arguments, "--json", "--time-format", form)[1] for form in TIMES}
        assert shown == {spoke(*arguments, "--json")[1]}, line
