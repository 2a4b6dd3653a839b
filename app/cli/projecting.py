"""Rows that are as new as the log, for commands that read them."""

from __future__ import annotations

from app.cli.context import Progress
from app.services.projector import catch_up
from storage.engine import Database


def project(db: Database) -> None:
    """Project what is in the log now; how far it is stands on stderr meanwhile."""
    progress = Progress("projecting")
    try:
        catch_up(db, progress=progress)
    finally:
        progress.end()
