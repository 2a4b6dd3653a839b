"""F-19 to F-23: files that were restored, cloned or replaced, under real processes on both ends."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from storage.engine import Limits
from storage.maintenance import cut_log
from storage.tenants import open_system_database
from tests.faults.ledger import STREAM
from tests.faults.machines import Machines, Spoke, until
from tests.sync.rig import compared


def image(folder: Path) -> Path:
    """A copy of a whole data directory whose processes have ended."""
    copy = folder.with_name(f"{folder.name}-image-{len(list(folder.parent.iterdir()))}")
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.sock"))
    return copy


def put_back(copy: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def run_until_synced(machines: Machines, spoke: Spoke) -> None:
    process = spoke.start()
    spoke.wait_synced(process)
    machines.kill(process)


def later(machines: Machines, hub: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """A quarter of an hour passes on the hub: who shows an old ratchet now was restored, it is no second copy."""
    machines.kill(hub)
    db = open_system_database(machines.hub_folder / "system.db")
    with db.transaction() as tx:
        tx.execute("UPDATE ratchets SET last_seen_ms = last_seen_ms - 900000")
    db.close()
    return machines.start_hub()


def orphans(machines: Machines, spoke: Spoke) -> int:
    """Events that only the hub has; everything else must agree."""
    with spoke.opened() as db:
        result = compared(db, machines.hub_folder / "tenant-local.db", STREAM)
    assert result.agrees, result
    return result.orphans


@pytest.mark.parametrize(("lost", "after"), [(200, 0), (200, 30), (1, 1)], ids=["silent", "wrote-on", "one-event"])
def test_f19_a_spoke_from_an_older_copy(machines: Machines, lost: int, after: int) -> None:
    """Silent, it gets back what it lost; if it wrote on, a generation begins and the hub keeps both."""
    hub = machines.start_hub()
    spoke = machines.spoke()
    spoke.write(100)
    run_until_synced(machines, spoke)
    copy = image(spoke.folder)
    spoke.write(lost)
    run_until_synced(machines, spoke)
    put_back(copy, spoke.folder)
    later(machines, hub)
    if after:
        spoke.write(after)
    process = spoke.start()
    spoke.wait_synced(process)
    if not after:

        def healed() -> bool:
            with spoke.opened() as db:
                rows = db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic = ?", (STREAM,))
                return bool(rows[0]["n"] == 100 + lost)

        until(healed, process)
    spoke.write(5)
    spoke.wait_synced(process)
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, 105 + lost + after), verdict
    assert orphans(machines, spoke) == (lost if after else 0)


def test_f20_a_hub_from_an_older_copy_is_filled_up_again(machines: Machines) -> None:
    hub = machines.start_hub()
    spoke = machines.spoke()
    process = spoke.start()
    spoke.write(100)
    spoke.wait_synced(process)
    machines.kill(hub)
    copy = image(machines.folder / "hub-machine")
    hub = machines.start_hub()
    spoke.write(300)
    spoke.wait_synced(process)
    machines.kill(hub)
    put_back(copy, machines.folder / "hub-machine")
    assert machines.stored() == 100
    machines.start_hub()
    spoke.nudge()
    until(lambda: machines.stored() == 400, process)
    spoke.write(5)
    spoke.wait_synced(process)
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, 405), verdict


def test_f20_what_the_spoke_has_forgotten_is_a_gap(machines: Machines) -> None:
    """The hub's copy is older than what the spoke still has: the hole is noted with its range, the rest arrives."""
    hub = machines.start_hub()
    spoke = machines.spoke()
    spoke.write(50)
    run_until_synced(machines, spoke)
    machines.kill(hub)
    copy = image(machines.folder / "hub-machine")
    hub = machines.start_hub()
    spoke.write(100)
    run_until_synced(machines, spoke)
    machines.kill(hub)
    put_back(copy, machines.folder / "hub-machine")
    with spoke.opened() as db:
        ((upto,),) = [
            tuple(row.values()) for row in db.query("SELECT max(offset) FROM _honker_stream WHERE topic = ?", (STREAM,))
        ]
        cut_log(db, Limits(max_count=10), ("uplink@spoke",))
    machines.start_hub()
    spoke.write(5)
    run_until_synced(machines, spoke)
    with machines.hub_file() as db:
        gaps = db.query("SELECT after, upto FROM link_gaps WHERE topic = ?", (STREAM,))
    assert len(gaps) == 1
    assert gaps[0]["upto"] == upto - 10
    assert machines.stored() == 50 + 10 + 5


@pytest.mark.parametrize("hub_older", [True, False])
def test_f21_both_from_copies_of_different_times(machines: Machines, hub_older: bool) -> None:
    hub = machines.start_hub()
    spoke = machines.spoke()
    images: list[tuple[Path, Path]] = []
    for _ in range(3):
        spoke.write(40)
        run_until_synced(machines, spoke)
        machines.kill(hub)
        images.append((image(spoke.folder), image(machines.folder / "hub-machine")))
        hub = machines.start_hub()
    machines.kill(hub)
    put_back(images[1 if hub_older else 0][0], spoke.folder)
    put_back(images[0 if hub_older else 1][1], machines.folder / "hub-machine")
    later(machines, machines.start_hub())
    spoke.write(7)
    run_until_synced(machines, spoke)
    run_until_synced(machines, spoke)
    assert orphans(machines, spoke) == (0 if hub_older else 40)
    verdict = spoke.verdict()
    # What was in neither copy is gone with both of them; nothing else is, and nothing came twice.
    assert (verdict.ok, verdict.lost) == (87, 40)
    assert replace(verdict, lost=0).good


def test_f22_two_copies_of_one_spoke_run(machines: Machines) -> None:
    """One of them goes on, the other is refused, says so and goes on recording; nothing of the two is mixed.

    How what the copy recorded arrives under a name of its own: tests/sync/spoke/test_reidentify.py.
    """
    machines.start_hub()
    spoke = machines.spoke()
    spoke.write(50)
    run_until_synced(machines, spoke)
    clone = Spoke(machines, machines.folder / "clone", spoke.key)
    put_back(image(spoke.folder), clone.folder)
    first = spoke.start()
    spoke.write(20)
    spoke.wait_synced(first)
    clone._writers = 50  # tags of its own
    clone.write(10)
    second = clone.start()
    status = clone.wait_for(lambda status: status.error_code == "IDENTITY_CONFLICT", second)
    assert status.state == "refused"
    spoke.write(20)
    spoke.wait_synced(first)
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, 90), verdict
    assert machines.stored() == 90, "nothing of the clone lies between"
    assert second.poll() is None, "its owner goes on recording"


def test_f23_a_new_disk_in_an_old_machine(machines: Machines) -> None:
    """A new database under the same key is a new node: both logs are on the hub."""
    machines.start_hub()
    spoke = machines.spoke()
    spoke.write(60)
    run_until_synced(machines, spoke)
    shutil.rmtree(spoke.folder)
    spoke.folder.mkdir()
    spoke.ledger.unlink()
    spoke.write(40)
    run_until_synced(machines, spoke)
    verdict = spoke.verdict()
    assert (verdict.good, verdict.ok) == (True, 40), verdict
    assert machines.stored() == 100


def test_f42_a_second_process_on_one_directory_is_refused(machines: Machines) -> None:
    machines.start_hub()
    spoke = machines.spoke()
    first = spoke.start()
    spoke.wait_for(lambda status: status.state == "live", first)
    second: subprocess.Popen[bytes] = spoke.start()
    assert second.wait(60) != 0
    assert first.poll() is None
