"""Full text: a scan with LIKE, newest first, against an FTS5 index of the same text; and what the index costs a writer.

Decision 0016 stands on these figures. The floor of the scan is reading every payload once (`sum(length(payload))`).
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from app.services.projector import catch_up
from app.views.find import KINDS, find
from storage.engine import Database
from storage.tenants import open_tenant_database

CALLS = 50_000
CHUNK = 500
RARE, ABSENT = "needle-in-the-haystack", "nothing-has-this-text"


def events(number: int) -> list[tuple[str, str, int]]:
    """The two events of a call, as a program with some output records them: about 500 bytes each."""
    key = str(uuid.uuid4())
    words = " ".join(f"line {number + line}: the quick brown fox jumps over part {line}" for line in range(6))
    output = RARE if number == CALLS // 2 else words
    asked = {
        "type": "call.requested",
        "requestId": key,
        "operationId": f"bench.step{number % 7}",
        "input": {"path": f"/srv/data/{number}", "text": words},
        "metadata": {"sessionId": f"s{number // 1_000}"},
        "timestamp": "2026-11-25T00:00:00.000Z",
    }
    done = {"type": "call.responded", "requestId": key, "output": {"data": {"text": output}}}
    return [(key, json.dumps(asked), 1_800_000_000), (key, json.dumps(done), 1_800_000_000)]


def fill(db: Database, calls: int) -> float:
    stream = db.stream("call-protocol")
    began = time.perf_counter()
    for start in range(0, calls, CHUNK):
        with db.transaction() as tx:
            stream.append([event for number in range(start, start + CHUNK) for event in events(number)], tx)
    return 2 * calls / (time.perf_counter() - began)


def timed(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def index(db: Database) -> float:
    """An external-content FTS5 index over the payloads, kept by a trigger; seconds to build it."""
    began = time.perf_counter()
    with db.transaction() as tx:
        tx.execute("CREATE VIRTUAL TABLE fts USING fts5(payload, content='_honker_stream', content_rowid='offset')")
        tx.execute("INSERT INTO fts(fts) VALUES ('rebuild')")
        tx.execute(
            "CREATE TRIGGER fts_new AFTER INSERT ON _honker_stream"
            " BEGIN INSERT INTO fts(rowid, payload) VALUES (new.offset, new.payload); END"
        )
    return time.perf_counter() - began


def size(db: Database) -> float:
    (row,) = db.query("SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size")
    return float(row["bytes"]) / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = open_tenant_database(Path(folder) / "tenant-local.db")
        rate = fill(db, CALLS)
        catch_up(db)
        before = size(db)
        print(f"{2 * CALLS} events, {before:.0f} MB with the rows; appended at {rate:,.0f} events/s")
        with db.snapshot() as snapshot:
            floor = timed(lambda: snapshot.rows("SELECT sum(length(payload)) FROM _honker_stream"))
            print(f"floor: every payload read once {floor:.0f} ms")
            for name, text in (("common", "brown fox"), ("rare", RARE), ("absent", ABSENT)):
                for kinds in (("events",), KINDS):
                    took = timed(lambda text=text, kinds=kinds: list(find(snapshot, text, kinds, 20)))  # type: ignore[misc]
                    print(f"scan, {name:<6} in {'+'.join(kinds):<22} {took:7.1f} ms")
        built = index(db)
        print(f"FTS5: built in {built:.1f} s; the file grows by {size(db) - before:.0f} MB")
        with db.snapshot() as snapshot:
            sql = "SELECT rowid FROM fts WHERE fts MATCH ? ORDER BY rowid DESC LIMIT 20"
            for name, text in (("common", '"brown fox"'), ("rare", f'"{RARE}"')):
                print(f"FTS5, {name:<6} {timed(lambda text=text: snapshot.rows(sql, (text,))):7.1f} ms")  # type: ignore[misc]
        print(f"appended with the index at {fill(db, 10_000):,.0f} events/s")
        db.close()


if __name__ == "__main__":
    main()
