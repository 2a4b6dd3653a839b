"""The link's own state, beside the events it speaks of and in the same transactions (`docs/decisions/0002-link.md`).

A log that is sent: its generations (`link_generations`; `sealed_at` is the last offset that counts), what the other end
has acknowledged (`link_positions`), hashes at some positions (`link_checkpoints`), and events that the other end put
into quarantine (`link_refusals`).
A log that is received: how far each generation has come, and how many events of it came again and were left out
(`link_cursors`), which of our offsets holds which of the
sender's (`link_batches`, with the hash behind each), what is missing for good (`link_gaps`), and the quarantine
(`link_quarantine`). On a hub `node_id` is the spoke, on a spoke the word `hub`.
The spoke: the state of the link for other processes to read (`link_status`). The hub: who is there (`link_spokes`).
Times are unix milliseconds.
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
        *_keys("topic"),
        sa.Column("number", sa.Integer, primary_key=True),
        _bytes("gen_id"),
        integer("base", default=0),
        _bytes("parent", null=True),
        integer("sealed_at", null=True),
        integer("seen", default=0),
        text("reason"),
        integer("created_at"),
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
        integer("skew_ms", null=True),
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
        integer("base", default=0),
        _bytes("parent", null=True),
        sa.Column("reason", sa.Text, nullable=False, server_default="first"),
        integer("opened", default=0),
        integer("stable_offset", null=True),
        _bytes("stable_hash", null=True),
        integer("duplicates", default=0),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_batches",
        metadata,
        *_keys("node_id", "topic"),
        sa.Column("gen_id", sa.LargeBinary, primary_key=True),
        sa.Column("first_offset", sa.Integer, primary_key=True),
        _bytes("source_offsets"),
        integer("last_source", null=True),
        _bytes("hash", null=True),
        sa.Index("idx_link_batches_last_source", "node_id", "topic", "gen_id", "last_source"),
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
    sa.Table(
        "link_gaps",
        metadata,
        *_keys("node_id", "topic"),
        sa.Column("gen_id", sa.LargeBinary, primary_key=True),
        sa.Column("after", sa.Integer, primary_key=True),
        integer("upto"),
        integer("noted_at"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_quarantine",
        metadata,
        *_keys("node_id", "topic"),
        sa.Column("gen_id", sa.LargeBinary, primary_key=True),
        sa.Column("offset", sa.Integer, primary_key=True),
        text("key", null=True),
        text("payload"),
        integer("created_at"),
        text("code"),
        text("detail"),
        integer("noted_at"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_refusals",
        metadata,
        *_keys("topic"),
        sa.Column("gen_id", sa.LargeBinary, primary_key=True),
        sa.Column("offset", sa.Integer, primary_key=True),
        text("code"),
        text("detail"),
        integer("noted_at"),
        sqlite_with_rowid=False,
    )


def _keys(*names: str) -> tuple[Any, ...]:
    return tuple(sa.Column(name, sa.Text, primary_key=True) for name in names)


def _bytes(name: str, *, null: bool = False) -> Any:
    return sa.Column(name, sa.LargeBinary, nullable=null)
