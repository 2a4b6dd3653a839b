"""Who this copy of the file is: a handful of named facts."""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import text


def add(metadata: sa.MetaData) -> None:
    """`node_facts`."""
    sa.Table(
        "node_facts", metadata, sa.Column("name", sa.Text, primary_key=True), text("value"), sqlite_with_rowid=False
    )
