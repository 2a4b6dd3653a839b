"""What works in the background of a tenant file: its queues, its schedules, and the ear on its channels."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from app.services import left
from app.services.ear import listen
from app.services.scheduler import lead
from app.services.supervisor import Service
from app.services.worker import Handler, work
from storage.engine import Database, Limits
from storage.maintenance import SCHEDULES, clean_up, cut_log

CHANNELS = ("graph:created", "graph:updated", "nodes:created", "acl:delegation_changed")
CLEAN_UP_TASK = "cleanup-expired-graphs"
LOG_TASK = "log-retention"

log = logging.getLogger("spoke.tenant")


class UnknownTaskError(ValueError):
    """The payload of a job names no task of its queue: a program of another version wrote it."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of each stream is kept, and who must have read what goes (`storage.maintenance.cut_log`)."""

    limits: Limits
    required: tuple[str, ...]
    awaited: Mapping[str, Sequence[str]] = field(default_factory=dict)


def handlers(db: Database, key_file: Path, retention: Retention | None = None) -> dict[str, Handler]:
    """By queue: what its jobs do. Graphs and cryptography are imported when the first job comes."""

    def evaluate(payload: Mapping[str, Any]) -> int:
        from storage.graphs.effective import evaluate_graph

        return evaluate_graph(db, str(payload["graphId"]), int(db.clock()))

    def rotate(payload: Mapping[str, Any]) -> None:
        from storage.keyring import load_keyring
        from storage.secrets import rotate_batch

        keyring = load_keyring(key_file)
        while rotate_batch(db, keyring, int(payload["keyVersion"]), int(payload.get("batchSize", 20))):
            continue

    def look_at_types(payload: Mapping[str, Any]) -> dict[str, Any]:
        from storage.graphs.evolution import check_graph_type

        return check_graph_type(db, str(payload["graphType"]), int(payload["version"]))

    def maintain(payload: Mapping[str, Any]) -> dict[str, int]:
        task = payload.get("task")
        if task == LOG_TASK:
            return {} if retention is None else cut_log(db, retention.limits, retention.required, retention.awaited)
        if task != CLEAN_UP_TASK:
            raise UnknownTaskError(f"queue maintenance knows no task {task!r}")
        return clean_up(db, int(payload.get("olderThanDays", 90)))

    return {
        "acl-evaluation": evaluate,
        "secret-rotation": rotate,
        "schema-migration": look_at_types,
        "graph-maintenance": maintain,
        "maintenance": maintain,
    }


def resume(db: Database, key_file: Path) -> int:
    """Ask for what a crash between two steps may have left undone; returns how many secrets wait.

    A rotation is a key file that was written and a job that was queued: the process may have died between the two.
    """
    if not key_file.exists():
        return 0
    from storage.keyring import load_keyring
    from storage.secrets import start_rotation

    current = load_keyring(key_file).current
    with db.transaction() as tx:
        return start_rotation(tx, current)


def services(db: Database, key_file: Path, retention: Retention | None = None) -> dict[str, Service]:
    """The background of a tenant file."""

    async def queues(stop: asyncio.Event) -> None:
        waiting = await asyncio.to_thread(resume, db, key_file)
        if waiting:
            log.info("%d secrets wait for the current key", waiting)
        await work(db, handlers(db, key_file, retention), stop)

    return {
        "queues": queues,
        "scheduler": partial(lead, db, SCHEDULES),
        "ear": partial(listen, db, CHANNELS, ()),
        "left": partial(left.run, db),
    }
