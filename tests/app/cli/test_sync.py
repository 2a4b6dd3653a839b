"""`spoke sync`, `spoke reidentify` and the hub's lists, with a hub beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app.cli.exit_codes import ExitCode
from storage.process_lock import ProcessLock
from storage.tenants import node_id, open_system_database, open_tenant_database
from sync.hub.keys import operator
from sync.link.device import load_device_key, open_device_key
from sync.spoke.reidentify import KEY_OF_ANOTHER
from sync.spoke.status import STATES, State, write_status
from tests.app.cli.joinable import joinable, serving
from tests.app.cli.test_cli import Spoke, check_refused, node, spoke
from tests.sync.joining import token

__all__ = ["node", "spoke"]


def join(spoke: Spoke, tmp_path: Path, url: str, key: str) -> None:
    (tmp_path / "key.txt").write_text(key)
    assert spoke("join", url, "--key-file", str(tmp_path / "key.txt"))[0] == 0


def test_now_runs_the_link_itself_until_the_hub_has_everything(spoke: Spoke, node: Path, tmp_path: Path) -> None:
    check_refused(spoke("sync", "now"), ExitCode.UNAVAILABLE, "spoke join")
    with serving(tmp_path / "hub") as (url, key):
        join(spoke, tmp_path, url, key)
        spoke("record", "--", "true")
        status = json.loads(spoke("sync", "status", "--json")[1])
        assert (status["state"], status["unsent"] > 0, status["generations"]) == ("offline", True, [])
        code, out, err = spoke("sync", "now", "--json")
        assert (code, json.loads(out)["acked"]) == (0, True), err
        status = json.loads(spoke("sync", "status", "--json")[1])
        assert (status["state"], status["unsent"], status["daemonPid"]) == ("offline", 0, None)
        assert {row["topic"] for row in status["generations"]} >= {"call-protocol", "session-events"}
        assert "first" in spoke("sync", "generations", "call-protocol")[1]
        good = json.loads(spoke("sync", "verify", "--json")[1])
        assert {(row["topic"], row["hub"]) for row in good} >= {("call-protocol", "same"), ("session-events", "same")}
        assert "hub has everything" in spoke("sync", "now", "--wait")[2]
        assert json.loads(spoke("sync", "rewind", "call-protocol", "--json")[1])["forgotten"]
        assert json.loads(spoke("sync", "status", "--json")[1])["unsent"] > 0
        check_refused(spoke("sync", "rewind", "no-such"), ExitCode.USAGE, "call-protocol")
        assert spoke("sync", "now")[0] == 0
    db = open_tenant_database(node / "tenant-local.db")
    with db.transaction() as tx:
        tx.execute("UPDATE _honker_stream SET payload = '{}' WHERE topic = 'call-protocol'")
    db.close()
    code, out, err = spoke("sync", "verify")
    assert (code, "DIFFERS" in out, " — " in err) == (ExitCode.FAILURE, True, True)


def test_now_says_why_it_cannot(spoke: Spoke, node: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "hub") as (url, key):
        join(spoke, tmp_path, url, key)
        spoke("record", "--", "true")
        assert spoke("sync", "pause")[0] == 0
        assert "paused" in spoke("sync", "status")[1]
        check_refused(spoke("sync", "now", "--wait"), ExitCode.TEMPORARY, "spoke sync resume")
        assert spoke("sync", "resume")[0] == 0
        with ProcessLock(node / "daemon.lock"):  # a process that runs the link, and gets nowhere
            check_refused(spoke("sync", "now", "--wait", "--timeout", "0.1"), ExitCode.UNAVAILABLE, "not acknowledged")
            assert spoke("sync", "now")[0] == 0
    code, out, err = spoke("sync", "now", "--timeout", "0.3")
    assert (code, out) == (ExitCode.UNAVAILABLE, "")
    assert err.splitlines()[-1].startswith("spoke: ")
    assert "nothing is lost" in err
    with serving(tmp_path / "other-hub") as (url, _):
        join(spoke, tmp_path, url, "alk_" + "x" * 40)
        code, out, err = spoke("sync", "now")
        assert (code, out, "spoke hub key create" in err) == (ExitCode.DENIED, "", True), err


def test_what_the_hub_could_not_read_is_listed_at_both_ends(
    spoke: Spoke, node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "refused none" in spoke("sync", "rejected")[2]
    assert "nothing is in quarantine" in spoke("hub", "rejected")[2]
    assert "no gaps" in spoke("hub", "gaps")[2]
    with serving(tmp_path / "data-of-hub" / "hub") as (url, key):
        join(spoke, tmp_path, url, key)
        db = open_tenant_database(node / "tenant-local.db")
        with db.transaction() as tx:
            tx.execute("INSERT INTO _honker_stream (topic, payload) VALUES ('call-protocol', 'no\x1b[2J json')")
        db.close()
        spoke("call", "system.info")
        assert spoke("sync", "now")[0] == 0
        assert "1 refused" in spoke("sync", "status")[1]
        (row,) = json.loads(spoke("sync", "rejected", "--json")[1])
        assert (row["topic"], row["code"], row["payload"]) == ("call-protocol", "NOT_JSON", "no\x1b[2J json")
        assert "\x1b" not in spoke("sync", "rejected")[1]
        there = ("--data-dir", str(tmp_path / "data-of-hub"), "hub")
        (aside,) = json.loads(spoke(*there, "rejected", "--json")[1])
        assert (aside["stream"], aside["code"], aside["payload"]) == ("call-protocol", "NOT_JSON", "no\x1b[2J json")
        assert "\x1b" not in spoke(*there, "rejected")[1]
        status = json.loads(spoke(*there, "status", "--json")[1])
        assert (status["pid"], status["address"], status["spokes"]) == (os.getpid(), url, 1)
        assert (status["quarantined"], status["gaps"], status["events"] > 0) == (1, 0, True)
        assert "spoke hub rejected" in spoke(*there, "status")[1]
        (one,) = json.loads(spoke(*there, "spokes", "--json")[1])
        streams = {stream["name"]: stream for stream in one["streams"]}
        assert (one["epoch"], streams["call-protocol"]["quarantined"]) == (1, 1)
        assert "1 in quarantine" in spoke(*there, "spokes")[1]
        db = open_tenant_database(tmp_path / "data-of-hub" / "hub" / "tenant-local.db")
        with db.transaction() as tx:
            tx.execute("INSERT INTO link_gaps VALUES (?, 'call-protocol', x'00', 3, 9, 1)", (one["nodeId"],))
        db.close()
        (gap,) = json.loads(spoke(*there, "gaps", "--json")[1])
        assert (gap["after"], gap["upto"], gap["name"]) == (3, 9, one["name"])
        assert "behind 3, up to 9" in spoke(*there, "gaps")[1]


def test_tenants_are_made_and_listed(spoke: Spoke, node: Path) -> None:
    assert json.loads(spoke("hub", "tenant", "create", "acme", "--json")[1])["slug"] == "acme"
    assert "no file yet" in spoke("hub", "tenant", "list")[1]
    assert spoke("hub", "tenants")[1] == spoke("hub", "tenant", "list")[1]
    check_refused(spoke("hub", "tenant", "create", "acme"), ExitCode.USAGE, "already")
    check_refused(spoke("hub", "tenant", "create", "A B"), ExitCode.USAGE, "small letters")
    assert "not running" in spoke("hub", "status")[1]
    db = open_system_database(node / "hub" / "system.db")
    with db.transaction() as tx:
        boss = operator(tx).id
        assert tx.rows("SELECT owner_id FROM organizations WHERE slug = 'acme'") == [(boss,)]
    db.close()


def test_reidentify_is_refused_while_services_run_and_asks(spoke: Spoke, node: Path) -> None:
    spoke("record", "--", "true")
    check_refused(spoke("reidentify"), ExitCode.USAGE, "--yes")
    with ProcessLock(node / "daemon.lock"):
        check_refused(spoke("reidentify", "--yes"), ExitCode.TEMPORARY, f"process {os.getpid()}")

    def who() -> str:
        db = open_tenant_database(node / "tenant-local.db")
        try:
            with db.snapshot() as snapshot:
                return node_id(snapshot)
        finally:
            db.close()

    old = who()
    done = json.loads(spoke("reidentify", "--yes", "--json")[1])
    assert (done["oldNodeId"], done["nodeId"]) == (old, who())
    assert old != who()


def test_what_waits_for_the_hub_is_counted_whatever_its_stream(spoke: Spoke, node: Path) -> None:
    assert spoke("call", "hub/sessions.list")[0] == 0
    streams = {row["topic"]: row for row in json.loads(spoke("sync", "status", "--json")[1])["streams"]}
    assert streams["calls>hub"]["unsent"] == 1


def test_now_is_not_content_with_an_old_word_of_the_hub(spoke: Spoke, node: Path, tmp_path: Path) -> None:
    """Everything was acknowledged, a killed process left the state `live`, and then the key was revoked."""
    folder = tmp_path / "data-of-hub" / "hub"
    with serving(folder) as (url, key):
        join(spoke, tmp_path, url, key)
        spoke("record", "--", "true")
        assert spoke("sync", "now")[0] == 0
        db = open_tenant_database(node / "tenant-local.db")
        with db.transaction() as tx:
            tx.execute("UPDATE link_status SET state = 'live'")
        db.close()
        assert spoke("--data-dir", str(tmp_path / "data-of-hub"), "hub", "key", "revoke", "edge")[0] == 0
        assert spoke("sync", "now")[0] == ExitCode.DENIED


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_the_link_is_told(spoke: Spoke, node: Path, state: State) -> None:
    node.mkdir()
    if state != "unpaired":
        db = open_tenant_database(node / "tenant-local.db")
        with db.transaction() as tx:
            code = "REVOKED" if state == "refused" else None
            write_status(tx, state=state, at_ms=1, hub_url="wss://hub.example", hub_id="h", error_code=code, error=code)
        db.close()
    with ProcessLock(node / "daemon.lock"):
        for command in (("sync", "status"), ("status",)):
            code_, out, _ = spoke(*command)
            assert (code_, state.upper() in out) == (0, True), out
        assert json.loads(spoke("sync", "status", "--json")[1])["state"] == state


def test_joining_after_a_reidentify_that_a_crash_cut_makes_a_new_key(spoke: Spoke, node: Path, tmp_path: Path) -> None:
    """The file has its new identity already, and the other node's key lies beside it still."""
    spoke("record", "--", "true")
    other = open_device_key(node / "device.pem")
    db = open_tenant_database(node / "tenant-local.db")
    with db.transaction() as tx:
        tx.execute("INSERT INTO node_facts VALUES (?, 'the other node')", (KEY_OF_ANOTHER,))
    db.close()
    with joinable(tmp_path / "hub") as (url, system, own):
        (tmp_path / "token.txt").write_text(token(system, own.pin).text)
        assert spoke("join", url, "--token-file", str(tmp_path / "token.txt"))[0] == 0
        mine = load_device_key(node / "device.pem")
        assert mine.public != other.public
        (tmp_path / "token.txt").write_text(token(system, own.pin).text)
        assert spoke("join", url, "--token-file", str(tmp_path / "token.txt"))[0] == 0
        assert load_device_key(node / "device.pem").public == mine.public  # this one is its own
