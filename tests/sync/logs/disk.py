"""The real files behind the interface of the simulation's model, so that one suite runs over both."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from storage.engine import Database
from storage.tenants import open_tenant_database
from sync.link import receiver as receiving
from sync.link import sending
from sync.link.chain import LogEvent
from sync.link.errors import LinkError
from sync.link.exchange import Answer, Question
from sync.link.lineage import Generation
from sync.logs.generations import generations
from sync.logs.incoming import IncomingLogs, received
from sync.logs.outgoing import OutgoingLogs
from tests.sim.disk import Disk, Shell

NODE = "n"
CONSUMER = "uplink@spoke"


class End(Protocol):
    """One end's file, as both suites see it."""

    def publish(self, topic: str, texts: list[str]) -> None: ...
    def log(self, topic: str) -> list[LogEvent]: ...
    def lineage(self, topic: str) -> list[Generation]: ...
    def copy_of(self, name: str, gen_id: bytes) -> list[LogEvent]: ...
    def gaps(self) -> set[tuple[str, int, int]]: ...
    def answer(self, question: Question) -> Answer | None: ...
    def prune(self, topic: str, upto: int) -> None: ...


class ModelEnd:
    """The model."""

    def __init__(self, topics: list[str]) -> None:
        self.disk = Disk({topic: [] for topic in topics})
        self._rng = random.Random(1)
        self.shell = Shell(self.disk, topics, self._rng, lambda: None, self.disk)

    def publish(self, topic: str, texts: list[str]) -> None:
        for text in texts:
            self.disk.logs[topic].append(LogEvent(self.disk.next_offset, None, text, 0))
            self.disk.next_offset += 1

    def log(self, topic: str) -> list[LogEvent]:
        return self.disk.logs[topic]

    def lineage(self, topic: str) -> list[Generation]:
        return self.disk.lineages.get(topic, [])

    def copy_of(self, name: str, gen_id: bytes) -> list[LogEvent]:
        copy = self.disk.copies.get((name, gen_id))
        return [] if copy is None else copy.events

    def gaps(self) -> set[tuple[str, int, int]]:
        return {(name, low, high) for name, _, low, high in self.disk.gaps}

    def answer(self, question: Question) -> Answer | None:
        return self.shell.answer(question)

    def prune(self, topic: str, upto: int) -> None:
        gone = [event for event in self.disk.logs[topic] if event.offset <= upto]
        self.disk.forgotten.setdefault(topic, []).extend(gone)
        self.disk.pruned[topic] = upto
        self.disk.logs[topic] = [event for event in self.disk.logs[topic] if event.offset > upto]


class FileEnd:
    """A tenant file, with what both ends' shells do to it."""

    def __init__(self, path: Path, topics: list[str]) -> None:
        self.db: Database = open_tenant_database(path)
        names = {topic: topic for topic in topics}
        self._outgoing = OutgoingLogs(self.db, "peer", names, CONSUMER, lambda: 0)
        self._topic_of: Callable[[str], str] = lambda name: f"{name}@{NODE}"
        self._incoming = IncomingLogs(self.db, NODE, self._topic_of, clock_ms=lambda: 0)

    def publish(self, topic: str, texts: list[str]) -> None:
        with self.db.transaction() as tx:
            self.db.stream(topic).append([(None, text, 0) for text in texts], tx)

    def log(self, topic: str) -> list[LogEvent]:
        rows = self.db.query(
            "SELECT offset, key, payload, created_at FROM _honker_stream WHERE topic = ? ORDER BY offset", (topic,)
        )
        return [LogEvent(*row.values()) for row in rows]

    def lineage(self, topic: str) -> list[Generation]:
        with self.db.snapshot() as snapshot:
            return generations(snapshot, topic)

    def copy_of(self, name: str, gen_id: bytes) -> list[LogEvent]:
        with self.db.snapshot() as snapshot:
            return list(received(snapshot, NODE, name, self._topic_of, gen_id))

    def gaps(self) -> set[tuple[str, int, int]]:
        return {
            (row["topic"], row["after"], row["upto"])
            for row in self.db.query("SELECT topic, after, upto FROM link_gaps")
        }

    def answer(self, question: Question) -> Answer | None:
        match question:
            case receiving.Store():
                try:
                    with self.db.transaction() as tx:
                        return self._incoming.store(tx, question)
                except LinkError as error:
                    return receiving.NotStored(question.stream, error)
            case receiving.LoadPosition() | receiving.LoadHashes() | receiving.ReadBack():
                with self.db.snapshot() as snapshot:
                    if isinstance(question, receiving.LoadPosition):
                        return self._incoming.load_position(snapshot, question)
                    if isinstance(question, receiving.LoadHashes):
                        return self._incoming.load_hashes(snapshot, question)
                    return self._incoming.read_back(snapshot, question)
            case _:
                return self._outgoing.answer(question)

    def prune(self, topic: str, upto: int) -> None:
        with self.db.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO node_facts VALUES (?, ?)", (f"log_begins:{topic}", str(upto)))
            tx.execute("DELETE FROM _honker_stream WHERE topic = ? AND offset <= ?", (topic, upto))

    def close(self) -> None:
        self.db.close()


__all__ = ["End", "FileEnd", "ModelEnd", "sending"]
