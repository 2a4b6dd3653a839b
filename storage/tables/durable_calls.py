"""Durable calls (`docs/decisions/0012-durable-calls.md`). Times are unix milliseconds, deadlines those of the hub.

`link_calls`: what this end asked another one to do; `recovered` rows were asked for by a later state of this file than
the one that a backup brought back. `link_received_calls`: what others asked this end to do, with the answer it gave.
`link_operations`: what the spokes of a hub offer.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import Flag, Json, integer, one_of, text

STATES = (
    "QUEUED",
    "SENT",
    "RECEIVED",
    "RUNNING",
    "DONE",
    "FAILED",
    "EXPIRED",
    "CANCELLED",
    "INDETERMINATE",
    "REJECTED",
)
CLASSES = ("exactly_once_local", "idempotent", "at_most_once")


def add(metadata: sa.MetaData) -> None:
    """The tables of both ends of durable calls, and the catalogue."""
    sa.Table(
        "link_calls",
        metadata,
        sa.Column("call_id", sa.Text, primary_key=True),
        text("peer"),
        text("operation_id"),
        sa.Column("input", Json),
        text("execution", null=True),
        text("state"),
        integer("deadline", null=True),
        text("idempotency_key", null=True),
        sa.Column("identity", Json),
        integer("offset", null=True),
        sa.Column("result", Json),
        sa.Column("late_result", Json),
        sa.Column("recovered", Flag, nullable=False, server_default=sa.text("0")),
        integer("created_at"),
        integer("ended_at", null=True),
        one_of("state", *STATES),
        one_of("execution", *CLASSES),
        sa.UniqueConstraint("peer", "idempotency_key"),
        sa.Index("idx_link_calls_peer", "peer", "ended_at", "offset"),
        sa.Index("idx_link_calls_deadline", "ended_at", "deadline"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_received_calls",
        metadata,
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("peer", sa.Text, primary_key=True),
        text("operation_id"),
        text("lane"),
        text("execution", null=True),
        text("state"),
        integer("deadline", null=True),
        integer("offset"),
        sa.Column("request", Json),
        sa.Column("result", Json),
        sa.Column("cancelled", Flag, nullable=False, server_default=sa.text("0")),
        integer("received_at"),
        integer("ended_at", null=True),
        one_of("state", *STATES),
        one_of("execution", *CLASSES),
        sa.Index("idx_link_received_calls_lane", "ended_at", "peer", "lane", "offset"),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "link_operations",
        metadata,
        sa.Column("node_id", sa.Text, primary_key=True),
        sa.Column("operation_id", sa.Text, primary_key=True),
        sa.Column("spec", Json, nullable=False),
        sqlite_with_rowid=False,
    )
