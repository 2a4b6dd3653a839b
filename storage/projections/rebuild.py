"""Rows anew from the log: `spoke db rebuild`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from storage.engine import Database, Transaction
from storage.engine.errors import EngineError
from storage.projections.projection import BATCH, Projection, step

PROJECTED = (
    "DELETE FROM sessions",  # messages and parts go with them
    "DELETE FROM graphs WHERE graph_type_id = 'call-graph'",  # nodes and edges go with them
    "DELETE FROM call_orphans",
    "DELETE FROM call_waiting_children",
    "DELETE FROM projection_rejects",
)


class LogCutError(EngineError):
    """The log does not hold everything that the rows were made from."""

    hint = "with --force the rows are made from what is left of the log"


def rebuild(
    db: Database,
    projections: Sequence[Projection],
    progress: Callable[[int], None] = lambda done: None,
    *,
    force: bool = False,
) -> int:
    """Delete every projected row and project the log from its beginning; returns how many events that were.

    One transaction: readers see the old rows until the new ones are complete, a crash leaves the old ones, and a
    projector that runs beside it goes on behind the last event. Writers wait meanwhile.

    Raises:
        LogCutError: retention has deleted the beginning of the log: rows from it would be gone. `force` accepts that.
    """
    done = 0
    with db.transaction() as tx:
        cut = tx.rows("SELECT substr(name, 12), value FROM node_facts WHERE name LIKE 'log_begins:%' ORDER BY name")
        gone = [f"{topic} up to offset {until}" for topic, until in cut if topic in {p.topic for p in projections}]
        if gone and not force:
            raise LogCutError(f"retention has deleted {', '.join(gone)}: the rows made from it would be gone")
        for statement in PROJECTED:
            tx.execute(statement)
        for projection in projections:
            _rewind(tx, projection)
            while True:
                count = step(tx, projection)
                done += count
                progress(done)
                if count < BATCH:
                    break
    return done


def _rewind(tx: Transaction, projection: Projection) -> None:
    tx.execute(
        "DELETE FROM _honker_stream_consumers WHERE name = ? AND topic = ?", (projection.consumer, projection.topic)
    )
