"""Events that a hub is told again: counted where they are left out, and shown."""

from __future__ import annotations

from pathlib import Path

from app.views.hub import hub_lines, list_spokes, read_hub
from app.views.link import link_details
from app.views.metrics import read_hub_tenant, read_metrics
from storage.engine import Database
from storage.tenants import open_tenant_database
from sync.link.chain import LogEvent, extend
from sync.link.frames import encode, pack
from sync.spoke.status import read_status, write_status
from tests.sync.hub.test_link import GEN, HELLO, OFFER, frame_of, talk
from tests.sync.rig import make_key, running_hub


async def test_events_that_come_again_are_counted_and_stored_once(tmp_path: Path) -> None:
    """In the transaction that looks whether they are new: what is refused is not counted."""
    key = make_key(tmp_path / "hub")
    first = [LogEvent(offset, None, "{}", 0) for offset in (1, 2, 3)]
    more = [LogEvent(offset, None, "{}", 0) for offset in (2, 3, 4, 5)]
    overlapping = encode(pack(0, 1, 1, more, extend(extend(GEN, first), more[2:])))
    messages = [frame_of(1, 2, 3), overlapping, frame_of(1, 2, 3), frame_of(4, 9, after=3, chain=b"x" * 16)]
    async with running_hub(tmp_path / "hub") as hub:
        failure = await talk(hub, key, encode(HELLO), encode(OFFER), *messages)
    assert failure.code == "CORRUPT_FRAME"
    db = open_tenant_database(tmp_path / "hub" / "tenant-local.db")
    assert db.query("SELECT events, duplicates, offset FROM link_cursors WHERE events > 0") == [
        {"events": 5, "duplicates": 5, "offset": 5}
    ]
    assert db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic = 'call-protocol@node-1'") == [{"n": 5}]
    with db.snapshot() as snapshot:
        found = {one.name: one.value for one in read_hub_tenant(snapshot, "local", 0)}
    db.close()
    assert (found["spoke_hub_events"], found["spoke_hub_duplicate_events"]) == (5, 5)
    (spoke,) = list_spokes(tmp_path / "hub")
    assert [(row.name, row.events, row.duplicates) for row in spoke.streams if row.events] == [("call-protocol", 5, 5)]
    status = read_hub(tmp_path / "hub")
    assert (status.duplicates, "5 events came more than once" in "\n".join(hub_lines(status, 0))) == (5, True)


def test_a_node_tells_of_those_of_its_hub(tenant: Database, tmp_path: Path) -> None:
    with tenant.transaction() as tx:
        write_status(tx, state="live", at_ms=1, hub_url="wss://hub", hub_id="h")
        tx.execute(
            "INSERT INTO link_cursors (node_id, topic, gen_id, generation, offset, hash, events, updated_at,"
            " duplicates) VALUES ('hub', 'calls', x'00', 1, 5, x'00', 5, 1, 3)"
        )
    with tenant.snapshot() as snapshot:
        link = read_status(snapshot)
        metrics = {one.name: one.value for one in read_metrics(snapshot, tmp_path / "x.db", 0)}
    assert (link.duplicates, metrics["spoke_link_duplicate_events"]) == (3, 3)
    assert "3 events of the hub came more than once" in link_details(link, 2, running=True)[-1]
