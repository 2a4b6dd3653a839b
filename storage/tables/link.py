"""The link's own state, beside the events it speaks of and in the same transactions (`docs/decisions/0002-link.md`).

Spoke: which log this is (`link_generations`), what each hub has acknowledged (`link_positions`), hashes of the log at
some positions (`link_checkpoints`), and the state of the link for other processes to read (`link_status`).
Hub: how far each spoke's log has come (`link_cursors`), which of our offsets holds which of its offsets
(`link_batches`), and who is there (`link_spokes`). Times are unix milliseconds.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from storage.tables.columns import integer, text


def add(metadata: sa.MetaData) -> None:
    """The link's tables."""
    sa.Table(
        "link_generations",
        metadata,
        sa.Column("topic", sa.Text, primary_key=True),
        integer("generation"),
        _bytes("gen_id"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_positions",
        metadata,
        *_keys("hub_id", "topic"),
        _bytes("gen_id"),
        integer("offset"),
        _bytes("hash"),
        integer("acked_at"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_checkpoints",
        metadata,
        *_keys("topic"),
        sa.Column("gen_id", sa.LargeBinary, primary_key=True),
        sa.Column("offset", sa.Integer, primary_key=True),
        _bytes("hash"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_status",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, nullable=True),
        text("state"),
        integer("since"),
        text("hub_url"),
        text("hub_id", null=True),
        text("error_code", null=True),
        text("error", null=True),
        text("hint", null=True),
        integer("retry_at", null=True),
        integer("breaks", default=0),
        sa.CheckConstraint("id = 1"),
    )
    sa.Table(
        "link_cursors",
        metadata,
        *_keys("node_id", "topic"),
        sa.Column("gen_id", sa.LargeBinary, primary_key=True),
        integer("generation"),
        integer("offset"),
        _bytes("hash"),
        integer("events"),
        integer("updated_at"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_batches",
        metadata,
        *_keys("node_id", "topic"),
        sa.Column("gen_id", sa.LargeBinary, primary_key=True),
        sa.Column("first_offset", sa.Integer, primary_key=True),
        _bytes("source_offsets"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_spokes",
        metadata,
        *_keys("node_id"),
        text("name"),
        text("agent"),
        text("account_id"),
        integer("connected"),
        integer("sessions"),
        integer("connected_at"),
        integer("seen_at"),
        sqlite_with_rowid=False,
    )


def _keys(*names: str) -> tuple[Any, ...]:
    return tuple(sa.Column(name, sa.Text, primary_key=True) for name in names)


def _bytes(name: str) -> Any:
    return sa.Column(name, sa.LargeBinary, nullable=False)
