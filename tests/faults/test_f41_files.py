"""F-41: files that are damaged; what can be told is told, what can be put back is put back."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.ledger import STREAM
from tests.faults.machines import LIMIT_S, Machines, Spoke, until
from tests.faults.test_f19_copies import later


def synced(machines: Machines, number: int = 200) -> Spoke:
    """A spoke whose process was killed after everything had arrived."""
    spoke = machines.spoke()
    process = spoke.start()
    spoke.write(number)
    spoke.wait_synced(process)
    machines.kill(process)
    return spoke


def said(machines: Machines, spoke: Spoke, *arguments: str) -> tuple[int, str]:
    process, file = machines.start(spoke.folder, *arguments, environment=spoke.environment())
    return process.wait(LIMIT_S), file.read_text()


def test_f41_a_file_that_is_no_database_is_refused_and_left(machines: Machines) -> None:
    machines.start_hub()
    spoke = synced(machines)
    for suffix in ("-wal", "-shm"):
        Path(f"{spoke.file}{suffix}").unlink(missing_ok=True)
    content = bytearray(spoke.file.read_bytes())
    content[:100] = random.Random(1).randbytes(100)
    spoke.file.write_bytes(content)
    code, text = said(machines, spoke, "run")
    assert code != 0
    assert "not" in text
    assert "Traceback" not in text
    assert spoke.file.read_bytes() == bytes(content)


@pytest.mark.parametrize("seed", range(2))
def test_f41_pages_that_are_garbage_are_said_and_nothing_wrong_arrives(machines: Machines, seed: int) -> None:
    """Whatever pages are hit: an error that says so, or the same events; never others on the hub."""
    machines.start_hub()
    spoke = synced(machines, 400)
    with spoke.opened() as db, db.exclusive() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = machines.stored()
    rng = random.Random(seed)
    content = bytearray(spoke.file.read_bytes())
    for page in rng.sample(range(1, len(content) // 4096), 8):
        content[page * 4096 : (page + 1) * 4096] = rng.randbytes(4096)
    spoke.file.write_bytes(content)
    code, text = said(machines, spoke, "sync", "status")
    assert "Traceback" not in text
    process = spoke.start()
    if code != 0:
        assert "restore the latest backup" in text
    with suppress(AssertionError):  # it ends, or it goes on: both are good
        until(lambda: machines.stored() > before, process, limit_s=1.0)
    assert machines.stored() >= before
    with machines.hub_file() as db:
        (found,) = db.query(
            "SELECT count(*) AS n, count(DISTINCT payload) AS different FROM _honker_stream WHERE topic LIKE ?",
            (f"{STREAM}@%",),
        )
    assert found["n"] == found["different"], "something came twice"


@pytest.mark.parametrize("damage", ["no-shm", "torn-wal", "no-wal"])
def test_f41_a_log_that_is_gone_or_torn(machines: Machines, damage: str) -> None:
    """Without `-shm` nothing is lost; with a torn or missing `-wal` the tail is, and the hub gives it back."""
    hub = machines.start_hub()
    spoke = synced(machines, 150)
    with spoke.opened() as db:
        assert db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic = ?", (STREAM,)) == [{"n": 150}]
    process = spoke.start()  # what follows lies in a log of its own
    spoke.write(50)
    spoke.wait_synced(process)
    machines.kill(process)
    wal, shm = Path(f"{spoke.file}-wal"), Path(f"{spoke.file}-shm")
    assert wal.stat().st_size > 4096
    shm.unlink()
    if damage == "no-wal":
        wal.unlink()
    elif damage == "torn-wal":
        with wal.open("r+b") as file:
            file.truncate(wal.stat().st_size // 2 + 100)
    later(machines, hub)
    process = spoke.start()

    def complete() -> bool:
        with spoke.opened() as db:
            return bool(db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic = ?", (STREAM,))[0]["n"] == 200)

    until(complete, process)
    spoke.write(5)
    spoke.wait_synced(process)
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, 205), verdict
