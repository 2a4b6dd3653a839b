"""Rows that are as new as the log, for commands that read them."""

from __future__ import annotations

from app.cli.context import Progress
from app.services.left import end_what_is_left
from app.services.projector import catch_up
from storage.engine import Database


def project(db: Database) -> None:
    """End what killed processes left, and project what is in the log; how far that is stands on stderr meanwhile."""
    end_what_is_left(db)
    progress = Progress("projecting")
    try:
        catch_up(db, progress=progress)
    finally:
        progress.end()
