"""The oracle: what a writer was told it had published, in a file of its own, against what lies on the hub.

As a program (`python -m tests.faults.ledger FILE LEDGER TAG [COUNT [SIZE]]`) it is that writer: it publishes
events into the stream `readings` and notes each, fsynced, after `publish` returned; COUNT 0: for ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

from storage.engine import Database
from storage.engine.errors import FullError
from storage.tenants import node_id, open_tenant_database

STREAM = "readings"
DEFAULTS = ["0", "100"]
FULL = 28
"""How the writer ends when it was told that the disk is full."""


def write(file: Path, ledger: Path, tag: str, count: int, size: int) -> int:
    """Publish and note, one event at a time."""
    db = open_tenant_database(file)
    notes = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    number = 0
    while not count or number < count:
        number += 1
        try:
            text = publish(db, tag, number, size)
        except FullError as error:
            print(f"{error}; {error.hint}", flush=True)
            return FULL
        os.write(notes, f"{tag} {number} {digest(text)}\n".encode())
        os.fsync(notes)
    db.close()
    return 0


def publish(db: Database, tag: str, number: int, size: int = 100) -> str:
    """Publish one event, durably; returns its payload."""
    text = json.dumps({"tag": tag, "n": number, "pad": "x" * size})
    with db.transaction() as tx:
        db.stream(STREAM).append([(tag, text, number)], tx)
    return text


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Verdict:
    """Sizes of sets of events, as section 6.3 of the reference names them. All but `ok` are violations."""

    ok: int = 0
    lost: int = 0
    """Noted as published, and not on the hub."""
    duplicate: int = 0
    """On the hub more than once."""
    phantom: int = 0
    """On the hub, and neither noted nor the one that was being published when its writer died."""
    order: int = 0
    """Before an older one of the same writer."""
    acked_missing: int = 0
    """Acknowledged, as the spoke noted, and not on the hub."""

    @property
    def good(self) -> bool:
        return not any(getattr(self, field.name) for field in fields(self) if field.name != "ok")


def judge(ledger: Path, spoke: Database, hub: Database) -> Verdict:
    """Compare a ledger with what the hub has of the stream, in all its generations."""
    noted: dict[tuple[str, int], str] = {}
    if ledger.exists():
        for line in ledger.read_text().splitlines():
            match line.split():
                case [tag, count, sha]:
                    noted[tag, int(count)] = sha
                case _:
                    continue  # torn by a SIGKILL: it was never noted
    last: Counter[str] = Counter()
    for writer, serial in noted:
        last[writer] = max(last[writer], serial)
    with spoke.snapshot() as snapshot:
        us = node_id(snapshot)
        acked = snapshot.rows("SELECT max(offset) FROM link_positions WHERE topic = ?", (STREAM,))[0][0] or 0
        covered = [
            (json.loads(text)["tag"], json.loads(text)["n"])
            for (text,) in snapshot.rows(
                "SELECT payload FROM _honker_stream WHERE topic = ? AND offset <= ?", (STREAM, acked)
            )
        ]
    seen: Counter[tuple[str, int]] = Counter()
    phantom = order = different = 0
    reached: Counter[str] = Counter()
    for row in hub.query("SELECT payload FROM _honker_stream WHERE topic = ? ORDER BY offset", (f"{STREAM}@{us}",)):
        event = json.loads(row["payload"])
        key = event["tag"], event["n"]
        seen[key] += 1
        if key not in noted:
            phantom += event["n"] > last[event["tag"]] + 1
        elif noted[key] != digest(row["payload"]):
            different += 1
        order += seen[key] == 1 and event["n"] < reached[event["tag"]]
        reached[event["tag"]] = max(reached[event["tag"]], event["n"])
    return Verdict(
        ok=sum(key in seen for key in noted) - different,
        lost=sum(key not in seen for key in noted) + different,
        duplicate=sum(count - 1 for count in seen.values()),
        phantom=phantom,
        order=order,
        acked_missing=sum(key not in seen for key in covered),
    )


if __name__ == "__main__":
    where, notebook, name, *rest = sys.argv[1:]
    sys.exit(write(Path(where), Path(notebook), name, *(int(text) for text in [*rest, *DEFAULTS[len(rest) :]])))
