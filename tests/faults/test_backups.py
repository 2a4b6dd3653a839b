"""Backups and restores with real processes on both ends: what the hub gives back, what it is filled up with, copies."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.ledger import STREAM
from tests.faults.machines import LIMIT_S, Machines, Spoke, until
from tests.faults.test_f19_copies import later, orphans, run_until_synced


def command(machines: Machines, folder: Path, *arguments: str, code: int = 0) -> str:
    """Run a command of `spoke` on a data directory; returns what it said."""
    process, file = machines.start(folder, *arguments)
    assert process.wait(LIMIT_S) == code, file.read_text()
    return file.read_text()


def events(spoke: Spoke) -> int:
    with spoke.opened() as db:
        rows = db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic = ?", (STREAM,))
        return int(rows[0]["n"])


@pytest.mark.parametrize("after", [0, 30], ids=["silent", "wrote-on"])
def test_a_spoke_restored_gets_back_what_it_had_sent(machines: Machines, after: int) -> None:
    """The backup is made while the spoke runs and writes; what came later the hub has; nothing is there twice."""
    hub = machines.start_hub()
    spoke = machines.spoke()
    process = spoke.start()
    spoke.write(100)
    spoke.wait_synced(process)
    file = machines.folder / "backup.zip"
    assert "verified" in command(machines, spoke.folder, "backup", str(file))
    spoke.write(200)
    spoke.wait_synced(process)
    assert "in use by process" in command(machines, spoke.folder, "restore", str(file), "--replace", code=75)
    machines.kill(process)
    assert "what was here before is in" in command(machines, spoke.folder, "restore", str(file), "--replace")
    assert events(spoke) == 100
    later(machines, hub)
    if after:
        spoke.write(after)
    process = spoke.start()
    spoke.wait_synced(process)
    if not after:
        until(lambda: events(spoke) == 300, process)
    spoke.write(5)
    spoke.wait_synced(process)
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, 305 + after), verdict
    assert orphans(machines, spoke) == (200 if after else 0)
    told = command(machines, spoke.folder, "status")
    assert "restored   " in told
    assert str(file) in told
    assert "0 problems" in command(machines, spoke.folder, "db", "check")


def test_a_hub_restored_is_filled_up_by_its_spokes(machines: Machines) -> None:
    """The hub's backup is made while it runs; `--stable backup` lets the spoke forget only what is in it."""
    hub = machines.start_hub("--stable", "backup")
    spoke = machines.spoke()
    process = spoke.start()
    spoke.write(100)
    spoke.wait_synced(process)
    forget(machines, spoke)
    assert events(spoke) == 100, "nothing is in a backup yet"
    file = machines.folder / "backup.zip"
    home = machines.hub_folder.parent
    command(machines, home, "backup", str(file))
    spoke.write(300)
    spoke.wait_synced(process)
    until(lambda: forget(machines, spoke) and events(spoke) == 300, process)
    assert "in use by process" in command(machines, home, "restore", str(file), "--replace", code=75)
    machines.kill(hub)
    command(machines, home, "restore", str(file), "--replace")
    assert machines.stored() == 100
    assert f"from a backup of {time.strftime('%m-%d', time.gmtime())}" in command(machines, home, "hub", "status")
    machines.start_hub("--stable", "backup")
    spoke.nudge()
    until(lambda: machines.stored() == 400, process)
    spoke.write(5)
    spoke.wait_synced(process)
    assert machines.stored() == 405
    with machines.hub_file() as db:
        assert db.query("SELECT count(*) AS n FROM link_gaps") == [{"n": 0}]
        (found,) = db.query(
            "SELECT count(*) AS n, count(DISTINCT payload) AS different FROM _honker_stream WHERE topic LIKE ?",
            (f"{STREAM}@%",),
        )
    assert found == {"n": 405, "different": 405}


def forget(machines: Machines, spoke: Spoke) -> bool:
    """Retention, as strict as it can be: all but one event may go, once the hub calls them stable."""
    environment = {**spoke.environment(), "SPOKE_RETENTION__MAX_EVENTS": "1"}
    process, file = machines.start(spoke.folder, "db", "retention", environment=environment)
    assert process.wait(LIMIT_S) == 0, file.read_text()
    return True


def test_a_backup_restored_on_a_second_machine_is_found_and_explained(machines: Machines) -> None:
    """The first one still runs: the second is refused, says why and what to do, and goes on recording."""
    machines.start_hub()
    spoke = machines.spoke()
    first = spoke.start()
    spoke.write(50)
    spoke.wait_synced(first)
    file = machines.folder / "backup.zip"
    command(machines, spoke.folder, "backup", str(file))
    machines.kill(first)
    first = spoke.start()  # a later session than the one that the backup knows
    spoke.write(20)
    spoke.wait_synced(first)
    second = Spoke(machines, machines.folder / "second", spoke.key)
    command(machines, second.folder, "restore", str(file))
    second._writers = 50  # tags of its own
    process = second.start()
    second.wait_for(lambda status: status.error_code == "IDENTITY_CONFLICT", process)
    told = command(machines, second.folder, "status")
    assert "still runs, make this one a node of its own: spoke reidentify" in told
    second.write(10)
    spoke.write(20)
    spoke.wait_synced(first)
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, 90), verdict
    assert machines.stored() == 90, "nothing of the second one lies between"
    machines.kill(process)
    found = json.loads(command(machines, second.folder, "reidentify", "--yes", "--json"))
    assert [log["kept"] for log in found["logs"] if log["topic"] == STREAM] == [10]


def test_salvaged_a_spoke_goes_on(machines: Machines) -> None:
    """A damaged file without a backup: what can be read goes on under its name; the hub loses nothing."""
    hub = machines.start_hub()
    spoke = machines.spoke()
    spoke.write(2_000)
    run_until_synced(machines, spoke)
    with spoke.opened() as db, db.exclusive() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        pages = [
            int(str(page))
            for (page,) in connection.execute(
                "SELECT pageno FROM dbstat WHERE name = '_honker_stream' AND pagetype = 'leaf' ORDER BY pageno"
            )
        ]
    content = bytearray(spoke.file.read_bytes())
    last = pages[-1]  # the newest events
    content[(last - 1) * 4096 : last * 4096] = b"\xa5" * 4096
    spoke.file.write_bytes(content)
    out = machines.folder / "salvaged.db"
    report = json.loads(
        command(machines, spoke.folder, "db", "salvage", str(spoke.file), str(out), "--json", code=1).splitlines()[-1]
    )
    (log,) = [table for table in report["tables"] if table["table"] == "_honker_stream"]
    assert 1_900 < log["rows"] < log["expected"]
    for file in spoke.folder.glob("tenant-local.db*"):
        file.unlink()
    out.rename(spoke.file)
    later(machines, hub)
    process = spoke.start()
    until(lambda: events(spoke) == 2_000, process)
    spoke.write(5)
    spoke.wait_synced(process)
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, 2_005), verdict


def test_a_backup_is_made_while_a_writer_writes(machines: Machines) -> None:
    """The writer is told of every event that it wrote; the copy holds the log up to one of them, without a hole."""
    spoke = Spoke(machines, machines.folder / "edge", "no key")
    writer: subprocess.Popen[bytes] = spoke.writer()
    until(lambda: spoke.ledger.exists() and len(spoke.ledger.read_text().splitlines()) > 200, writer)
    file = machines.folder / "backup.zip"
    command(machines, spoke.folder, "backup", str(file))
    noted = len(spoke.ledger.read_text().splitlines())
    until(lambda: len(spoke.ledger.read_text().splitlines()) > noted + 50, writer)
    machines.kill(writer)
    there = Spoke(machines, machines.folder / "there", "no key")
    command(machines, there.folder, "restore", str(file))
    with spoke.opened() as ours, there.opened() as copy:
        sql = "SELECT offset, payload FROM _honker_stream WHERE topic = ? ORDER BY offset"
        theirs = copy.query(sql, (STREAM,))
        assert len(theirs) > 200
        assert theirs == ours.query(sql, (STREAM,))[: len(theirs)]
