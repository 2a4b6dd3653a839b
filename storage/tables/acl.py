"""What each principal may do in the end, as the `acl-evaluation` queue worked it out.

Derived, for lists and screens; a decision is always made from the graph itself.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import Json, integer


def add(metadata: sa.MetaData) -> None:
    """`acl_effective`."""
    sa.Table(
        "acl_effective",
        metadata,
        sa.Column("graph_id", sa.Text, sa.ForeignKey("graphs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("principal_key", sa.Text, primary_key=True),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("resources", Json, nullable=False),
        integer("evaluated_at"),
        sqlite_with_rowid=False,
    )
