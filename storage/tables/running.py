"""`running`: what runs and in which process (`storage.running`), so that what a killed one left is ended by others."""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import text


def add(metadata: sa.MetaData) -> None:
    """The table of what runs."""
    sa.Table(
        "running",
        metadata,
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        text("process"),
        sa.CheckConstraint("kind IN ('call', 'session')"),
        sqlite_with_rowid=False,
    )
