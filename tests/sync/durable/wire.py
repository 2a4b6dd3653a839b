"""What stands in for the link: an exact copier of topics between two files, in order and once, cursor and events in
one transaction; and a small world of operations whose effects can be counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.engine import Database
from storage.engine.stream import read_events, save_offset, saved_offset
from storage.operations.spec import Identity, Model, OperationContext, OperationSpec
from storage.tenants import open_tenant_database
from sync.calls.recorder import Recorder
from sync.calls.registry import Registry
from sync.durable.callee import Callee
from sync.durable.topics import calls_from, calls_to, results_from, results_to

ANYBODY = Identity("peer", ("*",), {"*": ("*",)})


def carry(source: Database, to: Database, topic: str, arrives_as: str, limit: int = 1_000) -> int:
    """Copy what is new of a topic; returns how many events. The offset reached is what an acknowledgement says."""
    consumer = f"wire:{topic}"
    with to.transaction() as tx:
        after = saved_offset(tx, consumer, arrives_as)
        with source.snapshot() as snapshot:
            events = read_events(snapshot, topic, after, limit)
        if events:
            to.stream(arrives_as).append([(e.key, e.payload_json, e.created_at) for e in events], tx)
            save_offset(tx, consumer, arrives_as, events[-1].offset)
            tx.touch("received", arrives_as.partition("@")[0])  # as the link does
    return len(events)


def reached(to: Database, topic: str, arrives_as: str) -> int:
    """How far a topic has been copied."""
    with to.snapshot() as snapshot:
        return saved_offset(snapshot, f"wire:{topic}", arrives_as)


def carry_calls(hub: Database, spoke: Database, node: str = "node-1", limit: int = 1_000) -> int:
    """Calls of the hub to the spoke."""
    return carry(hub, spoke, calls_to(node), calls_from("hub"), limit)


def carry_results(hub: Database, spoke: Database, node: str = "node-1", limit: int = 1_000) -> int:
    """Results of the spoke to the hub."""
    return carry(spoke, hub, results_to("hub"), results_from(node), limit)


class Number(Model):
    n: int = 0


class World:
    """Operations with effects, in the file and outside it, and clocks that stand still until they are set."""

    def __init__(self) -> None:
        self.outside: list[int] = []
        """Effects outside the file, in order."""
        self.hub_ms: int | None = 1_000_000
        self.now_ms = 1_000_000
        self.on_outside: Callable[[int, OperationContext], None] = lambda n, context: None
        """What else happens in the middle of an effect."""
        self.registry = Registry()
        for name, kind, options in (
            ("file", "mutation", {"transactional": True}),
            ("again", "mutation", {"idempotent": True}),
            ("once", "mutation", {}),
            ("secret", "query", {"sensitive": True}),
            ("read", "query", {}),
        ):
            spec: OperationSpec[Number, Number] = OperationSpec(
                namespace="test" if name != "read" else "other",
                name=name,
                type=kind,  # type: ignore[arg-type]
                description=name,
                input_model=Number,
                output_model=Number,
                **options,  # type: ignore[arg-type]
            )
            self.registry.register(spec, self._in_file if name == "file" else self._outside)

    def _in_file(self, value: Number, context: OperationContext) -> Number:
        context.transaction.execute("INSERT INTO effects (n) VALUES (?)", (value.n,))
        self.on_outside(value.n, context)
        return value

    def _outside(self, value: Number, context: OperationContext) -> Number:
        self.outside.append(value.n)
        self.on_outside(value.n, context)
        return value

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.now_ms / 1000, UTC)

    def callee(self, db: Database, who: Identity | None = ANYBODY) -> Callee:
        with db.transaction() as tx:
            tx.execute("CREATE TABLE IF NOT EXISTS effects (n INTEGER NOT NULL)")
        recorder = Recorder(db, self.clock, lambda: "unused-id")
        return Callee(db, self.registry, recorder, lambda peer: who, lambda: self.hub_ms, self.clock)


def run_all(callee: Callee, db: Database, peer: str = "hub", most: int = 1_000) -> int:
    """Take in and execute what there is, one call after the other; returns how many were executed."""
    done = 0
    while True:
        callee.take_in([peer])
        with db.snapshot() as snapshot:
            ready = callee.ready(snapshot)
        if not ready or done >= most:
            return done
        for call in ready:
            callee.claim(call)
            callee.run(call)
            done += 1


def open_pair(folder: Path) -> tuple[Database, Database]:
    """A hub's tenant file and a spoke's."""
    folder.mkdir(exist_ok=True)
    return (
        open_tenant_database(folder / "hub.db", durability="normal"),
        open_tenant_database(folder / "spoke.db", durability="normal"),
    )


def effects(db: Database) -> list[int]:
    """Effects in the file."""
    return [int(row["n"]) for row in db.query("SELECT n FROM effects ORDER BY rowid")]


def log_of(db: Database, topic: str = "call-protocol") -> list[Any]:
    return [event.payload for event in db.stream(topic).read()]
