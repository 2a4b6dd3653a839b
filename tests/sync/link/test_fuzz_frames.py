"""Frames that a hostile or broken peer could send: a typed error at most, nothing of anybody else's is touched.

SPOKE_FUZZ_FRAMES says how many; SPOKE_FUZZ_SEED where to begin.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from storage.engine import Database
from storage.tenants import open_tenant_database
from sync.hub.streams import accepts, topic_of
from sync.link import receiver as receiving
from sync.link.chain import LogEvent, extend
from sync.link.errors import LinkError
from sync.link.exchange import Exchange, History, Outgoing, Output, Send
from sync.link.frames import Frame, Offer, Open, Unknown, Window, decode, encode, pack
from sync.link.lineage import Generation
from sync.link.sending import GiveUp, SaveAck
from sync.logs.incoming import IncomingLogs
from sync.logs.outgoing import OutgoingLogs

FRAMES = int(os.environ.get("SPOKE_FUZZ_FRAMES", "20000"))
SEED = int(os.environ.get("SPOKE_FUZZ_SEED", "1"))
KINDS = get_args(Frame)
VICTIM, EVIL = "victim", "evil"
GEN = b"g" * 16


class HubEnd:
    """A hub's end of a session of EVIL, over a real file that holds the log of VICTIM too."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.begin()

    def begin(self) -> None:
        self.core = Exchange([Outgoing("calls", heals=False)], accepts, History(), Window())
        self.outgoing = OutgoingLogs(self.db, EVIL, {"calls": f"calls>{EVIL}"}, f"downlink@{EVIL}", lambda: 0)
        self.incoming = IncomingLogs(self.db, EVIL, lambda name: topic_of(EVIL, name), clock_ms=lambda: 0)
        self.sent: list[Frame] = []
        self.carry_out(self.core.start())

    def take(self, data: bytes) -> None:
        frame = decode(data)
        if not isinstance(frame, Unknown):
            self.carry_out(self.core.on_frame(0.0, frame))

    def carry_out(self, outputs: list[Output]) -> None:
        waiting = list(outputs)
        while waiting:
            output = waiting.pop(0)
            match output:
                case Send(frame):
                    self.sent.append(frame)
                case GiveUp() | SaveAck():
                    pass
                case receiving.Store():
                    try:
                        with self.db.transaction() as tx:
                            answer: Any = self.incoming.store(tx, output)
                    except LinkError as error:
                        answer = receiving.NotStored(output.stream, error)
                    waiting += self.core.on_answer(0.0, answer)
                case receiving.LoadPosition() | receiving.LoadHashes() | receiving.ReadBack():
                    with self.db.snapshot() as snapshot:
                        if isinstance(output, receiving.LoadPosition):
                            answer = self.incoming.load_position(snapshot, output)
                        elif isinstance(output, receiving.LoadHashes):
                            answer = self.incoming.load_hashes(snapshot, output)
                        else:
                            answer = self.incoming.read_back(snapshot, output)
                    waiting += self.core.on_answer(0.0, answer)
                case _:
                    found = self.outgoing.answer(output)  # type: ignore[arg-type] # what is left are its questions
                    if found is not None:
                        waiting += self.core.on_answer(0.0, found)


def anything(rng: random.Random, depth: int = 0) -> Any:
    """A value of MessagePack, more often than not one that nearly fits."""
    match rng.randrange(9 if depth < 3 else 7):
        case 0:
            return rng.choice([0, 1, 2, 63, 64, -1, 2**31, 2**63 - 1, 2**64 - 1])
        case 1:
            return rng.choice(
                ["", "calls", "call-protocol", f"call-protocol@{VICTIM}", f"calls>{VICTIM}", "\x00", "x" * 300]
            )
        case 2:
            return rng.choice([b"", GEN, b"v" * 16, rng.randbytes(16), rng.randbytes(40)])
        case 3:
            return None
        case 4:
            return rng.random() < 0.5
        case 5:
            return rng.random()
        case 6:
            return rng.randrange(5)
        case 7:
            return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
        case _:
            return {str(rng.randrange(3)): anything(rng, depth + 1)}


def frame_bytes(rng: random.Random, good: list[bytes]) -> bytes:
    """Noise, a good frame that was damaged, a frame of random fields, or a good one at the wrong time."""
    match rng.randrange(5):
        case 0:
            return rng.randbytes(rng.randrange(60))
        case 1:
            whole = bytearray(rng.choice(good))
            for _ in range(rng.randint(1, 3)):
                whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
            return bytes(whole[: rng.randint(1, len(whole))] if rng.random() < 0.2 else whole)
        case 2:
            fields = [anything(rng) for _ in range(rng.randrange(9))]
            return msgspec.msgpack.encode([rng.randrange(len(KINDS) + 3), *fields])
        case 3:
            kind = rng.choice(KINDS)
            return msgspec.msgpack.encode(
                [kind.__struct_config__.tag, *(anything(rng) for _ in kind.__struct_fields__)]
            )
        case _:
            return rng.choice(good)


def good_frames() -> list[bytes]:
    events = [LogEvent(offset, "k", "{}", 0) for offset in (1, 2, 5)]
    generations = [Generation(1, GEN)]
    frames: list[Frame] = [
        Offer(0, "call-protocol", generations),
        Offer(1, "session-events", [Generation(1, b"h" * 16, end=4, seen=9), Generation(2, GEN, 4, b"h" * 16)]),
        Open(0, 1),
        Open(1, 2),
        pack(0, 1, 0, events, extend(GEN, events)),
        pack(0, 1, 5, [LogEvent(6, None, "no json", 0)], extend(GEN, [*events, LogEvent(6, None, "no json", 0)])),
    ]
    return [encode(frame) for frame in frames]


@pytest.mark.timeout(0 if FRAMES > 100_000 else 120)
def test_whatever_a_peer_sends_is_a_typed_error_at_most(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    db = open_tenant_database(tmp_path / "tenant.db")
    theirs = [LogEvent(offset, None, f'"secret {offset}"', 0) for offset in range(1, 9)]
    victim = IncomingLogs(db, VICTIM, lambda name: topic_of(VICTIM, name), clock_ms=lambda: 0)
    generation = Generation(1, b"v" * 16)
    with db.transaction() as tx:
        frame = pack(0, 1, 0, theirs, extend(b"v" * 16, theirs))
        victim.store(tx, receiving.Store(0, "call-protocol", (), generation, frame))

    def untouched() -> list[Any]:
        return [
            db.query(f"SELECT * FROM {table} WHERE node_id = ?", (VICTIM,))
            for table in ("link_cursors", "link_batches", "link_gaps", "link_quarantine")
        ] + [db.query("SELECT * FROM _honker_stream WHERE topic LIKE ?", (f"%{VICTIM}%",))]

    before, good, hub = untouched(), good_frames(), HubEnd(db)
    refused = taken = 0
    for number in range(FRAMES):
        data = frame_bytes(rng, good)
        try:
            hub.take(data)
            taken += 1
        except LinkError:
            refused += 1
            hub.begin()
        for sent in hub.sent:
            assert b"secret" not in encode(sent), f"seed {SEED}, frame {number}: a leak"
        hub.sent.clear()
    assert untouched() == before, f"seed {SEED}: another node's rows were touched"
    topics = {str(row["topic"]) for row in db.query("SELECT DISTINCT topic FROM _honker_stream")}
    assert all(topic.endswith((f"@{EVIL}", f"@{VICTIM}")) for topic in topics)
    assert refused > FRAMES // 10, "it was hostile"
    assert taken > FRAMES // 100, "and not only noise"
    stored = db.query("SELECT count(*) AS n FROM _honker_stream WHERE topic = ?", (f"call-protocol@{EVIL}",))
    assert stored[0]["n"] <= 3, "a frame that was taken twice is stored once"
    db.close()
