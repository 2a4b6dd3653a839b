"""Rows that are as new as the log, for commands that read them."""

from __future__ import annotations

from app.cli.context import Progress, say
from app.services.left import end_what_is_left
from app.services.projector import behind, catch_up
from storage.engine import Database


def project(db: Database) -> None:
    """End what killed processes left, and project what is in the log; how far that is stands on stderr meanwhile."""
    end_what_is_left(db)
    project_log(db)


def project_log(db: Database) -> None:
    """Project what is in the log, and nothing else. With --read-only rows stay as they are: then that is said."""
    if db.read_only:
        if behind(db):
            say("sessions and calls lack the newest events; with --read-only they are not brought up to the log")
        return
    progress = Progress("projecting")
    try:
        catch_up(db, progress=progress)
    finally:
        progress.end()
