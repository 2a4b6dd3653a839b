"""What the projector keeps beside the rows it makes.

`call_orphans`: outcomes whose `call.requested` has not come yet. `call_waiting_children`: calls whose parent has not
come yet. `projection_rejects`: events that are not of their stream's kind; they are passed over, never lost: the
event stays in its stream, and here stands why it is in no graph.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import Json, integer, text


def add(metadata: sa.MetaData) -> None:
    """The projector's tables."""
    sa.Table(
        "call_orphans",
        metadata,
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("attributes", Json, nullable=False),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "call_waiting_children",
        metadata,
        sa.Column("parent_id", sa.Text, primary_key=True),
        sa.Column("child_id", sa.Text, primary_key=True),
        text("graph_id"),
        integer("created_at"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "projection_rejects",
        metadata,
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("offset", sa.Integer, primary_key=True),
        text("reason"),
        sqlite_with_rowid=False,
    )
